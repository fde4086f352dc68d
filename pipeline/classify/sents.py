"""Claim or opinion: sentences of running text, by their n-grams and their context; footers glued to a body line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.classify.cues import cues_of
from pipeline.classify.features import smoothed
from pipeline.classify.table import Table
from pipeline.doc import FloatArray, IntArray
from pipeline.kernels.dense import Net
from pipeline.kernels.ngrams import PLACED, Linear
from pipeline.kernels.shape import (
    CHAR_CLASSES,
    PLACE_NAMES,
    SHAPE_NAMES,
    describe_spans,
    join_context,
    place_sents,
)
from pipeline.kernels.trees import Bins, Forest

Rows = NDArray[np.int64]

ORDER = 3
"""Code points of the longest n-grams: with longer ones, more of them share a row of the table, and less is told."""
REACH = 160
"""Only the n-grams within so many code points of a sentence's edges are scored; hardly any sentence is longer."""


def shapes_of(table: Table, spans: IntArray) -> FloatArray:
    """Shape of spans: (n_spans, len(SHAPE_NAMES))."""
    out = np.empty((len(spans), len(SHAPE_NAMES)), dtype=np.float32)
    describe_spans(table.points, np.ascontiguousarray(spans), CHAR_CLASSES, out)
    return out


def places_of(table: Table, rows: Rows, bounds: Rows) -> FloatArray:
    """Where sentences stand in their line and document: (n_rows, len(PLACE_NAMES))."""
    out = np.empty((len(rows), len(PLACE_NAMES)), dtype=np.float32)
    place_sents(table.sent_line[rows], bounds, out)
    return out


OUTPUTS = ("alone", "vectors", "own", "to_next", "to_previous", "to_page")
"""N-gram scores of a sentence for opinion: by its n-grams; by their vectors; and its parts in a score with context."""

N_PLACED = 3
"""So many of the outputs, the first ones, are also told by where in the sentence they arise."""
N_SCORES = len(OUTPUTS) + N_PLACED * len(PLACED)


def score_sents(table: Table, spans: IntArray, ngrams: Linear) -> FloatArray:
    """N-gram scores of sentences, and their parts by place: (n_spans, N_SCORES)."""
    return ngrams.score_placed(table.folded, spans, REACH, N_PLACED)


def joined(scores: FloatArray, bounds: Rows) -> FloatArray:
    """The scores that the net sees: alone, by vectors, with context: (n_rows, 3)."""
    out = np.empty(len(scores), dtype=np.float32)
    join_context(np.ascontiguousarray(scores[:, 2:6]), bounds, out)
    return np.concatenate([scores[:, :2], out[:, None]], axis=1)


def stance_features(table: Table, rows: Rows, scores: FloatArray) -> list[FloatArray]:
    """What the net sees of the sentences `rows`, all those of running text, in parts side by side.

    Parameters
    ----------
    table : Table
    rows : ndarray of int64, shape (n_rows,)
        Ascending rows of ``table.sents``.
    scores : ndarray of float32, shape (n_rows, N_SCORES)
        N-gram scores of these sentences.

    Returns
    -------
    list of ndarray of float32, each of shape (n_rows, n_columns)
    """
    bounds = np.searchsorted(rows, table.sent_bounds).astype(np.int64)
    own = joined(scores, bounds)
    return [
        own,
        cues_of(table, table.sents[rows]),
        places_of(table, rows, bounds),
        smoothed(own, bounds, [0.7, 1.0], outside=np.float32(0)),
        scores[:, len(OUTPUTS) :],
    ]


GLUE_SCORE = -3.0
"""A sentence that scores below this for boilerplate, taken for a line, is not looked at for a glued footer."""


def edge_rows(table: Table, line_is_body: NDArray[np.bool_]) -> Rows:
    """The sentences that may be a glued footer: first or last of a body line that has others.

    Parameters
    ----------
    table : Table
    line_is_body : ndarray of bool, shape (n_lines,)

    Returns
    -------
    ndarray of int64, shape (n_rows,)
        Ascending rows of ``table.sents``.
    """
    starts = table.first_sents
    several = line_is_body & (np.diff(starts) > 1)
    is_edge = np.zeros(len(table.sents), dtype=np.bool_)
    is_edge[starts[:-1][several]] = is_edge[starts[1:][several] - 1] = True
    return np.flatnonzero(is_edge)


def glue_features(table: Table, rows: Rows, line_scores: FloatArray) -> FloatArray:
    """What the trees see of a sentence that may be a glued footer: shape, scores, which end, how much else.

    Parameters
    ----------
    table : Table
    rows : ndarray of int64, shape (n_rows,)
        As `edge_rows` gives them.
    line_scores : ndarray of float32, shape (n_rows, n_outputs)
        The line model's n-gram scores of those sentences, each as if it were a line.

    Returns
    -------
    ndarray of float32, shape (n_rows, n_features)
    """
    starts = table.first_sents
    line = table.sent_line[rows]
    doc = np.searchsorted(table.line_bounds, line, side="right") - 1
    columns = (
        rows == starts[line],
        table.lines[line, 1] - table.lines[line, 0],
        np.diff(starts)[line],
        np.minimum(table.line_bounds[doc + 1] - 1 - line, 60),
        np.minimum(line - table.line_bounds[doc], 60),
    )
    places = np.stack(columns, axis=1).astype(np.float32)
    return np.ascontiguousarray(np.concatenate([shapes_of(table, table.sents[rows]), line_scores, places], axis=1))


@dataclass(frozen=True, eq=False)
class SentModel:
    """The sentence classifier's weights.

    Parameters
    ----------
    ngrams : Linear
        Scores for OUTPUTS.
    stance : Net
        Opinion against claim.
    glue : Forest
        Glued footer against text, one output.
    glue_bins : Bins
        Of its features.
    calibration : ndarray of float32, shape (2,)
        Slope and offset of the log-odds of opinion.
    """

    ngrams: Linear
    stance: Net
    glue: Forest
    glue_bins: Bins
    calibration: FloatArray

    def score(self, table: Table, rows: Rows | None = None) -> FloatArray:
        """N-gram scores of the sentences `rows`, by default all: (n_rows, N_SCORES)."""
        spans = table.sents if rows is None else table.sents[rows]
        return score_sents(table, spans, self.ngrams)

    def opinion_odds(self, table: Table, rows: Rows, scores: FloatArray) -> FloatArray:
        """Calibrated log-odds of opinion of the running text `rows`: (n_rows,)."""
        raw = self.stance.decide(*stance_features(table, rows, scores))
        return np.asarray(raw * self.calibration[0] + self.calibration[1], dtype=np.float32)

    def glue_odds(self, table: Table, rows: Rows, line_scores: FloatArray) -> FloatArray:
        """Log-odds of a glued footer of the sentences `rows`: (n_rows,)."""
        blocks = self.glue_bins.code(glue_features(table, rows, line_scores))
        return self.glue.decide(blocks, len(rows))[:, 0]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays under the names that `from_arrays` reads."""
        saved = {**self.ngrams.arrays("sent"), "sent_calibration": self.calibration}
        parts = {name: getattr(self, name) for name in ("stance", "glue", "glue_bins")}
        return saved | {key: array for name in parts for key, array in parts[name].arrays(f"sent_{name}").items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Get the model that `arrays` saved."""
        return cls(
            ngrams=Linear.from_arrays(arrays, "sent"),
            stance=Net.from_arrays(arrays, "sent_stance"),
            glue=Forest.from_arrays(arrays, "sent_glue"),
            glue_bins=Bins.from_arrays(arrays, "sent_glue_bins"),
            calibration=arrays["sent_calibration"],
        )
