"""Gradient-boosted trees over features of eight bits, evaluated for many rows at once.

The trees are scikit-learn's (``HistGradientBoosting*``), fitted on the codes of `Bins`. A row does not walk down its
tree, which a processor can't foresee: a tree of depth three is seven comparisons and seven choices for each of 128 rows
side by side, many to a register; one of depth four is fifteen. Trees that are not full are filled up with splits that
always go left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from pipeline.doc import FloatArray

Blocks = NDArray[np.uint8]

BLOCK = 128
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
    """Get room for the codes of rows: shape (n_blocks, n_features, BLOCK); behind the last row is anything."""
    return np.empty((-(-n_rows // BLOCK), n_features, BLOCK), dtype=np.uint8)


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
    near = np.zeros(3 * BLOCK, dtype=np.uint8)  # a column in a block and in those before and after
    for b in range(len(blocks)):
        for m in range(len(moves)):
            if m == 0 or moves[m, 0] != moves[m - 1, 0]:
                for k in range(max(1 - b, 0), min(len(blocks) + 1 - b, 3)):
                    own, part = blocks[b - 1 + k, moves[m, 0]], near[k * BLOCK :]
                    for at in range(BLOCK):
                        part[at] = own[at]
            moved, out = near[BLOCK + moves[m, 1] :], blocks[b, first + m]
            for at in range(BLOCK):
                out[at] = moved[at]
    for m in range(len(moves)):
        offset, to = moves[m, 1], first + m
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
    taken = np.empty(((len(rows) + BLOCK - 1) // BLOCK, n_features, BLOCK), dtype=np.uint8)
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
        out = np.empty((len(self.baseline), n_rows), dtype=np.float32)
        _evaluate(blocks, *self._trees, self.scale[0], self.baseline, out)
        return out.T

    @cached_property
    def _trees(self) -> tuple[NDArray[np.int16], NDArray[np.uint8], NDArray[np.int16]]:
        """Splits and thresholds, those of a whole tree in a row, and leaves, LANES a tree."""
        if not len(self.top_feature):
            unused = np.zeros((len(self.leaves), LANES - N_LEAVES), dtype=np.int16)
            return self.feature, self.threshold, np.concatenate([self.leaves, unused], axis=1)
        feature = np.concatenate([self.top_feature[:, None], self.feature.reshape(-1, 2 * N_SPLITS)], axis=1)
        threshold = np.concatenate([self.top_threshold[:, None], self.threshold.reshape(-1, 2 * N_SPLITS)], axis=1)
        return feature, threshold, self.leaves.reshape(-1, LANES)

    def arrays(self, prefix: str) -> dict[str, NDArray[Any]]:
        """The arrays under the names that `from_arrays` reads."""
        return {f"{prefix}_{name}": getattr(self, name) for name in _NAMES}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], prefix: str) -> Self:
        """Get the forest that `arrays` saved."""
        return cls(*(arrays[f"{prefix}_{name}"] for name in _NAMES))


_NAMES = ("feature", "threshold", "leaves", "top_feature", "top_threshold", "scale", "baseline")


_NUMBER, _BYTE, _SIZE = (ir.IntType(bits) for bits in (32, 8, 64))
_ROWS, _CODES = (ir.VectorType(_BYTE, n) for n in (BLOCK, LANES))
_SHORT, _WIDE = (ir.VectorType(ir.IntType(bits), LANES) for bits in (16, 32))


def _load(builder: Any, data: Any, first: Any, kind: Any) -> Any:
    """Get what stands in an array from `first` on."""
    return builder.load(builder.bitcast(builder.gep(data, [first]), kind.as_pointer()), align=1, typ=kind)


def _pick(builder: Any, vector: Any, lanes: Sequence[int]) -> Any:
    return builder.shuffle_vector(vector, vector, ir.Constant(ir.VectorType(_NUMBER, len(lanes)), list(lanes)))


def _find(builder: Any, values: Any, splits: tuple[Any, Any], split: int, leaf: int, depth: int) -> Any:
    """Get the numbers, from `leaf` on, of the leaves that the rows of a block reach from a split."""
    if depth == 0:
        return ir.Constant(_ROWS, [leaf] * BLOCK)
    column, limit = (builder.load(builder.gep(data, [_SIZE(split)])) for data in splits)
    limit = builder.insert_element(ir.Constant(_ROWS, ir.Undefined), limit, _NUMBER(0))
    own = _load(builder, values, builder.mul(builder.zext(column, _SIZE), _SIZE(BLOCK)), _ROWS)
    is_above = builder.icmp_unsigned(">", own, _pick(builder, limit, [0] * BLOCK))
    half = 1 << depth - 1
    right = _find(builder, values, splits, split + half, leaf + half, depth - 1)
    return builder.select(is_above, right, _find(builder, values, splits, split + 1, leaf, depth - 1))


def _look_up(builder: Any, leaves: Any, codes: Any) -> Any:
    """Get the leaves with the codes of LANES rows; LLVM finds the one instruction."""
    found = ir.Constant(_SHORT, ir.Undefined)
    for lane in map(_NUMBER, range(LANES)):
        code = builder.zext(builder.extract_element(codes, lane), _NUMBER)
        found = builder.insert_element(found, builder.extract_element(leaves, code), lane)
    return builder.sext(found, _WIDE)


def _make(depth: int) -> Any:
    """Get the function that adds up, for the rows of a block, the leaves of trees of a depth."""
    n_splits = (1 << depth) - 1

    @intrinsic  # type: ignore[untyped-decorator]
    def add_trees(
        _typing: Any, block: Any, feature: Any, threshold: Any, leaves: Any, first: Any, last: Any, total: Any
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            values, features, limits, table, sums = (
                context.make_array(signature.args[k])(context, builder, arguments[k]).data for k in (0, 1, 2, 3, 6)
            )
            parts = range(0, BLOCK, LANES)
            before = builder.block
            loop, after = (builder.append_basic_block(name) for name in ("trees", "added"))
            builder.branch(loop)
            builder.position_at_end(loop)
            # a tree's leaves are looked up a round late: LLVM knows the instruction for codes from elsewhere alone
            tree, own = builder.phi(_SIZE), builder.phi(_SHORT)
            codes, held = [builder.phi(_CODES) for _ in parts], [builder.phi(_WIDE) for _ in parts]
            added = [builder.add(sum_, _look_up(builder, own, code)) for sum_, code in zip(held, codes, strict=True)]
            known = builder.select(builder.icmp_signed("<", tree, arguments[5]), tree, arguments[4])
            at = builder.mul(known, _SIZE(n_splits))
            found = _find(builder, values, (builder.gep(features, [at]), builder.gep(limits, [at])), 0, 0, depth)
            leaves_of = _load(builder, table, builder.mul(known, _SIZE(LANES)), _SHORT)
            following = builder.add(tree, _SIZE(1))
            fresh = [_pick(builder, found, range(part, part + LANES)) for part in parts]
            builder.cbranch(builder.icmp_signed("<=", following, arguments[5]), loop, after)
            for phi, new in zip((tree, own, *codes, *held), (following, leaves_of, *fresh, *added), strict=True):
                phi.add_incoming(arguments[4] if phi is tree else ir.Constant(phi.type, None), before)
                phi.add_incoming(new, loop)
            builder.position_at_end(after)
            for part, new in zip(parts, added, strict=True):
                pointer = builder.bitcast(builder.gep(sums, [_SIZE(part)]), _WIDE.as_pointer())
                builder.store(new, pointer, align=4)
            return context.get_dummy_value()

        return types.void(block, feature, threshold, leaves, types.int64, types.int64, total), generate

    return add_trees


_add_flat, _add_deep = _make(3), _make(4)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _evaluate(
    blocks: Blocks,
    feature: NDArray[np.int16],
    threshold: NDArray[np.uint8],
    leaves: NDArray[np.int16],
    scale: float,
    baseline: NDArray[np.float64],
    out: FloatArray,
) -> None:
    """Fill `out`, shape (n_outputs, n_rows), with every row's values; the leaves are LANES a tree."""
    n_trees = len(leaves) // len(baseline)
    total = np.zeros(BLOCK, dtype=np.int32)
    for b in range(len(blocks)):
        for k in range(len(baseline)):
            first, last = k * n_trees, (k + 1) * n_trees
            if n_trees and feature.shape[1] > N_SPLITS:
                _add_deep(blocks[b], feature, threshold, leaves, first, last, total)
            elif n_trees:
                _add_flat(blocks[b], feature, threshold, leaves, first, last, total)
            own = out[k, b * BLOCK : (b + 1) * BLOCK]
            for row in range(len(own)):
                own[row] = total[row] * scale + baseline[k]


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
