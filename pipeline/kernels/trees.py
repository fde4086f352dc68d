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
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from pipeline.doc import FloatArray

Blocks = NDArray[np.uint8]

BLOCK = 256
"""Rows that are evaluated side by side."""
LANES = 16
"""Rows whose leaves are looked up at once: as many as a tree of depth four has leaves."""
N_CELLS = 1024
"""Steps into which a feature's range is divided before cells share a code."""
N_SPLITS, N_LEAVES = 7, 8
"""Of a tree of depth three; in the order of `_order`."""
OUTSIDE = np.float32(-29.0)
"""Features up to here stand for what is beyond the document; they have a code of their own, 0."""


def new_blocks(n_rows: int, n_features: int) -> Blocks:
    """Get room for the codes of rows: shape (n_blocks, n_features, BLOCK)."""
    return np.zeros((-(-n_rows // BLOCK), n_features, BLOCK), dtype=np.uint8)


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

    def fill(self, blocks: Blocks, parts: Sequence[FloatArray], first: int = 0) -> int:
        """Write the codes of features from the column `first` on; get the next column.

        Parameters
        ----------
        blocks : ndarray of uint8, shape (n_blocks, n_columns, BLOCK)
            As `new_blocks` has them.
        parts : sequence of ndarray of float32, each of shape (n_rows, n)
            The features, side by side.
        first : int
        """
        n = 0
        for part in parts:
            own = slice(n, n + part.shape[1])
            fill_blocks(part, self.low[own], self.scale[own], self.codes[own], blocks, first + n)
            n += part.shape[1]
        return first + n

    def code(self, features: FloatArray) -> Blocks:
        """Get the codes of features, shape (n_rows, n_features), in blocks."""
        blocks = new_blocks(len(features), len(self.low))
        self.fill(blocks, [features])
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
    one, top = np.float32(1), np.float32(N_CELLS - 1)
    n_columns = features.shape[1]
    cells = np.empty((BLOCK, n_columns), dtype=np.uint16)
    for b in range(len(blocks)):
        rows = features[b * BLOCK : (b + 1) * BLOCK]
        for at in range(len(rows)):  # a row at a time: many cells to a register
            for j in range(n_columns):
                value = rows[at, j]
                cell = np.int32(min(max((value - low[j]) * scale[j] + one, one), top))
                cells[at, j] = 0 if value <= OUTSIDE else cell
        for j in range(n_columns):  # a feature at a time: what is written lies side by side
            codes_of, out = codes[j], blocks[b, first + j]
            for at in range(len(rows)):
                out[at] = codes_of[cells[at, j]]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def move_codes(blocks: Blocks, moves: NDArray[np.int64], bounds: NDArray[np.int64], first: int) -> None:
    """Write what codes stand some rows before or after, within the same document.

    Parameters
    ----------
    blocks : ndarray of uint8, shape (n_blocks, n_columns, BLOCK)
    moves : ndarray of int64, shape (n_moves, 2)
        A column, and how many rows further on it is looked at; -1 is the row before. Fewer than BLOCK.
    bounds : ndarray of int64, shape (n_docs + 1,)
        The rows of each document.
    first : int
        The column that receives the first of the moves. Beyond the document the code is 0, as for `OUTSIDE`.
    """
    for m in range(len(moves)):
        column, offset, to = moves[m, 0], moves[m, 1], first + m
        cut = offset % BLOCK  # from here on, a block's rows come to stand at the beginning of one
        for b in range(len(blocks)):
            source = b + (offset - cut) // BLOCK
            if source >= 0:
                blocks[b, to, : BLOCK - cut] = blocks[source, column, cut:]
            if cut and source + 1 < len(blocks):
                blocks[b, to, BLOCK - cut :] = blocks[source + 1, column, :cut]
        for d in range(len(bounds) - 1):
            begin = bounds[d] if offset < 0 else max(bounds[d], bounds[d + 1] - offset)
            end = min(bounds[d + 1], bounds[d] - offset) if offset < 0 else bounds[d + 1]
            for row in range(begin, end):
                blocks[row // BLOCK, to, row % BLOCK] = 0


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def take_rows(blocks: Blocks, rows: NDArray[np.int64]) -> Blocks:
    """Get the codes of some rows in blocks of their own."""
    n_features = blocks.shape[1]
    codes = blocks.ravel()
    taken = np.zeros(((len(rows) + BLOCK - 1) // BLOCK, n_features, BLOCK), dtype=np.uint8)
    places = np.empty(BLOCK, dtype=np.uint64)  # of the rows' first features
    for b in range(len(taken)):
        own = rows[b * BLOCK : (b + 1) * BLOCK]
        for at in range(len(own)):
            places[at] = own[at] // BLOCK * n_features * BLOCK + own[at] % BLOCK
        for j in range(n_features):
            for at in range(len(own)):
                taken[b, j, at] = codes[places[at] + np.uint64(j * BLOCK)]
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
        own = self.leaves.reshape(-1, LANES if len(self.top_feature) else N_LEAVES)
        leaves = np.zeros((len(own), LANES), dtype=np.int16)  # in a tree of depth three, half of them are not used
        leaves[:, : own.shape[1]] = own
        _evaluate(blocks, self.feature, self.threshold, leaves, self.top_feature, self.top_threshold, sums)
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


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _find_leaves(block: Any, feature: Any, threshold: Any, out: NDArray[np.uint8]) -> None:
    """Fill `out` with the number of every row's leaf in a part."""
    f0, f1, f2, f3 = block[feature[0]], block[feature[1]], block[feature[2]], block[feature[3]]
    f4, f5, f6 = block[feature[4]], block[feature[5]], block[feature[6]]
    t0, t1, t2, t3 = threshold[0], threshold[1], threshold[2], threshold[3]
    t4, t5, t6 = threshold[4], threshold[5], threshold[6]
    for row in range(BLOCK):
        a = np.uint8(1) if f2[row] > t2 else np.uint8(0)
        b = np.uint8(3) if f3[row] > t3 else np.uint8(2)
        c = np.uint8(5) if f5[row] > t5 else np.uint8(4)
        d = np.uint8(7) if f6[row] > t6 else np.uint8(6)
        left = b if f1[row] > t1 else a
        right = d if f4[row] > t4 else c
        out[row] = right if f0[row] > t0 else left


@intrinsic  # type: ignore[untyped-decorator]
def _add_leaves(_typing: Any, total: Any, leaves: Any, codes: Any, _first: Any) -> Any:
    """Add the leaves with the `codes` of LANES rows, from `first` on, to `total`: LLVM finds the one instruction."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def point(k: int, kind: Any, first: Any) -> Any:
            view = context.make_array(signature.args[k])(context, builder, arguments[k])
            return builder.bitcast(builder.gep(view.data, [first]), kind.as_pointer())

        number = ir.IntType(32)
        wide, short, byte = (ir.VectorType(ir.IntType(bits), LANES) for bits in (32, 16, 8))
        sums = point(0, wide, arguments[3])
        table = builder.load(point(1, short, number(0)), align=2, typ=short)
        rows = builder.load(point(2, byte, arguments[3]), align=1, typ=byte)
        found = ir.Constant(short, ir.Undefined)
        for lane in map(number, range(LANES)):
            code = builder.zext(builder.extract_element(rows, lane), number)
            found = builder.insert_element(found, builder.extract_element(table, code), lane)
        added = builder.add(builder.load(sums, align=4, typ=wide), builder.sext(found, wide))
        builder.store(added, sums, align=4)
        return context.get_dummy_value()

    return types.void(total, leaves, codes, types.int64), generate


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
    """Add every row's leaves, LANES in a tree, to `sums`, shape (n_outputs, n_blocks, BLOCK)."""
    is_deep = len(top_feature) > 0
    n_trees = len(leaves) // len(sums)
    codes, right = np.empty(BLOCK, dtype=np.uint8), np.empty(BLOCK, dtype=np.uint8)
    for b in range(len(blocks)):
        block = blocks[b]
        for k in range(len(sums)):
            total = sums[k, b]
            for t in range(k * n_trees, (k + 1) * n_trees):
                if is_deep:
                    _find_leaves(block, feature[2 * t], threshold[2 * t], codes)
                    _find_leaves(block, feature[2 * t + 1], threshold[2 * t + 1], right)
                    values, limit = block[top_feature[t]], top_threshold[t]
                    for row in range(BLOCK):
                        low, high = codes[row], right[row] + np.uint8(N_LEAVES)  # both, for a choice without a branch
                        codes[row] = high if values[row] > limit else low
                else:
                    _find_leaves(block, feature[t], threshold[t], codes)
                for row in range(0, BLOCK, LANES):
                    _add_leaves(total, leaves[t], codes, row)


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
