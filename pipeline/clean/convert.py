"""Traditional to simplified script: OpenCC's tables in one pass, and which script a text is in.

The tables are those of opencc-python-reimplemented, and so is the result (tested): phrases first, the longest
anywhere in the text before shorter ones, then single characters. All its entries keep their length, so that
offsets do not move; a table that does not is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from opencc import OpenCC

from pipeline.doc import code_points
from pipeline.errors import ConfigError
from pipeline.kernels.chars import CodePoints, to_text
from pipeline.tables import N_CODE_POINTS, SIMPLIFIED, TRADITIONAL, char_classes

CONVERSIONS = ("none", "t2s", "tw2s")

_IN_BOTH_SCRIPTS = "乾於吒"
"""OpenCC converts them, yet names keep them in simplified text (乾隆, 哪吒, the surname 於): they prove nothing."""


_N_OPENINGS = 1 << 17  # few enough to stay near the processor


@dataclass(frozen=True)
class PhraseTable:
    """One dictionary of OpenCC, by what it does to phrases and to single characters."""

    phrases: Mapping[str, str]
    by_first: Mapping[str, tuple[str, ...]]
    openings: NDArray[np.bool_]  # by the hash of a phrase's first two characters
    has_chars: bool
    chars: NDArray[np.uint32]


def _read_dictionary(entries: Mapping[str, str]) -> PhraseTable:
    first_choice = {key: value.split(" ")[0] for key, value in entries.items()}
    for key, value in first_choice.items():
        if len(key) != len(value):
            raise ConfigError(f"OpenCC entry {key!r} -> {value!r} changes its length; this table can't be used")
    phrases = {key: value for key, value in first_choice.items() if len(key) > 1}
    by_first: dict[str, tuple[str, ...]] = {}
    for key in sorted(phrases, key=len, reverse=True):
        by_first[key[0]] = (*by_first.get(key[0], ()), key)
    openings = np.zeros(_N_OPENINGS, dtype=np.bool_)
    openings[_hash_pairs(code_points("".join([key[:2] for key in phrases])))[::2]] = True
    chars = np.arange(N_CODE_POINTS, dtype=np.uint32)
    single = {ord(key): ord(value) for key, value in first_choice.items() if len(key) == 1}
    chars[list(single)] = list(single.values())
    return PhraseTable(phrases, by_first, openings, bool(single), chars)


@cache
def load_conversion(name: str) -> tuple[tuple[PhraseTable, ...], ...]:
    """Get a conversion's groups of dictionaries; each group rewrites the text once."""
    groups = OpenCC(name)._dict_chain_data
    return tuple(tuple(_read_dictionary(entries) for _, _, entries in group) for group in groups)


def _hash_pairs(points: CodePoints) -> CodePoints:
    """Get a hash of every two neighbours, shape (n - 1,)."""
    return (points[:-1] * np.uint32(0x9E3779B1) ^ points[1:] * np.uint32(0x85EBCA6B)) >> np.uint32(15)


def _find_phrases(points: CodePoints, table: PhraseTable, free: NDArray[np.bool_]) -> list[tuple[int, str]]:
    """Find the phrases to replace, and mark their places as taken: longest first, then leftmost, never overlapping."""
    starts = np.flatnonzero(table.openings[_hash_pairs(points)]).tolist() if table.phrases else []
    text = to_text(points) if starts else ""
    found: list[tuple[int, str]] = []
    for start in starts:
        found.extend((start, key) for key in table.by_first.get(text[start], ()) if text.startswith(key, start))
    found.sort(key=lambda match: (-len(match[1]), match[0]))
    kept = []
    for start, key in found:
        place = free[start : start + len(key)]
        if place.all():
            place[:] = False
            kept.append((start, key))
    return kept


def convert(points: CodePoints, conversion: str) -> CodePoints:
    """Convert a text's script; the number of characters stays.

    Parameters
    ----------
    points : ndarray of uint32, shape (n,)
    conversion : str
        ``t2s`` or ``tw2s``, as OpenCC names them.

    Returns
    -------
    ndarray of uint32, shape (n,)

    References
    ----------
    OpenCC's dictionaries by way of opencc-python-reimplemented, whose matching order is reproduced.

    Examples
    --------
    >>> to_text(convert(code_points("瞭解漢語"), "t2s"))
    '了解汉语'
    """
    for group in load_conversion(conversion):
        result, free = points.copy(), np.ones(len(points), dtype=np.bool_)
        for table in group:
            for start, key in _find_phrases(points, table, free):
                result[start : start + len(key)] = code_points(table.phrases[key])
            if table.has_chars:
                np.copyto(result, table.chars[points], where=free)
                free &= result == points
        points = result
    return points


@cache
def script_classes() -> NDArray[np.uint16]:
    """Get `char_classes` with the bits TRADITIONAL and SIMPLIFIED, of characters that only that script uses."""
    to_simplified, to_traditional = (OpenCC(name)._dict_chain_data[0][1][2] for name in ("t2s", "s2t"))
    classes = char_classes().copy()
    for char, values in to_simplified.items():
        if char not in values.split(" ") and char not in to_traditional and char not in _IN_BOTH_SCRIPTS:
            classes[ord(char)] |= TRADITIONAL
    for char, values in to_traditional.items():
        if char not in values.split(" ") and char not in to_simplified:
            classes[ord(char)] |= SIMPLIFIED
    return classes


def tell_script(n_traditional: int, n_simplified: int) -> str:
    """Get ``hans``, ``hant`` or ``mixed`` from the counts of characters that only one script uses.

    One in ten of the other script is a quotation or a name; more is a mixture.

    Examples
    --------
    >>> tell_script(0, 0), tell_script(9, 1), tell_script(3, 5)
    ('hans', 'hant', 'mixed')
    """
    n_both = n_traditional + n_simplified
    if n_traditional * 10 < n_both or not n_both:
        return "hans"
    return "hant" if n_simplified * 10 <= n_both else "mixed"


_ENGLISH = re.compile(r"\b(?:the|and|of|to|in|is|that|for)\b", re.IGNORECASE)


def tell_language(points: CodePoints, n_han: int, n_kana: int, n_hangul: int, n_latin: int) -> str:
    """Get the ISO 639 code of a text's main language: zh, ja, ko, en or und.

    Three Chinese characters say about as much as nine Latin letters.

    Examples
    --------
    >>> tell_language(code_points("这是 iPhone 的说明"), 5, 0, 0, 6)
    'zh'
    >>> tell_language(code_points("The end of the day"), 0, 0, 0, 14)
    'en'
    """
    if n_hangul > n_han and n_hangul * 3 >= n_latin:
        return "ko"
    if n_kana * 10 > n_han and n_kana * 3 >= n_latin:
        return "ja"
    if n_han and n_han * 3 >= n_latin:
        return "zh"
    n_words = len(_ENGLISH.findall(to_text(points[:10_000])))
    return "en" if n_words * 50 >= min(n_latin, 10_000) and n_words else "und"
