"""Characters as arrays of code points: folding, counting, cutting sentences."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.tables import CLOSER, DELETE, EMOJI, END, INVISIBLE, OPENER

CodePoints = NDArray[np.uint32]
IntArray = NDArray[np.int32]

_NEWLINE, _SPACE, _JOINER = 0x0A, 0x20, 0x200D


def code_points(text: str) -> CodePoints:
    """Get a text as an array of its code points, shape (n_chars,); lone surrogates pass."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


def to_text(points: NDArray[np.uint32]) -> str:
    """The inverse of `code_points`."""
    return points.tobytes().decode("utf-32-le", "surrogatepass")


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def fold(
    points: CodePoints, target: IntArray, repair: NDArray[np.int8], classes: NDArray[np.uint16], n_repairs: int
) -> tuple[CodePoints, IntArray, NDArray[np.int64]]:
    """Repair characters one by one and fold white space.

    Runs of white space become one newline if they hold one, else one space; none is left at either end of the text
    or of a line. A zero-width joiner between two emoji stays.

    Parameters
    ----------
    points : ndarray of uint32, shape (n,)
    target, repair : as `pipeline.tables.char_folds` gives them
    classes : ndarray of uint16, shape (0x110000,)
    n_repairs : int
        How many repairs there are to count.

    Returns
    -------
    folded : ndarray of uint32, shape (m,)
    origin : ndarray of int32, shape (m + 1,)
        Where each character came from in `points`; the last is n.
    counts : ndarray of int64, shape (n_repairs,)
    """
    n = len(points)
    folded = np.empty(n, dtype=np.uint32)
    origin = np.empty(n + 1, dtype=np.int32)
    counts = np.zeros(n_repairs, dtype=np.int64)
    m = 0
    gap = 0  # 0: none, 1: a space is due, 2: a newline is due
    gap_at = 0
    for i in range(n):
        point = points[i]
        goal = target[point]
        if point == _JOINER and m > 0 and gap == 0 and i + 1 < n:
            before, after = classes[folded[m - 1]], classes[points[i + 1]]
            if before & EMOJI and after & EMOJI:
                goal = _JOINER
        if repair[point] >= 0 and goal != point:
            counts[repair[point]] += 1
        if goal == DELETE:
            continue
        if goal == _SPACE or goal == _NEWLINE:
            if gap == 0:
                gap_at = i
            gap = max(gap, 2 if goal == _NEWLINE else 1)
            continue
        if gap and m:
            folded[m] = _NEWLINE if gap == 2 else _SPACE
            origin[m] = gap_at
            m += 1
        gap = 0
        folded[m] = goal
        origin[m] = i
        m += 1
    origin[m] = n
    if m:
        origin[0] = 0
    return folded[:m].copy(), origin[: m + 1].copy(), counts


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def count_classes(points: CodePoints, classes: NDArray[np.uint16]) -> NDArray[np.int64]:
    """Count the characters of each class bit, shape (16,)."""
    counts = np.zeros(16, dtype=np.int64)
    for i in range(len(points)):
        bits = classes[points[i]]
        bit = 0
        while bits:
            if bits & 1:
                counts[bit] += 1
            bits >>= 1
            bit += 1
    return counts


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def cut_sentences(points: CodePoints, classes: NDArray[np.uint16]) -> IntArray:
    """Cut folded text after sentence ends with their closers, and at line ends.

    Parameters
    ----------
    points : ndarray of uint32, shape (n,)
        Text whose white space is folded (see `fold`).
    classes : ndarray of uint16, shape (0x110000,)

    Returns
    -------
    ndarray of int32, shape (n_sents, 2)
        Half-open, ascending, disjoint; without white space at either end.
    """
    n = len(points)
    spans = np.empty((n // 2 + 1, 2), dtype=np.int32)
    count = 0
    i = 0
    while i < n:
        if classes[points[i]] & INVISIBLE:
            i += 1
            continue
        start = i
        while i < n and points[i] != _NEWLINE and not classes[points[i]] & END:
            i += 1
        while i < n and classes[points[i]] & END:
            i += 1
        while i < n and classes[points[i]] & CLOSER and classes[points[i - 1]] & (END | CLOSER):
            i += 1
        end = i
        while end > start and classes[points[end - 1]] & INVISIBLE:
            end -= 1
        spans[count, 0] = start
        spans[count, 1] = end
        count += 1
    return spans[:count].copy()


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def find_closing_brackets(
    points: CodePoints, sents: IntArray, classes: NDArray[np.uint16], max_length: int
) -> IntArray:
    """Find the short bracket that closes a line behind other text, where there is one.

    Parameters
    ----------
    points : ndarray of uint32, shape (n,)
    sents : ndarray of int32, shape (n_sents, 2)
    classes : ndarray of uint16, shape (0x110000,)
    max_length : int
        Code points, brackets included.

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
                found[count, 0] = i
                found[count, 1] = j
                count += 1
                break
    return found[:count].copy()


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def edits_from_origin(origin: IntArray) -> IntArray:
    """Compress a character-by-character origin to edits.

    Parameters
    ----------
    origin : ndarray of int32, shape (n_text + 1,)
        Non-decreasing; where each character of the text starts in the source, and the source's length.

    Returns
    -------
    ndarray of int32, shape (n_edits, 4)
        Rows as `Doc.edits` has them, one for each character whose source is not one character long.
    """
    n = len(origin) - 1
    count = 0
    for i in range(n):
        count += origin[i + 1] - origin[i] != 1
    edits = np.empty((count, 4), dtype=np.int32)
    row = 0
    for i in range(n):
        if origin[i + 1] - origin[i] != 1:
            edits[row, 0] = i
            edits[row, 1] = i + 1
            edits[row, 2] = origin[i]
            edits[row, 3] = origin[i + 1]
            row += 1
    return edits
