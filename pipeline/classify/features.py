"""The numbers that the trees see of every line: its own look and score, its place, its neighbours.

Two rounds use them: the first sees the n-gram scores of the line and its neighbours, the second also sees what the
first round said of the whole document.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.classify.table import Table
from pipeline.doc import ROLES, FloatArray
from pipeline.kernels.shape import (
    CHAR_CLASSES,
    POSITION_NAMES,
    SHAPE_NAMES,
    describe_spans,
    place_lines,
    shift_columns,
    smooth_columns,
)

Bounds = NDArray[np.int64]

NEAR = np.array([-4, -3, -2, -1, 1, 2, 3, 4], dtype=np.int64)
NEXT = np.array([-2, -1, 1, 2], dtype=np.int64)
ENDS_STOP = SHAPE_NAMES.index("ends_stop")
_SHAPES_AROUND = tuple(SHAPE_NAMES.index(name) for name in ("log_chars", "ends_stop", "bar", "space", "digit"))


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


def shifted(values: FloatArray, bounds: Bounds, offsets: NDArray[np.int64]) -> FloatArray:
    """What stands `offsets` lines away: (n_lines, n_columns * n_offsets)."""
    out = np.empty((len(values), values.shape[1] * len(offsets)), dtype=np.float32)
    shift_columns(np.ascontiguousarray(values), bounds, offsets, out)
    return out


def smoothed(values: FloatArray, bounds: Bounds, decay: float) -> FloatArray:
    """Running means before and after: (n_lines, 2 * n_columns)."""
    out = np.empty((len(values), 2 * values.shape[1]), dtype=np.float32)
    smooth_columns(np.ascontiguousarray(values), bounds, decay, out)
    return out


def first_round(table: Table, shape: FloatArray, scores: FloatArray) -> list[FloatArray]:
    """Features of the first round, in parts side by side.

    Parameters
    ----------
    table : Table
    shape : ndarray of float32, shape (n_lines, len(SHAPE_NAMES))
        As `shape_of` gives it.
    scores : ndarray of float32, shape (n_lines, n_outputs)
        N-gram scores; the first column is boilerplate against the rest.

    Returns
    -------
    list of ndarray of float32, each of shape (n_lines, n_columns)
    """
    bounds = table.line_bounds
    around = np.ascontiguousarray(shape[:, _SHAPES_AROUND])
    own = np.concatenate([scores[:, :1], around], axis=1)
    return [
        shape,
        place_of(table, shape),
        scores,
        shifted(scores[:, :1], bounds, NEAR),
        shifted(around[:, :2], bounds, NEAR),
        shifted(around[:, 2:], bounds, NEXT),
        shifted(scores[:, 1:], bounds, NEXT[1:3]),
        smoothed(scores, bounds, 0.8),
        smoothed(own, bounds, 0.5),
        smoothed(own, bounds, 1.0),
    ]


def second_round(table: Table, logits: FloatArray) -> FloatArray:
    """Features that the second round sees besides those of the first: the first round's verdicts around the line.

    Parameters
    ----------
    table : Table
    logits : ndarray of float32, shape (n_lines, n_outputs)
        The first round's raw values.

    Returns
    -------
    ndarray of float32, shape (n_lines, n_features)
    """
    bounds = table.line_bounds
    parts = (
        logits,
        shifted(logits, bounds, NEAR),
        smoothed(logits, bounds, 0.5),
        smoothed(logits, bounds, 0.8),
        smoothed(logits, bounds, 1.0),
    )
    return np.concatenate(parts, axis=1)


def kind_round(table: Table, scores: FloatArray) -> FloatArray:
    """Features for the kind of a line besides those of both rounds: scores of the kinds two lines away.

    Parameters
    ----------
    table : Table
    scores : ndarray of float32, shape (n_lines, n_outputs)

    Returns
    -------
    ndarray of float32, shape (n_lines, n_features)
    """
    kinds = np.ascontiguousarray(scores[:, len(ROLES) :])  # after boilerplate and the other roles
    return shifted(kinds, table.line_bounds, np.array([-2, 2], dtype=np.int64))
