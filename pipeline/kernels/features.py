"""What a tagger sees of words: hashed features.

A feature is a 64-bit hash of a template and what it saw. What templates see of a word is a row of `N_VIEWS` numbers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.kernels.decode import N_BMP, Codes, Ints

Hashes = NDArray[np.uint64]

EDGE = 2  # places before and behind a word that features may look at
N_PLACES = 2 * EDGE + 1
OUTSIDE = np.uint64(1 << 40)  # what lies before or behind a sentence looks like nothing else
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
def mix(a: Any, b: Any) -> Any:
    """Get one hash of two."""
    x = (np.uint64(a) ^ (np.uint64(b) * np.uint64(0x9E3779B97F4A7C15))) * np.uint64(0xD6E8FEB86659FD93)
    return x ^ (x >> np.uint64(32))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def hash_word(codes: Codes, start: int, end: int, fold: NDArray[np.uint16]) -> Any:
    """Get the hash of a stretch of code points, folded."""
    value = np.uint64(end - start)
    for i in range(start, end):
        code = codes[i]
        value = mix(value, fold[code] if code < N_BMP else code)
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
def view_word(codes: Codes, start: int, end: int, lexicon: Lexicon, row: Hashes) -> None:
    """Fill what the templates see of a word; all of it depends on the folded characters alone."""
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
def hash_sentences(codes: Codes, tokens: Ints, sents: Ints, lexicon: Lexicon, templates: Ints) -> Hashes:
    """Get the feature hashes of all words, shape (n_tokens, n_templates); `sents` are ranges of tokens."""
    found = np.zeros((len(tokens), len(templates)), np.uint64)
    for s in range(len(sents)):
        begin, n = sents[s, 0], sents[s, 1] - sents[s, 0]
        views = np.empty((n + 2 * EDGE, N_VIEWS), np.uint64)  # row EDGE + i is word i, the others stand for edges
        for i in range(EDGE):
            views[i] = OUTSIDE + np.uint64(i)
            views[EDGE + n + i] = OUTSIDE + np.uint64(EDGE + i)
        for i in range(n):
            view_word(codes, tokens[begin + i, 0], tokens[begin + i, 1], lexicon, views[EDGE + i])
        for i in range(n):
            for t in range(len(templates)):
                value = np.uint64(templates[t, 0])
                for p in range(templates[t, 1]):
                    value = mix(value, views[EDGE + i + templates[t, 3 + 2 * p], templates[t, 2 + 2 * p]])
                found[begin + i, t] = value
    return found
