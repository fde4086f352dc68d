"""Fit n-gram scores for opinion: a sentence alone, by vectors of its n-grams, with context; and the net over them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags, hstack
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from pipeline.classify.sents import ORDER
from pipeline.doc import FloatArray
from pipeline.kernels.dense import LIMIT, Net
from pipeline.kernels.ngrams import Linear, quantise
from pipeline.training.fit import Rows, Weights, splits

Bounds = NDArray[np.int64]

COST, VECTOR_COST = 5.0, 0.1
PRIOR_COUNT = 2.0
"""Rows of each class that every n-gram is taken to have been seen in beforehand."""
EVEN = 0.5
"""The weight of an n-gram that stands in both classes alike, to which its log-ratio is added."""
NEIGHBOUR = 0.4
"""How much the n-grams of the sentences next to it weigh against a sentence's own before fitting."""

N_NETS = 4
"""Nets of different seeds, averaged."""
NET: dict[str, Any] = {"hidden_layer_sizes": (16,), "alpha": 1.0, "max_iter": 20, "learning_rate_init": 0.002}


@dataclass(frozen=True, eq=False)
class StanceViews:
    """Sentences as n-gram features.

    Parameters
    ----------
    own : sparse matrix, shape (n_sents, 2 ** bits)
    bounds : ndarray of int64, shape (n_docs + 1,)
        The sentences of each page.
    vectors : ndarray of float32, shape (2 ** bits, n_dims) or None
        As `learn_vectors` gives them; None leaves that score zero.
    """

    own: csr_matrix
    bounds: Bounds
    vectors: FloatArray | None

    def with_context(self, rows: Rows) -> list[csr_matrix]:
        """Own n-grams, those of the sentence before, after, and the page's mean, of the sentences `rows`."""
        before, after = self._neighbour(rows, -1), self._neighbour(rows, 1)
        return [self.own[rows], NEIGHBOUR * before, NEIGHBOUR * after, self._page(rows)]

    @property
    def _page_of(self) -> Rows:
        return np.repeat(np.arange(len(self.bounds) - 1), np.diff(self.bounds))

    def _neighbour(self, rows: Rows, step: int) -> csr_matrix:
        """The n-grams of the sentence `step` further on; none beyond the page."""
        page = self._page_of
        there = np.clip(rows + step, 0, len(page) - 1)
        inside = (there == rows + step) & (page[there] == page[rows])
        return diags(inside.astype(np.float64)) @ self.own[there]

    def _page(self, rows: Rows) -> csr_matrix:
        """The mean of each sentence's page."""
        n_sents = np.diff(self.bounds)
        members = csr_matrix((np.ones(self.bounds[-1]), np.arange(self.bounds[-1]), self.bounds))
        means = diags(1 / np.maximum(n_sents, 1)) @ (members @ self.own)
        return means[self._page_of[rows]]


def unevenness(features: csr_matrix, target: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How unevenly each feature stands in two classes: (n_columns,), of mean square one where seen.

    Features are weighted so before fitting: regularisation then falls on the many that stand in both classes alike. The
    weights go into the coefficients and cost nothing at run time.

    Parameters
    ----------
    features : sparse matrix, shape (n_rows, n_columns)
    target : ndarray of bool, shape (n_rows,)

    References
    ----------
    Wang, Manning (2012), Baselines and bigrams: simple, good sentiment and topic classification, ACL, section 2.3.
    """
    present = (features > 0).astype(np.float64).T
    inside = PRIOR_COUNT + present @ target.astype(np.float64)
    outside = PRIOR_COUNT + present @ (~target).astype(np.float64)
    weights = EVEN + np.abs(np.log((inside / inside.sum()) / (outside / outside.sum())))
    seen = inside + outside > 2 * PRIOR_COUNT
    return np.asarray(weights / np.sqrt(np.mean(weights[seen] ** 2)))


def _logistic(
    features: csr_matrix, target: NDArray[np.bool_], columns: Weights, rows: Weights
) -> tuple[NDArray[np.float64], float]:
    """Coefficients and intercept of a balanced sparse logistic regression; its columns and rows are weighted."""
    model = LogisticRegression(
        C=COST, solver="liblinear", dual=True, tol=0.1, random_state=0, class_weight="balanced"
    ).fit(features @ diags(columns), target, rows)
    return model.coef_[0] * columns, float(model.intercept_[0])


def fit_stance(views: StanceViews, rows: Rows, is_opinion: NDArray[np.bool_], weights: Weights) -> Linear:
    """Fit all n-gram scores on the sentences `rows`: columns as `pipeline.classify.sents.OUTPUTS`.

    Parameters
    ----------
    views : StanceViews
    rows : ndarray of int64, shape (n_rows,)
    is_opinion : ndarray of bool, shape (n_sents,)
    weights : ndarray of float64, shape (n_sents,)
        How much each sentence counts.
    """
    n_columns = views.own.shape[1]
    target = is_opinion[rows]
    table, bias = np.zeros((n_columns, 6)), np.zeros(6)
    uneven = unevenness(views.own[rows], target)
    table[:, 0], bias[0] = _logistic(views.own[rows], target, uneven, weights[rows])
    if views.vectors is not None:
        table[:, 1], bias[1] = _fit_vectors(views.own[rows], views.vectors, target)
    parts = views.with_context(rows)
    weights, bias[2] = _logistic(hstack(parts).tocsr(), target, np.tile(uneven, len(parts)), weights[rows])
    own, before, after, page = weights.reshape(4, n_columns)
    # the n-grams of the sentence before weigh on this one: seen from there, on the next
    table[:, 2], table[:, 3], table[:, 4], table[:, 5] = own, NEIGHBOUR * before, NEIGHBOUR * after, page
    quantised, scale = quantise(table)
    return Linear(quantised, scale, bias.astype(np.float32), ORDER)


def _fit_vectors(own: csr_matrix, vectors: FloatArray, target: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
    """Fit weights of the sentences' vectors and get them as n-gram weights."""
    sums = np.asarray(own @ vectors, dtype=np.float64)
    spread = np.maximum(sums.std(axis=0), 1e-9)
    model = LogisticRegression(C=VECTOR_COST, max_iter=300, class_weight="balanced").fit(sums / spread, target)
    return vectors.astype(np.float64) @ (model.coef_[0] / spread), float(model.intercept_[0])


def fit_net(features: FloatArray, target: NDArray[np.bool_], weights: Weights, seed: int) -> Net:
    """Fit nets of several seeds and get their mean as one; `weights` says how much each row counts."""
    mean, spread = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
    inverse = 1 / np.maximum(spread, 1e-6)
    scaled = np.clip((features - mean) * inverse, -LIMIT, LIMIT)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the number of rounds is what regularises
        nets = [
            MLPClassifier(**NET, random_state=seed + i).fit(scaled, target, weights / weights.mean())
            for i in range(N_NETS)
        ]
    arrays = (
        mean,
        inverse,
        np.concatenate([net.coefs_[0] for net in nets], axis=1),
        np.concatenate([net.intercepts_[0] for net in nets]),
        np.concatenate([net.coefs_[1][:, 0] for net in nets]) / N_NETS,
        np.mean([net.intercepts_[1] for net in nets], axis=0),
    )
    return Net(*(np.ascontiguousarray(array, dtype=np.float32) for array in arrays))


def cross_net(
    features: FloatArray,
    target: NDArray[np.bool_],
    fold: NDArray[np.int64],
    usable: NDArray[np.bool_],
    weights: Weights,
    seed: int,
) -> FloatArray:
    """Log-odds of opinion by nets that saw nothing of a row's fold: (n_rows,)."""
    out = np.zeros(len(features), dtype=np.float32)
    for fit, held in splits(fold):
        rows = fit[usable[fit]]
        net = fit_net(features[rows], target[rows], weights[rows], seed)
        out[held] = net.decide(np.ascontiguousarray(features[held]))
    return out
