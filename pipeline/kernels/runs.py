"""Where a text holds runs of digits, an @, or an id behind a cue: what a closer look is worth."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.kernels.chars import CodePoints, IntArray

NUMBER, ID_CUE, CLUE, AT_SIGN = 16, 32, 64, 128
"""Bits of a character's shape: it may stand in a number; may be the last one of a cue before an id; is one of those
without which there is no cue; is an @. Beside NUMBER stands the value of a digit, or NO_DIGIT."""

NO_DIGIT = 15
SEPARATOR = NUMBER + NO_DIGIT

MIN_PLAIN = 11
"""Digits of the shortest number that needs no cue, and of the longest that needs one."""

MIN_CARD = 16
"""Digits of the shortest card."""

CUE_REACH, APP_REACH = 16, 8
"""Code points at most between a cue and its number, and from the start of an id's cue to its end; four between two
numbers of one cue."""

_SPACE = 0x20


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def find_runs(
    points: CodePoints, starts: NDArray[np.int64], shapes: NDArray[np.uint8], min_digits: int, min_id: int
) -> tuple[IntArray, NDArray[np.int64]]:
    """Find what may be private numbers, addresses or ids: a cheap look before a close one.

    Parameters
    ----------
    points : ndarray of uint32, shape (n_chars,)
        Texts one after another, a newline behind each.
    starts : ndarray of int64, shape (n_docs + 1,)
        Text d: from ``starts[d]`` to ``starts[d + 1] - 1``.
    shapes : ndarray of uint8, shape (0x110000,)
        Zero for most characters.
    min_digits : int
        Digits of the shortest number; up to two separators may stand between two of them.
    min_id : int
        Characters of the shortest id: a Latin letter, then letters, digits, ``_`` or ``-``, behind a cue.

    Returns
    -------
    rows : ndarray of int32, shape (n_found, 3)
        Start and end in the text (of a cue with its id: both), and NUMBER, AT_SIGN or ID_CUE; ascending starts.
    bounds : ndarray of int64, shape (n_docs + 1,)
        Rows of text d: from ``bounds[d]`` to ``bounds[d + 1]``.
    """
    found = np.empty((len(points), 3), dtype=np.int32)
    bounds = np.zeros(len(starts), dtype=np.int64)
    for d in range(len(starts) - 1):
        text = points[starts[d] : starts[d + 1] - 1]
        bounds[d + 1] = bounds[d] + _find_in_text(text, shapes, min_digits, min_id, found[bounds[d] :])
    return found[: bounds[-1]].copy(), bounds


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _find_in_text(points: CodePoints, shapes: NDArray[np.uint8], min_digits: int, min_id: int, found: IntArray) -> int:
    """Write what `find_runs` finds in a text; get how many rows."""
    n = len(points)
    count = 0
    i = 0
    last_cue = last_number = -CUE_REACH - 1
    shortest = (1 << min_digits) - 1
    recent = 0  # a bit for each character (the oldest drop out): may it stand in a number
    while i < n:
        shape = shapes[points[i]]
        recent = recent << 1 | (shape & NUMBER) >> 4
        start, end = i, i + 1
        i += 1
        if recent & shortest == shortest:
            recent = 0
            start = end - min_digits
            while start < end and shapes[points[start]] == SEPARATOR:
                start += 1
            if start == end:
                continue
            end, n_digits = _end_of_number(points, shapes, start)
            i = end
            is_announced = start - last_cue <= CUE_REACH or start - last_number <= 4
            if not (
                n_digits >= MIN_CARD
                or (n_digits >= MIN_PLAIN and _may_be_mobile(points, shapes, start, end))
                or (n_digits >= min_digits and is_announced and _begins_plain(points, shapes, start, end, min_digits))
            ):
                continue
            last_number = end
            shape = NUMBER
        elif shape < ID_CUE:
            continue
        elif shape == AT_SIGN:
            # ASCII before it, and at least a - behind
            if start == 0 or end == n or points[start - 1] >= 0x80 or points[end] < 0x2D or points[end] >= 0x80:
                continue
        else:
            if shape & CLUE:
                last_cue = start
            end = _end_of_id(points, start, min_id) if shape & ID_CUE else 0
            if not end or not (shapes[points[max(0, start - APP_REACH) : end]] & CLUE).any():
                continue
            shape = ID_CUE
        found[count, 0] = start
        found[count, 1] = end
        found[count, 2] = shape
        count += 1
    return count


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _end_of_number(points: CodePoints, shapes: NDArray[np.uint8], start: int) -> tuple[int, int]:
    """Get where a run of digits ends, two separators at most between two of them, and how many digits it has."""
    n_digits = gap = 0
    end = i = start
    while i < len(points) and gap <= 2 and shapes[points[i]] & NUMBER:
        if shapes[points[i]] == SEPARATOR:
            gap += 1
        else:
            n_digits, gap, end = n_digits + 1, 0, i + 1
        i += 1
    return end, n_digits


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _may_be_mobile(points: CodePoints, shapes: NDArray[np.uint8], start: int, end: int) -> bool:
    """Tell whether a mobile number may begin in a run of digits, there or behind a space: 13 to 19, 86 or 0086."""
    for opening in range(start, end):
        if opening > start and points[opening - 1] != _SPACE:
            continue
        value = n_digits = 0
        i = opening
        while i < end and n_digits < 4:
            if shapes[points[i]] != SEPARATOR:
                value = 10 * value + shapes[points[i]] - NUMBER
                n_digits += 1
            i += 1
        if n_digits == 4 and (1300 <= value < 2000 or value // 100 == 86 or value == 86):
            return True
    return False


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _begins_plain(points: CodePoints, shapes: NDArray[np.uint8], start: int, end: int, min_digits: int) -> bool:
    """Tell whether a run of digits begins with an announced number: without a separator, and its first digit no 0."""
    i = start
    while i < end and shapes[points[i]] != SEPARATOR:
        i += 1
    return bool(
        shapes[points[start]] > NUMBER and min_digits <= i - start <= MIN_PLAIN and (i == end or points[i] == _SPACE)
    )


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _end_of_id(points: CodePoints, cue: int, min_id: int) -> int:
    """Get where the id behind a cue ends; 0 if there is none."""
    n = len(points)
    start = cue + 1
    colon = False
    # a space : ： + ＋ 号 是 为
    while start < n and start <= cue + 4:
        point = points[start]
        colon = colon or point == 0x3A or point == 0xFF1A
        is_mark = point == 0x20 or point == 0x3A or point == 0x2B or point == 0xFF1A or point == 0xFF0B
        if not is_mark and point != 0x53F7 and point != 0x662F and point != 0x4E3A:
            break
        start += 1
    if points[cue] < 0x80 and not colon and cue > 0:
        before = points[cue - 1] | 0x20
        inside = 0x61 <= before <= 0x7A and before != 0x76 and before != 0x77 and before != 0x69  # not v, w, i
        if inside or start == cue + 1:
            return 0
    end = start
    while end < n and end <= start + 20:
        point = points[end]
        lower = point | 0x20
        is_word = 0x61 <= lower <= 0x7A or 0x30 <= point <= 0x39 or point == 0x5F or point == 0x2D
        if not is_word or (end == start and not 0x61 <= lower <= 0x7A):
            break
        end += 1
    return int(end) if end - start >= min_id else 0
