"""Roles and kinds of lines: n-gram scores, two rounds of trees over the neighbourhood, a decoded sequence.

What most lines are is plain soon: only a few n-gram scores are asked of every line, the others of those that are not
plainly running text, kinds of those that are boilerplate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.classify.blocks import block_log_odds
from pipeline.classify.features import ENDS_STOP, LEAD, OUTPUTS, code_first, code_second, shape_of
from pipeline.classify.table import Table
from pipeline.doc import ROLES, FloatArray, IntArray
from pipeline.kernels.ngrams import Linear
from pipeline.kernels.regions import decode_lines
from pipeline.kernels.shape import SHAPE_NAMES
from pipeline.kernels.support import support_log_odds
from pipeline.kernels.trees import Bins, Blocks, Forest, take_rows

BODY = ROLES.index("body")
BOILERPLATE = ROLES.index("boilerplate")
SURE, UNLIKELY = 4.0, -8.0
"""Log-odds of boilerplate above which no other role is asked for; the value of a role that is out of the question."""

_LATIN = SHAPE_NAMES.index("latin")
ORDER = 4
"""Code points of the longest n-grams."""
REACH = 48
"""Only the n-grams within so many code points of a line's edges are scored: that is where footers show."""

LONG_LINE, CAUTION = 100, np.float32(2.0)
"""Lines of so many code points are boilerplate only if their log-odds are above this: a paragraph lost costs more than
a long footer kept. Of the order that cross-validation on real pages chose: as many lines right, half the characters
lost; set by a look at development pages."""
SHORT_LINE = 40
"""From here on to LONG_LINE, caution with lines that end like a sentence grows: in cross-validation on real pages as
many lines come out right, and a fifth of the characters that were still lost do not get lost."""

PLAIN_CHARS, PLAIN_SCORE = 30, np.float32(-2.0)
"""A line of so many code points that ends like a sentence and scores below this for boilerplate is plainly running
text: two thirds of the characters of real pages. In cross-validation on real pages as many lines come out right."""
_PLAIN_REST = np.float32(-8.0)


def is_plain(lines: IntArray, shape: FloatArray, boilerplate: FloatArray) -> NDArray[np.bool_]:
    """Tell which lines are plainly running text.

    Parameters
    ----------
    lines : ndarray of int32, shape (n_lines, 2)
    shape : ndarray of float32, shape (n_lines, len(SHAPE_NAMES))
    boilerplate : ndarray of float32, shape (n_lines,)
        N-gram scores for it.
    """
    is_prose = (lines[:, 1] - lines[:, 0] >= PLAIN_CHARS) & (shape[:, ENDS_STOP] > 0)
    return np.asarray(is_prose & (boilerplate < PLAIN_SCORE))


def plain_scores(scores: FloatArray, plain: NDArray[np.bool_]) -> FloatArray:
    """Get scores for OUTPUTS with those of plain lines for REST as they stand for all of them."""
    scores = scores.copy()
    scores[plain, len(LEAD) :] = _PLAIN_REST
    return scores


def log_softmax(values: FloatArray) -> FloatArray:
    """Logarithm of the softmax over the first axis."""
    shifted = values - values.max(axis=0)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=0)), dtype=np.float32)


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
        Codes of the features of both rounds.
    """

    scores: FloatArray
    log_odds: FloatArray
    is_prose: NDArray[np.bool_]
    blocks: Blocks


@dataclass(frozen=True, eq=False)
class LineScores:
    """N-gram scores for `LEAD`, and for `REST`."""

    lead: Linear
    rest: Linear

    def score(self, table: Table, spans: IntArray, lead: FloatArray | None = None) -> FloatArray:
        """Score spans taken for lines: (n_spans, len(OUTPUTS)); `lead`, if that is known already."""
        first = self.lead.score(table.folded, spans, REACH) if lead is None else lead
        return np.concatenate([first, self.rest.score(table.folded, spans, REACH)], axis=1)


@dataclass(frozen=True, eq=False)
class LineModel:
    """The line classifier's weights.

    Parameters
    ----------
    ngrams : LineScores
    near, far : Bins
        Of the features of the first round, and of what the second sees besides.
    first, second : Forest
        Boilerplate against the rest, one output.
    roles, kinds : Forest
        One output for each of the codes; a single one, of the second against the first, where there are two.
    role_codes, kind_codes : ndarray of int16
        Codes into ROLES, boilerplate left out, and KINDS of what training saw.
    moves : ndarray of float32, shape (len(ROLES) + 1, len(ROLES) + 1)
        As `decode_lines` takes them.
    """

    ngrams: LineScores
    near: Bins
    far: Bins
    first: Forest
    second: Forest
    roles: Forest
    kinds: Forest
    role_codes: NDArray[np.int16]
    kind_codes: NDArray[np.int16]
    moves: FloatArray

    def score_lines(self, table: Table, shape: FloatArray) -> FloatArray:
        """N-gram scores of all lines; of those plainly running text, only those for LEAD are their own."""
        lead = self.ngrams.lead.score(table.folded, table.lines, REACH)
        asked = np.flatnonzero(~is_plain(table.lines, shape, lead[:, 0]))
        scores = np.empty((len(lead), len(OUTPUTS)), dtype=np.float32)
        scores[:, : len(LEAD)], scores[:, len(LEAD) :] = lead, _PLAIN_REST
        scores[asked, len(LEAD) :] = self.ngrams.rest.score(table.folded, table.lines[asked], REACH)
        return scores

    def text_odds(self, table: Table) -> FloatArray:
        """Log-odds of boilerplate of every line, from the text alone: (n_lines,)."""
        return self._read(table).log_odds

    def _read(self, table: Table) -> _Reading:
        shape = shape_of(table)
        scores = self.score_lines(table, shape)
        n_lines = len(scores)
        blocks = code_first(self.near, table, shape, scores)
        code_second(self.far, blocks, table, self.first.decide(blocks, n_lines))
        n_chars = table.lines[:, 1] - table.lines[:, 0]
        is_long = n_chars >= LONG_LINE
        grown = np.clip((n_chars - SHORT_LINE) / np.float32(LONG_LINE - SHORT_LINE), 0, 1)
        caution = CAUTION * np.where(shape[:, ENDS_STOP] > 0, grown, is_long)
        log_odds = np.asarray(self.second.decide(blocks, n_lines)[:, 0] - caution, dtype=np.float32)
        return _Reading(scores, log_odds, is_long & (shape[:, _LATIN] <= 0.3), blocks)

    def decide(self, table: Table) -> LineVerdict:
        """Role and kind of every line."""
        scores, log_odds, is_prose, blocks = self._read(table)
        if table.support is not None:
            log_odds = log_odds + support_log_odds(table.support)
        if table.blocks is not None:
            log_odds = log_odds + block_log_odds(table.blocks, table.lines, table.line_bounds, log_odds)
        is_open = (log_odds < SURE) & ~is_prose
        role = decode_lines(role_scores(log_odds, self._other_roles(blocks, is_open)), table.line_bounds, self.moves)
        kind = np.full(len(scores), -1, dtype=np.int16)
        footers = np.flatnonzero(role == BOILERPLATE)
        kind[footers] = self._kinds(blocks, footers)
        return LineVerdict(role, kind, log_odds, scores)

    def _kinds(self, blocks: Blocks, rows: NDArray[np.int64]) -> NDArray[np.int16]:
        """Kinds of some lines."""
        best = values_of(self.kinds, self.kind_codes, take_rows(blocks, rows), len(rows)).argmax(axis=1)
        return np.asarray(self.kind_codes[best], dtype=np.int16)

    def _other_roles(self, blocks: Blocks, is_open: NDArray[np.bool_]) -> FloatArray:
        """Raw values of the roles but boilerplate, a row each; of lines not open, running text alone is left."""
        values = np.full((BOILERPLATE, len(is_open)), UNLIKELY, dtype=np.float32)
        # to look at all lines costs less than to copy the open ones, which most are
        values[self.role_codes] = values_of(self.roles, self.role_codes, blocks, len(is_open)).T
        settled = np.where(np.arange(BOILERPLATE) == BODY, np.float32(0), np.float32(UNLIKELY))
        return np.where(is_open, values, settled[:, None])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays under the names that `from_arrays` reads."""
        plain = {f"line_{name}": getattr(self, name) for name in _PLAIN}
        for name in _LINEAR:
            plain |= getattr(self.ngrams, name).arrays(f"line_{name}")
        for name in (*_FORESTS, *_BINS):
            plain |= getattr(self, name).arrays(f"line_{name}")
        return plain

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Get the model that `arrays` saved."""
        plain: dict[str, Any] = {name: arrays[f"line_{name}"] for name in _PLAIN}
        forests: dict[str, Any] = {name: Forest.from_arrays(arrays, f"line_{name}") for name in _FORESTS}
        linear: dict[str, Any] = {name: Linear.from_arrays(arrays, f"line_{name}") for name in _LINEAR}
        bins: dict[str, Any] = {name: Bins.from_arrays(arrays, f"line_{name}") for name in _BINS}
        return cls(ngrams=LineScores(**linear), **plain, **forests, **bins)


_PLAIN = ("role_codes", "kind_codes", "moves")
_LINEAR = ("lead", "rest")
_BINS = ("near", "far")
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
    others : ndarray of float32, shape (len(ROLES) - 1, n_lines)
        Raw values of the other roles among themselves.

    Returns
    -------
    ndarray of float32, shape (n_lines, len(ROLES))
    """
    scores = np.empty((len(log_odds), len(ROLES)), dtype=np.float32)
    low = np.logaddexp(np.float32(0), -np.abs(log_odds))  # of both log-probabilities, without what may be large
    scores[:, :BOILERPLATE] = (log_softmax(others) - (np.maximum(log_odds, 0) + low)).T
    scores[:, BOILERPLATE] = -(np.maximum(-log_odds, 0) + low)
    return scores
