"""Keys of lines: what is left when numbers, dates, addresses, quoted titles and the document's own are masked.

Two lines with the same exact key differ in nothing but what is masked. Two lines with the same near key begin with the
same label (the part before a colon or bar), or share their first and last four characters.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.doc import IntArray
from pipeline.kernels.ngrams import Points
from pipeline.tables import END, HAN, INVISIBLE, LATIN, char_classes

Keys = NDArray[np.uint64]
Classes = NDArray[np.uint16]
Marks = NDArray[np.uint8]

NONE = np.uint64(0)
"""The key of a line that says too little to be counted."""

MIN_SOLID = 20
"""Visible characters of a line that, holding a sentence end, counts as running text."""

MIN_TITLE = 4
MAX_WORK = 60  # code points of the longest title in 《》
MAX_QUOTE = 30  # of the longest name in quotation marks
MAX_LABEL = 10  # tokens before the colon of a label
N_EDGE = 4
MIN_NEAR = 10  # tokens of a line whose edges make a near key

_ZERO, _SPACE = np.uint32(0x30), np.uint32(0x20)
_URL, _TITLE, _QUOTED = np.uint32(1), np.uint32(2), np.uint32(3)  # control characters: no visible text holds them
_HIDDEN, _TELLS, _ENDS, _SPECIAL = np.uint8(1), np.uint8(2), np.uint8(4), np.uint8(8)
"""Bits of a mark: not visible; a letter or character; ends a sentence; may be folded or begin what is masked."""

_EXACT_SEED, _LABEL_SEED, _EDGE_SEED = np.uint64(11), np.uint64(12), np.uint64(13)


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def step(state: Any, c: Any) -> Any:
    """Add one code point to a hash."""
    state = (state ^ np.uint64(c)) * np.uint64(0x9E3779B97F4A7C15)
    return state ^ (state >> np.uint64(32))


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def finish(state: Any) -> Any:
    """Mix a hash's bits; never 0, which stands for no key."""
    state = (state ^ (state >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    state = (state ^ (state >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return max(state ^ (state >> np.uint64(33)), np.uint64(1))


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def fold_point(c: Any) -> Any:
    """Fold width of ASCII and case."""
    if 0xFF01 <= c <= 0xFF5E:
        c = np.uint32(c - 0xFEE0)
    if 0x41 <= c <= 0x5A:
        c = np.uint32(c + 32)
    return np.uint32(c)


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _is_digit(c: Any) -> Any:
    return 0x30 <= c <= 0x39


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _is_letter(c: Any) -> Any:
    return 0x61 <= c <= 0x7A


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _is_unit(c: Any) -> Any:
    """年月日时分秒."""
    return c == 0x5E74 or c == 0x6708 or c == 0x65E5 or c == 0x65F6 or c == 0x5206 or c == 0x79D2


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _is_numeral(c: Any) -> bool:
    """〇零一二三四五六七八九十百千万亿两."""
    if c == 0x3007:
        return True
    if c < 0x4E00 or c > 0x96F6:
        return False
    low = c == 0x4E00 or c == 0x4E8C or c == 0x4E09 or c == 0x56DB or c == 0x4E94 or c == 0x516D or c == 0x4E03
    high = c == 0x516B or c == 0x4E5D or c == 0x5341 or c == 0x767E or c == 0x5343 or c == 0x4E07 or c == 0x4EBF
    return bool(low or high or c == 0x96F6 or c == 0x4E24)


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def is_newline(c: Any) -> Any:
    """Tell what ends a line."""
    return (0x0A <= c <= 0x0D) or c == 0x85 or c == 0x2028 or c == 0x2029


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _ascii_end(points: Points, start: int, end: int) -> tuple[int, bool]:
    """Where a run of visible ASCII ends, and whether it looks like an address."""
    is_address = False
    i = start
    while i < end and 0x21 <= points[i] <= 0x7E:
        c = points[i]
        if start < i and i + 1 < end and (c == 0x2E or c == 0x40 or c == 0x2F):  # . @ /
            before, after = fold_point(points[i - 1]), fold_point(points[i + 1])
            is_address |= c == 0x2F and before == 0x2F
            is_address |= c != 0x2F and _is_letter(after) and (_is_letter(before) or _is_digit(before))
        i += 1
    return i, is_address


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _number_end(points: Points, start: int, end: int) -> int:
    """Where a number, date or time that begins at `start` ends."""
    i = start + 1
    while i < end:
        c = fold_point(points[i])
        follows = i + 1 < end and _is_digit(fold_point(points[i + 1]))
        if _is_digit(c):
            i += 1
        elif follows and (c == 0x2D or c == 0x2F or c == 0x2E or c == 0x3A or c == 0x2C or c == 0x7E or c == _SPACE):
            i += 2
        elif _is_unit(c):
            i += 1
            if i + 1 < end and points[i] == _SPACE and _is_digit(fold_point(points[i + 1])):
                i += 1
            elif i >= end or not _is_digit(fold_point(points[i])):
                break
        else:
            break
    return i


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _numeral_end(points: Points, start: int, end: int) -> int:
    """Where a number in Chinese characters ends; `start` if it is a word, not a number."""
    i = start
    while i < end and _is_numeral(points[i]):
        i += 1
    unit = i < end and _is_unit(points[i])
    if i - start < 2 and not unit and not (start > 0 and points[start - 1] == 0x7B2C):  # 第
        return start
    while i < end and (_is_unit(points[i]) or _is_numeral(points[i])):
        i += 1
    return i


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _closer(c: Any) -> Any:
    """What closes the mark `c`, if what stands in it is a name; else 0."""
    if c == 0x300A or c == 0x300C or c == 0x300E:  # 《 「 『
        return np.uint32(c + 1)
    return np.uint32(0x201D) if c == 0x201C else np.uint32(0)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _mark(classes: Classes) -> Marks:
    marks = np.zeros(len(classes), dtype=np.uint8)
    for i in range(len(classes)):
        raw = np.uint32(i)
        c = fold_point(raw)
        if classes[i] & INVISIBLE:
            marks[i] |= _HIDDEN
        if classes[i] & (HAN | LATIN):
            marks[i] |= _TELLS
        if classes[i] & END:
            marks[i] |= _ENDS
        if c != raw or _is_letter(c) or _is_digit(c) or _is_numeral(c) or _closer(c):
            marks[i] |= _SPECIAL
    return marks


@cache
def line_marks() -> Marks:
    """What `normalise_line` has to know of every code point: (0x110000,)."""
    marks: Marks = _mark(char_classes())
    return marks


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _quote_end(points: Points, start: int, end: int, marks: Marks) -> int:
    """Where the mark that opens at `start` closes; `start` if it holds a sentence, or does not close."""
    closer = _closer(points[start])
    longest = MAX_WORK if points[start] == 0x300A else MAX_QUOTE
    for i in range(start + 1, min(end, start + longest + 2)):
        if points[i] == closer:
            return i if i > start + 1 else start
        if marks[points[i]] & _ENDS and points[start] != 0x300A:
            return start
    return start


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def normalise_line(points: Points, start: int, end: int, marks: Marks, out: Points) -> int:
    """Write a line's tokens: folded code points, masks, one space for white space between others.

    Parameters
    ----------
    points : ndarray of uint32, shape (n_chars,)
    start, end : int
        The line.
    marks : ndarray of uint8, shape (0x110000,)
        As `line_marks` has them.
    out : ndarray of uint32, shape (at least end - start,)

    Returns
    -------
    int
        How many tokens were written.
    """
    n, i, seen = 0, start, start
    gap = False
    while i < end:
        raw = points[i]
        if marks[raw] & _HIDDEN:
            gap = n > 0
            i += 1
            continue
        if gap:
            out[n] = _SPACE
            n += 1
            gap = False
        if not marks[raw] & _SPECIAL:
            out[n] = raw
            n += 1
            i += 1
            continue
        c = fold_point(raw)
        token, after = c, i + 1
        if raw < 0x7F and i >= seen and (_is_letter(c) or _is_digit(c)):
            seen, is_address = _ascii_end(points, i, end)
            if is_address:
                token, after = _URL, seen
        if token == c and _is_digit(c):
            token, after = _ZERO, _number_end(points, i, end)
        elif _is_numeral(c):
            stop = _numeral_end(points, i, end)
            if stop > i:
                token, after = _ZERO, stop
        elif _closer(c):
            stop = _quote_end(points, i, end, marks)
            if stop > i:
                token, after = _QUOTED, stop + 1
        out[n] = token
        n += 1
        i = after
    return n


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _mask_title(tokens: Points, n: int, title: Points, m: int) -> int:
    """Replace every occurrence of the title's tokens by one mask, in place; get the new number of tokens."""
    if m < MIN_TITLE:
        return n
    i = 0
    while i < n and tokens[i] != title[0]:
        i += 1
    kept = i
    while i < n:
        same = 0
        while same < m and i + same < n and tokens[i + same] == title[same]:
            same += 1
        tokens[kept] = _TITLE if same == m else tokens[i]
        kept += 1
        i += m if same == m else 1
    return kept


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _tells(token: Any, marks: Marks) -> Any:
    return (marks[token] & _TELLS) != 0


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _hash_tokens(tokens: Points, start: int, end: int, seed: Any) -> Any:
    state = np.uint64(seed)
    for i in range(start, end):
        if tokens[i] != _SPACE:
            state = step(state, tokens[i])
    return finish(state)


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _ends_label(c: Any) -> Any:
    """: | > 丨 │ » 】 ] or a space."""
    return (
        c == 0x3A or c == 0x7C or c == 0x3E or c == 0x4E28 or c == 0x2502 or c == 0xBB or c == 0x3011 or c == 0x5D
        or c == _SPACE
    )  # fmt: skip


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def near_key(tokens: Points, n: int, marks: Marks) -> Any:
    """The near key of a line's tokens."""
    told = 0
    for i in range(min(n - 1, MAX_LABEL)):
        if told >= 2 and _ends_label(tokens[i]):
            return _hash_tokens(tokens, 0, i, _LABEL_SEED)
        told += _tells(tokens[i], marks)
    if n < MIN_NEAR:
        return NONE
    told = 0
    for i in range(N_EDGE):
        told += _tells(tokens[i], marks) + _tells(tokens[n - 1 - i], marks)
    if told < 2 * N_EDGE - 2:
        return NONE
    head = _hash_tokens(tokens, 0, N_EDGE, _EDGE_SEED)
    return _hash_tokens(tokens, n - N_EDGE, n, head)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def find_lines(points: Points, bounds: NDArray[np.int64]) -> tuple[IntArray, NDArray[np.int64]]:
    """Get the lines of texts that are joined by newlines.

    Parameters
    ----------
    points : ndarray of uint32, shape (n_chars,)
    bounds : ndarray of int64, shape (n_docs + 1,)
        Text d runs from ``bounds[d]`` to ``bounds[d + 1] - 1``, where its newline stands.

    Returns
    -------
    lines : ndarray of int32, shape (n_lines, 2)
        Half-open; empty lines are left out.
    line_bounds : ndarray of int64, shape (n_docs + 1,)
    """
    count = len(bounds)
    for i in range(len(points)):
        count += is_newline(points[i])
    lines = np.empty((count, 2), dtype=np.int32)
    line_bounds = np.zeros(len(bounds), dtype=np.int64)
    n = 0
    for d in range(len(bounds) - 1):
        start = bounds[d]
        for i in range(bounds[d], bounds[d + 1]):
            if i == bounds[d + 1] - 1 or is_newline(points[i]):
                if i > start:
                    lines[n, 0], lines[n, 1] = start, i
                    n += 1
                start = i + 1
        line_bounds[d + 1] = n
    return lines[:n].copy(), line_bounds


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _says_enough(tokens: Points, n: int, marks: Marks) -> bool:
    told = 0
    for t in range(n):
        told += _tells(tokens[t], marks)
        if told >= 2:
            return True
    return False


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def key_lines(
    points: Points,
    lines: IntArray,
    line_bounds: NDArray[np.int64],
    titles: Points,
    title_bounds: NDArray[np.int64],
    marks: Marks,
) -> tuple[Keys, Keys, IntArray]:
    """Get the keys and the weight of every line.

    Parameters
    ----------
    points : ndarray of uint32, shape (n_chars,)
    lines : ndarray of int32, shape (n_lines, 2)
    line_bounds : ndarray of int64, shape (n_docs + 1,)
    titles : ndarray of uint32, shape (n_title_chars,)
        The documents' titles, one after another.
    title_bounds : ndarray of int64, shape (n_docs + 1,)
    marks : ndarray of uint8, shape (0x110000,)
        As `line_marks` has them.

    Returns
    -------
    exact, near : ndarray of uint64, shape (n_lines,)
        0 where a line says too little.
    weight : ndarray of int32, shape (n_lines,)
        Visible characters; ten times as many for running text.
    """
    longest = np.int64(1)
    for i in range(len(lines)):
        longest = max(longest, np.int64(lines[i, 1] - lines[i, 0]))
    tokens = np.empty(longest, dtype=np.uint32)
    title = np.empty(len(titles) + 1, dtype=np.uint32)
    exact, near = np.zeros(len(lines), dtype=np.uint64), np.zeros(len(lines), dtype=np.uint64)
    weight = np.zeros(len(lines), dtype=np.int32)
    for d in range(len(line_bounds) - 1):
        m = normalise_line(titles, title_bounds[d], title_bounds[d + 1], marks, title)
        for i in range(line_bounds[d], line_bounds[d + 1]):
            start, end = lines[i, 0], lines[i, 1]
            n = _mask_title(tokens, normalise_line(points, start, end, marks, tokens), title, m)
            if _says_enough(tokens, n, marks):
                exact[i] = _hash_tokens(tokens, 0, n, _EXACT_SEED)
                near[i] = near_key(tokens, n, marks)
            weight[i] = _weigh(points, start, end, marks)
    return exact, near, weight


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _weigh(points: Points, start: int, end: int, marks: Marks) -> int:
    visible, ends = 0, False
    for i in range(start, end):
        visible += (marks[points[i]] & _HIDDEN) == 0
        ends |= (marks[points[i]] & _ENDS) != 0
    return visible * (10 if ends and visible >= MIN_SOLID else 1)
