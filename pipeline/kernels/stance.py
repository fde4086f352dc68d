"""N-gram sums of a sentence in one pass: whole, as `score_spans` has them, and by where in the sentence they arise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.doc import FloatArray, IntArray
from pipeline.kernels.ngrams import MAX_ORDER, Points, _norms, _sum_type, list_rows, shift_of

PLACED = ("strongest", "weakest", "above", "below", "head", "tail")
"""Of the n-grams that begin at one place: the largest and smallest sum, all above and all below zero, near each end."""

_EDGE = 8


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _sum_places(
    table: NDArray[Any], rows: NDArray[np.int64], length: int, reach: int, total: NDArray[Any], after: NDArray[Any]
) -> int:
    """Add up a sentence's table rows; tell what the first outputs come to after each place; get how many places."""
    n_places, r = 0, 0
    for i in range(-1, length + 1):
        if reach > 0 and i >= reach and i < length - reach:
            continue
        n = min(MAX_ORDER, length + 1 - i) - (i < 0 or i >= length)
        if n == MAX_ORDER:  # nearly always
            a, b, c, d = table[rows[r]], table[rows[r + 1]], table[rows[r + 2]], table[rows[r + 3]]
            for k in range(len(total)):
                total[k] = total[k] + a[k] + b[k] + c[k] + d[k]
        else:
            for j in range(r, r + n):
                for k in range(len(total)):
                    total[k] += table[rows[j], k]
        r += n
        n_places += 1
        for k in range(after.shape[0]):
            after[k, n_places] = total[k]
    return n_places


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _tell_places(after: NDArray[Any], n_places: int, norm: Any, part: FloatArray) -> None:
    """Fill `part` from one output's running sum, in the order of PLACED."""
    nothing = after[0]
    most, least, above = nothing, nothing, nothing
    for i in range(n_places):
        here = after[i + 1] - after[i]
        most, least = max(most, here), min(least, here)
        above += max(here, nothing)
    near = min(_EDGE + 1, n_places)  # the marker is one more
    part[0], part[1] = most, least
    part[2], part[3] = above * norm, (after[n_places] - above) * norm
    part[4], part[5] = after[near], after[n_places] - after[n_places - near]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def sum_placed(
    points: Points, spans: IntArray, table: NDArray[Any], reach: int, sums: NDArray[Any], placed: FloatArray
) -> None:
    """Add up the table rows of every sentence's n-grams; of the first outputs, also by place.

    Parameters
    ----------
    points : ndarray of uint32, shape (n_chars,)
        Folded code points.
    spans : ndarray of int32, shape (n_spans, 2)
    table : ndarray of int16 or float32, shape (2 ** bits, n_outputs)
    reach : int
        See `count_ngrams`.
    sums : ndarray, shape (n_spans, n_outputs)
        Zeros, of a type that holds them; receives the sums.
    placed : ndarray of float32, shape (n_spans, n_placed, len(PLACED))
        Receives the parts of the first `n_placed` outputs.
    """
    shift = shift_of(table)
    longest = 0
    for s in range(len(spans)):
        longest = max(longest, spans[s, 1] - spans[s, 0])
    rows = np.empty(MAX_ORDER * (longest + 2), dtype=np.int64)
    after = np.zeros((placed.shape[1], longest + 3), dtype=sums.dtype)
    for s in range(len(spans)):
        length = spans[s, 1] - spans[s, 0]
        list_rows(points, spans[s, 0], spans[s, 1], shift, reach, rows, table)
        n_places = _sum_places(table, rows, length, reach, sums[s], after)
        norm = np.float32(1.0 / math.sqrt(MAX_ORDER * length + 2.0))
        for k in range(placed.shape[1]):
            _tell_places(after[k], n_places, norm, placed[s, k])


def score_placed(
    points: Points,
    spans: IntArray,
    table: NDArray[Any],
    scale: FloatArray,
    bias: FloatArray,
    reach: int,
    n_placed: int,
) -> FloatArray:
    """Decision values as `score_spans` gives them, then the first outputs' parts by place.

    Parameters
    ----------
    points : ndarray of uint32, shape (n_chars,)
        Folded code points.
    spans : ndarray of int32, shape (n_spans, 2)
    table, scale, bias : ndarray
        As `score_spans` takes them.
    reach : int
        See `count_ngrams`.
    n_placed : int
        How many outputs are told by place.

    Returns
    -------
    ndarray of float32, shape (n_spans, n_outputs + n_placed * len(PLACED))
    """
    sums = np.zeros((len(spans), table.shape[1]), dtype=_sum_type(spans, table, reach))
    placed = np.empty((len(spans), n_placed, len(PLACED)), dtype=np.float32)
    sum_placed(points, spans, table, reach, sums, placed)
    values = sums[:, : len(scale)] * _norms(spans, reach)[:, None] * scale.astype(np.float64) + bias.astype(np.float64)
    placed *= scale[:n_placed, None]
    return np.concatenate([values.astype(np.float32), placed.reshape(len(spans), -1)], axis=1)
