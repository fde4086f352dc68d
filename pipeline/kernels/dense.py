"""A network of one hidden layer from plain arrays; a row's value depends on nothing but the row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.doc import FloatArray

LIMIT = np.float32(4.0)
"""A standardised feature is cut off there: what training hardly saw weighs no more than what it saw."""
ROWS = 64
"""Rows that are evaluated side by side: the processor's nearest cache holds their features."""


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _standardise(features: FloatArray, mean: FloatArray, inverse: FloatArray, values: FloatArray, first: int) -> None:
    """Write features, cut off at LIMIT, into `values`, shape (n_blocks, n_features, ROWS), from `first` on."""
    for b in range(len(values)):
        rows = features[b * ROWS : (b + 1) * ROWS]
        for f in range(features.shape[1]):
            own = values[b, first + f]
            for r in range(len(rows)):
                own[r] = min(max((rows[r, f] - mean[f]) * inverse[f], -LIMIT), LIMIT)


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _row(weights: Any, j: Any) -> Any:
    return weights[j, 0], weights[j, 1], weights[j, 2], weights[j, 3]


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _dot(seen: Any, w: Any) -> Any:
    return seen[0] * w[0] + seen[1] * w[1] + seen[2] * w[2] + seen[3] * w[3]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _run(
    values: FloatArray, hidden: FloatArray, hidden_bias: FloatArray, output: FloatArray, bias: Any, out: FloatArray
) -> None:
    """Fill `out` with every row's value: sums run in a fixed order, four features at a time.

    Four units, and many rows, are added up side by side: what is loaded of a feature serves all of them.
    """
    n_features = values.shape[1]
    n_fours = n_features // 4 * 4
    weights = np.ascontiguousarray(hidden.T)
    units = np.empty((4, ROWS), dtype=np.float32)
    u0, u1, u2, u3 = units[0], units[1], units[2], units[3]
    for b in range(len(values)):
        block, totals = values[b], out[b]
        totals[:] = bias
        for j in range(0, len(weights), 4):
            for u in range(4):
                units[u] = hidden_bias[j + u]
            for k in range(0, n_fours, 4):
                four, of = block[k : k + 4], weights[j : j + 4, k : k + 4]
                w0, w1, w2, w3 = _row(of, 0), _row(of, 1), _row(of, 2), _row(of, 3)
                for r in range(ROWS):
                    seen = four[0, r], four[1, r], four[2, r], four[3, r]
                    u0[r] += _dot(seen, w0)
                    u1[r] += _dot(seen, w1)
                    u2[r] += _dot(seen, w2)
                    u3[r] += _dot(seen, w3)
            for u in range(4):
                own = units[u]
                for f in range(n_fours, n_features):
                    for r in range(ROWS):
                        own[r] += block[f, r] * weights[j + u, f]
                for r in range(ROWS):
                    totals[r] += max(own[r], np.float32(0)) * output[j + u]


@dataclass(frozen=True, eq=False)
class Net:
    """Standardise, one hidden layer of rectified units, one linear output; several nets side by side are one net.

    Parameters
    ----------
    mean, inverse : ndarray of float32, shape (n_features,)
        Of each feature, its mean and one over its standard deviation.
    hidden : ndarray of float32, shape (n_features, n_units)
    hidden_bias, output : ndarray of float32, shape (n_units,)
        The number of units is a multiple of four.
    bias : ndarray of float32, shape (1,)
    """

    mean: FloatArray
    inverse: FloatArray
    hidden: FloatArray
    hidden_bias: FloatArray
    output: FloatArray
    bias: FloatArray

    def decide(self, *parts: FloatArray) -> FloatArray:
        """Get the values of rows.

        Parameters
        ----------
        *parts : ndarray of float32, each of shape (n_rows, n_columns)
            The features, side by side.

        Returns
        -------
        ndarray of float32, shape (n_rows,)
        """
        n_rows, n_features = len(parts[0]), sum(part.shape[1] for part in parts)
        if n_features != len(self.mean):
            raise ValueError(f"features have {n_features} columns, the net takes {len(self.mean)}")
        values = np.empty((-(-n_rows // ROWS), n_features, ROWS), dtype=np.float32)  # the last rows may be none's
        first = 0
        for part in parts:
            _standardise(part, self.mean[first:], self.inverse[first:], values, first)
            first += part.shape[1]
        out = np.empty((len(values), ROWS), dtype=np.float32)
        _run(values, self.hidden, self.hidden_bias, self.output, self.bias[0], out)
        return out.ravel()[:n_rows]

    def arrays(self, prefix: str) -> dict[str, NDArray[Any]]:
        """The arrays under the names that `from_arrays` reads."""
        return {f"{prefix}_{name}": getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], prefix: str) -> Self:
        """Get the net that `arrays` saved."""
        return cls(**{name: np.ascontiguousarray(arrays[f"{prefix}_{name}"]) for name in cls.__dataclass_fields__})
