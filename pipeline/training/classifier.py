"""Fit the classifier: labelled pages in, a model folder out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from pipeline.classify import ARRAYS, BODY, VERSION, Classifier
from pipeline.classify.features import (
    FIRST_KIND,
    LEAD,
    N_FIRST,
    OUTPUTS,
    code_first,
    code_second,
    first_round,
    second_round,
    shape_of,
)
from pipeline.classify.lines import BOILERPLATE, LineModel, LineScores, is_plain, plain_scores
from pipeline.classify.lines import ORDER as LINE_ORDER
from pipeline.classify.lines import REACH as LINE_REACH
from pipeline.classify.sents import (
    GLUE_SCORE,
    N_SCORES,
    SentModel,
    edge_rows,
    glue_features,
    score_sents,
    stance_features,
)
from pipeline.classify.sents import ORDER as SENT_ORDER
from pipeline.classify.sents import REACH as SENT_REACH
from pipeline.classify.table import Table, make_table
from pipeline.doc import KINDS, LABELS, ROLES, FloatArray, IntArray
from pipeline.kernels.regions import learn_moves
from pipeline.kernels.trees import N_LEAVES, N_SPLITS, Bins, Forest, forest_of, rows_of_blocks
from pipeline.stage import Stage
from pipeline.training.augment import alphabet_of, behead_page, glue_page, relay_page, spin_page, thin_page, turn_page
from pipeline.training.fit import (
    assign_folds,
    fit_bins,
    fit_ngrams,
    fit_trees,
    ngram_matrix,
    splits,
)
from pipeline.training.labelled import Page, align, clean_pages
from pipeline.training.stance import StanceViews, cross_net, fit_net, fit_stance
from pipeline.training.vectors import BITS as SENT_BITS
from pipeline.weights import save_meta

LEAD_BITS, LINE_BITS = 18, 17
LINE_COST = 15.0
MOVE_STRENGTH = 0.15  # more drowns single paragraphs in the navigation around them
N_AVERAGED, N_DRAWS = 2, 3  # forests of the first and second round, averaged: steadier on pages of an unusual build
FIRST_TREES: dict[str, Any] = {"max_iter": 150}
SECOND_TREES: dict[str, Any] = {"max_iter": 180, "learning_rate": 0.06}
ROLE_TREES: dict[str, Any] = {"max_iter": 120, "max_depth": 3}
KIND_TREES: dict[str, Any] = {"max_iter": 100, "max_depth": 3, "min_samples_leaf": 8}
GLUE_TREES: dict[str, Any] = {"max_iter": 80, "max_depth": 3}
SPIN_RATE, SPUN_SHARE, RELAID_SHARE, THIN_SHARE, BEHEADED_SHARE, TURNED_SHARE = 0.3, 0.5, 0.15, 0.3, 0.15, 0.35
LOOSE_WEIGHT = 0.3  # of a sentence on no whole page: those are of few kinds of text, and many
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
    def is_footer(self) -> NDArray[np.bool_]:
        """Which lines are boilerplate: (n_lines,)."""
        return np.asarray(self.line_role == BOILERPLATE)

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
    columns = [role == ROLES.index(name) for name in OUTPUTS[:FIRST_KIND]]
    columns += [kind == code for code in range(len(KINDS))]
    return np.stack(columns, axis=1)


def line_matrix(table: Table, spans: IntArray, bits: int = LINE_BITS) -> csr_matrix:
    """The n-gram features of spans taken for lines: sparse, shape (n_spans, 2 ** bits)."""
    return ngram_matrix(table.folded, spans, bits, LINE_REACH, LINE_ORDER)


def sent_matrix(table: Table, spans: IntArray) -> csr_matrix:
    """The n-gram features of sentences: sparse, shape (n_spans, 2 ** SENT_BITS)."""
    return ngram_matrix(table.folded, spans, SENT_BITS, SENT_REACH, SENT_ORDER)


def fit_line_scores(table: Table, targets: NDArray[np.bool_], fold: NDArray[np.int64]) -> list[LineScores]:
    """Fit the n-gram scores of lines once without each fold and, last, on all."""
    every = np.arange(len(fold))
    parts = []
    for bits, wanted in ((LEAD_BITS, targets[:, : len(LEAD)]), (LINE_BITS, targets[:, len(LEAD) :])):
        features = line_matrix(table, table.lines, bits)
        rows = [*(fit for fit, _ in splits(fold)), every]
        parts.append([fit_ngrams(features[fit], LINE_ORDER, wanted[fit], LINE_COST) for fit in rows])
    return [LineScores(lead, rest) for lead, rest in zip(*parts, strict=True)]


def _cross_first(near: Sequence[FloatArray], draws: Sequence[Gold], seed: int) -> list[FloatArray]:
    """What the first round says of the lines of every draw, by forests that saw nothing of a line's fold."""
    logits = [np.zeros((len(codes), 1), dtype=np.float32) for codes in near]
    for f in np.unique(draws[0].page_fold).tolist():
        models = [
            fit_trees(near[i][draw.line_fold != f], draw.is_footer[draw.line_fold != f], seed + i, **FIRST_TREES)
            for i, draw in enumerate(draws[:N_AVERAGED])
        ]
        for codes, draw, out in zip(near, draws, logits, strict=True):
            held = draw.line_fold == f
            out[held, 0] = np.mean([model.decision_function(codes[held]) for model in models], axis=0)
    return logits


def fit_lines(draws: Sequence[Gold], seed: int) -> tuple[LineModel, list[LineScores], FloatArray]:
    """Fit the line classifier.

    Parameters
    ----------
    draws : sequence of Gold
        The same pages with copies altered at random; forests that are averaged see one each, and average out what
        the altering brings by chance.
    seed : int

    Returns
    -------
    model : LineModel
    parts : list of LineScores
        N-gram scores that saw nothing of each fold.
    around : ndarray of float32, shape (n_lines, n_features)
        Codes that the second round sees of the first of `draws`.
    """
    gold = draws[0]
    *parts, ngrams = fit_line_scores(gold.table, line_targets(gold.line_role, gold.line_kind), gold.line_fold)
    shapes = [shape_of(draw.table) for draw in draws]
    scores = [_cross_scores(parts, draw, shape) for draw, shape in zip(draws, shapes, strict=True)]
    near_bins = fit_bins(np.concatenate(first_round(gold.table, shapes[0], scores[0]), axis=1))
    views = zip(draws, shapes, scores, strict=True)
    blocks = [code_first(near_bins, draw.table, shape, own) for draw, shape, own in views]
    near = [rows_of_blocks(each[:, :N_FIRST], len(own)) for each, own in zip(blocks, scores, strict=True)]
    logits = _cross_first(near, draws, seed)
    far_bins = fit_bins(np.concatenate(second_round(gold.table, logits[0]), axis=1))
    for draw, each, own in zip(draws, blocks, logits, strict=True):
        code_second(far_bins, each, draw.table, own)
    around = [rows_of_blocks(each, len(own)) for each, own in zip(blocks, scores, strict=True)]

    def forest(codes: Sequence[FloatArray], options: dict[str, Any]) -> Forest:
        models = (
            fit_trees(own, draw.is_footer, seed + i, **options)
            for i, (own, draw) in enumerate(zip(codes, draws, strict=False))
        )
        return forest_of(*models)

    is_footer = gold.is_footer
    roles = fit_trees(around[0][~is_footer], gold.line_role[~is_footer], seed, **ROLE_TREES)
    kinds = [
        fit_trees(own[draw.is_footer], draw.line_kind[draw.is_footer], seed + i, **KIND_TREES)
        for i, (own, draw) in enumerate(zip(around, draws, strict=True))
    ]
    model = LineModel(
        ngrams=ngrams,
        near=near_bins,
        far=far_bins,
        first=forest(near[:N_AVERAGED], FIRST_TREES),
        second=forest(around, SECOND_TREES),
        roles=forest_of(roles),
        kinds=forest_of(*kinds),
        role_codes=roles.classes_.astype(np.int16),
        kind_codes=kinds[0].classes_.astype(np.int16),
        moves=learn_moves(gold.line_role, gold.table.line_bounds, len(ROLES), MOVE_STRENGTH, BOILERPLATE),
    )
    return model, parts, around[0]


def _cross_scores(parts: Sequence[LineScores], gold: Gold, shape: FloatArray) -> FloatArray:
    """N-gram scores of lines, by models that saw nothing of a line's fold: (n_lines, len(OUTPUTS))."""
    scores = np.zeros((len(shape), len(OUTPUTS)), dtype=np.float32)
    for part, (_, held) in zip(parts, splits(gold.line_fold), strict=True):
        scores[held] = part.score(gold.table, gold.table.lines[held])
    return plain_scores(scores, is_plain(gold.table.lines, shape, scores[:, 0]))


def _coded(features: FloatArray) -> tuple[Bins, FloatArray]:
    """Bins of features, and their codes as rows."""
    bins = fit_bins(features)
    return bins, rows_of_blocks(bins.code(features), len(features))


NEVER = -20.0
"""The log-odds of what training did not see."""


def _never() -> Forest:
    """A forest of one output that says no to everything."""
    none = np.zeros(0, dtype=np.int16)
    splits = none.reshape(0, N_SPLITS)
    codes = splits.astype(np.uint8)
    return Forest(splits, codes, none.reshape(0, N_LEAVES), none, codes.ravel(), np.ones(1), np.full(1, NEVER))


def fit_sents(
    gold: Gold, n_whole: int, glue: tuple[Bins, Forest], vectors: FloatArray | None, seed: int
) -> tuple[SentModel, FloatArray]:
    """Fit the sentence classifier on sentences of body lines; with it, cross-fitted log-odds of opinion of them.

    Parameters
    ----------
    gold : Gold
    n_whole : int
        So many of its pages, the first ones, are whole; the others are stretches of texts.
    glue : tuple of Bins and Forest
        As `fit_glue` gives them.
    vectors : ndarray of float32 or None
        As `load_vectors` gives them.
    seed : int
    """
    table = gold.table
    page_of = np.repeat(np.arange(len(gold.page_fold)), np.diff(table.sent_bounds))
    body = np.flatnonzero(gold.sent_role == BODY)
    spans, fold, label = np.ascontiguousarray(table.sents[body]), gold.sent_fold[body], gold.sent_label[body]
    weights = np.where(page_of[body] < n_whole, 1.0, LOOSE_WEIGHT)
    target = label == LABELS.index("opinion")
    known = target | (label == LABELS.index("claim"))
    bounds = np.searchsorted(body, table.sent_bounds).astype(np.int64)
    views = StanceViews(sent_matrix(table, spans), bounds, vectors)
    scores = np.zeros((len(body), N_SCORES), dtype=np.float32)
    for fit, held in splits(fold):
        part = fit_stance(views, fit[known[fit]], target, weights)
        scores[held] = score_sents(table, spans[held], part)
    linear = fit_stance(views, np.flatnonzero(known), target, weights)

    context = np.concatenate(stance_features(table, body, scores), axis=1)
    raw = cross_net(context, target, fold, known, weights, seed)
    scale = LogisticRegression().fit(raw[known, None], target[known], weights[known])
    model = SentModel(
        ngrams=linear,
        stance=fit_net(context[known], target[known], weights[known], seed),
        glue=glue[1],
        glue_bins=glue[0],
        calibration=np.array([scale.coef_[0, 0], scale.intercept_[0]], dtype=np.float32),
    )
    return model, raw * model.calibration[0] + model.calibration[1]


def fit_glue(gold: Gold, parts: Sequence[LineScores], seed: int) -> tuple[Bins, Forest]:
    """Fit what tells a glued footer from a body line's first or last sentence; get its bins and trees.

    Parameters
    ----------
    gold : Gold
        Pages with glued footers, written so or made so.
    parts : sequence of LineScores
        The line model's n-gram scores, each fitted without a fold.
    """
    table = gold.table
    rows = edge_rows(table, gold.line_role == BODY)
    target = gold.sent_role[rows] == BOILERPLATE
    fold = gold.sent_fold[rows]
    scores = np.zeros((len(rows), len(OUTPUTS)), dtype=np.float32)
    for f, part in enumerate(parts):
        held = np.flatnonzero(fold == f)
        scores[held] = part.score(table, table.sents[rows[held]])
    kept = scores[:, 0] > GLUE_SCORE
    rows, target, scores = rows[kept], target[kept], scores[kept]
    bins, codes = _coded(glue_features(table, rows, scores))
    if not 0 < target.sum() < len(target):
        return bins, _never()
    return bins, forest_of(fit_trees(codes, target, seed, **GLUE_TREES))


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
        Codes that the second round sees of `lines`.
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
        folds = folds_of(pages)
        draws = draw_pages(pages, clean, folds, rng)
        line_model, parts, around = fit_lines(draws, seed)
        glued = [glue_page(page, rng) for page in pages]
        glue = fit_glue(gather(glued, clean, folds), parts, seed)
        every = [*pages, *sentences]
        sents = gather(every, clean, folds_of(every))
        sent_model, opinion_odds = fit_sents(sents, len(pages), glue, vectors, seed)
    return Fitted(Classifier(line_model, sent_model), draws[0], sents, around, opinion_odds)


def draw_pages(pages: Sequence[Page], clean: Stage, folds: Mapping[str, int], rng: np.random.Generator) -> list[Gold]:
    """Get what `fit_lines` is fitted on; `folds` by site."""
    alphabet = alphabet_of(pages)
    return [gather(with_copies(pages, alphabet, rng), clean, folds) for _ in range(N_DRAWS)]


def with_copies(pages: Sequence[Page], alphabet: str, rng: np.random.Generator) -> list[Page]:
    """Get pages, and altered copies of some of them behind: what the line classifier is fitted on."""
    copies = [spin_page(page, rng, alphabet, SPIN_RATE) for page in pages if rng.random() < SPUN_SHARE]
    copies += [relay_page(page, rng) for page in pages if rng.random() < RELAID_SHARE]
    copies += [thin_page(page, rng) for page in pages if rng.random() < THIN_SHARE]
    copies += [behead_page(page) for page in pages if rng.random() < BEHEADED_SHARE]
    copies += [turn_page(page) for page in pages if rng.random() < TURNED_SHARE]
    return [*pages, *(copy for copy in copies if len(copy.lines) <= MAX_LINES)]


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
