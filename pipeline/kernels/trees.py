"""Gradient-boosted trees from plain arrays.

The trees are scikit-learn's (``HistGradientBoosting*``); a forest here is a handful of flat arrays, so that loading
needs no scikit-learn and evaluation no Python. Thresholds are float32, rounded down: for float32 features that decides
every comparison as the float64 threshold does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.doc import FloatArray, IntArray


@dataclass(frozen=True)
class Forest:
    """Boosted trees for one or several outputs.

    Parameters
    ----------
    feature : ndarray of int16, shape (n_nodes,)
        The feature a node compares; -1 at a leaf.
    threshold : ndarray of float32, shape (n_nodes,)
        Go left if the feature is not above it; at a leaf, the leaf's value.
    left : ndarray of int32, shape (n_nodes,)
        The left child; the right one follows it.
    roots : ndarray of int32, shape (n_outputs, n_trees)
    baseline : ndarray of float64, shape (n_outputs,)
    """

    feature: NDArray[np.int16]
    threshold: FloatArray
    left: IntArray
    roots: IntArray
    baseline: NDArray[np.float64]

    def decide(self, features: FloatArray) -> FloatArray:
        """Raw values before the link function.

        Parameters
        ----------
        features : ndarray of float32, shape (n_rows, n_features)
            Finite.

        Returns
        -------
        ndarray of float32, shape (n_rows, n_outputs)
        """
        out = np.empty((len(features), len(self.roots)), dtype=np.float32)
        _evaluate(features, self.feature, self.threshold, self.left, self.roots, self.baseline, out)
        return out

    def arrays(self, prefix: str) -> dict[str, NDArray[Any]]:
        """The arrays under the names that `from_arrays` reads."""
        names = ("feature", "threshold", "left", "roots", "baseline")
        return {f"{prefix}_{name}": getattr(self, name) for name in names}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], prefix: str) -> Self:
        """Get the forest that `arrays` saved."""
        return cls(*(arrays[f"{prefix}_{name}"] for name in ("feature", "threshold", "left", "roots", "baseline")))


@njit(cache=True, nogil=True)
def _evaluate(
    features: FloatArray,
    feature: NDArray[np.int16],
    threshold: FloatArray,
    left: IntArray,
    roots: IntArray,
    baseline: NDArray[np.float64],
    out: FloatArray,
) -> None:
    """Fill `out` with the sum of every row's leaves, tree by tree, after the baseline."""
    for row in range(len(features)):
        for k in range(len(roots)):
            total = baseline[k]
            for t in range(roots.shape[1]):
                node = roots[k, t]
                while feature[node] >= 0:
                    above = features[row, feature[node]] > threshold[node]
                    node = left[node] + np.int32(above)
                total += threshold[node]
            out[row, k] = total


def _round_down(values: NDArray[np.float64]) -> FloatArray:
    """The largest float32 not above each value."""
    nearest = values.astype(np.float32)
    return np.where(nearest > values, np.nextafter(nearest, np.float32(-np.inf)), nearest).astype(np.float32)


def _flatten(nodes: NDArray[Any], offset: int) -> tuple[NDArray[np.int16], FloatArray, IntArray]:
    """One scikit-learn tree's arrays, breadth first, children side by side, numbered from `offset`."""
    order, place = [0], {0: 0}
    for node in order:  # grows while it is read
        if not nodes["is_leaf"][node]:
            for child in (int(nodes["left"][node]), int(nodes["right"][node])):
                place[child] = len(order)
                order.append(child)
    rows = nodes[order]
    leaf = rows["is_leaf"].astype(bool)
    feature = np.where(leaf, -1, rows["feature_idx"]).astype(np.int16)
    threshold = np.where(leaf, rows["value"].astype(np.float32), _round_down(rows["num_threshold"]))
    left = [0 if is_leaf else place[int(child)] + offset for is_leaf, child in zip(leaf, rows["left"], strict=True)]
    return feature, threshold.astype(np.float32), np.array(left, dtype=np.int32)


def forest_of(model: Any) -> Forest:
    """Get the arrays of a fitted ``HistGradientBoostingClassifier`` or ``...Regressor`` without categories.

    Parameters
    ----------
    model : estimator of scikit-learn
        Fitted on finite float32 features.
    """
    features, thresholds, lefts = [], [], []
    trees = model._predictors  # scikit-learn has no public view of its trees
    roots = np.zeros((len(trees[0]), len(trees)), dtype=np.int32)
    n_nodes = 0
    for t, stage in enumerate(trees):
        for k, tree in enumerate(stage):
            roots[k, t] = n_nodes
            feature, threshold, left = _flatten(tree.nodes, n_nodes)
            n_nodes += len(feature)
            features.append(feature)
            thresholds.append(threshold)
            lefts.append(left)
    return Forest(
        np.concatenate(features),
        np.concatenate(thresholds),
        np.concatenate(lefts),
        roots,
        np.asarray(model._baseline_prediction, dtype=np.float64).reshape(-1),
    )
