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


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _run(
    features: FloatArray,
    mean: FloatArray,
    inverse: FloatArray,
    hidden: FloatArray,
    hidden_bias: FloatArray,
    output: FloatArray,
    bias: Any,
    out: FloatArray,
) -> None:
    """Fill `out` with every row's value: sums run in a fixed order, four features at a time."""
    n_features = features.shape[1]
    values = np.empty(n_features, dtype=np.float32)
    units = np.empty(len(hidden_bias), dtype=np.float32)
    for i in range(len(features)):
        for f in range(n_features):
            values[f] = min(max((features[i, f] - mean[f]) * inverse[f], -LIMIT), LIMIT)
        units[:] = hidden_bias
        f = 0
        while f + 4 <= n_features:  # the units are loaded and stored a quarter as often
            a, b, c, d = values[f], values[f + 1], values[f + 2], values[f + 3]
            of_a, of_b, of_c, of_d = hidden[f], hidden[f + 1], hidden[f + 2], hidden[f + 3]
            for j in range(len(units)):
                units[j] += a * of_a[j] + b * of_b[j] + c * of_c[j] + d * of_d[j]
            f += 4
        for rest in range(f, n_features):
            for j in range(len(units)):
                units[j] += values[rest] * hidden[rest, j]
        total = bias
        for j in range(len(units)):
            total += max(units[j], np.float32(0)) * output[j]
        out[i] = total


@dataclass(frozen=True, eq=False)
class Net:
    """Standardise, one hidden layer of rectified units, one linear output; several nets side by side are one net.

    Parameters
    ----------
    mean, inverse : ndarray of float32, shape (n_features,)
        Of each feature, its mean and one over its standard deviation.
    hidden : ndarray of float32, shape (n_features, n_units)
    hidden_bias, output : ndarray of float32, shape (n_units,)
    bias : ndarray of float32, shape (1,)
    """

    mean: FloatArray
    inverse: FloatArray
    hidden: FloatArray
    hidden_bias: FloatArray
    output: FloatArray
    bias: FloatArray

    def decide(self, features: FloatArray) -> FloatArray:
        """Values of rows: (n_rows,)."""
        if features.shape[1] != len(self.mean):
            raise ValueError(f"features have {features.shape[1]} columns, the net takes {len(self.mean)}")
        out = np.empty(len(features), dtype=np.float32)
        _run(features, self.mean, self.inverse, self.hidden, self.hidden_bias, self.output, self.bias[0], out)
        return out

    def arrays(self, prefix: str) -> dict[str, NDArray[Any]]:
        """The arrays under the names that `from_arrays` reads."""
        return {f"{prefix}_{name}": getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], prefix: str) -> Self:
        """Get the net that `arrays` saved."""
        return cls(**{name: np.ascontiguousarray(arrays[f"{prefix}_{name}"]) for name in cls.__dataclass_fields__})
