"""Roles and kinds of lines: n-gram scores, two rounds of trees over the neighbourhood, a decoded sequence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.classify.blocks import block_log_odds
from pipeline.classify.features import first_round, kind_round, second_round
from pipeline.classify.table import Table
from pipeline.doc import KINDS, ROLES, FloatArray, IntArray
from pipeline.kernels.ngrams import pad_outputs, score_spans
from pipeline.kernels.regions import decode_lines
from pipeline.kernels.shape import SHAPE_NAMES
from pipeline.kernels.support import support_log_odds
from pipeline.kernels.trees import Bins, Blocks, Forest

BODY = ROLES.index("body")
BOILERPLATE = ROLES.index("boilerplate")
SURE, UNLIKELY = 4.0, -8.0
"""Log-odds of boilerplate above which no other role is asked for; the value of a role that is out of the question."""

FIRST_KIND = 1 + BOILERPLATE
"""The column of OUTPUTS where the kinds begin."""

_LATIN = SHAPE_NAMES.index("latin")
REACH = 48
"""Only the n-grams within so many code points of a line's edges are scored: that is where footers show."""

LONG_LINE, CAUTION = 100, np.float32(2.0)
"""Lines of so many code points are boilerplate only if their log-odds are above this: a paragraph lost costs more than
a long footer kept. Of the order that cross-validation on real pages chose: as many lines right, half the characters
lost; set by a look at development pages."""

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


class _Reading(NamedTuple):
    """What the text alone says of lines.

    Parameters
    ----------
    scores : ndarray of float32, shape (n_lines, len(OUTPUTS))
    log_odds : ndarray of float32, shape (n_lines,)
        Of boilerplate.
    is_prose : ndarray of bool, shape (n_lines,)
        Whether a line is long and no code.
    blocks : ndarray of uint8
        Codes of the features of both rounds, `n_features` of them.
    """

    scores: FloatArray
    log_odds: FloatArray
    is_prose: NDArray[np.bool_]
    blocks: Blocks
    n_features: int


@dataclass(frozen=True, eq=False)
class LineModel:
    """The line classifier's weights.

    Parameters
    ----------
    table, scale, bias : ndarray
        N-gram weights for `OUTPUTS`, as `score_spans` takes them.
    bins : Bins
        Of the features of both rounds and of the kinds, one after another.
    first, second : Forest
        Boilerplate against the rest, one output.
    roles, kinds : Forest
        One output for each of the codes; a single one, of the second against the first, where there are two.
    role_codes, kind_codes : ndarray of int16
        Codes into ROLES, boilerplate left out, and KINDS of what training saw.
    moves : ndarray of float32, shape (len(ROLES) + 1, len(ROLES) + 1)
        As `decode_lines` takes them.
    """

    table: NDArray[np.int16]
    scale: FloatArray
    bias: FloatArray
    bins: Bins
    first: Forest
    second: Forest
    roles: Forest
    kinds: Forest
    role_codes: NDArray[np.int16]
    kind_codes: NDArray[np.int16]
    moves: FloatArray

    def score(self, table: Table, spans: IntArray) -> FloatArray:
        """N-gram scores of lines, or of spans taken for lines: (n_spans, len(OUTPUTS))."""
        return score_spans(table.folded, np.ascontiguousarray(spans), self.table, self.scale, self.bias, REACH)

    def text_odds(self, table: Table) -> FloatArray:
        """Log-odds of boilerplate of every line, from the text alone: (n_lines,)."""
        return self._read(table).log_odds

    def _read(self, table: Table) -> _Reading:
        scores = self.score(table, table.lines)
        near = first_round(table, scores)
        blocks = self.bins.new_blocks(len(scores))
        self.bins.fill(blocks, near)
        around = second_round(table, self.first.decide(blocks, len(scores)))
        self.bins.fill(blocks, around, near.shape[1])
        is_long = table.lines[:, 1] - table.lines[:, 0] >= LONG_LINE
        caution = np.where(is_long, CAUTION, np.float32(0))
        log_odds = np.asarray(self.second.decide(blocks, len(scores))[:, 0] - caution, dtype=np.float32)
        is_prose = is_long & (near[:, _LATIN] <= 0.3)
        return _Reading(scores, log_odds, is_prose, blocks, near.shape[1] + around.shape[1])

    def decide(self, table: Table) -> LineVerdict:
        """Role and kind of every line."""
        scores, log_odds, is_prose, blocks, n_features = self._read(table)
        if table.support is not None:
            log_odds = log_odds + support_log_odds(table.support)
        if table.blocks is not None:
            log_odds = log_odds + block_log_odds(table.blocks, table.lines, table.line_bounds, log_odds)
        is_settled = (log_odds >= SURE) | is_prose
        role = decode_lines(role_scores(log_odds, self._other_roles(blocks, is_settled)), table.line_bounds, self.moves)
        self.bins.fill(blocks, kind_round(table, scores), n_features)
        kind = self.kind_codes[values_of(self.kinds, self.kind_codes, blocks, len(scores)).argmax(axis=1)]
        return LineVerdict(role, np.where(role == BOILERPLATE, kind, np.int16(-1)), log_odds, scores)

    def _other_roles(self, blocks: Blocks, is_settled: NDArray[np.bool_]) -> FloatArray:
        """Raw values of the roles but boilerplate; of lines that are settled, running text alone is left."""
        values = np.full((len(is_settled), BOILERPLATE), UNLIKELY, dtype=np.float32)
        values[:, self.role_codes] = values_of(self.roles, self.role_codes, blocks, len(is_settled))
        values[is_settled] = UNLIKELY
        values[is_settled, BODY] = 0
        return values

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays under the names that `from_arrays` reads."""
        plain = {name: getattr(self, name) for name in _PLAIN}
        forests = {name: getattr(self, name) for name in _FORESTS}
        forests["bins"] = self.bins
        return {f"line_{name}": array for name, array in plain.items()} | {
            key: array for name, forest in forests.items() for key, array in forest.arrays(f"line_{name}").items()
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Get the model that `arrays` saved."""
        plain: dict[str, Any] = {name: arrays[f"line_{name}"] for name in _PLAIN}
        forests: dict[str, Any] = {name: Forest.from_arrays(arrays, f"line_{name}") for name in _FORESTS}
        plain["table"] = pad_outputs(plain["table"])
        return cls(**plain, **forests, bins=Bins.from_arrays(arrays, "line_bins"))


_PLAIN = ("table", "scale", "bias", "role_codes", "kind_codes", "moves")
_FORESTS = ("first", "second", "roles", "kinds")


def values_of(forest: Forest, codes: NDArray[np.int16], blocks: Blocks, n_rows: int) -> FloatArray:
    """Raw values of a forest, one column for each of the codes it tells apart: (n_rows, len(codes))."""
    values = forest.decide(blocks, n_rows)
    return values if len(codes) > 2 else np.concatenate([values * 0, values], axis=1)[:, : len(codes)]


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
