"""Roles and kinds of lines: n-gram scores, two rounds of trees over the neighbourhood, a decoded sequence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.classify.features import first_round, kind_round, second_round
from pipeline.classify.table import Table
from pipeline.doc import KINDS, ROLES, FloatArray, IntArray
from pipeline.kernels.ngrams import pad_outputs, score_spans
from pipeline.kernels.regions import decode_lines
from pipeline.kernels.shape import SHAPE_NAMES
from pipeline.kernels.support import support_log_odds
from pipeline.kernels.trees import Forest

BODY = ROLES.index("body")
BOILERPLATE = ROLES.index("boilerplate")
SURE, UNLIKELY = 4.0, -8.0
"""Log-odds of boilerplate above which no other role is asked for; the value of a role that is out of the question."""

FIRST_KIND = 1 + BOILERPLATE
"""The column of OUTPUTS where the kinds begin."""

_LATIN = SHAPE_NAMES.index("latin")
REACH = 48
"""Only the n-grams within so many code points of a line's edges are scored: that is where footers show."""

LONG_LINE, CAUTION = 100, np.float32(1.5)
"""Lines of so many code points are boilerplate only if their log-odds are above this: a paragraph lost costs more than
a long footer kept. Chosen by cross-validation on real pages: as many lines right, half the body characters lost."""

OUTPUTS = ("boilerplate", *ROLES[:BOILERPLATE], *KINDS)
"""What the n-gram models score a line for, each against all others."""


def log_sigmoid(values: FloatArray) -> FloatArray:
    """Logarithm of the logistic function, safe at both ends."""
    return -np.logaddexp(np.float32(0), -values, dtype=np.float32)


def log_softmax(values: FloatArray) -> FloatArray:
    """Logarithm of the softmax over the last axis."""
    shifted = values - values.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class LineVerdict:
    """What was decided of the lines of a batch.

    Parameters
    ----------
    role, kind : ndarray of int16, shape (n_lines,)
        Codes into ROLES and KINDS; kind is -1 where the role is not boilerplate.
    log_odds : ndarray of float32, shape (n_lines,)
        Of boilerplate, from the line and its neighbourhood.
    scores : ndarray of float32, shape (n_lines, len(OUTPUTS))
        N-gram scores of the line alone.
    """

    role: NDArray[np.int16]
    kind: NDArray[np.int16]
    log_odds: FloatArray
    scores: FloatArray


@dataclass(frozen=True, eq=False)
class LineModel:
    """The line classifier's weights.

    Parameters
    ----------
    table, scale, bias : ndarray
        N-gram weights for `OUTPUTS`, as `score_spans` takes them.
    first, second : Forest
        Boilerplate against the rest, one output.
    roles : Forest
        One output for each role but boilerplate.
    kinds : Forest
        One output for each of `kind_codes`.
    kind_codes : ndarray of int16, shape (n_kinds,)
        Codes into KINDS of the kinds that training saw.
    moves : ndarray of float32, shape (len(ROLES) + 1, len(ROLES) + 1)
        As `decode_lines` takes them.
    """

    table: NDArray[np.int16]
    scale: FloatArray
    bias: FloatArray
    first: Forest
    second: Forest
    roles: Forest
    kinds: Forest
    kind_codes: NDArray[np.int16]
    moves: FloatArray

    def score(self, table: Table, spans: IntArray) -> FloatArray:
        """N-gram scores of lines, or of spans taken for lines: (n_spans, len(OUTPUTS))."""
        return score_spans(table.folded, np.ascontiguousarray(spans), self.table, self.scale, self.bias, REACH)

    def decide(self, table: Table) -> LineVerdict:
        """Role and kind of every line."""
        scores = self.score(table, table.lines)
        near = first_round(table, scores)
        around = second_round(table, near, self.first.decide(near))
        is_long = table.lines[:, 1] - table.lines[:, 0] >= LONG_LINE
        caution = np.where(is_long, CAUTION, np.float32(0))
        log_odds = np.asarray(self.second.decide(around)[:, 0] - caution, dtype=np.float32)
        if table.support is not None:
            log_odds = log_odds + support_log_odds(table.support, log_odds)
        others = self._other_roles(around, log_odds, is_long)
        role = decode_lines(role_scores(log_odds, others), table.line_bounds, self.moves)
        kind = np.full(len(role), -1, dtype=np.int16)
        footer = np.flatnonzero(role == BOILERPLATE)
        if len(footer):
            features = kind_round(table, around, scores, footer)
            kind[footer] = self.kind_codes[self.kinds.decide(features).argmax(axis=1)]
        return LineVerdict(role, kind, log_odds, scores)

    def _other_roles(self, around: FloatArray, log_odds: FloatArray, is_long: NDArray[np.bool_]) -> FloatArray:
        """Raw values of the roles but boilerplate; where only running text is left, or only boilerplate, by rule."""
        values = np.full((len(around), BOILERPLATE), UNLIKELY, dtype=np.float32)
        values[:, BODY] = 0
        open_rows = np.flatnonzero((log_odds < SURE) & (~is_long | (around[:, _LATIN] > 0.3)))
        values[open_rows] = self.roles.decide(around[open_rows])
        return values

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays under the names that `from_arrays` reads."""
        plain = {name: getattr(self, name) for name in ("table", "scale", "bias", "kind_codes", "moves")}
        forests = {name: getattr(self, name) for name in ("first", "second", "roles", "kinds")}
        return {f"line_{name}": array for name, array in plain.items()} | {
            key: array for name, forest in forests.items() for key, array in forest.arrays(f"line_{name}").items()
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Get the model that `arrays` saved."""
        plain: dict[str, Any] = {
            name: arrays[f"line_{name}"] for name in ("table", "scale", "bias", "kind_codes", "moves")
        }
        forests: dict[str, Any] = {
            name: Forest.from_arrays(arrays, f"line_{name}") for name in ("first", "second", "roles", "kinds")
        }
        plain["table"] = pad_outputs(plain["table"])
        return cls(**plain, **forests)


def role_scores(log_odds: FloatArray, others: FloatArray) -> FloatArray:
    """Log-probabilities of all roles.

    Parameters
    ----------
    log_odds : ndarray of float32, shape (n_lines,)
        Of boilerplate.
    others : ndarray of float32, shape (n_lines, len(ROLES) - 1)
        Raw values of the other roles among themselves.

    Returns
    -------
    ndarray of float32, shape (n_lines, len(ROLES))
    """
    rest = log_sigmoid(-log_odds)[:, None] + log_softmax(others)
    return np.ascontiguousarray(np.concatenate([rest, log_sigmoid(log_odds)[:, None]], axis=1))
