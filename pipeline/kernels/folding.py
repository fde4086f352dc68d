"""Folding: the texts of a batch repaired character by character, surveyed and cut into sentences, in one call."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.kernels.chars import CodePoints, IntArray, cut_sentences, find_closing_brackets
from pipeline.kernels.signs import AHEAD, survey
from pipeline.tables import DELETE, EMOJI

_NEWLINE, _SPACE, _JOINER = 0x0A, 0x20, 0x200D


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _fold(  # noqa: PLR0912 - one look at each character, whatever is to be done about it
    points: CodePoints,
    target: IntArray,
    repair: NDArray[np.int8],
    classes: NDArray[np.uint16],
    folded: CodePoints,
    edits: IntArray,
    counts: NDArray[np.int64],
) -> tuple[int, int, bool]:
    """Repair characters one by one and fold white space.

    Runs of white space become one newline if they hold one, else one space; none is left at either end of the text
    or of a line. A zero-width joiner between two emoji stays.

    Parameters
    ----------
    points : ndarray of uint32, shape (n,)
    target, repair : as `pipeline.tables.char_folds` gives them
    classes : ndarray of uint16, shape (0x110000,)
    folded : ndarray of uint32, shape (n or more,)
        Gets the text.
    edits : ndarray of int32, shape (n or more, 4)
        Gets rows as `Doc.edits` has them, one for each character whose source is not one character long.
    counts : ndarray of int64, shape (n_repairs,)
        Gets how often each repair was made.

    Returns
    -------
    n_folded, n_edits : int
    is_changed : bool
        Whether the text differs from its source.
    """
    n = len(points)
    m = n_edits = 0
    origin = -1  # where the last character came from
    gap = gap_at = 0  # 0: none, 1: a space is due, 2: a newline is due
    replaced = False
    i = 0
    while i < n:
        if gap == 0 and i == origin + 1:
            n_plain = _copy_plain(points[i:], repair, folded[m:], m > 0)
            i, m, origin = i + n_plain, m + n_plain, origin + n_plain
            if i == n:
                break
        point = points[i]
        goal = target[point]
        if goal != point or goal <= _SPACE:
            if point == _JOINER and m > 0 and gap == 0 and i + 1 < n:
                before, after = classes[folded[m - 1]], classes[points[i + 1]]
                if before & EMOJI and after & EMOJI:
                    goal = _JOINER
            if goal != point:
                replaced = True
                if repair[point] >= 0:
                    counts[repair[point]] += 1
            if goal == DELETE:
                i += 1
                continue
            if goal == _SPACE or goal == _NEWLINE:
                if gap == 0:
                    gap_at = i
                gap = max(gap, 2 if goal == _NEWLINE else 1)
                i += 1
                continue
        if i == origin + 1:
            origin = i
        elif m == 0:  # the first character's source begins where the text begins
            origin = gap = 0
        else:
            if gap:
                n_edits = _add_edit(edits, n_edits, m - 1, origin, gap_at)
                folded[m] = _NEWLINE if gap == 2 else _SPACE
                m, origin, gap = m + 1, gap_at, 0
            n_edits = _add_edit(edits, n_edits, m - 1, origin, i)
            origin = i
        folded[m] = goal
        i, m = i + 1, m + 1
    if m:
        n_edits = _add_edit(edits, n_edits, m - 1, origin, n)
    return m, n_edits, replaced or m != n


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _copy_plain(points: CodePoints, repair: NDArray[np.int8], folded: CodePoints, is_inside: bool) -> int:
    """Copy characters up to the first with something to repair or to fold; get how many.

    A space or newline between two characters that stay is as it should be; `is_inside` says whether one stands before.
    """
    n = len(points)
    for i in range(n):
        point = points[i]
        if repair[point] >= 0:
            return i
        if point <= _SPACE:
            is_single = i + 1 < n and points[i + 1] > _SPACE and repair[points[i + 1]] < 0
            if not is_single or (i == 0 and not is_inside):
                return i
        folded[i] = point
    return n


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _add_edit(edits: IntArray, n_edits: int, at: int, start: int, end: int) -> int:
    """Add a row for a character whose source is not one character long."""
    if end - start == 1:
        return n_edits
    edits[n_edits, 0] = at
    edits[n_edits, 1] = at + 1
    edits[n_edits, 2] = start
    edits[n_edits, 3] = end
    return n_edits + 1


def origin_from_edits(edits: IntArray, n_chars: int) -> IntArray:
    """Get where each character starts in the source, and the source's length: shape (n_chars + 1,).

    Parameters
    ----------
    edits : ndarray of int32, shape (n_edits, 4)
        Rows for single characters, as `edits_from_origin` makes them.
    n_chars : int

    Examples
    --------
    >>> edits_from_origin(origin_from_edits(np.array([[1, 2, 1, 5]]), 3)).tolist()
    [[1, 2, 1, 5]]
    """
    lengths = np.ones(n_chars + 1, dtype=np.int32)
    lengths[0] = 0
    lengths[edits[:, 1]] = edits[:, 3] - edits[:, 2]
    return np.cumsum(lengths, dtype=np.int32)


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
    at = np.flatnonzero(np.diff(origin) != 1)
    return np.stack([at, at + 1, origin[at], origin[at + 1]], axis=1).astype(np.int32)


class Folded(NamedTuple):
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
) -> Folded:
    """Fold, survey and cut every text of a batch; see `survey`, `cut_sentences`, `find_closing_brackets`.

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
    # room for the worst: untouched memory costs nothing, and both are copied in the end
    sents = np.empty((2 * len(points) // 3 + n_docs, 2), dtype=np.int32)
    edits = np.empty((len(points), 4), dtype=np.int32)
    kinds = np.zeros(AHEAD + len(points), dtype=np.uint16)  # of one text after the other
    at = last_sent = last_edit = 0
    for d in range(n_docs):
        source = points[starts[d] : starts[d + 1]]
        n, n_edits, is_changed[d] = _fold(source, target, repair, classes, joined[at:], edits[last_edit:], repairs[d])
        text = joined[at : at + n]
        joined[at + n] = _NEWLINE
        for i in range(n):
            kinds[AHEAD + i] = classes[text[i]]
        n_of[d], signs[d] = survey(text, kinds[: AHEAD + n], pairs)
        spans = cut_sentences(text, kinds[AHEAD:])
        sents[last_sent : last_sent + len(spans)] = spans
        has_bracket[d] = len(find_closing_brackets(text, spans, classes, max_bracket, firsts)) > 0
        at, last_sent, last_edit = at + n + 1, last_sent + len(spans), last_edit + n_edits
        bounds[d + 1], sent_bounds[d + 1], edit_bounds[d + 1] = at, last_sent, last_edit
    return Folded(
        joined[:at],
        bounds,
        sents[:last_sent].copy(),
        sent_bounds,
        edits[:last_edit].copy(),
        edit_bounds,
        repairs,
        n_of,
        signs,
        is_changed,
        has_bracket,
    )
