"""Build the tables of the word decoder from what a pkuseg model holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.kernels.decode import (
    CHAR_FEATURES,
    FIRST_ID,
    MAX_WORD,
    MIN_WORD,
    N_BMP,
    N_TAGS,
    PAIR_FEATURES,
    SHIFT,
    SPACE,
    UNKNOWN,
    Ints,
    Tables,
    slot_of,
)

SAME = "-._,|/*:"  # all become "&"
NUMERALS = "0123456789.几二三四五六七八九十千万亿兆零１２３４５６７８９０％"
LETTERS = (  # pkuseg forgot the full-width j
    "ＡＢＣＤＥＦＧＨＩＪＫＬＭＮＯＰＱＲＳＴＵＶＷＸＹＺａｂｃｄｅｆｇｈｉｇｋｌｍｎｏｐｑｒｓｔｕｖｗｘｙｚ／・－"
)
NUM, LETTER = "**Num", "**Letter"


def normalize(char: str) -> str:
    """Get what pkuseg's features see of a character.

    Examples
    --------
    >>> [normalize(char) for char in "字/７Ａ"]
    ['字', '&', '**Num', '**Letter']
    """
    if char in SAME:
        return "&"
    if char in NUMERALS:
        return NUM
    return LETTER if char in LETTERS else char


def build_tables(features: Mapping[str, Any], weights: NDArray[np.float64], scale: int | None = None) -> Tables:
    """Get the tables of a pkuseg model.

    Parameters
    ----------
    features : mapping
        What ``features.msgpack`` holds.
    weights : ndarray of float64
        ``w`` of ``weights.npz``.
    scale : int or None
        All weights are multiples of ``1 / scale`` and are stored as int16; None keeps them as they are.
    """
    index: dict[str, int] = features["feature_to_idx"]
    values: NDArray[Any] = weights if scale is None else np.round(weights * scale).astype(np.int16)
    rows = values[: len(index) * N_TAGS].reshape(-1, N_TAGS)
    # pkuseg stores an edge at [later, earlier] and begins each at one
    edges = values[len(index) * N_TAGS :].reshape(N_TAGS, N_TAGS).T + (1 if scale is None else scale)
    ids = _number_chars(features)
    words = [w for w in features["unigram"] if MIN_WORD <= len(w) <= MAX_WORD and all(normalize(c) == c for c in w)]
    word_ids = {word: i for i, word in enumerate(sorted(words))}
    chars = np.zeros((FIRST_ID + len(ids), len(CHAR_FEATURES) * N_TAGS), rows.dtype)
    pairs: dict[int, NDArray[Any]] = {}
    word_weights = np.zeros((len(word_ids), 2 * N_TAGS), rows.dtype)
    links: dict[int, NDArray[Any]] = {}
    for feature, i in index.items():
        kind, rest = _split_feature(feature)
        if kind in CHAR_FEATURES:
            column = CHAR_FEATURES.index(kind) * N_TAGS
            chars[ids[rest], column : column + N_TAGS] = rows[i]
        elif kind in PAIR_FEATURES:
            left, right = _split_pair(rest)
            column = PAIR_FEATURES.index(kind) * N_TAGS
            _put(pairs, ids[left] << SHIFT | ids[right], 3 * N_TAGS, column, rows[i])
        elif kind in ("w-1.", "w1.") and rest in word_ids:
            column = N_TAGS * (kind == "w1.")
            word_weights[word_ids[rest], column : column + N_TAGS] = rows[i]
        elif kind in ("ww.l.", "ww.r."):
            before, _, after = rest.partition("*")
            if before in word_ids and after in word_ids:
                key = word_ids[before] << 32 | word_ids[after]
                _put(links, key, 2 * N_TAGS, N_TAGS * (kind == "ww.r."), rows[i])
    pair_nodes, tree, node_words = _plant(word_ids, ids, pairs, rows.dtype)
    tree_keys, tree_nodes = hash_keys(list(tree), list(tree.values()))
    link_keys, link_rows = hash_keys(list(links))
    bmp, astral, astral_ids = _code_point_tables(ids)
    return Tables(
        bmp=bmp,
        astral=astral,
        astral_ids=astral_ids,
        bias=rows[0].copy(),
        edges=edges.astype(np.float64 if scale is None else np.int32),
        chars=chars,
        pair_slots=hash_pairs(list(pairs)),
        pairs=np.array([np.zeros(3 * N_TAGS), *pairs.values()], rows.dtype),
        pair_nodes=np.array([-1, *(pair_nodes.get(key, -1) for key in pairs)], np.int32),
        tree_keys=tree_keys,
        tree_nodes=tree_nodes,
        node_words=np.array(node_words, np.int32),
        words=word_weights,
        link_keys=link_keys,
        link_rows=link_rows,
        links=np.array(list(links.values()), rows.dtype).reshape(-1, 2 * N_TAGS),
    )


def _number_chars(features: Mapping[str, Any]) -> dict[str, int]:
    """Number every character that a feature or word mentions."""
    seen: set[str] = {"&", NUM, LETTER}
    for feature in features["feature_to_idx"]:
        kind, rest = _split_feature(feature)
        if kind in CHAR_FEATURES:
            seen.add(rest)
        elif kind in PAIR_FEATURES:
            seen.update(_split_pair(rest))
    for word in features["unigram"]:
        seen.update(word)
    return {char: i for i, char in enumerate(sorted(seen), FIRST_ID)}


def _split_feature(feature: str) -> tuple[str, str]:
    """Split a feature's name into its kind, with the dot, and what it is about."""
    end = 5 if feature.startswith("ww.") else feature.find(".") + 1
    return feature[:end], feature[end:]


def _split_pair(text: str) -> tuple[str, str]:
    """Split what a pair feature is about; no character is a dot, for normalize renames it."""
    left, _, right = text.partition(".")
    return left, right


def _put(table: dict[int, NDArray[Any]], key: int, width: int, column: int, row: NDArray[Any]) -> None:
    table.setdefault(key, np.zeros(width, row.dtype))[column : column + len(row)] = row


def _plant(
    word_ids: Mapping[str, int], ids: Mapping[str, int], pairs: dict[int, NDArray[Any]], dtype: Any
) -> tuple[dict[int, int], dict[int, int], list[int]]:
    """Grow the tree of words: its nodes for two characters, its further branches, and the word at each node."""
    roots: dict[int, int] = {}
    branches: dict[int, int] = {}
    node_words: list[int] = []
    for word, number in word_ids.items():
        key = ids[word[0]] << SHIFT | ids[word[1]]
        pairs.setdefault(key, np.zeros(3 * N_TAGS, dtype))
        table = roots
        for char in (*word[2:], None):
            node = table.setdefault(key, len(node_words))
            if node == len(node_words):
                node_words.append(-1)
            if char is not None:
                table, key = branches, node << SHIFT | ids[char]
        node_words[node] = number
    return roots, branches, node_words


def _code_point_tables(ids: Mapping[str, int]) -> tuple[Ints, Ints, Ints]:
    """Get the numbers of all code points: a table below U+10000, two lists above."""
    bmp = np.zeros(N_BMP, np.int32)
    above = sorted((ord(char), number) for char, number in ids.items() if len(char) == 1 and ord(char) >= N_BMP)
    for code in range(N_BMP):
        char = chr(code)
        bmp[code] = SPACE if char.isspace() else ids.get(normalize(char), UNKNOWN)
    return bmp, np.array([code for code, _ in above], np.int32), np.array([number for _, number in above], np.int32)


def hash_keys(keys: list[int], values: list[int] | None = None) -> tuple[NDArray[np.int64], Ints]:
    """Lay keys out for `find`; a value is the key's place in the list unless given."""
    n_slots = _n_slots(len(keys))
    numbers = np.arange(len(keys), dtype=np.int32) if values is None else np.array(values, np.int32)
    slots, found = np.full(n_slots, -1, np.int64), np.full(n_slots, -1, np.int32)
    _fill(np.array(keys, np.int64), numbers, slots, found)
    return slots, found


def hash_pairs(keys: list[int]) -> NDArray[np.uint64]:
    """Lay 32-bit keys out for `_find_pair`; the row of a key is its place in the list, from 1."""
    slots = np.zeros(_n_slots(len(keys)), np.uint64)
    _fill_pairs(np.array(keys, np.uint64), slots)
    return slots


def _n_slots(n_keys: int) -> int:
    """The power of two that leaves half of the slots empty."""
    return max(4, 1 << (2 * n_keys - 1).bit_length())


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _fill_pairs(keys: NDArray[np.uint64], slots: NDArray[np.uint64]) -> None:
    mask = len(slots) - 1
    for i in range(len(keys)):
        at = slot_of(keys[i], len(slots))
        while slots[at] != 0:
            at = (at + 1) & mask
        slots[at] = (keys[i] << np.uint64(32)) | np.uint64(i + 1)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _fill(keys: NDArray[np.int64], numbers: Ints, slots: NDArray[np.int64], found: Ints) -> None:
    for i in range(len(keys)):
        at = slot_of(keys[i], len(slots))
        while slots[at] != -1:
            at = (at + 1) & (len(slots) - 1)
        slots[at] = keys[i]
        found[at] = numbers[i]
