"""Spans of text to the buffers of Arrow's string columns, without a Python string a cell."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from pipeline.kernels.chars import CodePoints, IntArray
from pipeline.tables import INVISIBLE


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _utf8_lengths(points: CodePoints, spans: NDArray[np.int64]) -> NDArray[np.int64]:
    offsets = np.zeros(len(spans) + 1, dtype=np.int64)
    for i in range(len(spans)):
        n = 0
        for j in range(spans[i, 0], spans[i, 1]):
            point = points[j]
            n += 1 if point < 0x80 else 2 if point < 0x800 else 3 if point < 0x10000 else 4
        offsets[i + 1] = offsets[i] + n
    return offsets


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _utf8_bytes(points: CodePoints, spans: NDArray[np.int64], n_bytes: int) -> NDArray[np.uint8]:
    data = np.empty(n_bytes, dtype=np.uint8)
    at = 0
    for i in range(len(spans)):
        for j in range(spans[i, 0], spans[i, 1]):
            point = points[j]
            if point < 0x80:
                data[at] = point
                at += 1
            elif point < 0x800:
                data[at] = 0xC0 | point >> 6
                data[at + 1] = 0x80 | point & 0x3F
                at += 2
            elif point < 0x10000:
                data[at] = 0xE0 | point >> 12
                data[at + 1] = 0x80 | point >> 6 & 0x3F
                data[at + 2] = 0x80 | point & 0x3F
                at += 3
            else:
                data[at] = 0xF0 | point >> 18
                data[at + 1] = 0x80 | point >> 12 & 0x3F
                data[at + 2] = 0x80 | point >> 6 & 0x3F
                data[at + 3] = 0x80 | point & 0x3F
                at += 4
    return data


def string_column(points: CodePoints, spans: NDArray[np.int64]) -> pa.Array:
    """Get the texts of spans as a column of large strings.

    Parameters
    ----------
    points : ndarray of uint32, shape (n_chars,)
        No lone surrogates.
    spans : ndarray of int64, shape (n, 2)
        Half-open.

    Returns
    -------
    pyarrow.LargeStringArray of length n
    """
    offsets = _utf8_lengths(points, spans)
    data = _utf8_bytes(points, spans, int(offsets[-1]))
    return pa.LargeStringArray.from_buffers(len(spans), pa.py_buffer(offsets), pa.py_buffer(data))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def join_bodies(
    points: CodePoints, sents: NDArray[np.int64], sent_bounds: NDArray[np.int64], keep: NDArray[np.bool_]
) -> tuple[CodePoints, NDArray[np.int64]]:
    """Join the sentences of each document that are kept: paragraphs by newline, sentences of a line as they stood.

    Parameters
    ----------
    points : ndarray of uint32, shape (n_chars,)
        Cleaned texts, whose white space is one newline or one space.
    sents : ndarray of int64, shape (n_sents, 2)
    sent_bounds : ndarray of int64, shape (n_docs + 1,)
    keep : ndarray of bool, shape (n_sents,)

    Returns
    -------
    joined : ndarray of uint32
    spans : ndarray of int64, shape (n_docs, 2)
        Where each document's text stands in it.
    """
    n_docs = len(sent_bounds) - 1
    joined = np.empty(len(points) + len(sents), dtype=np.uint32)
    spans = np.empty((n_docs, 2), dtype=np.int64)
    n = 0
    for d in range(n_docs):
        first = n
        at = 0  # where the last kept sentence ended
        for i in range(sent_bounds[d], sent_bounds[d + 1]):
            if not keep[i]:
                continue
            if n > first:
                gap = 0
                for j in range(at, sents[i, 0]):
                    if points[j] == 0x0A:
                        gap = 0x0A
                    elif points[j] == 0x20 and gap == 0:
                        gap = 0x20
                if gap:
                    joined[n] = gap
                    n += 1
            for j in range(sents[i, 0], sents[i, 1]):
                joined[n] = points[j]
                n += 1
            at = sents[i, 1]
        spans[d, 0], spans[d, 1] = first, n
    return joined[:n].copy(), spans


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _source_starts(sents: IntArray, edits: IntArray) -> IntArray:
    """Where the first character of each sentence came from; offsets run in step between edits, clamped within them."""
    starts = np.empty(len(sents), dtype=np.int32)
    row = -1
    for s in range(len(sents)):
        offset = sents[s, 0]
        while row + 1 < len(edits) and edits[row + 1, 0] <= offset:
            row += 1
        if row < 0:
            starts[s] = offset
        elif offset < edits[row, 1]:
            starts[s] = min(edits[row, 2] + offset - edits[row, 0], edits[row, 3])
        else:
            starts[s] = edits[row, 3] + offset - edits[row, 1]
    return starts


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def visible_spans(points: CodePoints, sents: IntArray, edits: IntArray, classes: NDArray[np.uint16]) -> IntArray:
    """Cut a source at the starts of its sentences; a span begins and ends with a visible character.

    Parameters
    ----------
    points : ndarray of uint32, shape (n_chars,)
        The source.
    sents : ndarray of int32, shape (n_sents, 2)
        In the cleaned text, ascending; the first sentence takes all of the source before it, too.
    edits : ndarray of int32, shape (n_edits, 4)
        As `Doc.edits` has them.
    classes : ndarray of uint16, shape (0x110000,)

    Returns
    -------
    ndarray of int32, shape (n_sents, 2)
        Half-open; together they hold every visible character once.
    """
    starts = _source_starts(sents, edits)
    spans = np.empty((len(starts), 2), dtype=np.int32)
    for s in range(len(starts)):
        first = 0 if s == 0 else starts[s]
        last = starts[s + 1] if s + 1 < len(starts) else len(points)
        while first < last and classes[points[first]] & INVISIBLE:
            first += 1
        while last > first and classes[points[last - 1]] & INVISIBLE:
            last -= 1
        spans[s, 0], spans[s, 1] = first, last
    return spans
