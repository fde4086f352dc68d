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
    INVISIBLE,
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

Kinds = NDArray[np.uint16]

AHEAD = 3
"""Zeros before the classes of a text's characters, for what looks back."""

_COUNTED = np.array([HAN, KANA, HANGUL, LATIN, TRADITIONAL, SIMPLIFIED, PRIVATE], dtype=np.uint16)
_STEP, _WIDE = 1 << 32, 0xFFFFFFFF
_PART = 1 << 15  # so many are counted in 16 bits
_NEWLINE, _SPACE, _AMPERSAND = 0x0A, 0x20, 0x26

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
def _find_signs(points: CodePoints, kinds: Kinds) -> NDArray[np.int64]:
    """Find the characters of a text that `survey` looks at: newlines, ampersands, and what may be damage.

    Parameters
    ----------
    points, kinds : as `survey` takes them

    Returns
    -------
    ndarray of int64, shape (n_found + 1,)
        How many characters stand before, times ``1 << 32``, and how many of these are wide; last, those of the text.
    """
    n = len(points)
    own, one, two, three = kinds[AHEAD:], kinds[2:], kinds[1:], kinds
    is_sign = np.empty(n, dtype=np.uint8)
    for i in range(n):  # apart from what follows: many to a register
        kind, before = own[i], one[i]
        is_repeated = before & kind & MARK
        is_parted = before & PART_LEFT & (kind >> 1)  # PART_RIGHT is PART_LEFT << 1
        closes_word = kind & CLOSER & (before >> 5)  # LATIN is CLOSER << 5
        # a Han character, something invisible, another, and no word before; HAN is INVISIBLE << 4
        is_apart = kind & two[i] & ~three[i] & (before << 4) & HAN
        is_damage = (kind & TWIN) | is_repeated | is_parted | closes_word | is_apart
        is_sign[i] = (is_damage != 0) | (points[i] == _NEWLINE) | (points[i] == _AMPERSAND)
    found = np.empty(n + 1, dtype=np.int64)
    count, here = np.uint64(0), np.int64(0)
    for i in range(n):  # without a branch: where a sign stands can't be foreseen
        found[count] = here
        count += np.uint64(is_sign[i])
        here += _STEP + np.int64(points[i] >= FIRST_WIDE)
    found[count] = here
    return found[: count + np.uint64(1)]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def survey(  # noqa: PLR0912 - one look at each place, whatever it is a sign of
    points: CodePoints, kinds: Kinds, pairs: CodePoints
) -> tuple[NDArray[np.int64], int]:
    """Count the characters of a folded text by class, and look for what the repairs of several characters begin with.

    Parameters
    ----------
    points : ndarray of uint32, shape (n,)
        Text whose white space is folded (see `pipeline.kernels.folding`).
    kinds : ndarray of uint16, shape (AHEAD + n,)
        The classes of its characters, behind zeros.
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
    open_lines = np.zeros(MAX_CELLS + 1, dtype=np.int32)  # lines that no sentence ends, by width
    lines = np.zeros(MAX_CELLS + 1, dtype=np.int32)  # all lines but the last, by width; longer ones together
    run, run_end = 0, -1  # repeatable marks in a row, where the last one stood
    line_start = 0  # where the line begins, in cells
    n = len(points)
    own = kinds[AHEAD:]
    places = _find_signs(points, kinds)
    for place in places[:-1]:
        i = place >> 32
        point, kind, before = points[i], own[i], kinds[AHEAD - 1 + i]
        if point == _NEWLINE:
            width = min(i + (place & _WIDE) - line_start, MAX_CELLS)
            open_lines[width] += not before & (END | CLOSER)
            lines[width] += 1
            line_start = i + (place & _WIDE) + 1
        elif kind & HAN and before & INVISIBLE:  # no Han character is a mark, a closer or a twin
            if points[i - 1] == _SPACE and not signs & SPACED and _ends_spaced(points, i, own):
                signs |= SPACED
        elif kind & MARK:
            run = run + 1 if run_end == i - 1 else 2
            run_end = i
            if run > MAX_MARKS:
                signs |= REPEATED
        elif kind & CLOSER:
            is_bracket = point == 0xFF09 or point == 0x29 or point == 0x5D or point == 0x3011
            if is_bracket and _closes_syllable(points, i, own):
                signs |= BRACKETED
        elif kind & TWIN:
            if before & LATIN or (i + 1 < n and own[i + 1] & LATIN):
                signs |= TWINNED
        elif kind & PART_RIGHT:
            for j in range(len(pairs)):
                if pairs[j, 0] == points[i - 1] and pairs[j, 1] == point:
                    signs |= PARTED
        elif point == _AMPERSAND:
            signs |= AMPERSAND
    lines[min(n + (places[-1] & _WIDE) - line_start, MAX_CELLS)] += 1
    if _may_be_wrapped(open_lines, lines):
        signs |= WRAPPED
    return _count_kinds(own[:n]), signs


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _count_kinds(kinds: Kinds) -> NDArray[np.int64]:
    """Count the characters in the classes that `survey` counts: a loop of its own, for it needs no branch."""
    counts = np.zeros(len(_COUNTED), dtype=np.int64)
    for begin in range(0, len(kinds), _PART):
        part = kinds[begin : begin + _PART]
        for k in range(len(_COUNTED)):
            count, kind = np.uint16(0), _COUNTED[k]
            for i in range(len(part)):
                count = np.uint16(count + np.uint16((part[i] & kind) != 0))
            counts[k] += count
    return counts


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _ends_spaced(points: CodePoints, at: int, kinds: Kinds) -> bool:
    """Tell whether, back to a word or the line's start, Han characters have a space between, and enough do."""
    spaced = spaces = 0
    for i in range(at, 0, -1):
        is_han = kinds[i] & HAN
        if points[i] == _NEWLINE or is_han & kinds[i - 1]:
            return False
        spaces += points[i] == _SPACE
        spaced += i > 1 and points[i - 1] == _SPACE and is_han & kinds[i - 2] != 0
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
def _closes_syllable(points: CodePoints, at: int, kinds: Kinds) -> bool:
    """Tell whether a bracket that closes at `at` holds a short Latin word behind a Han character."""
    start = at - 1
    while start > 0 and at - start <= MAX_SYLLABLE and kinds[start] & LATIN:
        start -= 1
    if start < 1 or not kinds[start] & OPENER or not kinds[start - 1] & HAN:
        return False
    return bool(points[at - 1] > 0x5A)
