"""Characters as arrays of code points: counting, cutting sentences, brackets at a line's end."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.tables import CLOSER, END, INVISIBLE, OPENER

CodePoints = NDArray[np.uint32]
IntArray = NDArray[np.int32]

_NEWLINE, _SPACE = 0x0A, 0x20

COUNT_BITS = 10
"""Six counts of so many bits fill a register."""

_MAX_COUNT = (1 << COUNT_BITS) - 1
_ONE = np.uint64(1)


def to_text(points: NDArray[np.uint32]) -> str:
    """The inverse of `code_points`."""
    return str(points.data, "utf-32-le", "surrogatepass")


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def count_codes(points: CodePoints, shifts: NDArray[np.uint8]) -> tuple[int, int, int, int, int, int]:
    """Count the characters that have each of six codes.

    Parameters
    ----------
    points : ndarray of uint32, shape (n,)
    shifts : ndarray of uint8, shape (0x110000,)
        Each character's code, times `COUNT_BITS`.

    Returns
    -------
    tuple of int, one a code
        A tuple is handed over at half the cost of an array.
    """
    counts = np.zeros(6, dtype=np.int64)
    for start in range(0, len(points), _MAX_COUNT):
        packed = np.uint64(0)  # all six in one register: no count is stored before the next is read
        for point in points[start : start + _MAX_COUNT]:
            packed += _ONE << np.uint64(shifts[point])
        for code in range(6):
            counts[code] += np.int64((packed >> np.uint64(COUNT_BITS * code)) & np.uint64(_MAX_COUNT))
    return counts[0], counts[1], counts[2], counts[3], counts[4], counts[5]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def cut_sentences(points: CodePoints, kinds: NDArray[np.uint16]) -> IntArray:
    """Cut folded text after sentence ends with their closers, and at line ends.

    Parameters
    ----------
    points : ndarray of uint32, shape (n,)
        Text whose white space is folded (see `pipeline.kernels.folding`).
    kinds : ndarray of uint16, shape (n,)
        The classes of its characters.

    Returns
    -------
    ndarray of int32, shape (n_sents, 2)
        Half-open, ascending, disjoint; without white space at either end.
    """
    n = len(points)
    spans = np.empty((2 * n // 3 + 1, 2), dtype=np.int32)  # no text is cut finer than a stop, a character, a newline
    count = 0
    i = 0
    while i < n:
        if kinds[i] & INVISIBLE:
            i += 1
            continue
        start = i
        while i < n and points[i] != _NEWLINE and not kinds[i] & END:
            i += 1
        while i < n and kinds[i] & END:
            i += 1
        while i < n and kinds[i] & CLOSER and kinds[i - 1] & (END | CLOSER):
            i += 1
        end = i
        while end > start and kinds[end - 1] & INVISIBLE:
            end -= 1
        spans[count, 0] = start
        spans[count, 1] = end
        count += 1
    return spans[:count].copy()


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def find_closing_brackets(
    points: CodePoints, sents: IntArray, classes: NDArray[np.uint16], max_length: int, firsts: CodePoints
) -> IntArray:
    """Find the short bracket that closes a line behind other text, where there is one that begins as it should.

    Parameters
    ----------
    points : ndarray of uint32, shape (n,)
    sents : ndarray of int32, shape (n_sents, 2)
    classes : ndarray of uint16, shape (0x110000,)
    max_length : int
        Code points, brackets included.
    firsts : ndarray of uint32, shape (n_firsts,)
        What may stand behind the opening bracket, spaces left out.

    Returns
    -------
    ndarray of int32, shape (n_found, 2)
        Index of the sentence, code point of the opening bracket.
    """
    found = np.empty((len(sents), 2), dtype=np.int32)
    count = 0
    n = len(points)
    for i in range(len(sents)):
        start, end = sents[i, 0], sents[i, 1]
        at_line_end = end >= n or points[end] == _NEWLINE
        last = points[end - 1]
        # ） ) 】 ]
        if not at_line_end or (last != 0xFF09 and last != 0x29 and last != 0x3011 and last != 0x5D):
            continue
        for j in range(end - 2, max(start, end - max_length - 1), -1):
            if classes[points[j]] & OPENER:
                first = points[j + 2] if points[j + 1] == _SPACE else points[j + 1]
                if (firsts == first).any():
                    found[count, 0] = i
                    found[count, 1] = j
                    count += 1
                break
    return found[:count].copy()
