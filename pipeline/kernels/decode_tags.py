"""Decode tags and names of words: hashed features, one table row a feature, two Viterbi searches.

Arrays in, arrays out. A feature is a 64-bit hash of a template and what it saw; it finds its row in the weight table
by open addressing, and a feature that training did not keep has none. A row holds the weights of every tag, then of
every name tag, so that both searches share the look-ups. Weights are small integers: sums are exact.

A sentence of more than `MAX_TOKENS` words is decoded in pieces of that many, so that memory stays bounded; a name
does not reach over such a border.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.kernels.decode import N_BMP, Codes, Ints

Hashes = NDArray[np.uint64]

MAX_TOKENS = 4096
UPPER, LOWER = np.uint64(0xFFFFFFFF00000000), np.uint64(0xFFFFFFFF)
OUTSIDE = np.uint64(1 << 40)  # what lies before or behind a sentence looks like nothing else
LOWEST = np.int32(-(2**30))
EDGE = 2  # places before and behind a sentence that features may look at
# What a template may see of a word: itself, its first and last one or two characters, the one in the middle, the
# kinds of its characters, then what plain text says of it (see `Lexicon.classes`).
WORD, FIRST, FIRST2, LAST, LAST2, MIDDLE, SHAPE, COARSE, FINE, TAG, TAGS, NAME = range(12)
N_VIEWS = 12
N_CLASSES = N_VIEWS - COARSE
OTHER, HAN, NUMERAL, DIGIT, LATIN, KANA, PUNCT = range(7)  # kinds of characters

Template = tuple[tuple[int, int], ...]
"""Up to three pairs of a view and a place, which is relative to the word."""

BASIC_TEMPLATES: tuple[Template, ...] = (
    (),
    ((WORD, 0),),
    ((WORD, -1),),
    ((WORD, 1),),
    ((WORD, -2),),
    ((WORD, 2),),
    ((WORD, -1), (WORD, 0)),
    ((WORD, 0), (WORD, 1)),
    ((WORD, -1), (WORD, 1)),
    ((FIRST, 0),),
    ((FIRST2, 0),),
    ((LAST, 0),),
    ((LAST2, 0),),
    ((MIDDLE, 0),),
    ((SHAPE, 0),),
    ((SHAPE, -1), (SHAPE, 0)),
    ((SHAPE, 0), (SHAPE, 1)),
    ((FIRST, 0), (SHAPE, 0)),
    ((LAST, 0), (SHAPE, 0)),
    ((FIRST, 0), (LAST, 0)),
    ((LAST, -1),),
    ((FIRST, 1),),
    ((LAST, 1),),
    ((LAST, -1), (LAST, 0)),
    ((LAST, 0), (FIRST, 1)),
    ((LAST, 0), (LAST, 1)),
    ((COARSE, 0),),
    ((COARSE, -1),),
    ((COARSE, 1),),
    ((COARSE, -1), (COARSE, 0)),
    ((COARSE, 0), (COARSE, 1)),
    ((COARSE, -1), (COARSE, 1)),
    ((COARSE, -2), (COARSE, -1)),
    ((COARSE, 1), (COARSE, 2)),
    ((FINE, 0),),
    ((FINE, -1),),
    ((FINE, 1),),
    ((COARSE, -1), (WORD, 0)),
    ((WORD, 0), (COARSE, 1)),
    ((COARSE, 0), (LAST, 0)),
)
# What an earlier tagger said of the words in plain text; each helps its own task and is noise to the other.
TAG_TEMPLATES: tuple[Template, ...] = (
    ((TAG, 0),),
    ((TAG, -1),),
    ((TAG, 1),),
    ((TAGS, 0),),
    ((TAGS, -1),),
    ((TAGS, 1),),
    ((TAGS, -1), (TAGS, 0)),
    ((TAGS, 0), (TAGS, 1)),
)
NAME_TEMPLATES: tuple[Template, ...] = (
    ((NAME, 0),),
    ((NAME, -1),),
    ((NAME, 1),),
    ((NAME, -1), (NAME, 0)),
    ((NAME, 0), (NAME, 1)),
    ((NAME, -1), (NAME, 1)),
    ((NAME, -1), (NAME, 0), (NAME, 1)),
)
TEMPLATES = BASIC_TEMPLATES + TAG_TEMPLATES + NAME_TEMPLATES


class Lexicon(NamedTuple):
    """What the features know before they see a sentence.

    Parameters
    ----------
    fold : ndarray of uint16, shape (65536,)
        The character that stands for each below U+10000: simplified, half-width, small, digits as 0.
    kinds : ndarray of uint8, shape (65536,)
        What kind of character it is.
    keys, classes : ndarray of uint64, int16 (n_slots, 5)
        Open addressing from a word's hash to what plain text says of it: cluster, coarse and fine; usual tag; the
        two most usual tags; usual kind of name. A key 0 is an empty slot, a class 0 is unknown.
    """

    fold: NDArray[np.uint16]
    kinds: NDArray[np.uint8]
    keys: Hashes
    classes: NDArray[np.int16]


class Tables(NamedTuple):
    """A tagger as flat arrays.

    Parameters
    ----------
    templates : ndarray of int32, shape (n_templates, 8)
        See `compile_templates`.
    slots : ndarray of uint64
        Open addressing by feature hash: its upper half, and below it the row of `weights` plus one; 0 if empty.
    weights : ndarray of int8, shape (n_rows, n_columns)
        For the tags, then for the name tags; padded to whole cache lines.
    tag_edges : ndarray of int32, shape (n_tags, n_tags)
        From the earlier tag (row) to the later (column).
    name_edges : ndarray of int32, shape (n_name_tags, n_name_tags)
        The same for O, then B- and I- of each label.
    """

    templates: NDArray[np.int32]
    slots: Hashes
    weights: NDArray[np.int8]
    tag_edges: NDArray[np.int32]
    name_edges: NDArray[np.int32]


def compile_templates(templates: tuple[Template, ...] = TEMPLATES) -> NDArray[np.int32]:
    """Get the templates as an array of shape (n, 8): seed, how many parts, then view and place of each.

    The seed tells templates apart; it depends on nothing but the template, so that models may use some of them.
    """
    table = np.zeros((len(templates), 8), np.int32)
    for row, parts in zip(table, templates, strict=True):
        row[1] = len(parts)
        for i, (view, place) in enumerate(parts):
            row[0] = row[0] << 8 | (1 + view) << 3 | (EDGE + place)
            row[2 + 2 * i : 4 + 2 * i] = view, place
    return table


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _mix(a: Any, b: Any) -> Any:
    x = (np.uint64(a) ^ (np.uint64(b) * np.uint64(0x9E3779B97F4A7C15))) * np.uint64(0xD6E8FEB86659FD93)
    return x ^ (x >> np.uint64(32))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def hash_word(codes: Codes, start: int, end: int, fold: NDArray[np.uint16]) -> Any:
    """Get the hash of a stretch of code points, folded."""
    value = np.uint64(end - start)
    for i in range(start, end):
        code = codes[i]
        value = _mix(value, fold[code] if code < N_BMP else code)
    return value | np.uint64(1)  # never 0, which marks an empty slot


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def find_hash(key: Any, keys: Hashes) -> Any:
    """Get the slot of a hash in an open-addressing table, or -1."""
    mask = np.uint64(len(keys) - 1)
    at = (key >> np.uint64(20)) & mask
    while keys[at] != 0:
        if keys[at] == key:
            return np.int64(at)
        at = (at + np.uint64(1)) & mask
    return np.int64(-1)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def place_hashes(hashes: Hashes, n_slots: int) -> tuple[Hashes, Ints]:
    """Lay hashes out for `find_hash`: the keys, and which of the hashes is at each slot."""
    keys = np.zeros(n_slots, np.uint64)
    which = np.full(n_slots, -1, np.int32)
    mask = np.uint64(n_slots - 1)
    for i in range(len(hashes)):
        at = (hashes[i] >> np.uint64(20)) & mask
        while keys[at] != 0 and keys[at] != hashes[i]:
            at = (at + np.uint64(1)) & mask
        keys[at] = hashes[i]
        which[at] = i
    return keys, which


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def hash_tokens(codes: Codes, tokens: Ints, fold: NDArray[np.uint16]) -> Hashes:
    """Get the hash of every word."""
    found = np.empty(len(tokens), np.uint64)
    for i in range(len(tokens)):
        found[i] = hash_word(codes, tokens[i, 0], tokens[i, 1], fold)
    return found


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _shape(codes: Codes, start: int, end: int, kinds: NDArray[np.uint8]) -> Any:
    """Get length (up to 5) and the kinds of characters, runs counted once, at most four."""
    shape = np.uint64(min(end - start, 5))
    last, n = np.int64(-1), 0
    for i in range(start, end):
        kind = np.int64(kinds[codes[i]]) if codes[i] < N_BMP else np.int64(OTHER)
        if kind != last and n < 4:
            shape = (shape << np.uint64(3)) | np.uint64(kind)
            n += 1
            last = kind
    return shape


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def view_words(codes: Codes, tokens: Ints, lexicon: Lexicon, views: Hashes) -> None:
    """Fill what the templates see of each word; row `EDGE + i` of `views` is word i, the others stand for edges."""
    n = len(tokens)
    for i in range(EDGE):
        for v in range(N_VIEWS):
            views[i, v] = OUTSIDE + np.uint64(i)
            views[EDGE + n + i, v] = OUTSIDE + np.uint64(EDGE + i)
    for i in range(n):
        start, end = tokens[i, 0], tokens[i, 1]
        row = views[EDGE + i]
        row[WORD] = hash_word(codes, start, end, lexicon.fold)
        row[FIRST] = hash_word(codes, start, start + 1, lexicon.fold)
        row[LAST] = hash_word(codes, end - 1, end, lexicon.fold)
        row[FIRST2] = hash_word(codes, start, start + 2, lexicon.fold) if end - start > 2 else np.uint64(0)
        row[LAST2] = hash_word(codes, end - 2, end, lexicon.fold) if end - start > 2 else np.uint64(0)
        middle = (start + end) // 2
        row[MIDDLE] = hash_word(codes, middle, middle + 1, lexicon.fold) if end - start > 2 else np.uint64(0)
        row[SHAPE] = _shape(codes, start, end, lexicon.kinds)
        slot = find_hash(row[WORD], lexicon.keys)
        for k in range(N_CLASSES):
            row[COARSE + k] = np.uint64(lexicon.classes[slot, k]) if slot >= 0 else np.uint64(0)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def features_of(views: Hashes, i: int, templates: Ints, found: Hashes) -> None:
    """Fill the hashes of word i's features."""
    for t in range(len(templates)):
        value = np.uint64(templates[t, 0])
        for p in range(templates[t, 1]):
            view, place = templates[t, 2 + 2 * p], templates[t, 3 + 2 * p]
            value = _mix(value, views[EDGE + i + place, view])
        found[t] = value


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def hash_sentences(codes: Codes, tokens: Ints, sents: Ints, lexicon: Lexicon, templates: Ints) -> Hashes:
    """Get the feature hashes of all words, shape (n_tokens, n_templates); `sents` are ranges of tokens."""
    found = np.zeros((len(tokens), len(templates)), np.uint64)
    for s in range(len(sents)):
        begin, end = sents[s, 0], sents[s, 1]
        views = np.empty((end - begin + 2 * EDGE, N_VIEWS), np.uint64)
        view_words(codes, tokens[begin:end], lexicon, views)
        for i in range(end - begin):
            features_of(views, i, templates, found[begin + i])
    return found


# --- weights and search ---------------------------------------------------------------------------------------------


def place_rows(hashes: Hashes) -> Hashes:
    """Lay feature hashes out for the look-up of their rows; see `Tables`."""
    n_slots = 4
    while n_slots < 2 * len(hashes):
        n_slots *= 2
    slots = np.zeros(n_slots, np.uint64)
    _place_rows(hashes, slots)
    return slots


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _place_rows(hashes: Hashes, slots: Hashes) -> None:
    mask = np.uint64(len(slots) - 1)
    for i in range(len(hashes)):
        at = hashes[i] & mask
        while slots[at] != 0:
            at = (at + np.uint64(1)) & mask
        slots[at] = (hashes[i] & UPPER) | np.uint64(i + 1)


def decode_tags(
    codes: Codes, tokens: Ints, sents: Ints, lexicon: Lexicon, tables: Tables
) -> tuple[NDArray[np.int16], Ints]:
    """Get the tags of words, and the names among them.

    Parameters
    ----------
    codes : ndarray of uint32, shape (n_chars,)
    tokens : ndarray of int32, shape (n_tokens, 2)
        Half-open offsets into `codes`.
    sents : ndarray of int32, shape (n_sents, 2)
        Half-open ranges of tokens.
    lexicon : Lexicon
    tables : Tables

    Returns
    -------
    tags : ndarray of int16, shape (n_tokens,)
    names : ndarray of int32, shape (n_names, 3)
        First token, token after the last, and number of the label.
    """
    pieces = _cut_long(sents)
    longest = int((pieces[:, 1] - pieces[:, 0]).max(initial=0))
    tags, name_tags = _decode(codes, tokens, pieces, lexicon, tables, longest)
    return tags, _join_names(name_tags, pieces)


def _cut_long(sents: Ints) -> Ints:
    """Cut ranges longer than `MAX_TOKENS` into pieces.

    Examples
    --------
    >>> _cut_long(np.array([[0, 5], [5, 5000]], np.int32)).tolist()
    [[0, 5], [5, 4101], [4101, 5000]]
    """
    if not np.any(sents[:, 1] - sents[:, 0] > MAX_TOKENS):
        return sents
    pieces = [
        (begin, min(begin + MAX_TOKENS, end))
        for start, end in sents.tolist()
        for begin in range(start, end, MAX_TOKENS)
    ]
    return np.array(pieces, np.int32).reshape(-1, 2)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _decode(codes: Codes, tokens: Ints, sents: Ints, lexicon: Lexicon, tables: Tables, longest: int) -> Any:
    n_tags, n_names = len(tables.tag_edges), len(tables.name_edges)
    tags = np.zeros(len(tokens), np.int16)
    name_tags = np.zeros(len(tokens), np.int16)
    views = np.empty((longest + 2 * EDGE, N_VIEWS), np.uint64)
    scores = np.empty((longest, tables.weights.shape[1]), np.int16)  # 40 features of 8 bits fit well into 16
    back = np.empty((longest, max(n_tags, n_names)), np.int16)
    hashes = np.empty(len(tables.templates), np.uint64)
    for s in range(len(sents)):
        begin, end = sents[s, 0], sents[s, 1]
        n = end - begin
        if n == 0:
            continue
        view_words(codes, tokens[begin:end], lexicon, views)
        for i in range(n):
            features_of(views, i, tables.templates, hashes)
            _sum_rows(hashes, tables.slots, tables.weights, scores[i])
        _search(scores[:n, :n_tags], tables.tag_edges, back, tags[begin:end])
        _search(scores[:n, n_tags : n_tags + n_names], tables.name_edges, back, name_tags[begin:end])
    return tags, name_tags


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _sum_rows(hashes: Hashes, slots: Hashes, weights: NDArray[np.int8], total: NDArray[np.int16]) -> None:
    """Add up the rows of a word's features."""
    mask = np.uint64(len(slots) - 1)
    total[:] = 0
    for t in range(len(hashes)):
        at = hashes[t] & mask
        while slots[at] != 0:
            if ((slots[at] ^ hashes[t]) & UPPER) == 0:
                row = np.int64(slots[at] & LOWER) - 1
                for k in range(len(total)):
                    total[k] = np.int16(total[k] + weights[row, k])
                break
            at = (at + np.uint64(1)) & mask


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _search(scores: NDArray[np.int16], edges: Ints, back: NDArray[np.int16], best: NDArray[np.int16]) -> None:
    """Viterbi: fill `best` with the tags of the highest sum; among equals the first tag wins."""
    n, k = len(scores), len(edges)
    margin = edges.max() - edges.min()
    reached = np.empty(k, np.int32)
    following = np.empty(k, np.int32)
    chosen = np.empty(k, np.int16)
    for b in range(k):
        reached[b] = scores[0, b]
    for i in range(1, n):
        # a tag this far behind another can't lead to the best anywhere
        hopeless = reached.max() - margin
        following[:] = LOWEST
        for a in range(k):
            from_a = reached[a]
            if from_a < hopeless:
                continue
            for b in range(k):
                value = from_a + edges[a, b]
                better = value > following[b]
                chosen[b] = np.int16(a) if better else chosen[b]
                following[b] = value if better else following[b]
        for b in range(k):
            reached[b] = following[b] + scores[i, b]
            back[i, b] = chosen[b]
    tag = np.int64(0)
    for b in range(1, k):
        if reached[b] > reached[tag]:
            tag = np.int64(b)
    for i in range(n - 1, -1, -1):
        best[i] = tag
        tag = np.int64(back[i, tag])


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _join_names(name_tags: NDArray[np.int16], sents: Ints) -> Ints:
    """Join B- and I- tags of one label to names; an I- that continues nothing opens one."""
    names = np.empty((len(name_tags), 3), np.int32)
    n = 0
    for s in range(len(sents)):
        previous = np.int64(0)
        for i in range(sents[s, 0], sents[s, 1]):
            tag = np.int64(name_tags[i])
            label = (tag - 1) // 2
            if tag > 0:
                if tag % 2 == 0 and previous > 0 and (previous - 1) // 2 == label:
                    names[n - 1, 1] = i + 1
                else:
                    names[n, 0], names[n, 1], names[n, 2] = i, i + 1, label
                    n += 1
            previous = tag
    return names[:n].copy()
