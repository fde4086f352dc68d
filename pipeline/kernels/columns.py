"""Spans of text to the buffers of Arrow's string columns, without a Python string a cell."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from pipeline.kernels.chars import CodePoints, IntArray
from pipeline.tables import INVISIBLE

Bytes = NDArray[np.uint8]
Offsets = NDArray[np.int64]

BLOCK = 32
"""Bytes that are copied together; a buffer has so many behind what is read or written."""

_SIX_BITS, _LEAD_3, _LEAD_4 = np.uint32(0x3F), np.uint32(0x8080E0), np.uint32(0x808080F0)
_6, _8, _12, _16, _18, _24 = (np.uint32(n_bits) for n_bits in (6, 8, 12, 16, 18, 24))
_BLOCK, _VECTOR = np.uint64(BLOCK), ir.VectorType(ir.IntType(8), BLOCK)
_ONE, _TWO, _THREE, _FOUR = (np.uint64(n_bytes) for n_bytes in (1, 2, 3, 4))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def to_utf8(points: CodePoints, spans: IntArray) -> tuple[Bytes, Offsets]:
    """Write spans of text as UTF-8, one behind the other; lone surrogates as other characters.

    Indices are unsigned and integers have 32 bits: so a character of three bytes is one store, and nothing is checked.

    Parameters
    ----------
    points : ndarray of uint32, shape (n_chars,)
    spans : ndarray of int32, shape (n, 2)
        Half-open.

    Returns
    -------
    data : ndarray of uint8
        With `BLOCK` behind it, at least.
    offsets : ndarray of int64, shape (n + 1,)
    """
    offsets = np.zeros(len(spans) + 1, dtype=np.int64)
    n_chars = 0
    for i in range(len(spans)):
        n_chars += spans[i, 1] - spans[i, 0]
    data = np.empty(4 * n_chars + BLOCK, dtype=np.uint8)
    at = np.uint64(0)
    for i in range(len(spans)):
        for j in range(np.uint64(spans[i, 0]), np.uint64(spans[i, 1])):
            point = points[j]
            if point < 0x80:
                data[at] = point
                at += _ONE
            elif point < 0x800:
                data[at] = 0xC0 | point >> 6
                data[at + _ONE] = 0x80 | point & 0x3F
                at += _TWO
            else:
                last, middle = point & _SIX_BITS, point >> _6 & _SIX_BITS
                word = np.uint32(_LEAD_3 | point >> _12 | middle << _8 | last << _16)
                n = _THREE
                if point >= 0x10000:
                    word = np.uint32(
                        _LEAD_4 | point >> _18 | (point >> _12 & _SIX_BITS) << _8 | middle << _16 | last << _24
                    )
                    n = _FOUR
                data[at] = word
                data[at + _ONE] = word >> _8
                data[at + _TWO] = word >> _16
                data[at + _THREE] = word >> _24
                at += n
        offsets[i + 1] = at
    return data, offsets


def string_column(data: Bytes, offsets: Offsets) -> pa.Array:
    """Get a column of large strings from what `to_utf8` wrote."""
    return pa.LargeStringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(data))


def find_block(context: Any, builder: Any, kind: Any, array: Any, at: Any) -> Any:
    """Get a pointer to a block of an array, for an intrinsic."""
    begin = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(begin, [at]), _VECTOR.as_pointer())


@intrinsic  # type: ignore[untyped-decorator]
def copy_block(_typing: Any, target: Any, _at: Any, source: Any, _first: Any) -> Any:
    """Copy a block at once; the compiler makes single bytes of a loop, for arrays may overlap."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        to, at, source, first = arguments
        block = builder.load(find_block(context, builder, signature.args[2], source, first), align=1)
        builder.store(block, find_block(context, builder, signature.args[0], to, at), align=1)
        return context.get_dummy_value()

    return types.void(target, types.uint64, source, types.uint64), generate


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def copy_bytes(target: Bytes, at: np.uint64, source: Bytes, start: int, end: int) -> np.uint64:
    """Copy a range of bytes, by whole blocks; get where it ends in `target`."""
    first, n_bytes = np.uint64(start), np.uint64(end - start)
    done = np.uint64(0)
    while done < n_bytes:
        copy_block(target, at + done, source, first + done)
        done += _BLOCK
    return at + n_bytes


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def join_bodies(
    points: CodePoints,
    sents: IntArray,
    sent_bounds: Offsets,
    keep: NDArray[np.bool_],
    data: Bytes,
    offsets: Offsets,
) -> tuple[Bytes, Offsets, IntArray]:
    """Join the sentences of each document that are kept: paragraphs by newline, sentences of a line as they stood.

    Parameters
    ----------
    points : ndarray of uint32, shape (n_chars,)
        Cleaned texts, whose white space is one newline or one space.
    sents : ndarray of int32, shape (n_sents, 2)
    sent_bounds : ndarray of int64, shape (n_docs + 1,)
    keep : ndarray of bool, shape (n_sents,)
    data, offsets
        What `to_utf8` makes of the sentences.

    Returns
    -------
    data : ndarray of uint8
        The documents, in UTF-8.
    offsets : ndarray of int64, shape (n_docs + 1,)
    n_chars : ndarray of int32, shape (n_docs,)
        Their code points.
    """
    n_docs = len(sent_bounds) - 1
    joined = np.empty(offsets[-1] + len(sents) + BLOCK, dtype=np.uint8)
    starts = np.zeros(n_docs + 1, dtype=np.int64)
    n_chars = np.zeros(n_docs, dtype=np.int32)
    n = np.uint64(0)
    for d in range(n_docs):
        at = 0  # where the last kept sentence ended
        for i in range(sent_bounds[d], sent_bounds[d + 1]):
            if not keep[i]:
                continue
            if n_chars[d]:
                gap = 0
                for j in range(at, sents[i, 0]):
                    if points[j] == 0x0A:
                        gap = 0x0A
                    elif points[j] == 0x20 and gap == 0:
                        gap = 0x20
                if gap:
                    joined[n] = gap
                    n += _ONE
                    n_chars[d] += 1
            n = copy_bytes(joined, n, data, offsets[i], offsets[i + 1])
            at = sents[i, 1]
            n_chars[d] += at - sents[i, 0]
        starts[d + 1] = n
    return joined, starts, n_chars


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _source_starts(sents: IntArray, edits: IntArray, starts: IntArray) -> None:
    """Write where the first character of each sentence came from; in step between edits, clamped within them."""
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


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def visible_spans(
    points: CodePoints,
    bounds: Offsets,
    sents: IntArray,
    sent_bounds: Offsets,
    edits: IntArray,
    edit_bounds: Offsets,
    classes: NDArray[np.uint16],
) -> IntArray:
    """Cut sources at the starts of their sentences; a span begins and ends with a visible character.

    Parameters
    ----------
    points : ndarray of uint32, shape (n_chars,)
        The sources one after another.
    bounds, sent_bounds, edit_bounds : ndarray of int64, shape (n_docs + 1,)
        Characters of source d: from ``bounds[d]`` to ``bounds[d + 1]``; its sentences and edits likewise.
    sents : ndarray of int32, shape (n_sents, 2)
        In each cleaned text, ascending; the first sentence takes all of the source before it, too.
    edits : ndarray of int32, shape (n_edits, 4)
        As `Doc.edits` has them.
    classes : ndarray of uint16, shape (0x110000,)

    Returns
    -------
    ndarray of int32, shape (n_sents, 2)
        Half-open code points of each source; together they hold every visible character once.
    """
    starts = np.empty(len(sents), dtype=np.int32)
    spans = np.empty((len(sents), 2), dtype=np.int32)
    for d in range(len(bounds) - 1):
        source = points[bounds[d] : bounds[d + 1]]
        begin, end = sent_bounds[d], sent_bounds[d + 1]
        _source_starts(sents[begin:end], edits[edit_bounds[d] : edit_bounds[d + 1]], starts[begin:end])
        for s in range(begin, end):
            first = 0 if s == begin else starts[s]
            last = starts[s + 1] if s + 1 < end else len(source)
            while first < last and classes[source[first]] & INVISIBLE:
                first += 1
            while last > first and classes[source[last - 1]] & INVISIBLE:
                last -= 1
            spans[s, 0], spans[s, 1] = first, last
    return spans
