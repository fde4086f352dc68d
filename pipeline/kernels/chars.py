"""Characters as arrays of code points: folding, counting, cutting sentences."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.tables import (
    CLOSER,
    DELETE,
    EMOJI,
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

CodePoints = NDArray[np.uint32]
IntArray = NDArray[np.int32]

_NEWLINE, _SPACE, _AMPERSAND, _JOINER = 0x0A, 0x20, 0x26, 0x200D

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


def to_text(points: NDArray[np.uint32]) -> str:
    """The inverse of `code_points`."""
    return points.tobytes().decode("utf-32-le", "surrogatepass")


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def count_codes(points: CodePoints, codes: NDArray[np.uint8], n_codes: int) -> NDArray[np.int64]:
    """Count the characters that have each code.

    Parameters
    ----------
    points : ndarray of uint32, shape (n,)
    codes : ndarray of uint8, shape (0x110000,)
    n_codes : int

    Returns
    -------
    ndarray of int64, shape (n_codes,)
    """
    counts = np.zeros(n_codes, dtype=np.int64)
    for i in range(len(points)):
        counts[codes[points[i]]] += 1
    return counts


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
        if goal != point or goal <= _SPACE:
            if point == _JOINER and m > 0 and gap == 0 and i + 1 < n:
                before, after = classes[folded[m - 1]], classes[points[i + 1]]
                if before & EMOJI and after & EMOJI:
                    goal = _JOINER
            if goal != point and repair[point] >= 0:
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
    return folded[:m], origin[: m + 1], counts


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def survey(  # noqa: PLR0912, PLR0915 - one look at each character, whatever it is a sign of
    points: CodePoints, classes: NDArray[np.uint16], pairs: CodePoints
) -> tuple[NDArray[np.int64], int]:
    """Count the characters of a folded text by class, and look for what the repairs of several characters begin with.

    Parameters
    ----------
    points : ndarray of uint32, shape (n,)
        Text whose white space is folded (see `fold`).
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
    han = kana = hangul = latin = traditional = simplified = private = 0
    signs = 0
    open_lines = np.zeros(MAX_CELLS, dtype=np.int32)  # lines that no sentence ends, by width
    lines = np.zeros(MAX_CELLS + 1, dtype=np.int32)  # all lines but the last, by width; longer ones together
    before = np.uint16(0)  # the classes of the last character
    run = cells = 0  # repeatable marks in a row, width of the line
    spaced = spaces = 0  # Han characters with a space between each, spaces since two stood together
    for i in range(len(points)):
        point = points[i]
        kind = classes[point]
        cells += 1 + (point >= FIRST_WIDE)
        if kind & HAN:
            han += 1
            traditional += (kind & TRADITIONAL) != 0
            simplified += (kind & SIMPLIFIED) != 0
            if before & PART_LEFT and kind & PART_RIGHT:
                for j in range(len(pairs)):
                    if pairs[j, 0] == points[i - 1] and pairs[j, 1] == point:
                        signs |= PARTED
            if i > 1 and points[i - 1] == _SPACE and classes[points[i - 2]] & HAN:
                spaced += 1
                if spaced >= 2 and spaces >= MIN_SPACES:
                    signs |= SPACED
            elif before & HAN:
                spaced = spaces = 0
        elif point == _NEWLINE:
            if not before & (END | CLOSER) and cells <= MAX_CELLS:
                open_lines[cells - 1] += 1
            lines[min(cells - 1, MAX_CELLS)] += 1
            cells = spaced = spaces = 0
        elif kind & LATIN:
            latin += 1
            if before & TWIN:
                signs |= TWINNED
        elif kind & MARK:
            run = run + 1 if before & MARK else 1
            if run > MAX_MARKS:
                signs |= REPEATED
        elif point == _SPACE:
            spaces += 1
        elif point == _AMPERSAND:
            signs |= AMPERSAND
        elif kind & TWIN:
            if before & LATIN:
                signs |= TWINNED
        elif point == 0xFF09 or point == 0x29 or point == 0x5D or point == 0x3011:
            if before & LATIN and _closes_syllable(points, i, classes):
                signs |= BRACKETED
        elif kind & (KANA | HANGUL | PRIVATE):
            kana += (kind & KANA) != 0
            hangul += (kind & HANGUL) != 0
            private += (kind & PRIVATE) != 0
        before = kind
    lines[min(cells, MAX_CELLS)] += 1
    if _may_be_wrapped(open_lines, lines):
        signs |= WRAPPED
    counts = np.array([han, kana, hangul, latin, traditional, simplified, private], dtype=np.int64)
    return counts, signs


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


class Batch(NamedTuple):
    """What `clean_batch` says of the texts of a batch, one after another.

    Parameters
    ----------
    points : ndarray of uint32, shape (n_chars,)
        The folded texts, a newline behind each.
    bounds : ndarray of int64, shape (n_docs + 1,)
        Text d: from ``bounds[d]`` to ``bounds[d + 1] - 1``.
    sents : ndarray of int32, shape (n_sents, 2)
        Counted from the start of each text.
    sent_bounds : ndarray of int64, shape (n_docs + 1,)
    edits : ndarray of int32, shape (n_edits, 4)
    edit_bounds : ndarray of int64, shape (n_docs + 1,)
    repairs : ndarray of int64, shape (n_docs, n_repairs)
    n_of : ndarray of int64, shape (n_docs, 7)
        As `survey` counts them.
    signs : ndarray of int64, shape (n_docs,)
        What is left for the repairs of several characters, as `survey` says it.
    is_changed, has_bracket : ndarray of bool, shape (n_docs,)
        Whether the text differs from its source; whether a line closes with a short bracket.
    """

    points: CodePoints
    bounds: NDArray[np.int64]
    sents: IntArray
    sent_bounds: NDArray[np.int64]
    edits: IntArray
    edit_bounds: NDArray[np.int64]
    repairs: NDArray[np.int64]
    n_of: NDArray[np.int64]
    signs: NDArray[np.int64]
    is_changed: NDArray[np.bool_]
    has_bracket: NDArray[np.bool_]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _append(rows: IntArray, n_rows: int, more: IntArray) -> IntArray:
    """Write rows behind the first `n_rows`; the array grows if need be."""
    if n_rows + len(more) > len(rows):
        grown = np.empty((2 * (n_rows + len(more)), rows.shape[1]), dtype=np.int32)
        grown[:n_rows] = rows[:n_rows]
        rows = grown
    rows[n_rows : n_rows + len(more)] = more
    return rows


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def clean_batch(
    points: CodePoints,
    starts: NDArray[np.int64],
    target: IntArray,
    repair: NDArray[np.int8],
    classes: NDArray[np.uint16],
    pairs: CodePoints,
    n_repairs: int,
    max_bracket: int,
    firsts: CodePoints,
) -> Batch:
    """Fold, survey and cut every text of a batch; see `fold`, `survey`, `cut_sentences`, `find_closing_brackets`.

    Parameters
    ----------
    points : ndarray of uint32, shape (n_chars,)
        The texts one after another.
    starts : ndarray of int64, shape (n_docs + 1,)
        Text d: from ``starts[d]`` to ``starts[d + 1]``.
    """
    n_docs = len(starts) - 1
    joined = np.empty(len(points) + n_docs, dtype=np.uint32)
    bounds, sent_bounds = np.zeros(n_docs + 1, dtype=np.int64), np.zeros(n_docs + 1, dtype=np.int64)
    edit_bounds, signs = np.zeros(n_docs + 1, dtype=np.int64), np.zeros(n_docs, dtype=np.int64)
    repairs, n_of = np.zeros((n_docs, n_repairs), dtype=np.int64), np.zeros((n_docs, 7), dtype=np.int64)
    is_changed, has_bracket = np.zeros(n_docs, dtype=np.bool_), np.zeros(n_docs, dtype=np.bool_)
    sents = np.empty((len(points) // 16 + 16, 2), dtype=np.int32)
    edits = np.empty((64, 4), dtype=np.int32)
    for d in range(n_docs):
        source = points[starts[d] : starts[d + 1]]
        text, origin, counts = fold(source, target, repair, classes, n_repairs)
        at, n = bounds[d], len(text)
        joined[at : at + n] = text
        joined[at + n] = _NEWLINE
        bounds[d + 1] = at + n + 1
        repairs[d] = counts
        n_of[d], signs[d] = survey(text, classes, pairs)
        spans = cut_sentences(text, classes)
        sents = _append(sents, sent_bounds[d], spans)
        sent_bounds[d + 1] = sent_bounds[d] + len(spans)
        has_bracket[d] = len(find_closing_brackets(text, spans, classes, max_bracket, firsts)) > 0
        edit_bounds[d + 1] = edit_bounds[d]
        is_changed[d] = n != len(source) or (text != source).any()
        if n and n != len(source):
            more = edits_from_origin(origin)
            edits = _append(edits, edit_bounds[d], more)
            edit_bounds[d + 1] += len(more)
    last_sent, last_edit = sent_bounds[n_docs], edit_bounds[n_docs]
    return Batch(
        joined[: bounds[n_docs]],
        bounds,
        sents[:last_sent],
        sent_bounds,
        edits[:last_edit],
        edit_bounds,
        repairs,
        n_of,
        signs,
        is_changed,
        has_bracket,
    )
