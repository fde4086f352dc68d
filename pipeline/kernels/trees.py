"""Gradient-boosted trees over features of eight bits, evaluated for many rows at once.

The trees are scikit-learn's (``HistGradientBoosting*``), fitted on the codes of `Bins`. A row does not walk down its
tree, which a processor can't foresee: a tree of depth three is seven comparisons and seven choices for each of 256 rows
side by side, many to a register; one of depth four is two of these under a root. Trees that are not full are filled up
with splits that always go left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.doc import FloatArray

Blocks = NDArray[np.uint8]

BLOCK = 256
"""Rows that are evaluated side by side."""
N_CELLS = 1024
"""Steps into which a feature's range is divided before cells share a code."""
N_SPLITS, N_LEAVES = 7, 8
"""Of a tree of depth three; in the order of `_order`."""
OUTSIDE = np.float32(-29.0)
"""Features up to here stand for what is beyond the document; they have a code of their own, 0."""


@dataclass(frozen=True)
class Bins:
    """How features become codes of eight bits.

    Parameters
    ----------
    low, scale : ndarray of float32, shape (n_features,)
        A feature's cell is ``(value - low) * scale + 1``, cut off at 1 and N_CELLS - 1.
    codes : ndarray of uint8, shape (n_features, N_CELLS)
        The code of each cell; cell 0 is that of `OUTSIDE`.
    """

    low: FloatArray
    scale: FloatArray
    codes: NDArray[np.uint8]

    def new_blocks(self, n_rows: int) -> Blocks:
        """Get room for the codes of rows: shape (n_blocks, n_features, BLOCK)."""
        return np.zeros((-(-n_rows // BLOCK), len(self.low), BLOCK), dtype=np.uint8)

    def fill(self, blocks: Blocks, features: FloatArray, first: int = 0) -> int:
        """Write the codes of features, shape (n_rows, n_columns), from the column `first` on; get the next column."""
        last = first + int(features.shape[1])
        fill_blocks(features, self.low[first:last], self.scale[first:last], self.codes[first:last], blocks, first)
        return last

    def code(self, features: FloatArray) -> Blocks:
        """Get the codes of features, shape (n_rows, n_features), in blocks."""
        blocks = self.new_blocks(len(features))
        self.fill(blocks, features)
        return blocks

    def arrays(self, prefix: str) -> dict[str, NDArray[Any]]:
        """The arrays under the names that `from_arrays` reads."""
        return {f"{prefix}_{name}": getattr(self, name) for name in ("low", "scale", "codes")}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], prefix: str) -> Self:
        """Get the bins that `arrays` saved."""
        return cls(*(arrays[f"{prefix}_{name}"] for name in ("low", "scale", "codes")))


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def fill_blocks(
    features: FloatArray, low: FloatArray, scale: FloatArray, codes: NDArray[np.uint8], blocks: Blocks, first: int
) -> None:
    """Write the codes of features into blocks; see `Bins`."""
    top = np.float32(N_CELLS - 1)
    for b in range(len(blocks)):
        n_rows = min(BLOCK, len(features) - b * BLOCK)
        for j in range(features.shape[1]):  # a feature at a time: what is written lies side by side
            codes_of, out = codes[j], blocks[b, first + j]
            for at in range(n_rows):
                value = features[b * BLOCK + at, j]
                cell = min(max((value - low[j]) * scale[j] + np.float32(1), np.float32(1)), top)
                out[at] = codes_of[0 if value <= OUTSIDE else np.int32(cell)]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def take_rows(blocks: Blocks, rows: NDArray[np.int64]) -> Blocks:
    """Get the codes of some rows in blocks of their own."""
    taken = np.zeros(((len(rows) + BLOCK - 1) // BLOCK, blocks.shape[1], BLOCK), dtype=np.uint8)
    for b in range(len(taken)):
        own = rows[b * BLOCK : (b + 1) * BLOCK]
        for j in range(blocks.shape[1]):
            for at in range(len(own)):
                taken[b, j, at] = blocks[own[at] // BLOCK, j, own[at] % BLOCK]
    return taken


def rows_of_blocks(blocks: Blocks, n_rows: int) -> FloatArray:
    """Get codes as rows again, shape (n_rows, n_features): what scikit-learn fits on."""
    rows = blocks.transpose(0, 2, 1).reshape(-1, blocks.shape[1])[:n_rows]
    return np.ascontiguousarray(rows, dtype=np.float32)


@dataclass(frozen=True)
class Forest:
    """Boosted trees for one or several outputs.

    Parameters
    ----------
    feature : ndarray of int16, shape (n_parts, N_SPLITS)
        The features that a part compares: root, left child, its children, right child, its children.
    threshold : ndarray of uint8, shape (n_parts, N_SPLITS)
        Go left if the code is not above it.
    leaves : ndarray of int16, shape (n_parts, N_LEAVES)
        From left to right.
    top_feature : ndarray of int16, shape (n_trees,)
    top_threshold : ndarray of uint8, shape (n_trees,)
        The roots of trees of depth four, each above two parts; empty where each part is a tree.
    scale : ndarray of float64, shape (1,)
        What a leaf is multiplied with.
    baseline : ndarray of float64, shape (n_outputs,)
        Trees stand output by output, as many for each.
    """

    feature: NDArray[np.int16]
    threshold: NDArray[np.uint8]
    leaves: NDArray[np.int16]
    top_feature: NDArray[np.int16]
    top_threshold: NDArray[np.uint8]
    scale: NDArray[np.float64]
    baseline: NDArray[np.float64]

    def decide(self, blocks: Blocks, n_rows: int) -> FloatArray:
        """Raw values before the link function.

        Parameters
        ----------
        blocks : ndarray of uint8, shape (n_blocks, n_features, BLOCK)
            Codes, as `Bins` gives them.
        n_rows : int

        Returns
        -------
        ndarray of float32, shape (n_rows, n_outputs)
        """
        sums = np.zeros((len(self.baseline), len(blocks), BLOCK), dtype=np.int32)
        _evaluate(blocks, self.feature, self.threshold, self.leaves, self.top_feature, self.top_threshold, sums)
        values = sums.reshape(len(self.baseline), -1)[:, :n_rows].T * self.scale + self.baseline
        return np.ascontiguousarray(values, dtype=np.float32)

    def arrays(self, prefix: str) -> dict[str, NDArray[Any]]:
        """The arrays under the names that `from_arrays` reads."""
        return {f"{prefix}_{name}": getattr(self, name) for name in _NAMES}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], prefix: str) -> Self:
        """Get the forest that `arrays` saved."""
        return cls(*(arrays[f"{prefix}_{name}"] for name in _NAMES))


_NAMES = ("feature", "threshold", "leaves", "top_feature", "top_threshold", "scale", "baseline")


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _evaluate_part(block: Any, feature: Any, threshold: Any, leaves: Any, out: NDArray[np.int16]) -> None:
    """Fill `out` with the leaf of every row of a block in a part."""
    f0, f1, f2, f3 = block[feature[0]], block[feature[1]], block[feature[2]], block[feature[3]]
    f4, f5, f6 = block[feature[4]], block[feature[5]], block[feature[6]]
    t0, t1, t2, t3 = threshold[0], threshold[1], threshold[2], threshold[3]
    t4, t5, t6 = threshold[4], threshold[5], threshold[6]
    v0, v1, v2, v3 = leaves[0], leaves[1], leaves[2], leaves[3]
    v4, v5, v6, v7 = leaves[4], leaves[5], leaves[6], leaves[7]
    for row in range(BLOCK):
        a = v1 if f2[row] > t2 else v0
        b = v3 if f3[row] > t3 else v2
        c = v5 if f5[row] > t5 else v4
        d = v7 if f6[row] > t6 else v6
        left = b if f1[row] > t1 else a
        right = d if f4[row] > t4 else c
        out[row] = right if f0[row] > t0 else left


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _evaluate(
    blocks: Blocks,
    feature: NDArray[np.int16],
    threshold: NDArray[np.uint8],
    leaves: NDArray[np.int16],
    top_feature: NDArray[np.int16],
    top_threshold: NDArray[np.uint8],
    sums: NDArray[np.int32],
) -> None:
    """Add every row's leaves to `sums`, shape (n_outputs, n_blocks, BLOCK)."""
    is_deep = len(top_feature) > 0
    n_trees = (len(top_feature) if is_deep else len(feature)) // len(sums)
    left, right = np.empty(BLOCK, dtype=np.int16), np.empty(BLOCK, dtype=np.int16)
    for b in range(len(blocks)):
        block = blocks[b]
        for k in range(len(sums)):
            total = sums[k, b]
            for t in range(k * n_trees, (k + 1) * n_trees):
                if is_deep:
                    _evaluate_part(block, feature[2 * t], threshold[2 * t], leaves[2 * t], left)
                    _evaluate_part(block, feature[2 * t + 1], threshold[2 * t + 1], leaves[2 * t + 1], right)
                    values, limit = block[top_feature[t]], top_threshold[t]
                    for row in range(BLOCK):
                        total[row] += right[row] if values[row] > limit else left[row]
                else:
                    _evaluate_part(block, feature[t], threshold[t], leaves[t], left)
                    for row in range(BLOCK):
                        total[row] += left[row]


def _order(nodes: NDArray[Any], node: int, depth: int) -> tuple[list[tuple[int, int]], list[float]]:
    """Get a subtree's splits (feature, code) before its children's, and its leaves, filled up to `depth`."""
    if depth == 0:
        if not nodes["is_leaf"][node]:
            raise ValueError("a tree is deeper than it may be; fit with max_depth=4 at most")
        return [], [float(nodes["value"][node])]
    if nodes["is_leaf"][node]:
        splits, leaves = _order(nodes, node, depth - 1)
        return [(0, 255), *splits, *splits], leaves * 2
    left_splits, left = _order(nodes, int(nodes["left"][node]), depth - 1)
    right_splits, right = _order(nodes, int(nodes["right"][node]), depth - 1)
    own = (int(nodes["feature_idx"][node]), int(np.clip(np.floor(nodes["num_threshold"][node]), 0, 255)))
    return [own, *left_splits, *right_splits], left + right


def forest_of(*models: Any) -> Forest:
    """Get the forest that gives the mean of fitted models' values.

    Parameters
    ----------
    models : ``HistGradientBoostingClassifier`` or ``...Regressor`` without categories
        Fitted on codes, ``max_depth`` 3 or 4, all alike.

    Raises
    ------
    ValueError
        If a tree is deeper than four.
    """
    depth = 4 if any(tree.get_max_depth() > 3 for model in models for stage in _trees(model) for tree in stage) else 3
    n_outputs = len(_trees(models[0])[0])
    parts: list[tuple[list[tuple[int, int]], list[float]]] = []
    tops: list[tuple[int, int]] = []
    for k in range(n_outputs):
        for model in models:
            for stage in _trees(model):
                splits, leaves = _order(stage[k].nodes, 0, depth)
                if depth == 4:
                    tops.append(splits.pop(0))
                for i in range(0, len(splits), N_SPLITS):
                    at = i // N_SPLITS * N_LEAVES
                    parts.append((splits[i : i + N_SPLITS], leaves[at : at + N_LEAVES]))
    values = np.array([leaves for _, leaves in parts]) / len(models)
    scale = max(float(np.abs(values).max()), 1e-9) / 32767
    splits_of = np.array([splits for splits, _ in parts]).reshape(-1, N_SPLITS, 2)
    top = np.array(tops, dtype=np.int64).reshape(-1, 2)
    baselines = [np.asarray(model._baseline_prediction, dtype=np.float64).reshape(-1) for model in models]
    return Forest(
        splits_of[:, :, 0].astype(np.int16),
        splits_of[:, :, 1].astype(np.uint8),
        np.rint(values / scale).astype(np.int16),
        top[:, 0].astype(np.int16),
        top[:, 1].astype(np.uint8),
        np.array([scale]),
        np.mean(baselines, axis=0),
    )


def _trees(model: Any) -> Sequence[Sequence[Any]]:
    """Get a model's trees, stage by stage, one an output; scikit-learn has no public view of them."""
    trees: Sequence[Sequence[Any]] = model._predictors
    return trees
