"""Classify stage: what each sentence is.

Reads ``text`` and ``sents``; assigns ``role``, ``label``, ``probs`` and ``kind``. Lines are decided first, each with
its neighbourhood; then the sentences of running text. What was segmented and tagged is not needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.batch import Batch, Layer
from pipeline.classify.features import FIRST_KIND
from pipeline.classify.lines import BOILERPLATE, REACH, LineModel, LineVerdict
from pipeline.classify.sents import GLUE_SCORE, SentModel, edge_rows
from pipeline.classify.table import Table, make_table
from pipeline.doc import KINDS, LABELS, ROLES, Coded, Doc, FloatArray
from pipeline.errors import ModelError
from pipeline.stage import Stage, stage
from pipeline.weights import load_arrays, load_meta

ARRAYS = "classifier.npz"
VERSION = 6
"""Raised whenever features or arrays change: an older model would be read wrong."""

BODY = ROLES.index("body")
CLAIM, OPINION, GLUED = (LABELS.index(name) for name in ("claim", "opinion", "boilerplate"))


@dataclass(frozen=True)
class ClassifyConfig:
    """How sentences are classified.

    Parameters
    ----------
    model : Path
        Folder of the classifier.
    reasons : bool
        Whether the evidence for each boilerplate line and the source of each claim are kept, too.
    """

    model: Path
    reasons: bool = False


@dataclass(frozen=True, eq=False)
class Verdict:
    """What was decided of the sentences of a batch, all parallel to its sentences.

    Parameters
    ----------
    role, label, kind : ndarray of int16, shape (n_sents,)
        Codes into ROLES, LABELS, KINDS; -1 for null.
    probs : ndarray of float32, shape (n_sents, 3)
        NaN where there is no label.
    """

    role: NDArray[np.int16]
    label: NDArray[np.int16]
    kind: NDArray[np.int16]
    probs: FloatArray


@dataclass(frozen=True, eq=False)
class Classifier:
    """Both models, and how their verdicts become layers."""

    lines: LineModel
    sents: SentModel

    def decide(self, table: Table) -> Verdict:
        """Classify the sentences of a batch."""
        verdict = self.lines.decide(table)
        role, kind = verdict.role[table.sent_line], verdict.kind[table.sent_line]
        footer_odds = verdict.log_odds[table.sent_line]
        self._cut_glued(table, verdict, role, kind, footer_odds)
        opinion_odds = np.zeros(len(role), dtype=np.float32)  # of a footer, nothing is asked
        body = np.flatnonzero(role == BODY)
        if len(body):
            opinion_odds[body] = self.sents.opinion_odds(table, body, self.sents.score(table, body))
        probs = _probabilities(role, footer_odds, opinion_odds)
        label = np.where(role == BODY, np.where(probs[:, OPINION] > probs[:, CLAIM], OPINION, CLAIM), -1)
        label[role == BOILERPLATE] = GLUED
        return Verdict(role, label.astype(np.int16), kind, probs)

    def _cut_glued(
        self,
        table: Table,
        verdict: LineVerdict,
        role: NDArray[np.int16],
        kind: NDArray[np.int16],
        footer_odds: FloatArray,
    ) -> None:
        """Turn footers glued to an end of a body line into boilerplate, in place."""
        rows = edge_rows(table, verdict.role == BODY)
        if not len(rows):
            return
        lead = self.lines.ngrams.lead.score(table.folded, table.sents[rows], REACH)
        rows, lead = rows[lead[:, 0] > GLUE_SCORE], lead[lead[:, 0] > GLUE_SCORE]
        scores = self.lines.ngrams.score(table, table.sents[rows], lead)
        odds = self.sents.glue_odds(table, rows, scores)
        footer_odds[rows] = odds
        role[rows[odds > 0]] = BOILERPLATE
        kind[rows[odds > 0]] = scores[odds > 0, FIRST_KIND:].argmax(axis=1)


def _probabilities(role: NDArray[np.int16], footer_odds: FloatArray, opinion_odds: FloatArray) -> FloatArray:
    """Probabilities in the order of LABELS, rounded; the role's own label is the largest."""
    footer = 1 / (1 + np.exp(-footer_odds.astype(np.float64)))
    # the decoder may overrule a line's own odds
    footer = np.where(role == BOILERPLATE, np.maximum(footer, 0.5), np.minimum(footer, 1 / 3))
    opinion = 1 / (1 + np.exp(-opinion_odds.astype(np.float64)))
    footer[(role != BOILERPLATE) & (role != BODY)] = np.nan
    probs = np.empty((len(role), len(LABELS)), dtype=np.float32)
    for column, values in enumerate(((1 - footer) * (1 - opinion), (1 - footer) * opinion, footer)):
        probs[:, column] = np.round(values, 4)
    return probs


def load_classifier(folder: Path) -> Classifier:
    """Get the classifier of a model folder."""
    meta = load_meta(folder, "classifier")
    if meta.get("version") != VERSION:  # the kernels trust the shapes of the arrays
        raise ModelError(f"{folder} has version {meta.get('version')}, expected {VERSION}; train the classifier anew")
    arrays = load_arrays(folder / ARRAYS)
    return Classifier(LineModel.from_arrays(arrays), SentModel.from_arrays(arrays))


def annotate(classifier: Classifier, docs: Sequence[Doc]) -> Batch:
    """Get the documents with role, label, probs and kind."""
    table = make_table(docs)
    verdict, bounds = classifier.decide(table), table.sent_bounds
    return Batch.of(docs).extend(
        role=Layer(Coded(verdict.role, ROLES), bounds),
        label=Layer(Coded(verdict.label, LABELS), bounds),
        probs=Layer(verdict.probs, bounds),
        kind=Layer(Coded(verdict.kind, KINDS), bounds),
    )


@stage("classify", requires=["sents"], assigns=["role", "label", "probs", "kind"])
def make_classify(config: ClassifyConfig) -> Stage:
    """Load the classifier and get the stage."""
    from pipeline.classify.reasons import add_evidence  # noqa: PLC0415 - it needs what is defined here

    classifier = load_classifier(config.model)

    def classify(docs: Sequence[Doc]) -> Sequence[Doc]:
        done = annotate(classifier, docs)
        return [add_evidence(classifier, doc) for doc in done] if config.reasons else done

    return classify
