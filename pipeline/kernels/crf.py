"""Fit linear-chain conditional random fields over sparse binary features.

Only training uses this; `pipeline.kernels.decode` and `pipeline.kernels.decode_tags` apply what it learns.

References
----------
Lafferty, McCallum and Pereira (2001), Conditional Random Fields.
Duchi, Hazan and Singer (2011), Adaptive Subgradient Methods, section 1.1: the step sizes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ints = NDArray[np.int32]
Reals = NDArray[np.float32]

EPSILON = 1e-6  # keeps the first step finite
RATE_FLOOR = 0.1  # AdaGrad's first steps are too long without it


class Crf:
    """A linear-chain CRF that learns from sentences of feature rows.

    Parameters
    ----------
    n_features, n_tags : int
        Sizes of the weight table.
    rate : float
        AdaGrad's step size.
    l2 : float
        Pull towards zero, felt by a weight whenever its feature is seen.

    Attributes
    ----------
    weights_ : ndarray of float32, shape (n_features, n_tags)
    transitions_ : ndarray of float32, shape (n_tags, n_tags)
        Rows are the earlier tag.
    """

    def __init__(self, n_features: int, n_tags: int, rate: float = 0.2, l2: float = 1e-4) -> None:
        self.rate = rate
        self.l2 = l2
        self.weights_: Reals = np.zeros((n_features, n_tags), np.float32)
        self.transitions_: Reals = np.zeros((n_tags, n_tags), np.float32)
        self._seen = np.full((n_features, n_tags), RATE_FLOOR, np.float32)
        self._seen_transitions = np.full((n_tags, n_tags), RATE_FLOOR, np.float32)

    def fit_epoch(
        self, sentences: Ints, offsets: Ints, features: Ints, tags: Ints, dropout: Reals, order: Ints, seed: int
    ) -> float:
        """Learn from every sentence once; returns the mean loss per sentence.

        Parameters
        ----------
        sentences : ndarray of int32, shape (n_sents + 1,)
            Where each sentence begins among the items.
        offsets : ndarray of int32, shape (n_items + 1,)
            Where each item begins among the features.
        features : ndarray of int32
            Feature numbers, item after item; -1 is skipped.
        tags : ndarray of int32, shape (n_items,)
            Gold tags.
        dropout : ndarray of float32, shape (n_features,)
            How likely a feature is not seen, sentence by sentence.
        order : ndarray of int32
            The sentences to learn from, in this order.
        seed : int
            For the dropout.
        """
        loss = _epoch(
            sentences, offsets, features, tags, dropout, order, seed, self.rate, self.l2,
            self.weights_, self.transitions_, self._seen, self._seen_transitions,
        )  # fmt: skip
        return float(loss) / max(len(order), 1)


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _log_sum(values: Reals) -> Any:
    top = values[0]
    for i in range(1, len(values)):
        top = max(top, values[i])
    total = np.float32(0.0)
    for i in range(len(values)):
        total += np.exp(values[i] - top)
    return top + np.log(total)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _backward(scores: Reals, transitions: Reals) -> Reals:
    """Log sums over what follows each tag at each item."""
    n, k = scores.shape
    beta = np.zeros((n, k), np.float32)
    part = np.empty(k, np.float32)
    for i in range(n - 2, -1, -1):
        for a in range(k):
            for b in range(k):
                part[b] = transitions[a, b] + scores[i + 1, b] + beta[i + 1, b]
            beta[i, a] = _log_sum(part)
    return beta


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _epoch(  # noqa: PLR0912 - one pass over the data, kept in one kernel
    sentences: Ints,
    offsets: Ints,
    features: Ints,
    tags: Ints,
    dropout: Reals,
    order: Ints,
    seed: int,
    rate: float,
    l2: float,
    weights: Reals,
    transitions: Reals,
    seen: Reals,
    seen_transitions: Reals,
) -> float:
    np.random.seed(seed)
    n_tags = weights.shape[1]
    loss = 0.0
    part = np.empty(n_tags, np.float32)
    for s in order:
        begin, end = sentences[s], sentences[s + 1]
        n = end - begin
        if n == 0:
            continue
        scores = np.zeros((n, n_tags), np.float32)
        first = offsets[begin]
        used = np.empty(offsets[end] - first, np.int32)
        for i in range(n):
            for j in range(offsets[begin + i], offsets[begin + i + 1]):
                f = features[j]
                if f >= 0 and dropout[f] > 0 and np.random.random() < dropout[f]:
                    f = -1
                used[j - first] = f
                if f >= 0:
                    for t in range(n_tags):
                        scores[i, t] += weights[f, t]
        beta = _backward(scores, transitions)
        alpha = scores[0].copy()
        total = _log_sum(alpha + beta[0])
        grad_transitions = np.zeros((n_tags, n_tags), np.float32)
        gradient = np.empty((n, n_tags), np.float32)
        gold = np.float32(0.0)
        for i in range(n):
            tag = tags[begin + i]
            if i > 0:
                following = np.empty(n_tags, np.float32)
                for b in range(n_tags):
                    rest = scores[i, b] + beta[i, b] - total
                    for a in range(n_tags):
                        part[a] = alpha[a] + transitions[a, b]
                        grad_transitions[a, b] += np.exp(part[a] + rest)
                    following[b] = _log_sum(part) + scores[i, b]
                alpha = following
                grad_transitions[tags[begin + i - 1], tag] -= 1
                gold += transitions[tags[begin + i - 1], tag]
            gold += scores[i, tag]
            for t in range(n_tags):
                gradient[i, t] = np.exp(alpha[t] + beta[i, t] - total)
            gradient[i, tag] -= 1
        loss += total - gold
        for i in range(n):
            for j in range(offsets[begin + i] - first, offsets[begin + i + 1] - first):
                f = used[j]
                if f >= 0:
                    for t in range(n_tags):
                        g = gradient[i, t] + l2 * weights[f, t]
                        seen[f, t] += g * g
                        weights[f, t] -= rate * g / np.sqrt(seen[f, t])
        for a in range(n_tags):
            for b in range(n_tags):
                g = grad_transitions[a, b] + l2 * transitions[a, b]
                seen_transitions[a, b] += g * g
                transitions[a, b] -= rate * g / np.sqrt(seen_transitions[a, b])
    return loss


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def decode_sparse(sentences: Ints, offsets: Ints, features: Ints, weights: Reals, transitions: Reals) -> Ints:
    """Get the best tags of every item by features already looked up; for tuning."""
    n_tags = weights.shape[1]
    best = np.empty(len(offsets) - 1, np.int32)
    for s in range(len(sentences) - 1):
        begin, end = sentences[s], sentences[s + 1]
        if begin == end:
            continue
        back = np.zeros((end - begin, n_tags), np.int32)
        score = np.zeros(n_tags, np.float32)
        for i in range(end - begin):
            following = np.zeros(n_tags, np.float32)
            for t in range(n_tags):
                if i > 0:
                    top = np.float32(-1e30)
                    for a in range(n_tags):
                        if score[a] + transitions[a, t] > top:
                            top = score[a] + transitions[a, t]
                            back[i, t] = a
                    following[t] = top
            for j in range(offsets[begin + i], offsets[begin + i + 1]):
                f = features[j]
                if f >= 0:
                    for t in range(n_tags):
                        following[t] += weights[f, t]
            score = following
        tag = np.argmax(score)
        for i in range(end - begin - 1, -1, -1):
            best[begin + i] = tag
            tag = back[i, tag]
    return best
