"""Hashed character n-grams of spans, and their weights summed for several outputs.

The n-grams of a span, of one code point up to three or four, are taken over its characters with one marker at each
edge, so that "first character" and "last character" are features of their own. A feature's value is its count divided
by the square root of the number of n-grams. `hash_ngrams` gives those features as a sparse matrix's parts for
scikit-learn to learn from; `Linear` gives the decision values of what was learnt, without making the matrix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.doc import FloatArray, IntArray
from pipeline.kernels.lanes import FEW, MANY, TELL_LANES, TOLD, sum_few, sum_many, tell_rows

Points = NDArray[np.uint32]
Rows = NDArray[np.uint32]
Table = NDArray[np.int16]

MAX_ORDER = 4
MAX_REACH = 8000
"""With more, the sum of a span might be too large for 32 bits."""
PLACED = ("strongest", "weakest", "above", "below", "head", "tail")
"""Of the n-grams that begin at one place: the largest and smallest sum, all above and all below zero, near each end."""
_EDGE = 8  # code points that are near an end
CACHE_LINE = 64  # bytes
START, END = np.uint32(2), np.uint32(3)  # control characters: no cleaned text holds them
_ZERO = np.uint32(0x30)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def fold_points(points: Points) -> Points:
    """Fold what carries no meaning here: width of ASCII, case, the value of a digit, the sort of white space.

    Parameters
    ----------
    points : ndarray of uint32, shape (n_chars,)

    Returns
    -------
    ndarray of uint32, shape (n_chars,)
        A new array; every digit is "0".
    """
    folded = np.empty_like(points)
    for i in range(len(points)):
        c = points[i]
        if 0xFF01 <= c <= 0xFF5E:
            c = np.uint32(c - 0xFEE0)
        if 0x30 <= c <= 0x39:
            c = _ZERO
        elif 0x41 <= c <= 0x5A:
            c = np.uint32(c + 32)
        elif c == 0x3000 or c == 0xA0 or c == 0x09:
            c = np.uint32(0x20)
        folded[i] = c
    return folded


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _step(state: Any, c: Any) -> Any:
    """Add one code point to an n-gram's hash, of 32 bits."""
    return np.uint32((state ^ c) * np.uint32(0x9E3779B1))


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _row(state: Any, shift: Any) -> Any:
    """The table row of a hash: its best mixed bits."""
    return (state ^ (state >> np.uint32(15))) >> shift


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def count_ngrams(length: int, reach: int, order: int) -> int:
    """How many n-grams a span of `length` code points gives.

    Parameters
    ----------
    length : int
        Code points of the span, markers not counted.
    reach : int
        Only n-grams that begin within so many code points of either edge count, markers counted as well.
    order : int
        Code points of the longest n-grams.
    """
    n_places = length + 2 - max(length - 2 * reach, 0)
    # at the end the longer ones don't fit; a marker alone says nothing, both together do
    return max(order * n_places - order * (order - 1) // 2 - 2, 1)


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _hash_piece(piece: Points, n: Any, shift: Any, rows: Rows, first: Any) -> None:
    """Write the table rows of the n-grams that begin at the first `n` places of a piece; a loop without a branch."""
    one, two, three, four = rows[0, first:], rows[1, first:], rows[2, first:], rows[3, first:]
    for i in range(n):
        a = _step(np.uint32(0), piece[i])
        b = _step(a, piece[i + 1])
        c = _step(b, piece[i + 2])
        d = _step(c, piece[i + 3])
        one[i], two[i], three[i], four[i] = _row(a, shift), _row(b, shift), _row(c, shift), _row(d, shift)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def list_rows(
    points: Points, start: int, end: int, order: int, shift: Any, reach: int, piece: Points, rows: Rows
) -> int:
    """Write the table rows of a span's n-grams: of each place where some begin, one of each length.

    Where there is no n-gram, since the span ends, a marker stands alone or it would be too long, the row is the one of
    zeros behind the table.

    Parameters
    ----------
    points : ndarray of uint32, shape (n_chars,)
        Folded code points.
    start, end : int
        The span.
    order : int
        Code points of the longest n-grams: 3 or 4.
    shift : uint32
        As `shift_of` has it.
    reach : int
        See `count_ngrams`.
    piece, rows : ndarray of uint32
        Room, as `make_room` has it; `rows`, shape (MAX_ORDER, n), receives the result.

    Returns
    -------
    int
        How many places there are.
    """
    length = end - start
    piece[0] = START
    n_before, first, n = 0, 1, length
    if length > 2 * reach:
        piece[1 : reach + MAX_ORDER] = points[start : start + reach + MAX_ORDER - 1]
        n_before, first, n = reach + 1, 0, reach
        _hash_piece(piece, n_before, shift, rows, 0)
    copy, text = piece[first:], points[end - n :]
    for i in range(n):
        copy[i] = text[i]
    piece[first + n] = END
    piece[first + n + 1 : first + n + MAX_ORDER] = 0
    _hash_piece(piece, first + n + 1, shift, rows, n_before)
    n_places = n_before + first + n + 1
    none = np.uint32(1) << (np.uint32(32) - shift)
    rows[0, 0] = none
    for k in range(MAX_ORDER):
        rows[k, max(n_places - max(k, 1), 0) if k < order else 0 : n_places] = none
    return n_places


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def make_room(reach: int) -> tuple[Points, Rows]:
    """Get room for a span's characters, and for the table rows of its n-grams."""
    n = 2 * reach + 2 + MAX_ORDER
    return np.zeros(n, dtype=np.uint32), np.zeros((MAX_ORDER, n), dtype=np.uint32)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def hash_ngrams(
    points: Points, spans: IntArray, bits: int, reach: int, order: int
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float64]]:
    """Get the n-gram features of spans as the parts of a CSR matrix.

    Parameters
    ----------
    points : ndarray of uint32, shape (n_chars,)
        Folded code points.
    spans : ndarray of int32, shape (n_spans, 2)
    bits : int
        The matrix has ``2 ** bits`` columns.
    reach : int
        See `count_ngrams`.
    order : int
        Code points of the longest n-grams: 3 or 4.

    Returns
    -------
    indptr : ndarray of int64, shape (n_spans + 1,)
    indices : ndarray of int32, shape (n_ngrams,)
        Columns in reading order; one that repeats is there as often (scipy adds them up).
    values : ndarray of float64, shape (n_ngrams,)
    """
    indptr = np.zeros(len(spans) + 1, dtype=np.int64)
    for s in range(len(spans)):
        indptr[s + 1] = indptr[s] + count_ngrams(spans[s, 1] - spans[s, 0], reach, order)
    indices = np.empty(indptr[-1], dtype=np.int32)
    values = np.empty(indptr[-1], dtype=np.float64)
    piece, rows = make_room(reach)
    for s in range(len(spans)):
        n_places = list_rows(points, spans[s, 0], spans[s, 1], order, np.uint32(32 - bits), reach, piece, rows)
        n = indptr[s]
        for i in range(n_places):
            for k in range(order):
                if rows[k, i] < 1 << bits:
                    indices[n] = rows[k, i]
                    n += 1
        values[indptr[s] : n] = 1.0 / np.sqrt(n - indptr[s])
    return indptr, indices, values


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _score(
    points: Points,
    spans: IntArray,
    table: Table,
    scale: FloatArray,
    bias: FloatArray,
    reach: int,
    order: int,
    out: FloatArray,
) -> None:
    """Fill `out` with the decision values of spans; the table has FEW columns, or a multiple of MANY."""
    piece, rows = make_room(reach)
    shift, sums = shift_of(len(table)), np.empty((1, MANY), dtype=np.int32)
    for s in range(len(spans)):
        n_places = list_rows(points, spans[s, 0], spans[s, 1], order, shift, reach, piece, rows)
        norm = _norm_of(spans[s], reach, order)
        for first in range(0, len(scale), MANY):
            if table.shape[1] == FEW:
                sum_few(table, first, rows, n_places, 0, sums)
            else:
                sum_many(table, first, rows, n_places, 0, sums)
            _write(sums[0], norm, scale[first:], bias[first:], out[s, first:])


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _write(sums: Any, norm: Any, scale: FloatArray, bias: FloatArray, out: FloatArray) -> None:
    """Write decision values, as many as there are sums or outputs left."""
    for k in range(min(len(sums), len(scale))):
        out[k] = sums[k] * norm * np.float64(scale[k]) + np.float64(bias[k])


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _score_placed(
    points: Points,
    spans: IntArray,
    table: Table,
    scale: FloatArray,
    bias: FloatArray,
    reach: int,
    order: int,
    n_placed: int,
    out: FloatArray,
) -> None:
    """Fill `out` as `Linear.score_placed` says."""
    piece, rows = make_room(reach)
    n_outputs, n_parts = len(scale), len(PLACED)
    shift, told = shift_of(len(table)), np.empty((len(TOLD), TELL_LANES), dtype=np.int32)
    for s in range(len(spans)):
        n_places = list_rows(points, spans[s, 0], spans[s, 1], order, shift, reach, piece, rows)
        tell_rows(table, 0, rows, n_places, min(_EDGE + 1, n_places), told)  # the marker is one more
        norm = _norm_of(spans[s], reach, order)
        _write(told[0], norm, scale, bias, out[s])
        own = np.float32(1.0 / np.sqrt(order * (spans[s, 1] - spans[s, 0]) + 2.0))
        for k in range(n_placed):
            parts, factor = out[s, n_outputs + k * n_parts :], scale[k]
            total, above = told[0, k], told[3, k]
            parts[0], parts[1] = np.float32(told[1, k]) * factor, np.float32(told[2, k]) * factor
            parts[2], parts[3] = np.float32(above * own) * factor, np.float32((total - above) * own) * factor
            parts[4], parts[5] = np.float32(told[4, k]) * factor, np.float32(total - told[5, k]) * factor


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _norm_of(span: Any, reach: Any, order: Any) -> Any:
    """What a span's sum is multiplied with: one over the root of its number of n-grams."""
    return 1.0 / np.sqrt(count_ngrams(span[1] - span[0], reach, order))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def shift_of(n_rows: int) -> Any:
    """How far a hash is shifted to be a row of a laid-out table of so many rows, the one of zeros among them."""
    bits = 0
    while (1 << bits) + 1 < n_rows:
        bits += 1
    return np.uint32(32 - bits)


def lay_out(table: Table, lanes: int) -> Table:
    """Get a weight table as the kernels take it: a row of zeros behind, and a row beginning with a line of the cache.

    Columns of zeros fill up a multiple of `lanes`.
    """
    n_rows, n_outputs = table.shape
    if n_rows & (n_rows - 1):
        raise ValueError(f"a weight table has {n_rows} rows; they must be a power of two")
    width = n_outputs + -n_outputs % lanes
    room = np.zeros((n_rows + 1) * width + CACHE_LINE, dtype=np.int16)
    first = -room.ctypes.data % CACHE_LINE // room.itemsize
    padded = room[first : first + (n_rows + 1) * width].reshape(n_rows + 1, width)
    padded[:n_rows, :n_outputs] = table
    return padded


def quantise(weights: NDArray[np.float64]) -> tuple[NDArray[np.int16], FloatArray]:
    """Get int16 weights and their scale per output.

    Eight bits would not do: the largest weights (a final full stop) are a thousand times the typical one.

    Parameters
    ----------
    weights : ndarray of float64, shape (2 ** bits, n_outputs)

    Returns
    -------
    table : ndarray of int16, shape (2 ** bits, n_outputs)
    scale : ndarray of float32, shape (n_outputs,)
    """
    top = np.abs(weights).max(axis=0)
    scale = np.where(top > 0, top / 32767, 1.0).astype(np.float32)
    return np.clip(np.rint(weights / scale), -32767, 32767).astype(np.int16), scale


@dataclass(frozen=True, eq=False)
class Linear:
    """Linear models over the hashed n-grams of spans.

    A span's value depends on nothing but the span: sums are of whole numbers.

    Parameters
    ----------
    table : ndarray of int16, shape (2 ** bits, n_outputs)
        A learnt coefficient is ``table[row, k] * scale[k]``.
    scale, bias : ndarray of float32, shape (n_outputs,)
    order : int
        Code points of the longest n-grams: 3 or 4.
    """

    table: Table
    scale: FloatArray
    bias: FloatArray
    order: int

    @cached_property
    def _summed(self) -> Table:
        return lay_out(self.table, FEW if len(self.scale) <= FEW else MANY)

    @cached_property
    def _told(self) -> Table:
        return lay_out(self.table, TELL_LANES)

    def score(self, folded: Points, spans: IntArray, reach: int) -> FloatArray:
        """Get the decision values of spans.

        Parameters
        ----------
        folded : ndarray of uint32, shape (n_chars,)
            Folded code points.
        spans : ndarray of int32, shape (n_spans, 2)
        reach : int
            See `count_ngrams`; from MAX_ORDER to MAX_REACH.

        Returns
        -------
        ndarray of float32, shape (n_spans, n_outputs)
        """
        out = np.empty((len(spans), len(self.scale)), dtype=np.float32)
        spans = np.ascontiguousarray(spans)
        _score(folded, spans, self._summed, self.scale, self.bias, _checked(reach), self.order, out)
        return out

    def score_placed(self, folded: Points, spans: IntArray, reach: int, n_placed: int) -> FloatArray:
        """Get the decision values of spans, as `score` does, then the first outputs' parts by place.

        Parameters
        ----------
        folded, spans, reach
            As `score` takes them.
        n_placed : int
            How many outputs are told by place, as PLACED says; there are at most eight outputs.

        Returns
        -------
        ndarray of float32, shape (n_spans, n_outputs + n_placed * len(PLACED))
        """
        out = np.empty((len(spans), len(self.scale) + n_placed * len(PLACED)), dtype=np.float32)
        spans = np.ascontiguousarray(spans)
        reach = _checked(reach)
        _score_placed(folded, spans, self._told, self.scale, self.bias, reach, self.order, n_placed, out)
        return out

    def arrays(self, prefix: str) -> dict[str, NDArray[Any]]:
        """The arrays under the names that `from_arrays` reads."""
        return {f"{prefix}_{name}": np.asarray(getattr(self, name)) for name in ("table", "scale", "bias", "order")}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], prefix: str) -> Self:
        """Get the models that `arrays` saved."""
        table, scale, bias, order = (arrays[f"{prefix}_{name}"] for name in ("table", "scale", "bias", "order"))
        return cls(table, scale, bias, int(order))


def _checked(reach: int) -> int:
    if not MAX_ORDER <= reach <= MAX_REACH:
        raise ValueError(f"reach is {reach}; it may be from {MAX_ORDER} to {MAX_REACH}")
    return reach
