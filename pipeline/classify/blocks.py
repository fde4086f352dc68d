"""What the build of an HTML page says of its lines: which box holds the text, what is linked, what is a list of links.

It is added to the log-odds that the text gives. Where a page is one box, or the input is no HTML, it says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.batch import Batch
from pipeline.doc import Doc, FloatArray, IntArray, code_points
from pipeline.kernels.boxes import FEATURES, IN_TITLE, LIST, PRE, describe_lines

Bounds = NDArray[np.int64]

_MARKS = {"li": LIST, "dt": LIST, "dd": LIST, "pre": PRE}
MIN_TITLE = 5
"""Visible characters from which on a line may be found in the page's title."""

WEIGHTS = {
    "boxed": 4.45,
    "box_share": -2.58,
    "parent_share": -3.95,
    "link": 1.52,
    "linked_list": 2.87,
    "preformatted": -3.74,
    "in_title": -4.69,
    "flat_link": 2.5,
    "flat_link_near": 2.85,
}
"""Fitted by `benchmarks/fit_blocks.py` on the lines of 42 real pages of 28 sites, added to the log-odds of line models
that had not seen the site: of 2,370 labelled lines of sites that the weights were not fitted on, 36 are wrong then
instead of 137. Names of classes and ids, other tags and depth brought nothing there. Those of flat pages are of links
alone, by a regression on the same lines."""

FITTED = np.array([WEIGHTS[name] for name in FEATURES], dtype=np.float32)
N_PASSES = 2


@dataclass(frozen=True, eq=False)
class BlockTable:
    """What readers saw of the lines of a batch.

    Parameters
    ----------
    link_share : ndarray of float32, shape (n_lines,)
        0 where it is not known.
    marks : ndarray of uint8, shape (n_lines,)
        `LIST`, `PRE`, `IN_TITLE`.
    box : ndarray of int32, shape (n_lines,)
        Row of `parent`; -1 in documents of which boxes are not known.
    parent : ndarray of int32, shape (n_boxes,)
        The box around each box; it has a smaller number, or the same if there is none around it.
    """

    link_share: FloatArray
    marks: NDArray[np.uint8]
    box: IntArray
    parent: IntArray


def make_blocks(docs: Batch, lines: Iterable[IntArray]) -> BlockTable | None:
    """Get what readers saw of the lines of documents; None if they saw nothing.

    Parameters
    ----------
    docs : Batch
        Cleaned.
    lines : iterable of ndarray of int32, shape (n_lines, 2)
        Of each document, half-open code points of its text.
    """
    if not any("blocks" in meta for meta in docs.metas):
        return None
    parents: list[IntArray] = [np.zeros(0, dtype=np.int32)]
    shares, marks, boxes, n_boxes = [], [], [], 0
    for doc, own in zip(docs, lines, strict=True):
        share, mark, box, parent = _read_blocks(doc, own)
        shares.append(share)
        marks.append(mark)
        boxes.append(np.where(box < 0, box, box + np.int32(n_boxes)))
        parents.append(parent + np.int32(n_boxes))
        n_boxes += len(parent)
    return BlockTable(*(np.concatenate(part) for part in (shares, marks, boxes, parents)))


def _read_blocks(doc: Doc, lines: IntArray) -> tuple[FloatArray, NDArray[np.uint8], IntArray, IntArray]:
    """Get share, marks and box of each line, and the parents of the boxes."""
    n = len(lines)
    none = np.zeros(n, np.float32), np.zeros(n, np.uint8), np.full(n, -1, np.int32), np.zeros(0, np.int32)
    columns = doc.meta.get("blocks", {})
    shares = columns.get("link_share", ())
    if not len(shares) or not n:
        return none
    breaks = np.flatnonzero(code_points(doc.source) == ord("\n"))
    if len(shares) != len(breaks) + 1:
        return none
    rows = np.searchsorted(breaks, doc.to_source(lines[:, 0]))
    share = np.asarray(shares, dtype=np.float32)[rows]
    if len(columns.get("box", ())) != len(shares):
        return share, *none[1:]
    marks = np.array([_MARKS.get(tag, 0) for tag in columns["tag"]], dtype=np.uint8)[rows]
    marks |= _in_title(doc, lines)
    parent = np.asarray(columns["parent"], dtype=np.int32)
    return share, marks, np.asarray(columns["box"], dtype=np.int32)[rows], parent


def _in_title(doc: Doc, lines: IntArray) -> NDArray[np.uint8]:
    """Mark the lines that the page's title holds."""
    title = "".join(str(doc.meta.get("title") or "").split())
    marks = np.zeros(len(lines), dtype=np.uint8)
    for i in np.flatnonzero(lines[:, 1] - lines[:, 0] <= 2 * len(title)).tolist():
        text = "".join(doc.text[lines[i, 0] : lines[i, 1]].split())
        marks[i] = IN_TITLE if len(text) >= MIN_TITLE and text in title else 0
    return marks


def block_features(blocks: BlockTable, lines: IntArray, line_bounds: Bounds, log_odds: FloatArray) -> FloatArray:
    """Get what the build of their pages says of lines.

    Parameters
    ----------
    blocks : BlockTable
    lines : ndarray of int32, shape (n_lines, 2)
    line_bounds : ndarray of int64, shape (n_docs + 1,)
    log_odds : ndarray of float32, shape (n_lines,)
        Of boilerplate, from the text: which box holds the article depends on it.

    Returns
    -------
    ndarray of float32, shape (n_lines, len(FEATURES))
    """
    out = np.zeros((len(lines), len(FEATURES)), dtype=np.float32)
    n_chars = (lines[:, 1] - lines[:, 0]).astype(np.int64)
    describe_lines(
        blocks.link_share,
        blocks.marks,
        blocks.box,
        blocks.parent,
        n_chars,
        log_odds.astype(np.float32),
        line_bounds,
        out,
    )
    return out


def block_log_odds(
    blocks: BlockTable, lines: IntArray, line_bounds: Bounds, log_odds: FloatArray, weights: FloatArray = FITTED
) -> FloatArray:
    """Get what the build of pages adds to the log-odds of boilerplate: (n_lines,).

    Arguments are those of `block_features`. The second of `N_PASSES` knows better which box holds the text.
    """
    added = np.zeros(len(lines), dtype=np.float32)
    for _ in range(N_PASSES):
        features = block_features(blocks, lines, line_bounds, log_odds + added)
        added = np.zeros(len(lines), dtype=np.float32)
        for column, weight in zip(features.T, weights, strict=True):  # BLAS adds up otherwise in another batch
            added += column * weight
    return added
