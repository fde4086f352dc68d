"""The lines and sentences of a batch of documents as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.batch import Batch
from pipeline.classify.blocks import BlockTable, make_blocks
from pipeline.doc import Doc, FloatArray, IntArray
from pipeline.errors import AlignmentError
from pipeline.kernels.ngrams import Points, fold_points

Bounds = NDArray[np.int64]

_NEWLINE = 0x0A


MAX_BRACKET = 60
"""Code points of the longest bracket that is judged apart from its line."""


@dataclass(frozen=True, eq=False)
class Table:
    """A batch of documents as arrays; offsets count from the start of the batch's joined text.

    Parameters
    ----------
    points, folded : ndarray of uint32, shape (n_chars,)
        The documents' texts one after another, a newline behind each; as they are, and folded for n-grams.
    lines : ndarray of int32, shape (n_lines, 2)
        Every line that holds a sentence, without the short bracket that may close it.
    line_bounds : ndarray of int64, shape (n_docs + 1,)
        Lines of document d: from ``line_bounds[d]`` to ``line_bounds[d + 1]``.
    sents : ndarray of int32, shape (n_sents, 2)
    sent_bounds : ndarray of int64, shape (n_docs + 1,)
    sent_line : ndarray of int64, shape (n_sents,)
        The line (row of `lines`) that a sentence stands in.
    support : ndarray of float32, shape (n_lines, n_columns), or None
        How each line recurs across its publisher, where the run counted that.
    blocks : BlockTable or None
        What the reader saw of each line, where a page was HTML or Markdown.
    """

    points: Points
    folded: Points
    lines: IntArray
    line_bounds: Bounds
    sents: IntArray
    sent_bounds: Bounds
    sent_line: NDArray[np.int64]
    support: FloatArray | None = None
    blocks: BlockTable | None = None

    @cached_property
    def first_sents(self) -> NDArray[np.int64]:
        """The row of each line's first sentence, and the number of sentences last: shape (n_lines + 1,)."""
        return np.append(np.flatnonzero(np.diff(self.sent_line, prepend=-1)), len(self.sents))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _is_bracket(points: Points, sent: IntArray) -> bool:
    """Whether a sentence is one short bracket, as credits glued to a line are: it is judged apart from the line."""
    first, last = points[sent[0]], points[sent[1] - 1]
    opens = first == 0xFF08 or first == 0x28 or first == 0x3010 or first == 0x5B  # （ ( 【 [
    closes = last == 0xFF09 or last == 0x29 or last == 0x3011 or last == 0x5D  # ） ) 】 ]
    return bool(opens and closes and sent[1] - sent[0] <= MAX_BRACKET)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _lines_of(
    points: Points, sents: IntArray, sent_bounds: Bounds
) -> tuple[IntArray, NDArray[np.int64], NDArray[np.int64]]:
    """Group sentences into lines: a new one where a newline stands between two sentences, or a document begins."""
    lines = np.empty((len(sents), 2), dtype=np.int32)
    sent_line = np.empty(len(sents), dtype=np.int64)
    line_bounds = np.zeros(len(sent_bounds), dtype=np.int64)
    n = 0
    for d in range(len(sent_bounds) - 1):
        for s in range(sent_bounds[d], sent_bounds[d + 1]):
            new = s == sent_bounds[d]
            if not new:
                for i in range(sents[s - 1, 1], sents[s, 0]):
                    new |= points[i] == _NEWLINE
            if new:
                lines[n, 0] = sents[s, 0]
                n += 1
            if new or not _is_bracket(points, sents[s]):
                lines[n - 1, 1] = sents[s, 1]
            sent_line[s] = n - 1
        line_bounds[d + 1] = n
    return lines[:n].copy(), line_bounds, sent_line


def make_table(docs: Sequence[Doc]) -> Table:
    """Get the arrays of a batch of documents whose sentences are cut.

    Raises
    ------
    AlignmentError
        If a document has no `sents` layer or an empty sentence.
    """
    batch = Batch.of(docs)
    text, sents = batch.text, batch.join_spans(batch.spans("sents"))
    if (sents.values[:, 1] <= sents.values[:, 0]).any():
        raise AlignmentError("a sentence is empty; sentences are half-open and hold at least one character")
    lines, line_bounds, sent_line = _lines_of(text.values, sents.values, sents.bounds)
    known = [np.asarray(meta["templates"], dtype=np.float32) for meta in batch.metas if "templates" in meta]
    support = np.concatenate(known) if known and len(known) == len(docs) else None
    own = (lines[line_bounds[d] : line_bounds[d + 1]] - np.int32(text.bounds[d]) for d in range(len(docs)))
    return Table(
        text.values,
        fold_points(text.values),
        lines,
        line_bounds,
        sents.values,
        sents.bounds,
        sent_line,
        support,
        make_blocks(batch, own),
    )
