"""Hashed character n-grams of spans, and their weights summed for several outputs.

The n-grams (1 to 4 code points) of a span are taken over its characters with one marker at each edge, so that
"first character" and "last character" are features of their own. A feature's value is its count divided by the square
root of the number of n-grams. `hash_ngrams` gives those features as a sparse matrix's parts for scikit-learn to learn
from; `score_spans` gives the decision values of what was learnt, without making the matrix.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.doc import FloatArray, IntArray
from pipeline.kernels.prefetch import prefetch

Points = NDArray[np.uint32]

MAX_ORDER = 4
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
    """Add one code point to an n-gram's hash."""
    return (state ^ np.uint64(c)) * np.uint64(0x9E3779B97F4A7C15)


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _row(state: Any, shift: Any) -> Any:
    """The table row of a hash: its best mixed bits."""
    return (state ^ (state >> np.uint64(29))) >> shift & np.uint64(0xFFFFFFFFFF)


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _padded(points: Points, start: Any, end: Any, i: Any) -> Any:
    """The code point at `i` of a span with its edge markers (-1 and its length)."""
    if i < 0:
        return START
    if start + i >= end:
        return END
    return points[start + i]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def count_ngrams(length: int, reach: int) -> int:
    """How many n-grams a span of `length` code points gives.

    Parameters
    ----------
    length : int
        Code points of the span, markers not counted.
    reach : int
        Only n-grams that begin within so many code points of either edge count; 0 for all.
    """
    total = 0
    for i in range(-1, length + 1):
        if reach > 0 and i >= reach and i < length - reach:
            continue
        total += min(MAX_ORDER, length + 1 - i)
    return total - 2 * (length >= 0)  # the markers alone say nothing


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _list_edge(points: Points, start: Any, end: Any, i: Any, shift: Any, rows: NDArray[Any], n_rows: Any) -> Any:
    """Write the table rows of the n-grams that begin at `i`, near an edge of the span; get how many there are now."""
    length = end - start
    state = np.uint64(0)
    for n in range(min(MAX_ORDER, length + 1 - i)):
        state = _step(state, _padded(points, start, end, i + n))
        if n == 0 and (i < 0 or i >= length):
            continue
        rows[n_rows] = _row(state, shift)
        n_rows += 1
    return n_rows


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _list_inner(
    points: Points, first: Any, last: Any, shift: Any, rows: NDArray[Any], n_rows: Any, table: NDArray[Any]
) -> Any:
    """Write the table rows of the n-grams that begin from `first` to before `last`, all of them within the span."""
    for i in range(first, last):
        one = _step(np.uint64(0), points[i])
        two = _step(one, points[i + 1])
        three = _step(two, points[i + 2])
        four = _step(three, points[i + 3])
        rows[n_rows], rows[n_rows + 1] = _row(one, shift), _row(two, shift)
        rows[n_rows + 2], rows[n_rows + 3] = _row(three, shift), _row(four, shift)
        for n in range(MAX_ORDER):
            prefetch(table, np.int64(rows[n_rows + n]))
        n_rows += MAX_ORDER
    return n_rows


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def list_rows(
    points: Points, start: int, end: int, shift: Any, reach: int, rows: NDArray[Any], table: NDArray[Any]
) -> int:
    """Write the table rows of a span's n-grams in reading order, and fetch them; get how many there are."""
    length = end - start
    n_inner = max(length - MAX_ORDER + 1, 0)  # so many places have all four n-grams within the span
    head, skip_from, skip_to = n_inner, n_inner, n_inner
    if reach > 0 and length > 2 * reach:
        head, skip_from, skip_to = min(reach, n_inner), reach, length - reach
    n_rows = _list_edge(points, start, end, -1, shift, rows, 0)
    n_rows = _list_inner(points, start, start + head, shift, rows, n_rows, table)
    for i in range(head, skip_from):
        n_rows = _list_edge(points, start, end, i, shift, rows, n_rows)
    tail = max(n_inner, skip_to)
    n_rows = _list_inner(points, start + skip_to, start + tail, shift, rows, n_rows, table)
    for i in range(tail, length + 1):
        n_rows = _list_edge(points, start, end, i, shift, rows, n_rows)
    return int(n_rows)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def hash_ngrams(
    points: Points, spans: IntArray, bits: int, reach: int
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

    Returns
    -------
    indptr : ndarray of int64, shape (n_spans + 1,)
    indices : ndarray of int32, shape (n_ngrams,)
        Columns in reading order; one that repeats is there as often (scipy adds them up).
    values : ndarray of float64, shape (n_ngrams,)
    """
    shift, no_table = np.uint64(64 - bits), np.empty((1, 1), dtype=np.int16)
    indptr = np.zeros(len(spans) + 1, dtype=np.int64)
    for s in range(len(spans)):
        indptr[s + 1] = indptr[s] + count_ngrams(spans[s, 1] - spans[s, 0], reach)
    indices = np.empty(indptr[-1], dtype=np.int32)
    values = np.empty(indptr[-1], dtype=np.float64)
    for s in range(len(spans)):
        first, last = indptr[s], indptr[s + 1]
        list_rows(points, spans[s, 0], spans[s, 1], shift, reach, indices[first:last], no_table)
        values[first:last] = 1.0 / np.sqrt(max(last - first, 1))
    return indptr, indices, values


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def shift_of(table: NDArray[Any]) -> Any:
    """How far a hash is shifted to be a row of a table."""
    bits = 0
    while (1 << bits) < table.shape[0]:
        bits += 1
    return np.uint64(64 - bits)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def sum_spans(points: Points, spans: IntArray, table: NDArray[Any], reach: int, sums: NDArray[Any]) -> None:
    """Add up the table rows of every span's n-grams.

    Parameters
    ----------
    points : ndarray of uint32, shape (n_chars,)
        Folded code points.
    spans : ndarray of int32, shape (n_spans, 2)
    table : ndarray, shape (2 ** bits, n_outputs)
        Weights, floating or int16.
    reach : int
        See `count_ngrams`.
    sums : ndarray, shape (n_spans, n_outputs)
        Zeros, of a type that holds them; receives the sums.
    """
    n_outputs = table.shape[1]
    shift = shift_of(table)
    longest = 0
    for s in range(len(spans)):
        longest = max(longest, spans[s, 1] - spans[s, 0])
    rows = np.empty(MAX_ORDER * (longest + 2), dtype=np.int64)
    for s in range(len(spans)):
        n_rows = list_rows(points, spans[s, 0], spans[s, 1], shift, reach, rows, table)
        total = sums[s]
        if n_outputs == 1:
            for i in range(n_rows):
                total[0] += table[rows[i], 0]
            continue
        r = 0
        while r + 4 <= n_rows:  # four at a time: the sums are loaded and stored a quarter as often
            a, b, c, d = table[rows[r]], table[rows[r + 1]], table[rows[r + 2]], table[rows[r + 3]]
            for k in range(n_outputs):
                total[k] = total[k] + a[k] + b[k] + c[k] + d[k]
            r += 4
        for i in range(r, n_rows):
            for k in range(n_outputs):
                total[k] += table[rows[i], k]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _norms(spans: IntArray, reach: int) -> NDArray[np.float64]:
    """What every span's sum is multiplied with: one over the root of its number of n-grams."""
    norms = np.empty(len(spans), dtype=np.float64)
    for s in range(len(spans)):
        norms[s] = 1.0 / np.sqrt(max(count_ngrams(spans[s, 1] - spans[s, 0], reach), 1))
    return norms


def score_spans(
    points: Points, spans: IntArray, table: NDArray[Any], scale: FloatArray, bias: FloatArray, reach: int = 0
) -> FloatArray:
    """Decision values of linear models over the n-grams of spans.

    A span's value depends on nothing but the span: sums run in reading order (exact integers for an int16 table).

    Parameters
    ----------
    points : ndarray of uint32, shape (n_chars,)
        Folded code points.
    spans : ndarray of int32, shape (n_spans, 2)
    table : ndarray of int16 or float32, shape (2 ** bits, n_outputs or more)
        A learnt coefficient is ``table[row, k] * scale[k]``; further columns are padding, see `pad_outputs`.
    scale, bias : ndarray of float32, shape (n_outputs,)
    reach : int
        See `count_ngrams`.

    Returns
    -------
    ndarray of float32, shape (n_spans, n_outputs)
    """
    sums = np.zeros((len(spans), table.shape[1]), dtype=_sum_type(spans, table, reach))
    sum_spans(points, spans, table, reach, sums)
    sums = sums[:, : len(scale)]
    values = sums * _norms(spans, reach)[:, None] * scale.astype(np.float64) + bias.astype(np.float64)
    return np.ascontiguousarray(values, dtype=np.float32)


def pad_outputs(table: NDArray[np.int16]) -> NDArray[np.int16]:
    """Get a weight table in which every row lies within one line of the processor's cache, added up in half the time.

    A table of a single column stays; others get columns of zeros up to 8, 16, 32 or a multiple of 32.
    """
    n_rows, n_outputs = table.shape
    if n_outputs == 1:
        return np.ascontiguousarray(table)
    width = next((n for n in (8, 16, 32) if n >= n_outputs), n_outputs + -n_outputs % 32)
    room = np.zeros(n_rows * width + CACHE_LINE, dtype=np.int16)
    first = -room.ctypes.data % CACHE_LINE // room.itemsize
    padded = room[first : first + n_rows * width].reshape(n_rows, width)
    padded[:, :n_outputs] = table
    return padded


def _sum_type(spans: IntArray, table: NDArray[Any], reach: int) -> type[np.generic]:
    """The narrowest type that holds every span's sum: int32 is three times as fast as int64."""
    if not np.issubdtype(table.dtype, np.integer):
        return np.float64
    longest = int((spans[:, 1] - spans[:, 0]).max(initial=0))
    n_ngrams = MAX_ORDER * (min(longest, 2 * reach) if reach else longest) + 2 * MAX_ORDER
    return np.int32 if n_ngrams < 2**16 else np.int64


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
    """Linear models over hashed n-grams.

    Parameters
    ----------
    table, scale, bias : ndarray
        As `score_spans` takes them.
    """

    table: NDArray[Any]
    scale: FloatArray
    bias: FloatArray

    def score(self, folded: Points, spans: IntArray, reach: int) -> FloatArray:
        """Decision values: (n_spans, n_outputs)."""
        return score_spans(folded, np.ascontiguousarray(spans), self.table, self.scale, self.bias, reach)

    def take(self, first: int, last: int) -> Self:
        """Get the outputs from `first` to before `last` alone."""
        return type(self)(
            np.ascontiguousarray(self.table[:, first:last]), self.scale[first:last], self.bias[first:last]
        )

    def arrays(self, prefix: str) -> dict[str, NDArray[Any]]:
        """The arrays under the names that `from_arrays` reads."""
        return {f"{prefix}_{name}": getattr(self, name) for name in ("table", "scale", "bias")}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], prefix: str) -> Self:
        """Get the models that `arrays` saved."""
        table, scale, bias = (arrays[f"{prefix}_{name}"] for name in ("table", "scale", "bias"))
        return cls(pad_outputs(table), scale, bias)
