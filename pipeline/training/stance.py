"""Fit the n-gram scores for opinion: a sentence alone, by vectors of its n-grams, and together with its context."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags, hstack
from sklearn.linear_model import LogisticRegression

from pipeline.doc import FloatArray
from pipeline.kernels.ngrams import quantise
from pipeline.training.fit import Linear, Rows

Bounds = NDArray[np.int64]

COST, VECTOR_COST = 10.0, 0.1
NEIGHBOUR = 0.4
"""How much the n-grams of the sentences next to it weigh against a sentence's own before fitting."""

STANCE_TREES: dict[str, Any] = {
    "max_iter": 220,
    "learning_rate": 0.04,
    "max_leaf_nodes": 8,
    "min_samples_leaf": 25,
    "max_features": 0.15,
}


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

    def with_context(self) -> list[csr_matrix]:
        """Own n-grams, those of the sentence before, after, and the page's mean."""
        before, after = self._neighbour(-1), self._neighbour(1)
        return [self.own, NEIGHBOUR * before, NEIGHBOUR * after, self._page()]

    def _neighbour(self, step: int) -> csr_matrix:
        """The n-grams of the sentence `step` further on; none beyond the page."""
        n = self.own.shape[0]
        page = np.repeat(np.arange(len(self.bounds) - 1), np.diff(self.bounds))
        there = np.clip(np.arange(n) + step, 0, n - 1)
        inside = (there == np.arange(n) + step) & (page[there] == page)
        return diags(inside.astype(np.float64)) @ self.own[there]

    def _page(self) -> csr_matrix:
        """The mean of each sentence's page."""
        n_sents = np.diff(self.bounds)
        members = csr_matrix((np.ones(self.bounds[-1]), np.arange(self.bounds[-1]), self.bounds))
        means = diags(1 / np.maximum(n_sents, 1)) @ (members @ self.own)
        return means[np.repeat(np.arange(len(n_sents)), n_sents)]


def _logistic(features: Any, target: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
    """Coefficients and intercept of a balanced sparse logistic regression."""
    model = LogisticRegression(
        C=COST, solver="liblinear", dual=True, tol=0.1, random_state=0, class_weight="balanced"
    ).fit(features, target)
    return model.coef_[0], float(model.intercept_[0])


def fit_stance(views: StanceViews, rows: Rows, is_opinion: NDArray[np.bool_]) -> Linear:
    """Fit all n-gram scores on the sentences `rows`: columns as `pipeline.classify.sents.OUTPUTS`."""
    n_columns = views.own.shape[1]
    target = is_opinion[rows]
    table, bias = np.zeros((n_columns, 6)), np.zeros(6)
    table[:, 0], bias[0] = _logistic(views.own[rows], target)
    if views.vectors is not None:
        table[:, 1], bias[1] = _fit_vectors(views.own[rows], views.vectors, target)
    weights, bias[2] = _logistic(hstack([part[rows] for part in views.with_context()]).tocsr(), target)
    own, before, after, page = weights.reshape(4, n_columns)
    # the n-grams of the sentence before weigh on this one: seen from there, on the next
    table[:, 2], table[:, 3], table[:, 4], table[:, 5] = own, NEIGHBOUR * before, NEIGHBOUR * after, page
    quantised, scale = quantise(table)
    return Linear(quantised, scale, bias.astype(np.float32))


def _fit_vectors(own: csr_matrix, vectors: FloatArray, target: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
    """Fit weights of the sentences' vectors and get them as n-gram weights."""
    sums = np.asarray(own @ vectors, dtype=np.float64)
    spread = np.maximum(sums.std(axis=0), 1e-9)
    model = LogisticRegression(C=VECTOR_COST, max_iter=300, class_weight="balanced").fit(sums / spread, target)
    return vectors.astype(np.float64) @ (model.coef_[0] / spread), float(model.intercept_[0])
