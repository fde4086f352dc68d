"""What fitting the line and the sentence classifier have in common: hashed features, folds, linear and tree models.

Everything here is deterministic for a seed; scikit-learn is imported nowhere else but under `training`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from pipeline.doc import FloatArray, IntArray
from pipeline.kernels.ngrams import Linear, Points, hash_ngrams, quantise
from pipeline.kernels.trees import N_CELLS, OUTSIDE, Bins
from pipeline.training.labelled import LabelledDataError

Mask = NDArray[np.bool_]
Folds = NDArray[np.int64]
Rows = NDArray[np.int64]
Weights = NDArray[np.float64]

N_FOLDS = 5
RARE = -8.0
"""The score of a class that training never saw."""


def ngram_matrix(folded: Points, spans: IntArray, bits: int, reach: int, order: int) -> csr_matrix:
    """The n-gram features of spans: sparse, shape (n_spans, 2 ** bits)."""
    indptr, indices, values = hash_ngrams(folded, spans, bits, reach, order)
    matrix = csr_matrix((values, indices, indptr), shape=(len(spans), 2**bits))
    matrix.sum_duplicates()
    return matrix


def fit_linear(
    features: csr_matrix, targets: Mask, cost: float, weights: Weights | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit one logistic regression for each column of `targets`.

    Parameters
    ----------
    features : sparse matrix, shape (n_rows, n_columns)
    targets : ndarray of bool, shape (n_rows, n_outputs)
    cost : float
        Inverse strength of regularisation.
    weights : ndarray of float64, shape (n_rows,) or None

    Returns
    -------
    coefficients : ndarray of float64, shape (n_columns, n_outputs)
    bias : ndarray of float64, shape (n_outputs,)
    """
    coefficients = np.zeros((features.shape[1], targets.shape[1]))
    bias = np.full(targets.shape[1], RARE)
    for k in range(targets.shape[1]):
        if 0 < targets[:, k].sum() < len(targets):
            # the dual solver is the fast one here: few rows, many columns; a finer tolerance changes nothing, and
            # what has not converged after so many rounds is a rare kind that reads like others
            model = LogisticRegression(C=cost, solver="liblinear", dual=True, tol=0.1, max_iter=100, random_state=0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.fit(features, targets[:, k], weights)
            coefficients[:, k], bias[k] = model.coef_[0], model.intercept_[0]
    return coefficients, bias


def fit_bins(features: FloatArray) -> Bins:
    """Get bins of about as many values each, at most 254, for features of shape (n_rows, n_features)."""
    n_features = features.shape[1]
    low, scale = np.zeros(n_features, dtype=np.float32), np.zeros(n_features, dtype=np.float32)
    codes = np.zeros((n_features, N_CELLS), dtype=np.uint8)
    for j in range(n_features):
        column = features[features[:, j] > OUTSIDE, j]
        if not len(column):
            continue
        first, last = np.quantile(column, (TAIL, 1 - TAIL))
        low[j], scale[j] = first, (N_CELLS - 3) / max(last - first, 1e-6)
        cells = np.clip(((column - low[j]) * scale[j] + np.float32(1)), 1, N_CELLS - 1).astype(np.int64)
        codes[j] = _codes_of(np.bincount(cells, minlength=N_CELLS))
    return Bins(low, scale, codes)


TAIL = 0.001
"""The share of a feature's values at either end that are told apart no further."""
MAX_CODES = 254


def _codes_of(counts: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Get the code of every cell, from 1 on: cells share one where there are more of them than codes. Cell 0 has 0."""
    used = np.flatnonzero(counts)
    rank = np.cumsum(counts[used]) - counts[used]
    group = np.arange(len(used)) if len(used) <= MAX_CODES else rank * MAX_CODES // counts.sum()
    opens = used[np.flatnonzero(np.diff(group, prepend=-1))]
    codes = np.maximum(np.searchsorted(opens, np.arange(len(counts)), side="right"), 1).astype(np.uint8)
    codes[0] = 0
    return codes


def fit_trees(
    codes: FloatArray,
    target: NDArray[Any],
    seed: int,
    weights: Weights | None = None,
    **options: Any,
) -> HistGradientBoostingClassifier:
    """Fit boosted trees on the codes of `Bins`; `options` overrides the defaults."""
    defaults: dict[str, Any] = {
        "max_iter": 150,
        "learning_rate": 0.08,
        "max_depth": 4,
        "max_leaf_nodes": None,
        "min_samples_leaf": 15,
        "l2_regularization": 5.0,
        "max_features": 0.3,
        "early_stopping": False,
    }
    return HistGradientBoostingClassifier(**{**defaults, **options}, random_state=seed).fit(codes, target, weights)


def assign_folds(names: Sequence[str], sizes: Sequence[int]) -> dict[str, int]:
    """Spread groups over folds of about equal size: the largest first, each to the emptiest fold.

    Parameters
    ----------
    names : sequence of str
        The group of every page; what must not be split between fitting and measuring.
    sizes : sequence of int
        The lines of every page.

    Returns
    -------
    dict of str to int
        Fold by group.

    Examples
    --------
    >>> assign_folds(["a", "b", "a"], [2, 9, 3])
    {'b': 0, 'a': 1}
    """
    totals: dict[str, int] = {}
    for name, size in zip(names, sizes, strict=True):
        totals[name] = totals.get(name, 0) + size
    if len(totals) < 2:
        raise LabelledDataError(f"cross-fitting needs pages of at least two publishers, found {len(totals)}")
    load = [0] * min(N_FOLDS, len(totals))
    folds = {}
    for name, size in sorted(totals.items(), key=lambda item: (-item[1], item[0])):
        folds[name] = load.index(min(load))
        load[folds[name]] += size
    return folds


def splits(fold: Folds) -> list[tuple[Rows, Rows]]:
    """For each fold the rows to fit on and the rows held out."""
    return [(np.flatnonzero(fold != f), np.flatnonzero(fold == f)) for f in np.unique(fold).tolist()]


def fit_ngrams(features: csr_matrix, order: int, targets: Mask, cost: float, weights: Weights | None = None) -> Linear:
    """Fit linear models of n-grams up to `order` and get them quantised; other arguments as in `fit_linear`."""
    coefficients, bias = fit_linear(features, targets, cost, weights)
    table, scale = quantise(coefficients)
    return Linear(table, scale, bias.astype(np.float32), order)


def cross_trees(
    codes: FloatArray,
    target: Mask,
    fold: Folds,
    usable: Mask,
    seed: int,
    weights: Weights | None = None,
    **options: Any,
) -> FloatArray:
    """Log-odds of a yes-or-no target by trees that saw nothing of a row's fold: (n_rows, 1)."""
    out = np.zeros((len(codes), 1), dtype=np.float32)
    for fit, held in splits(fold):
        rows = fit[usable[fit]]
        model = fit_trees(codes[rows], target[rows], seed, None if weights is None else weights[rows], **options)
        out[held, 0] = model.decision_function(codes[held])
    return out
