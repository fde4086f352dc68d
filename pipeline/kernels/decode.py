"""Decode words: pkuseg's features and Viterbi search over flat tables.

Arrays in, arrays out. The words are those of ``spacy_pkuseg.pkuseg(path, user_dict=None).cut(sentence)``, by the
same weights, the same order of additions and the same rule for ties; what makes it fast is that a character
pair or a word is looked up once, as integers, where pkuseg builds some thirty strings a character.

What pkuseg does to a sentence, and this does alike:

- it is cut at white space (`str.split`), and every run between is decoded by itself;
- ``- . _ , | / * :`` count as one character, digits and common numerals as another, full-width letters as a third;
- the search runs from the end to the start; among equal scores the later tag in `TAGS` wins, and the earlier one
  at the very start.

A run of any length is one search: it needs two bytes a character, besides one window of `BLOCK` characters.

References
----------
Luo, Xu, Zhang, Ren and Sun (2019), PKUSEG: A Toolkit for Multi-Domain Chinese Word Segmentation.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.kernels.prefetch import prefetch

Codes = NDArray[np.uint32]
Ints = NDArray[np.int32]

TAGS = ("B", "B_single", "I", "I_end", "I_first")  # pkuseg's own order
N_TAGS = len(TAGS)
UNKNOWN, SPACE, FIRST_ID = 0, 1, 2
MIN_WORD, MAX_WORD = 2, 6  # words that features know, in characters
N_LENGTHS = MAX_WORD - MIN_WORD + 1
BLOCK = 4096  # characters scored at a time; its work area stays in the processor's cache
MARGIN = MAX_WORD + 1  # a feature sees no farther than this
PAD = 2  # characters that a window's border features look at
N_BMP = 0x10000
SHIFT = 16  # character numbers fit into 16 bits

# Columns of `chars` and `pairs`: five weights each.
CHAR_FEATURES = ("c.", "c-1.", "c1.", "c-2.", "c2.")
PAIR_FEATURES = ("c-1c.", "cc1.", "c-2c-1.")


class Tables(NamedTuple):
    """pkuseg's weights as flat arrays; integers where they are multiples of ``1 / scale``, else float64.

    Parameters
    ----------
    bmp : ndarray of int32, shape (65536,)
        The number of each code point below U+10000: 0 unknown, 1 white space.
    astral, astral_ids : ndarray of int32
        The same for the others; `astral` ascends.
    bias : ndarray, shape (5,)
        What every character gets.
    edges : ndarray, shape (5, 5)
        From the earlier tag (row) to the later (column).
    chars : ndarray, shape (n_chars, 25)
        The weights of a character for itself, the one after it, before it, and two away.
    pair_slots : ndarray of uint64
        Open addressing from two characters to a row of `pairs`: the key above, the row below; 0 if empty.
    pairs : ndarray, shape (n_pairs + 1, 15)
        Row 0 is of pairs without features and weighs nothing.
    pair_nodes : ndarray of int32, shape (n_pairs + 1,)
        Where the two characters lead in the tree of words; -1 nowhere.
    tree_keys, tree_nodes : ndarray
        Open addressing from node and character to a node.
    node_words : ndarray of int32
        The word that ends at a node, or -1.
    words : ndarray, shape (n_words, 10)
        The weights at a word's last character, then at its first.
    link_keys, link_rows, links : ndarray
        The same for two words in a row: weights behind the border, then before it.
    """

    bmp: NDArray[np.int32]
    astral: NDArray[np.int32]
    astral_ids: NDArray[np.int32]
    bias: NDArray[Any]
    edges: NDArray[Any]
    chars: NDArray[Any]
    pair_slots: NDArray[np.uint64]
    pairs: NDArray[Any]
    pair_nodes: NDArray[np.int32]
    tree_keys: NDArray[np.int64]
    tree_nodes: NDArray[np.int32]
    node_words: NDArray[np.int32]
    words: NDArray[Any]
    link_keys: NDArray[np.int64]
    link_rows: NDArray[np.int32]
    links: NDArray[Any]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _find_pair(key: int, slots: NDArray[np.uint64]) -> Any:
    """Get the row of a pair, or 0."""
    mask = len(slots) - 1
    at = slot_of(key, len(slots))
    while slots[at] != 0:
        if slots[at] >> np.uint64(32) == np.uint64(key):
            return np.int32(slots[at] & np.uint64(0xFFFFFFFF))
        at = (at + 1) & mask
    return np.int32(0)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def slot_of(key: int, n_slots: int) -> Any:
    """Where to begin looking for a key: Fibonacci hashing, the upper bits."""
    mixed = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    return np.int64((mixed >> np.uint64(32)) & np.uint64(n_slots - 1))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def find(key: int, slots: NDArray[np.int64], found: Ints) -> Any:
    """Get the value that `hash_keys` gave a key, or -1."""
    at = slot_of(key, len(slots))
    while slots[at] != -1:
        if slots[at] == key:
            return found[at]
        at = (at + 1) & (len(slots) - 1)
    return np.int32(-1)


def decode(codes: Codes, spans: Ints, tables: Tables) -> Ints:
    """Get the words of a batch of sentences.

    Parameters
    ----------
    codes : ndarray of uint32, shape (n_chars,)
        The code points of all texts, one after the other.
    spans : ndarray of int32, shape (n_sents, 2)
        Half-open offsets of the sentences into `codes`, ascending.
    tables : Tables

    Returns
    -------
    ndarray of int32, shape (n_words, 2)
        Half-open offsets into `codes`, ascending; with white space they cover the sentences.
    """
    found: Ints = _decode(codes, np.ascontiguousarray(spans, np.int32), tables)
    return found.copy()  # not a view that keeps the larger array alive


class Window(NamedTuple):
    """The work area for one window of characters; made once a batch.

    `ids` and `pairs` are shifted by `PAD`, so that what lies outside of a run is character 0 and pair 0.
    """

    ids: Ints
    pairs: Ints
    starting: Ints  # the known words that start at each character, shortest first
    n_starting: Ints
    ending: Ints  # the known words that end with each character, longest first
    n_ending: Ints
    scores: NDArray[np.float64]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _decode(codes: Codes, spans: Ints, tables: Tables) -> Any:
    total = 0
    for s in range(len(spans)):
        total += spans[s, 1] - spans[s, 0]
    words = np.empty((total, 2), np.int32)
    n_words = 0
    area = BLOCK + 2 * MARGIN
    window = Window(
        np.zeros(area + 2 * PAD, np.int32),
        np.zeros(area + 2 * PAD, np.int32),
        np.zeros((area, N_LENGTHS), np.int32),
        np.zeros(area, np.int32),
        np.zeros((area, N_LENGTHS), np.int32),
        np.zeros(area, np.int32),
        np.zeros((area, N_TAGS), np.float64),
    )
    back = np.zeros(BLOCK, np.uint16)
    for s in range(len(spans)):
        at, end = spans[s, 0], spans[s, 1]
        while at < end:
            if _id(codes[at], tables) == SPACE:
                at += 1
                continue
            stop = at + 1
            while stop < end and _id(codes[stop], tables) != SPACE:
                stop += 1
            if stop - at > len(back):
                back = np.zeros(max(stop - at, 2 * len(back)), np.uint16)
            tag = _search(codes, at, stop, tables, back, window)
            begin = at
            for i in range(at + 1, stop):
                tag = (back[i - 1 - at] >> np.uint16(3 * tag)) & np.uint16(7)
                if tag <= 1:  # B and B_single
                    words[n_words, 0] = begin
                    words[n_words, 1] = i
                    n_words += 1
                    begin = i
            words[n_words, 0] = begin
            words[n_words, 1] = stop
            n_words += 1
            at = stop
    return words[:n_words]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _id(code: int, tables: Tables) -> Any:
    """The number of a code point."""
    if code < N_BMP:
        return tables.bmp[code]
    at = np.searchsorted(tables.astral, np.int32(code))
    if at < len(tables.astral) and tables.astral[at] == code:
        return tables.astral_ids[at]
    return np.int32(UNKNOWN)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _search(codes: Codes, start: int, stop: int, tables: Tables, back: NDArray[np.uint16], window: Window) -> Any:
    """Fill `back` for one run, last character first, and get the tag of its first."""
    best = np.zeros(N_TAGS, np.float64)
    following = np.zeros(N_TAGS, np.float64)
    edges = tables.edges.astype(np.float64)
    high = stop
    while high > start:
        low = max(start, high - BLOCK)
        left, right = max(start, low - MARGIN), min(stop, high + MARGIN)
        _look_up(codes, left, right, tables, window)
        _score(low - left, high - left, right - left, tables, window)
        last = high - 1
        if high == stop:
            for y in range(N_TAGS):
                best[y] = window.scores[last - left, y]
            last -= 1
        for i in range(last, low - 1, -1):
            pointers = 0
            for y in range(N_TAGS):
                node = window.scores[i - left, y]
                top = best[0] + node + edges[y, 0]
                chosen = 0
                for z in range(1, N_TAGS):
                    score = best[z] + node + edges[y, z]
                    if score >= top:
                        top = score
                        chosen = z
                following[y] = top
                pointers |= chosen << (3 * y)
            back[i - start] = pointers
            for y in range(N_TAGS):
                best[y] = following[y]
        high = low
    tag = 0
    for y in range(1, N_TAGS):
        if best[y] > best[tag]:
            tag = y
    return np.uint16(tag)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _look_up(codes: Codes, left: int, right: int, tables: Tables, window: Window) -> None:
    """Find the pairs and words of a window."""
    n = right - left
    ids, pairs, ending, n_ending = window.ids, window.pairs, window.ending, window.n_ending
    starting, n_starting = window.starting, window.n_starting
    for k in range(n):
        ids[PAD + k] = _id(codes[left + k], tables)
        n_ending[k] = 0
    for k in range(PAD):
        ids[PAD + n + k] = UNKNOWN
    for k in range(n):
        key = (np.int64(ids[PAD + k]) << SHIFT) | np.int64(ids[PAD + k + 1])
        prefetch(tables.pair_slots, slot_of(key, len(tables.pair_slots)))
    for k in range(n):
        n_starting[k] = 0
        first, second = np.int64(ids[PAD + k]), np.int64(ids[PAD + k + 1])
        row = np.int32(0)
        if first >= FIRST_ID and second >= FIRST_ID:
            row = _find_pair((first << SHIFT) | second, tables.pair_slots)
        prefetch(tables.pairs, np.int64(row))
        pairs[PAD + k] = row
        node = tables.pair_nodes[row]
        last = k + 1
        while node >= 0:
            word = tables.node_words[node]
            if word >= 0:
                starting[k, n_starting[k]] = word
                n_starting[k] += 1
                ending[last, n_ending[last]] = word
                n_ending[last] += 1
            last += 1
            if last >= n or last - k >= MAX_WORD:
                break
            node = find((np.int64(node) << SHIFT) | np.int64(ids[PAD + last]), tables.tree_keys, tables.tree_nodes)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _score(low: int, high: int, n: int, tables: Tables, window: Window) -> None:
    """Sum the weights of characters `low` to `high`, in pkuseg's order: floating-point sums depend on it."""
    ids, chars, pair_at, pairs, bias = window.ids, tables.chars, window.pairs, tables.pairs, tables.bias
    starting, n_starting, ending, n_ending = window.starting, window.n_starting, window.ending, window.n_ending
    scores, words = window.scores, tables.words
    for i in range(low, high):
        at = i + PAD
        before2, before, here, after, after2 = ids[at - 2], ids[at - 1], ids[at], ids[at + 1], ids[at + 2]
        pair_before2, pair_before, pair = pair_at[at - 2], pair_at[at - 1], pair_at[at]
        for y in range(N_TAGS):
            total = np.float64(bias[y])
            total += chars[here, y]
            total += chars[before, N_TAGS + y]
            total += pairs[pair_before, y]
            total += chars[after, 2 * N_TAGS + y]
            total += pairs[pair, N_TAGS + y]
            total += chars[before2, 3 * N_TAGS + y]
            total += pairs[pair_before2, 2 * N_TAGS + y]
            total += chars[after2, 4 * N_TAGS + y]
            scores[i, y] = total
        for k in range(n_ending[i]):
            for y in range(N_TAGS):
                scores[i, y] += words[ending[i, k], y]
        for k in range(n_starting[i] - 1, -1, -1):
            for y in range(N_TAGS):
                scores[i, y] += words[starting[i, k], N_TAGS + y]
        if i > 0 and n_starting[i] and n_ending[i - 1]:
            _add_links(i, i, 0, tables, window)
        if i + 1 < n and n_ending[i] and n_starting[i + 1]:
            _add_links(i, i + 1, N_TAGS, tables, window)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _add_links(i: int, border: int, column: int, tables: Tables, window: Window) -> None:
    """Add what two known words weigh that meet at a border."""
    for a in range(window.n_ending[border - 1]):
        for b in range(window.n_starting[border] - 1, -1, -1):
            key = (np.int64(window.ending[border - 1, a]) << np.int64(32)) | np.int64(window.starting[border, b])
            row = find(key, tables.link_keys, tables.link_rows)
            if row >= 0:
                for y in range(N_TAGS):
                    window.scores[i, y] += tables.links[row, column + y]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def join_letters(codes: Codes, words: Ints, spans: Ints) -> Ints:
    """Get the words with runs of Latin letters whole that were cut inside, unless a sentence of `spans` begins there.

    Han beside such a run is cut off it: who cuts a run cannot be trusted with its ends. Other runs stay as they are.
    """
    joined = np.empty((2 * len(words), 2), np.int32)  # two words become three at most
    n = 0
    s = 0
    for i in range(len(words)):
        start, end = words[i, 0], words[i, 1]
        while s < len(spans) and spans[s, 0] < start:
            s += 1
        parted = n == 0 or joined[n - 1, 1] != start or (s < len(spans) and spans[s, 0] == start)
        if parted or not (_is_latin(codes[start - 1]) and _is_latin(codes[start])):
            joined[n, 0], joined[n, 1] = start, end
            n += 1
            continue
        first, stop = start - 1, start + 1
        while first > joined[n - 1, 0] and _is_latin(codes[first - 1]):
            first -= 1
        while stop < end and _is_latin(codes[stop]):
            stop += 1
        if first > joined[n - 1, 0] and _is_han(codes[first - 1]):
            joined[n - 1, 1] = first
            joined[n, 0] = first
            n += 1
        joined[n - 1, 1] = end
        if stop < end and _is_han(codes[stop]):
            joined[n - 1, 1] = stop
            joined[n, 0], joined[n, 1] = stop, end
            n += 1
    return joined[:n].copy()


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _is_latin(code: Any) -> Any:
    """Whether a code point is a letter of the Latin blocks up to U+024F, or a full-width one."""
    return (
        (0x41 <= code <= 0x5A)
        or (0x61 <= code <= 0x7A)
        or (0xC0 <= code <= 0x24F and code != 0xD7 and code != 0xF7)
        or (0xFF21 <= code <= 0xFF3A)
        or (0xFF41 <= code <= 0xFF5A)
    )


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _is_han(code: Any) -> Any:
    """Whether a code point is a Han character of the basic plane."""
    return 0x3400 <= code < 0xA000
