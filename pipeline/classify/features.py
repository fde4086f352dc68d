"""The numbers that the trees see of every line: its own look and score, its place, its neighbours.

Two rounds use them: the first sees the n-gram scores of the line and its neighbours, the second also sees what the
first round said of the whole document.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.classify.table import Table
from pipeline.doc import KINDS, FloatArray
from pipeline.kernels.shape import (
    CHAR_CLASSES,
    OUTSIDE,
    POSITION_NAMES,
    SHAPE_NAMES,
    describe_spans,
    place_lines,
    smooth_columns,
)
from pipeline.kernels.trees import Bins, Blocks, move_codes, new_blocks

Bounds = NDArray[np.int64]

LEAD, REST = ("boilerplate", "title", "body"), ("heading", "caption", "code", *KINDS)
"""What the n-gram models score a line for, each against all others: every line, and those that are not plain."""
OUTPUTS = (*LEAD, *REST)
FIRST_KIND = OUTPUTS.index(KINDS[0])

NEAR, NEXT = (-4, -3, -2, -1, 1, 2, 3, 4), (-2, -1, 1, 2)
ENDS_STOP = SHAPE_NAMES.index("ends_stop")
_SHAPES_AROUND = tuple(SHAPE_NAMES.index(name) for name in ("log_chars", "ends_stop", "bar", "space", "digit"))
_SCORES = len(SHAPE_NAMES) + len(POSITION_NAMES)
_N_SCORES = len(OUTPUTS)
_KINDS = _SCORES + FIRST_KIND


def _moves(*groups: tuple[Iterable[int], Sequence[int]]) -> NDArray[np.int64]:
    """Every column of a group, as it is at every offset of the group."""
    return np.array([(column, offset) for columns, offsets in groups for column in columns for offset in offsets])


FIRST_MOVES = _moves(
    ([_SCORES], NEAR),
    (_SHAPES_AROUND[:2], NEAR),
    (_SHAPES_AROUND[2:], NEXT),
    (range(_SCORES + 1, _SCORES + _N_SCORES), (-1, 1)),
    (range(_KINDS, _SCORES + _N_SCORES), (-2, 2)),
)
"""Which columns of the first round are also seen at which lines around: rows of column and offset."""
N_FIRST = _SCORES + 3 * _N_SCORES + 4 * (1 + len(_SHAPES_AROUND)) + len(FIRST_MOVES)
SECOND_MOVES = _moves(([N_FIRST], NEAR))
N_SECOND = 7 + len(SECOND_MOVES)


def shape_of(table: Table) -> FloatArray:
    """Shape of every line: (n_lines, len(SHAPE_NAMES))."""
    out = np.empty((len(table.lines), len(SHAPE_NAMES)), dtype=np.float32)
    describe_spans(table.points, table.lines, CHAR_CLASSES, out)
    return out


def place_of(table: Table, shape: FloatArray) -> FloatArray:
    """Place of every line: (n_lines, len(POSITION_NAMES))."""
    out = np.empty((len(table.lines), len(POSITION_NAMES)), dtype=np.float32)
    ends_stop = np.ascontiguousarray(shape[:, ENDS_STOP])
    place_lines(table.folded, table.lines, table.line_bounds, ends_stop, out)
    return out


def smoothed(values: FloatArray, bounds: Bounds, decays: Sequence[float], outside: np.float32 = OUTSIDE) -> FloatArray:
    """Running means before and after by each decay, or `outside`: (n_lines, 2 * n_columns * n_decays)."""
    out = np.empty((len(values), 2 * values.shape[1] * len(decays)), dtype=np.float32)
    smooth_columns(np.ascontiguousarray(values), bounds, np.array(decays), outside, out)
    return out


def first_round(table: Table, shape: FloatArray, scores: FloatArray) -> list[FloatArray]:
    """Features of the first round, in parts side by side; FIRST_MOVES tells what else it sees.

    Parameters
    ----------
    table : Table
    shape : ndarray of float32, shape (n_lines, len(SHAPE_NAMES))
        As `shape_of` gives it.
    scores : ndarray of float32, shape (n_lines, len(OUTPUTS))
        N-gram scores.

    Returns
    -------
    list of ndarray of float32, each of shape (n_lines, n_columns)
    """
    bounds = table.line_bounds
    own = np.stack([scores[:, 0], *(shape[:, column] for column in _SHAPES_AROUND)], axis=1)
    return [
        shape,
        place_of(table, shape),
        scores,
        smoothed(scores, bounds, [0.8]),
        smoothed(own, bounds, [0.5, 1.0]),
    ]


def second_round(table: Table, logits: FloatArray) -> list[FloatArray]:
    """Features that the second round sees besides those of the first; SECOND_MOVES tells of further ones.

    Parameters
    ----------
    table : Table
    logits : ndarray of float32, shape (n_lines, 1)
        The first round's raw values.

    Returns
    -------
    list of ndarray of float32, each of shape (n_lines, n_columns)
    """
    return [logits, smoothed(logits, table.line_bounds, [0.5, 0.8, 1.0])]


def code_first(bins: Bins, table: Table, shape: FloatArray, scores: FloatArray) -> Blocks:
    """Get codes of what the first round sees, with room for what the second sees besides; arguments as there."""
    blocks = new_blocks(len(scores), N_FIRST + N_SECOND)
    n_known = bins.fill(blocks, first_round(table, shape, scores))
    move_codes(blocks, FIRST_MOVES, table.line_bounds, n_known)
    return blocks


def code_second(bins: Bins, blocks: Blocks, table: Table, logits: FloatArray) -> None:
    """Write codes of what the second round sees besides, behind those of the first."""
    n_known = bins.fill(blocks, second_round(table, logits), N_FIRST)
    move_codes(blocks, SECOND_MOVES, table.line_bounds, n_known)
