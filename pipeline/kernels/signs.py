"""Signs of damage: a survey of a folded text that counts its characters, and says which repairs to try."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.kernels.chars import CodePoints, IntArray
from pipeline.tables import (
    CLOSER,
    END,
    HAN,
    HANGUL,
    KANA,
    LATIN,
    MARK,
    OPENER,
    PART_LEFT,
    PART_RIGHT,
    PRIVATE,
    SIMPLIFIED,
    TRADITIONAL,
    TWIN,
)

_NEWLINE, _SPACE, _AMPERSAND = 0x0A, 0x20, 0x26
_RARE = CLOSER | TWIN

AMPERSAND, REPEATED, SPACED, BRACKETED, TWINNED, PARTED, WRAPPED = 1, 2, 4, 8, 16, 32, 64
"""What `survey` may find in a text: the signs that the repairs of several characters wait for."""

MAX_MARKS = 3
"""Sentence marks in a row that `survey` passes over."""

MAX_SYLLABLE = 6
"""Letters of the longest Mandarin syllable in pinyin (zhuang, chuang, shuang)."""

MIN_SPACES = 3
"""Spaces in a run of Han characters set apart, at least."""

FIRST_WIDE = 0x80
"""Characters from here on are taken for two cells of a line; ASCII ones for one."""

MIN_CELLS, MAX_CELLS = 36, 160
"""Widths of a line at which hard-wrapped text is looked for; shorter ones are verse and headlines."""

MAX_LONGER = 10
"""At most one line in so many of a hard-wrapped text is longer than it may be."""

MIN_WRAPPED = 5
"""Lines of (nearly) one width without an end, at least, that may be hard-wrapped text."""


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def survey(  # noqa: PLR0912 - one look at each character, whatever it is a sign of
    points: CodePoints, classes: NDArray[np.uint16], pairs: CodePoints
) -> tuple[NDArray[np.int64], int]:
    """Count the characters of a folded text by class, and look for what the repairs of several characters begin with.

    Parameters
    ----------
    points : ndarray of uint32, shape (n,)
        Text whose white space is folded (see `pipeline.kernels.folding`).
    classes : ndarray of uint16, shape (0x110000,)
    pairs : ndarray of uint32, shape (n_pairs, 2)
        The halves of split characters, which the classes PART_LEFT and PART_RIGHT announce.

    Returns
    -------
    counts : ndarray of int64, shape (7,)
        Characters in the classes HAN, KANA, HANGUL, LATIN, TRADITIONAL, SIMPLIFIED, PRIVATE.
    signs : int
        Bits AMPERSAND to WRAPPED, each set where its repair may have something to do.
    """
    signs = 0
    open_lines = np.zeros(MAX_CELLS, dtype=np.int32)  # lines that no sentence ends, by width
    lines = np.zeros(MAX_CELLS + 1, dtype=np.int32)  # all lines but the last, by width; longer ones together
    before = np.uint16(0)  # the classes of the last character
    run, run_end = 0, -1  # repeatable marks in a row, where the last one stood
    line_start = narrow = 0  # where the line begins, its characters of one cell
    last_four = 0  # two bits for each character (the oldest drop out): is it Han, is it a space
    n = len(points)
    for i in range(n):
        point = points[i]
        kind = classes[point]
        # nearly all characters go no further than what needs no branch, and so cannot be mispredicted
        narrow += point < FIRST_WIDE
        last_four = last_four << 2 | (kind & HAN) >> 3 | (point == _SPACE)
        is_apart = last_four & 0b10111111 == 0b00100110  # a Han character, a space, another, and no word before
        # PART_RIGHT >> 1 is PART_LEFT
        is_rare = (kind & _RARE) | (before & kind & MARK) | (before & PART_LEFT & kind >> 1)
        if is_rare or is_apart or point == _NEWLINE or point == _AMPERSAND:
            if point == _NEWLINE:
                cells = 2 * (i - line_start) - (narrow - 1)
                if not before & (END | CLOSER) and cells < MAX_CELLS:
                    open_lines[cells] += 1
                lines[min(cells, MAX_CELLS)] += 1
                line_start, narrow = i + 1, 0
            elif is_apart:
                if not signs & SPACED and _ends_spaced(points, i, classes):
                    signs |= SPACED
            elif kind & MARK:
                run = run + 1 if run_end == i - 1 else 2
                run_end = i
                if run > MAX_MARKS:
                    signs |= REPEATED
            elif kind & CLOSER:
                is_bracket = point == 0xFF09 or point == 0x29 or point == 0x5D or point == 0x3011
                if is_bracket and before & LATIN and _closes_syllable(points, i, classes):
                    signs |= BRACKETED
            elif kind & TWIN:
                if before & LATIN or (i + 1 < n and classes[points[i + 1]] & LATIN):
                    signs |= TWINNED
            elif kind & PART_RIGHT:
                for j in range(len(pairs)):
                    if pairs[j, 0] == points[i - 1] and pairs[j, 1] == point:
                        signs |= PARTED
            elif point == _AMPERSAND:
                signs |= AMPERSAND
        before = kind
    lines[min(2 * (n - line_start) - narrow, MAX_CELLS)] += 1
    if _may_be_wrapped(open_lines, lines):
        signs |= WRAPPED
    return _count_classes(points, classes), signs


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _count_classes(points: CodePoints, classes: NDArray[np.uint16]) -> NDArray[np.int64]:
    """Count the characters in the classes that `survey` counts: a loop of its own, for it needs no branch."""
    han = kana = hangul = latin = traditional = simplified = private = 0
    for i in range(len(points)):
        kind = classes[points[i]]
        han += (kind & HAN) != 0
        kana += (kind & KANA) != 0
        hangul += (kind & HANGUL) != 0
        latin += (kind & LATIN) != 0
        traditional += (kind & TRADITIONAL) != 0
        simplified += (kind & SIMPLIFIED) != 0
        private += (kind & PRIVATE) != 0
    return np.array([han, kana, hangul, latin, traditional, simplified, private], dtype=np.int64)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _ends_spaced(points: CodePoints, at: int, classes: NDArray[np.uint16]) -> bool:
    """Tell whether, back to a word or the line's start, Han characters have a space between, and enough do."""
    spaced = spaces = 0
    for i in range(at, 0, -1):
        is_han = classes[points[i]] & HAN
        if points[i] == _NEWLINE or is_han & classes[points[i - 1]]:
            return False
        spaces += points[i] == _SPACE
        spaced += i > 1 and points[i - 1] == _SPACE and is_han & classes[points[i - 2]] != 0
        if spaced >= 2 and spaces >= MIN_SPACES:
            return True
    return False


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _may_be_wrapped(open_lines: IntArray, lines: IntArray) -> bool:
    """Tell whether some lines without an end are of one width, beyond which hardly any line goes."""
    n_lines = lines.sum()
    n_longer = n_lines - lines[: MIN_CELLS + 2].sum()  # than width + 2
    for width in range(MIN_CELLS, MAX_CELLS):
        n_longer -= lines[width + 2] if width + 2 < MAX_CELLS else 0
        n_open = open_lines[width - 2] + open_lines[width - 1] + open_lines[width]
        if n_open >= MIN_WRAPPED and n_longer * MAX_LONGER <= n_lines:
            return True
    return False


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _closes_syllable(points: CodePoints, at: int, classes: NDArray[np.uint16]) -> bool:
    """Tell whether a bracket that closes at `at` holds a short Latin word behind a Han character."""
    start = at - 1
    while start > 0 and at - start <= MAX_SYLLABLE and classes[points[start]] & LATIN:
        start -= 1
    if start < 1 or not classes[points[start]] & OPENER or not classes[points[start - 1]] & HAN:
        return False
    return bool(points[at - 1] > 0x5A)
