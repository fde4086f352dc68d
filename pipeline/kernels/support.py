"""What recurring across a publisher says of a line: its support, its place, and the log-odds that they add."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.doc import FloatArray, IntArray
from pipeline.kernels.lines import MIN_SOLID, Classes, is_newline
from pipeline.kernels.ngrams import Points
from pipeline.tables import END, INVISIBLE, char_classes

SUPPORT_COLUMNS = (
    "share",
    "log_documents",
    "near",
    "middle",
    "enclosed",
    "company",
    "log_pages",
    "after",
    "before",
    "solid",
)
"""What is known of a line: the share of the publisher's documents that have it and the logarithm of their number (both
0 without a template), whether only its near key recurs, the share of the document's own running text on the side with
less of it (0 at the margins, 0.5 in the middle), how much support its neighbours on both sides have, which share of its
neighbours on the better side have any, the logarithm of the number of the publisher's documents (0 if no line of the
document has a template, or only templates of the corpus), whether the line right above it, or right below it, is the
document's own running text, and whether it is running text that recurs as it stands.

Running text is the document's own unless its exact key recurs: paragraphs that begin and end alike are a form, not a
frame."""

REACH = 3
"""Lines on each side that enclose a line."""


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def find_text_lines(points: Points, sents: IntArray) -> IntArray:
    """Group sentences into lines: a new one where a newline stands between two sentences.

    Parameters
    ----------
    points : ndarray of uint32, shape (n_chars,)
    sents : ndarray of int32, shape (n_sents, 2)

    Returns
    -------
    ndarray of int32, shape (n_lines, 2)
    """
    lines = np.empty((len(sents), 2), dtype=np.int32)
    n = 0
    for s in range(len(sents)):
        new = s == 0
        if not new:
            for i in range(sents[s - 1, 1], sents[s, 0]):
                new |= is_newline(points[i])
        if new:
            lines[n, 0] = sents[s, 0]
            n += 1
        lines[n - 1, 1] = sents[s, 1]
    return lines[:n].copy()


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _running_text(points: Points, lines: IntArray, classes: Classes) -> NDArray[np.int64]:
    """Visible characters of each line that is running text, else 0."""
    running = np.zeros(len(lines), dtype=np.int64)
    for i in range(len(lines)):
        visible, ends = 0, False
        for at in range(lines[i, 0], lines[i, 1]):
            visible += (classes[points[at]] & INVISIBLE) == 0
            ends |= (classes[points[at]] & END) != 0
        if ends and visible >= MIN_SOLID:
            running[i] = visible
    return running


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _place(own: NDArray[np.int64], rows: NDArray[np.int64], share: FloatArray, out: FloatArray) -> None:
    """Fill the columns of a line's place; its own repetitions are no neighbours."""
    total, n, before = own.sum(), len(own), 0
    for i in range(n):
        after = total - before - own[i]
        if total:
            out[i, 3] = min(before, after) / total
        above = below = np.float32(0)
        n_above = n_below = 0
        for k in range(1, REACH + 1):
            if i < k:
                above = max(above, np.float32(i + 1 == k))
            elif rows[i - k] != rows[i]:
                above = max(above, share[i - k])
                n_above += share[i - k] > 0
            if i + k >= n:
                below = max(below, np.float32(i + k == n))
            elif rows[i + k] != rows[i]:
                below = max(below, share[i + k])
                n_below += share[i + k] > 0
        out[i, 4] = 0 if own[i] else min(above, below)
        out[i, 5] = max(n_above, n_below) / REACH
        out[i, 7] = i > 0 and own[i - 1] > 0
        out[i, 8] = i + 1 < n and own[i + 1] > 0
        before += own[i]


def place_support(
    points: Points,
    lines: IntArray,
    rows: NDArray[np.int64],
    share: NDArray[np.float64],
    documents: NDArray[np.int64],
    near: NDArray[np.bool_],
    n_pages: int,
) -> FloatArray:
    """Get what is known of every line of a document.

    Parameters
    ----------
    points : ndarray of uint32, shape (n_chars,)
    lines : ndarray of int32, shape (n_lines, 2)
    rows : ndarray of int64, shape (n_lines,)
        The number of each line's template; -1 for none.
    share : ndarray of float64, shape (n_lines,)
    documents : ndarray of int64, shape (n_lines,)
    near : ndarray of bool, shape (n_lines,)
        Whether only the line's near key has a template.
    n_pages : int
        The publisher's documents; 0 if the templates are the corpus's.

    Returns
    -------
    ndarray of float32, shape (n_lines, len(SUPPORT_COLUMNS))
    """
    out = np.zeros((len(lines), len(SUPPORT_COLUMNS)), dtype=np.float32)
    has = rows >= 0
    out[has, 0] = share[has]
    out[has, 1] = np.log(documents[has])
    out[has, 2] = near[has]
    if has.any():
        out[:, 6] = np.log(max(n_pages, 1))
        running = _running_text(points, lines, char_classes())
        exact = has & ~near
        out[:, 9] = exact & (running > 0)
        own = np.where(exact, 0, running)
        _place(own, rows, np.where(own > 0, np.float32(0), out[:, 0]), out)
    return out


MAX_EXTRA, MAX_LONE = 5.0, 1.0
"""What support adds at most to a line, and to one none of whose neighbours has any, or that has it from the corpus
alone: frames recur in blocks; what recurs alone is rather a slogan, a series' heading, a line of dialogue. Support
alone does not overrule a clear verdict."""

MAX_AFTER, MAX_BEFORE = 1.5, 0.0
"""What it adds at most to a line right below the document's own running text, and right above it: there stand what
closes a notice, its salutation and its headings, which recur as a frame does. Below, running text that itself recurs as
it stands is no set phrase and has no such bound."""

MIN_EXTRA = -2.0
"""What a line without support loses at most."""

MAX_LOG_PAGES = float(np.log(30))
"""More pages of a publisher say no more: the weights were fitted on up to so many. A line on some share of more pages
counts as if it were on that share of so many."""

MIDDLE = -4.0
"""Chosen, not fitted: what recurs between paragraphs is as often the article's own as an advertisement."""

_BASE, _SHARE, _LOG_DOCUMENTS, _LOG_PAGES, _NEAR, _ENCLOSED = -3.04, 3.58, 5.70, -3.78, -2.20, 0.57
_EVERYWHERE_BASE, _EVERYWHERE_LOG_DOCUMENTS = -0.99, 0.48
_LONE_BASE, _LONE_COMPANY, _LONE_LOG_PAGES = -0.39, 0.50, -0.42
"""Fitted by `benchmarks/fit_support.py`: logistic regressions on the lines of simulated publishers of 1 to 30 pages
that have a template of their publisher, one of the corpus, or none. `benchmarks/templates.md` has what they bring."""


def most_extra(support: FloatArray) -> FloatArray:
    """What support adds at most to each line: (n_lines,)."""
    columns = dict(zip(SUPPORT_COLUMNS, support.T, strict=True))
    is_lone = (columns["company"] == 0) | (columns["log_pages"] == 0)
    most = np.where(is_lone, MAX_LONE, MAX_EXTRA)
    most = np.minimum(most, np.where((columns["after"] > 0) & (columns["solid"] == 0), MAX_AFTER, MAX_EXTRA))
    return np.asarray(np.minimum(most, np.where(columns["before"] > 0, MAX_BEFORE, MAX_EXTRA)), dtype=np.float32)


def support_log_odds(support: FloatArray) -> FloatArray:
    """What the support of lines adds to their log-odds of boilerplate.

    A line with a template gains up to `most_extra`. One without, in a document of which other lines have one of the
    publisher's, loses up to ``-MIN_EXTRA``: the more, the more pages the publisher has and the fewer of the lines
    around it recur. Where nothing is known of the publisher, it stays.

    Parameters
    ----------
    support : ndarray of float32, shape (n_lines, len(SUPPORT_COLUMNS))

    Returns
    -------
    ndarray of float32, shape (n_lines,)
    """
    share, log_documents, near, middle, enclosed, company, log_pages, *_ = support.T
    pages = np.minimum(log_pages, MAX_LOG_PAGES)
    documents = log_documents - log_pages + pages
    known = _BASE + _SHARE * share + _LOG_DOCUMENTS * documents + _LOG_PAGES * pages
    known += _NEAR * near + _ENCLOSED * enclosed
    everywhere = _EVERYWHERE_BASE + _EVERYWHERE_LOG_DOCUMENTS * log_documents
    extra = np.where(log_pages > 0, known, everywhere) + MIDDLE * middle
    lone = np.clip(_LONE_BASE + _LONE_COMPANY * company + _LONE_LOG_PAGES * pages, MIN_EXTRA, 0)
    lone = np.where(log_pages > 0, lone, 0)
    return np.asarray(np.where(share > 0, np.clip(extra, 0, most_extra(support)), lone), dtype=np.float32)
