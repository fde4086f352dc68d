"""The boxes of a page as a tree: which of them holds the article, and where each line stands with respect to it."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.doc import FloatArray, IntArray

Bounds = NDArray[np.int64]

FEATURES = (
    "boxed", "box_share", "parent_share", "link", "linked_list", "preformatted", "in_title", "flat_link",
    "flat_link_near",
)  # fmt: skip
"""Of a line: how far its page is one of several boxes (0 to 1); times that, the square root of the share of the page's
text that its box holds, and that the box around it holds, the share of the line that is linked, and whether it is an
item of a list of links, is preformatted, stands in the page's title; times what is left to 1, the share of it that is
linked, and that times the mean share of the lines around it."""

(_BOXED, _BOX_SHARE, _PARENT_SHARE, _LINK, _LINKED_LIST, _PRE, _IN_TITLE, _FLAT_LINK, _FLAT_LINK_NEAR) = range(9)

LIST, PRE, IN_TITLE = 1, 2, 4

REACH = 4
"""Lines on each side whose links count."""
MAX_CHARS = 200.0
"""Code points of a line that count: one long paragraph is no article."""
FLOOR = 0.2
"""What of a line counts as text even if its wording says boilerplate: tables and code look like it."""
LISTED = 0.5
"""The linked share of a box from which on a list in it is a list of links."""
FEW = 20.0
"""Code points that are added, unlinked, to a box whose links are counted: a single link is no list."""

APART = 4.0
"""One line in so many that stands apart from the article's box makes a page one of several boxes."""


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _sum_boxes(values: NDArray[np.float64], box: IntArray, parent: IntArray) -> NDArray[np.float64]:
    """Sum values of lines over each box and all that stand in it: (n_boxes,)."""
    sums = np.zeros(len(parent), dtype=np.float64)
    for i in range(len(box)):
        if box[i] >= 0:
            sums[box[i]] += values[i]
    for b in range(len(parent) - 1, -1, -1):
        if parent[b] != b:
            sums[parent[b]] += sums[b]
    return sums


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _find_cores(text: NDArray[np.float64], parent: IntArray) -> tuple[IntArray, IntArray]:
    """Get for each box its page's outermost one, and the innermost from it outwards that has half of the page's text.

    Both have shape (n_boxes,). One step a box: pages are nested as deep as somebody likes.
    """
    root, core = np.empty_like(parent), np.empty_like(parent)
    for b in range(len(parent)):
        around = parent[b]
        root[b] = b if around == b else root[around]
        core[b] = b if around == b or text[b] >= text[root[b]] / 2 else core[around]
    return root, core


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _trust(link_share: FloatArray, likely: NDArray[np.float64], first: int, last: int) -> float:
    """Get how far a document's links are to be trusted (0 to 1): one that was left open covers the text itself."""
    total, linked = 1e-9, 0.0
    for i in range(first, last):
        total += likely[i]
        linked += likely[i] * link_share[i]
    return float(min(2.0 * (1.0 - linked / total), 1.0))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def describe_lines(
    link_share: FloatArray,
    marks: NDArray[np.uint8],
    box: IntArray,
    parent: IntArray,
    n_chars: NDArray[np.int64],
    log_odds: FloatArray,
    line_bounds: Bounds,
    out: FloatArray,
) -> None:
    """Write `FEATURES` of the lines of a batch; of documents of which boxes are not known, those of links alone.

    Parameters
    ----------
    link_share : ndarray of float32, shape (n_lines,)
    marks : ndarray of uint8, shape (n_lines,)
    box : ndarray of int32, shape (n_lines,)
        -1 where boxes are not known: throughout a document.
    parent : ndarray of int32, shape (n_boxes,)
        Of no larger number than the box.
    n_chars : ndarray of int64, shape (n_lines,)
    log_odds : ndarray of float32, shape (n_lines,)
        Of boilerplate, from the text.
    line_bounds : ndarray of int64, shape (n_docs + 1,)
    out : ndarray of float32, shape (n_lines, len(FEATURES))
        Zero at first.
    """
    weight = np.minimum(n_chars.astype(np.float64), MAX_CHARS)
    likely = weight / (1.0 + np.exp(log_odds.astype(np.float64)))
    text = _sum_boxes(FLOOR * weight * (1.0 - link_share) + (1.0 - FLOOR) * likely * (1.0 - link_share), box, parent)
    weights, linked = _sum_boxes(weight, box, parent), _sum_boxes(weight * link_share, box, parent)
    n_lines = _sum_boxes(np.ones(len(box)), box, parent)
    roots, cores = _find_cores(text, parent)
    for d in range(len(line_bounds) - 1):
        first, last = line_bounds[d], line_bounds[d + 1]
        if first == last:
            continue
        trust = _trust(link_share, likely, first, last)
        root = roots[box[first]] if box[first] >= 0 else box[first]
        apart = 0.0
        for i in range(first, last):
            if root >= 0:
                apart = max(apart, 1.0 - n_lines[cores[box[i]]] / n_lines[root])
        boxed = min(APART * apart, 1.0)
        for i in range(first, last):
            near = link_share[max(i - REACH, first) : min(i + REACH + 1, last)].mean()
            out[i, _FLAT_LINK] = (1.0 - boxed) * link_share[i] * trust
            out[i, _FLAT_LINK_NEAR] = (1.0 - boxed) * link_share[i] * near * trust
            if boxed > 0.0:
                b = box[i]
                is_list = (marks[i] & LIST) > 0
                out[i, _BOXED] = boxed
                out[i, _BOX_SHARE] = boxed * math.sqrt(text[b] / max(text[root], 1e-9))
                out[i, _PARENT_SHARE] = boxed * math.sqrt(text[parent[b]] / max(text[root], 1e-9))
                out[i, _LINK] = boxed * link_share[i] * trust
                out[i, _LINKED_LIST] = boxed * is_list * min(linked[b] / (weights[b] + FEW) / LISTED, 1.0) * trust
                out[i, _PRE] = boxed * ((marks[i] & PRE) > 0)
                out[i, _IN_TITLE] = boxed * ((marks[i] & IN_TITLE) > 0)
