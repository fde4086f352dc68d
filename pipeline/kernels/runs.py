"""Where a text holds runs of digits, an @, or an id behind a cue: what a closer look is worth."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.kernels.chars import CodePoints, IntArray

DIGIT, SEPARATOR, AT_SIGN, CUE, LATIN_CUE, NUMBER_CUE = 1, 2, 3, 4, 5, 6
"""What `find_runs` tells apart: digits of every shape, what may stand between two, and characters of a cue: the last
one before an id, in Chinese or Latin, and others that announce numbers only."""

MIN_PLAIN = 11
"""Digits of the shortest number that needs no cue."""

CUE_REACH = 16
"""Code points between a cue and its number at most; four between two numbers of one cue."""


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def find_runs(points: CodePoints, shapes: NDArray[np.uint8], min_digits: int, min_id: int) -> IntArray:
    """Find what may be a private number, address or id: a cheap look before a close one.

    Parameters
    ----------
    points : ndarray of uint32, shape (n,)
    shapes : ndarray of uint8, shape (0x110000,)
        DIGIT to NUMBER_CUE; 0 for other characters.
    min_digits : int
        Digits of the shortest number; up to two separators may stand between two of them.
    min_id : int
        Characters of the shortest id: a Latin letter, then letters, digits, ``_`` or ``-``, behind a cue.

    Returns
    -------
    ndarray of int32, shape (n_found, 3)
        Start, end (of a cue with its id: both), and DIGIT, AT_SIGN or CUE; ascending starts.
    """
    n = len(points)
    found = np.empty((n + 1, 3), dtype=np.int32)
    count = 0
    i = 0
    last_cue = last_number = -CUE_REACH - 1
    while i < n:
        shape = shapes[points[i]]
        start, end = i, i + 1
        i += 1
        if shape == 0 or shape == SEPARATOR:
            continue
        if shape == CUE or shape == NUMBER_CUE or points[start] | 0x20 == 0x76:  # V or v
            last_cue = start
        if shape == DIGIT:
            n_digits, gap = 1, 0
            while i < n and gap <= 2 and (shapes[points[i]] == DIGIT or shapes[points[i]] == SEPARATOR):
                if shapes[points[i]] == DIGIT:
                    n_digits, gap, end = n_digits + 1, 0, i + 1
                else:
                    gap += 1
                i += 1
            i = end
            announced = start - last_cue <= CUE_REACH or start - last_number <= 4
            if n_digits < min_digits or (n_digits < MIN_PLAIN and not announced):
                continue
            last_number = end
        elif shape >= CUE:
            if shape == NUMBER_CUE:
                continue
            end = _end_of_id(points, start, shape == LATIN_CUE, min_id)
            if not end:
                continue
            shape = CUE
        found[count, 0] = start
        found[count, 1] = end
        found[count, 2] = shape
        count += 1
    return found[:count].copy()


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _end_of_id(points: CodePoints, cue: int, is_latin: bool, min_id: int) -> int:
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
    if is_latin and not colon and cue > 0:
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
