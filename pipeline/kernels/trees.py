"""Gradient-boosted trees from plain arrays.

The trees are scikit-learn's (``HistGradientBoosting*``); a forest here is a handful of flat arrays, so that loading
needs no scikit-learn and evaluation no Python. Thresholds are float32, rounded down: for float32 features that decides
every comparison as the float64 threshold does.

A row does not walk down each tree, which a processor can't foresee. Every split is tested for a block of rows at once,
and strikes out the leaves that it makes unreachable; of what is left, the leftmost leaf is the one (Lucchese et al.,
QuickScorer, SIGIR 2015, section 3, with the rows of a block side by side as in its vectorised successor of 2016).
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

MAX_LEAVES = 32
BLOCK = 64
"""Rows that are evaluated side by side."""
GROUP = 64
"""Trees whose reachable leaves are held at a time: GROUP * BLOCK * 4 bytes stay in the first-level cache."""


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
        splits = self._splits
        _evaluate(
            features,
            splits.feature,
            splits.threshold,
            splits.tree,
            splits.keep,
            splits.bounds,
            splits.leaves,
            self.baseline,
            out,
        )
        return out

    @cached_property
    def _splits(self) -> _Splits:
        return _list_splits(self)

    def arrays(self, prefix: str) -> dict[str, NDArray[Any]]:
        """The arrays under the names that `from_arrays` reads."""
        names = ("feature", "threshold", "left", "roots", "baseline")
        return {f"{prefix}_{name}": getattr(self, name) for name in names}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], prefix: str) -> Self:
        """Get the forest that `arrays` saved."""
        return cls(*(arrays[f"{prefix}_{name}"] for name in ("feature", "threshold", "left", "roots", "baseline")))


@dataclass(frozen=True)
class _Splits:
    """A forest as its splits, in the order in which they are tested: groups of trees, in each by feature.

    Parameters
    ----------
    feature : ndarray of int32, shape (n_splits,)
    threshold : ndarray of float32, shape (n_splits,)
    tree : ndarray of int32, shape (n_splits,)
        Which tree of the group a split belongs to.
    keep : ndarray of uint32, shape (n_splits,)
        The leaves, as bits, that stay reachable where the feature is above the threshold.
    bounds : ndarray of int64, shape (n_groups + 1,)
        Where each group's splits begin.
    leaves : ndarray of float32, shape (n_trees, MAX_LEAVES)
        Values from left to right; trees output by output.
    """

    feature: IntArray
    threshold: FloatArray
    tree: IntArray
    keep: NDArray[np.uint32]
    bounds: NDArray[np.int64]
    leaves: FloatArray


def _list_splits(forest: Forest) -> _Splits:
    """Get a forest's splits.

    Raises
    ------
    ValueError
        If a tree has more than MAX_LEAVES leaves.
    """
    rows: list[tuple[int, int, float, int, int]] = []
    leaves = np.zeros((forest.roots.size, MAX_LEAVES), dtype=np.float32)
    for tree, root in enumerate(forest.roots.ravel().tolist()):
        n_leaves = 0

        def walk(node: int, tree: int = tree) -> int:
            """Number a subtree's leaves from left to right; get their bits."""
            nonlocal n_leaves
            if forest.feature[node] < 0:
                if n_leaves == MAX_LEAVES:
                    raise ValueError(f"a tree has more than {MAX_LEAVES} leaves; fit with max_leaf_nodes={MAX_LEAVES}")
                leaves[tree, n_leaves] = forest.threshold[node]
                n_leaves += 1
                return 1 << (n_leaves - 1)
            left = walk(int(forest.left[node]))
            right = walk(int(forest.left[node]) + 1)
            group, feature = tree // GROUP, int(forest.feature[node])
            rows.append((group, feature, float(forest.threshold[node]), tree % GROUP, ~left & 0xFFFFFFFF))
            return left | right

        walk(root)
    rows.sort()
    columns = list(zip(*rows, strict=True)) or [()] * 5
    n_groups = -(-forest.roots.size // GROUP)
    return _Splits(
        np.array(columns[1], dtype=np.int32),
        np.array(columns[2], dtype=np.float32),
        np.array(columns[3], dtype=np.int32),
        np.array(columns[4], dtype=np.uint32),
        np.searchsorted(np.array(columns[0], dtype=np.int64), np.arange(n_groups + 1)).astype(np.int64),
        leaves,
    )


_LOWEST_BIT = np.zeros(32, dtype=np.int32)
_LOWEST_BIT[[(0x077CB531 << i & 0xFFFFFFFF) >> 27 for i in range(32)]] = np.arange(32)
"""Index of a number's only bit, by the product with a de Bruijn sequence."""


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _evaluate(
    features: FloatArray,
    feature: IntArray,
    threshold: FloatArray,
    tree: IntArray,
    keep: NDArray[np.uint32],
    bounds: NDArray[np.int64],
    leaves: FloatArray,
    baseline: NDArray[np.float64],
    out: FloatArray,
) -> None:
    """Fill `out` with the sum of every row's leaves, tree by tree, after the baseline."""
    n_rows, n_features = features.shape
    n_outputs = len(baseline)
    n_trees = len(leaves) // n_outputs
    block = np.empty((n_features, BLOCK), dtype=np.float32)
    alive = np.empty((GROUP, BLOCK), dtype=np.uint32)
    totals = np.empty((n_outputs, BLOCK), dtype=np.float64)
    for first in range(0, n_rows, BLOCK):
        n = min(BLOCK, n_rows - first)
        for row in range(n):
            for j in range(n_features):
                block[j, row] = features[first + row, j]
        for row in range(n, BLOCK):
            block[:, row] = 0
        for k in range(n_outputs):
            totals[k] = baseline[k]
        for group in range(len(bounds) - 1):
            alive[:] = np.uint32(0xFFFFFFFF)
            for i in range(bounds[group], bounds[group + 1]):
                values, left, mask, limit = block[feature[i]], alive[tree[i]], keep[i], threshold[i]
                for row in range(BLOCK):
                    left[row] &= mask if values[row] > limit else np.uint32(0xFFFFFFFF)
            for t in range(group * GROUP, min(len(leaves), (group + 1) * GROUP)):
                total, left, values = totals[t // n_trees], alive[t - group * GROUP], leaves[t]
                for row in range(BLOCK):
                    lowest = left[row] & (~left[row] + np.uint32(1))
                    total[row] += values[_LOWEST_BIT[np.uint32(lowest * np.uint32(0x077CB531)) >> np.uint32(27)]]
        for row in range(n):
            for k in range(n_outputs):
                out[first + row, k] = totals[k, row]


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
