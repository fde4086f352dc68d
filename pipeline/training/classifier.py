"""Fit the classifier: labelled pages in, a model folder out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from pipeline.classify import ARRAYS, BODY, VERSION, Classifier
from pipeline.classify.features import first_round, kind_round, second_round
from pipeline.classify.lines import BOILERPLATE, OUTPUTS, LineModel
from pipeline.classify.lines import REACH as LINE_REACH
from pipeline.classify.sents import OUTPUTS as STANCE_OUTPUTS
from pipeline.classify.sents import REACH as SENT_REACH
from pipeline.classify.sents import SentModel, edge_rows, glue_features, stance_features
from pipeline.classify.table import Table, make_table
from pipeline.doc import KINDS, LABELS, ROLES, FloatArray
from pipeline.kernels.regions import learn_moves
from pipeline.kernels.trees import Forest, forest_of
from pipeline.stage import Stage
from pipeline.training.augment import alphabet_of, behead_page, glue_page, relay_page, spin_page, thin_page
from pipeline.training.fit import (
    Linear,
    assign_folds,
    blend,
    cross_trees,
    fit_linear,
    fit_ngrams,
    fit_trees,
    ngram_matrix,
    splits,
)
from pipeline.training.labelled import Page, align, clean_pages
from pipeline.training.stance import STANCE_TREES, StanceViews, fit_stance
from pipeline.weights import save_meta

LINE_BITS, SENT_BITS = 17, 18
LINE_COST = 15.0
MOVE_STRENGTH = 0.15  # more drowns single paragraphs in the navigation around them
N_BLENDED = 2  # forests of different seeds, averaged: steadier on pages of an unusual build
SECOND_TREES: dict[str, Any] = {"max_iter": 110}
ROLE_TREES: dict[str, Any] = {"max_iter": 80, "max_leaf_nodes": 10}
KIND_TREES: dict[str, Any] = {"max_iter": 90, "max_leaf_nodes": 8, "min_samples_leaf": 8}
SPIN_RATE, SPUN_SHARE, RELAID_SHARE, THIN_SHARE, BEHEADED_SHARE = 0.3, 0.5, 0.15, 0.2, 0.15
MAX_LINES = 200  # a longer copy would outweigh the other pages


@dataclass(frozen=True, eq=False)
class Gold:
    """Labelled pages as arrays: the table, and what is known of its lines and sentences.

    Parameters
    ----------
    table : Table
    line_role, line_kind : ndarray of int16, shape (n_lines,)
    sent_role, sent_kind, sent_label : ndarray of int16, shape (n_sents,)
        Codes, -1 for none.
    sent_line : ndarray of int32, shape (n_sents,)
        The line of its page that a sentence stands in.
    page_fold : ndarray of int64, shape (n_pages,)
    """

    table: Table
    line_role: NDArray[np.int16]
    line_kind: NDArray[np.int16]
    sent_role: NDArray[np.int16]
    sent_kind: NDArray[np.int16]
    sent_label: NDArray[np.int16]
    sent_line: NDArray[np.int32]
    page_fold: NDArray[np.int64]

    @property
    def line_fold(self) -> NDArray[np.int64]:
        """The fold of every line's page: (n_lines,)."""
        return np.repeat(self.page_fold, np.diff(self.table.line_bounds))

    @property
    def sent_fold(self) -> NDArray[np.int64]:
        """The fold of every sentence's page: (n_sents,)."""
        return np.repeat(self.page_fold, np.diff(self.table.sent_bounds))


def gather(pages: Sequence[Page], clean: Stage, folds: Mapping[str, int]) -> Gold:
    """Clean the pages and carry their labels to lines and sentences; `folds` by site."""
    docs = clean_pages(pages, clean)
    table = make_table(docs)
    aligned = [align(page, doc) for page, doc in zip(pages, docs, strict=True)]
    first = table.first_sents[:-1]
    roles = [np.array([ROLES.index(gold.role) for gold in page.lines], dtype=np.int16) for page in pages]
    kinds = [np.array([KINDS.index(g.kind) if g.kind else -1 for g in page.lines], dtype=np.int16) for page in pages]
    return Gold(
        table=table,
        line_role=np.concatenate([known[a.line] for known, a in zip(roles, aligned, strict=True)])[first],
        line_kind=np.concatenate([known[a.line] for known, a in zip(kinds, aligned, strict=True)])[first],
        sent_role=np.concatenate([a.role for a in aligned]),
        sent_kind=np.concatenate([a.kind for a in aligned]),
        sent_label=np.concatenate([a.label for a in aligned]),
        sent_line=np.concatenate([a.line for a in aligned]),
        page_fold=np.array([folds[page.site] for page in pages], dtype=np.int64),
    )


def line_targets(role: NDArray[np.int16], kind: NDArray[np.int16]) -> NDArray[np.bool_]:
    """One column for each of the line model's OUTPUTS: (n_lines, len(OUTPUTS))."""
    columns = [role == BOILERPLATE]
    columns += [role == code for code in range(BOILERPLATE)]
    columns += [kind == code for code in range(len(KINDS))]
    return np.stack(columns, axis=1)


def fit_lines(gold: Gold, seed: int) -> tuple[LineModel, list[Linear], FloatArray]:
    """Fit the line classifier; with it, n-gram models that saw nothing of each fold, and what the second round sees."""
    table, fold = gold.table, gold.line_fold
    features = ngram_matrix(table.folded, table.lines, LINE_BITS, LINE_REACH)
    targets = line_targets(gold.line_role, gold.line_kind)
    parts = [fit_ngrams(features[fit], targets[fit], LINE_COST) for fit, _ in splits(fold)]
    scores = np.zeros(targets.shape, dtype=np.float32)
    for part, (_, held) in zip(parts, splits(fold), strict=True):
        scores[held] = part.score(table.folded, table.lines[held], LINE_REACH)
    linear = fit_ngrams(features, targets, LINE_COST)

    near = first_round(table, scores)
    is_footer = targets[:, 0]
    every = np.ones(len(targets), dtype=bool)
    around = second_round(table, near, cross_trees(near, is_footer, fold, every, seed))
    others, footers = ~is_footer, np.flatnonzero(is_footer)
    kinds = fit_trees(kind_round(table, around, scores, footers), gold.line_kind[footers], seed, **KIND_TREES)
    model = LineModel(
        table=linear.table,
        scale=linear.scale,
        bias=linear.bias,
        first=forest_of(fit_trees(near, is_footer, seed)),
        second=blend([forest_of(fit_trees(around, is_footer, seed + i, **SECOND_TREES)) for i in range(N_BLENDED)]),
        roles=_spread(fit_trees(around[others], gold.line_role[others], seed, **ROLE_TREES), BOILERPLATE),
        kinds=forest_of(kinds) if len(kinds.classes_) > 2 else _spread(kinds, len(KINDS)),
        kind_codes=(kinds.classes_ if len(kinds.classes_) > 2 else np.arange(len(KINDS))).astype(np.int16),
        moves=learn_moves(gold.line_role, table.line_bounds, len(ROLES), MOVE_STRENGTH),
    )
    return model, parts, around


NEVER = -20.0
"""The log-odds of what training did not see."""


def _never() -> Forest:
    """A forest of one output that says no to everything."""
    leaf, root = np.zeros(1, dtype=np.float32), np.zeros((1, 1), dtype=np.int32)
    return Forest(np.full(1, -1, dtype=np.int16), leaf, np.zeros(1, dtype=np.int32), root, np.full(1, NEVER))


def _spread(model: Any, n_outputs: int) -> Forest:
    """A model's forest with an output for each code below `n_outputs`; one that training did not see never wins."""
    forest = forest_of(model)
    seen = model.classes_.astype(int).tolist()
    if len(seen) == n_outputs:
        return forest
    never = np.int32(len(forest.feature))  # a single leaf
    roots = np.full((n_outputs, forest.roots.shape[1]), never, dtype=np.int32)
    baseline = np.full(n_outputs, NEVER)
    columns, values = forest.roots, forest.baseline
    if len(seen) == 2:  # scikit-learn keeps the second one's alone
        columns, values = np.concatenate([columns * 0 + never, columns]), np.append(0.0, values)
    elif len(seen) == 1:
        columns, values = columns * 0 + never, np.zeros(1)
    roots[seen], baseline[seen] = columns, values
    return Forest(
        np.append(forest.feature, np.int16(-1)).astype(np.int16),
        np.append(forest.threshold, np.float32(0)).astype(np.float32),
        np.append(forest.left, np.int32(0)).astype(np.int32),
        roots,
        baseline,
    )


def fit_sents(gold: Gold, glue: Forest, vectors: FloatArray | None, seed: int) -> tuple[SentModel, FloatArray]:
    """Fit the sentence classifier on sentences of body lines; with it, cross-fitted log-odds of opinion of them."""
    table, fold, label = gold.table, gold.sent_fold, gold.sent_label
    body = np.flatnonzero(gold.sent_role == BODY)
    decided = (label == LABELS.index("claim")) | (label == LABELS.index("opinion"))
    is_opinion = label == LABELS.index("opinion")
    views = StanceViews(ngram_matrix(table.folded, table.sents, SENT_BITS, SENT_REACH), table.sent_bounds, vectors)
    scores = np.zeros((len(label), len(STANCE_OUTPUTS)), dtype=np.float32)
    for fit, held in splits(fold):
        part = fit_stance(views, fit[decided[fit]], is_opinion)
        scores[held] = part.score(table.folded, table.sents[held], SENT_REACH)
    linear = fit_stance(views, np.flatnonzero(decided), is_opinion)

    context = stance_features(table, body, scores)
    known, target = decided[body], is_opinion[body]
    raw = cross_trees(context, target, fold[body], known, seed, **STANCE_TREES)
    slope, offset = fit_linear(raw[known], target[known, None], 1.0)
    model = SentModel(
        table=linear.table,
        scale=linear.scale,
        bias=linear.bias,
        stance=blend(
            [forest_of(fit_trees(context[known], target[known], seed + i, **STANCE_TREES)) for i in range(N_BLENDED)]
        ),
        glue=glue,
        calibration=np.array([slope[0, 0], offset[0]], dtype=np.float32),
    )
    return model, raw[:, 0] * model.calibration[0] + model.calibration[1]


def fit_glue(gold: Gold, parts: Sequence[Linear], seed: int) -> Forest:
    """Fit what tells a glued footer from a body line's first or last sentence.

    Parameters
    ----------
    gold : Gold
        Pages with glued footers, written so or made so.
    parts : sequence of Linear
        The line model's n-gram models, each without a fold.
    """
    table = gold.table
    rows = edge_rows(table, gold.line_role == BODY)
    target = gold.sent_role[rows] == BOILERPLATE
    if not 0 < target.sum() < len(target):
        return _never()
    fold = gold.sent_fold[rows]
    scores = np.zeros((len(rows), len(OUTPUTS)), dtype=np.float32)
    for f, part in enumerate(parts):
        held = np.flatnonzero(fold == f)
        scores[held] = part.score(table.folded, table.sents[rows[held]], LINE_REACH)
    return forest_of(fit_trees(glue_features(table, rows, scores), target, seed, max_iter=80, max_leaf_nodes=8))


def fit_classifier(pages: Sequence[Page], clean: Stage, seed: int, vectors: FloatArray | None = None) -> Classifier:
    """Fit both models on labelled pages and altered copies of them; `vectors` as `load_vectors` gives them."""
    return fit_all(pages, clean, seed, vectors).classifier


@dataclass(frozen=True, eq=False)
class Fitted:
    """A classifier, and what it was fitted on as far as a report on it needs that.

    Parameters
    ----------
    classifier : Classifier
    lines, sents : Gold
        Of pages and copies, and of pages and sentences.
    around : ndarray of float32, shape (n_lines, n_features)
        What the second round sees of `lines`.
    opinion_odds : ndarray of float32, shape (n_body_sents,)
        Cross-fitted log-odds of the body sentences of `sents`.
    """

    classifier: Classifier
    lines: Gold
    sents: Gold
    around: FloatArray
    opinion_odds: FloatArray


def fit_all(
    pages: Sequence[Page],
    clean: Stage,
    seed: int,
    vectors: FloatArray | None = None,
    sentences: Sequence[Page] = (),
) -> Fitted:
    """Fit both models.

    Parameters
    ----------
    pages : sequence of Page
    clean : Stage
    seed : int
    vectors : ndarray of float32 or None
        As `load_vectors` gives them.
    sentences : sequence of Page
        Of these, claims and opinions alone are learnt.
    """
    with threadpool_limits(1):  # threads that wait for a busy core cost more than they bring
        rng = np.random.default_rng(seed)
        alphabet = alphabet_of(pages)
        folds = folds_of(pages)
        copies = [spin_page(page, rng, alphabet, SPIN_RATE) for page in pages if rng.random() < SPUN_SHARE]
        copies += [relay_page(page, rng) for page in pages if rng.random() < RELAID_SHARE]
        copies += [thin_page(page, rng) for page in pages if rng.random() < THIN_SHARE]
        copies += [behead_page(page) for page in pages if rng.random() < BEHEADED_SHARE]
        copies = [copy for copy in copies if len(copy.lines) <= MAX_LINES]
        lines = gather([*pages, *copies], clean, folds)
        line_model, parts, around = fit_lines(lines, seed)
        glued = [glue_page(page, rng) for page in pages]
        glue = fit_glue(gather(glued, clean, folds), parts, seed)
        every = [*pages, *sentences]
        sents = gather(every, clean, folds_of(every))
        sent_model, opinion_odds = fit_sents(sents, glue, vectors, seed)
    return Fitted(Classifier(line_model, sent_model), lines, sents, around, opinion_odds)


def folds_of(pages: Sequence[Page]) -> dict[str, int]:
    """The fold of every site."""
    return assign_folds([page.site for page in pages], [len(page.lines) for page in pages])


def save_classifier(classifier: Classifier, out: Path, about: dict[str, Any]) -> dict[str, Any]:
    """Write a model folder; `about` goes into `meta.json`."""
    out.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {**classifier.lines.arrays(), **classifier.sents.arrays()}
    np.savez_compressed(out / ARRAYS, **arrays)
    meta = {"version": VERSION, "roles": list(ROLES), "labels": list(LABELS), "kinds": list(KINDS), **about}
    save_meta(out, "classifier", meta)
    return meta
