"""The best sequence of roles for the lines of each document."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.doc import FloatArray

Bounds = NDArray[np.int64]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def decode_lines(scores: FloatArray, bounds: Bounds, moves: FloatArray) -> NDArray[np.int16]:
    """Get the best role of every line by Viterbi's algorithm, document by document.

    Parameters
    ----------
    scores : ndarray of float32, shape (n_lines, n_roles)
        Log-probabilities of each line alone.
    bounds : ndarray of int64, shape (n_docs + 1,)
        Lines of document d: from ``bounds[d]`` to ``bounds[d + 1]``.
    moves : ndarray of float32, shape (n_roles + 1, n_roles + 1)
        Log-weights of one role after another; the last row is a document's start, the last column its end.

    Returns
    -------
    ndarray of int16, shape (n_lines,)
        The earlier role wins a tie.
    """
    n_roles = scores.shape[1]
    roles = np.empty(len(scores), dtype=np.int16)
    back = np.empty((len(scores), n_roles), dtype=np.int16)
    best = np.empty(n_roles, dtype=np.float64)
    fresh = np.empty(n_roles, dtype=np.float64)
    into = np.ascontiguousarray(moves.T).astype(np.float64)
    for d in range(len(bounds) - 1):
        first, last = bounds[d], bounds[d + 1]
        if first == last:
            continue
        for r in range(n_roles):
            best[r] = moves[n_roles, r] + scores[first, r]
        for i in range(first + 1, last):
            for r in range(n_roles):
                own, before = into[r], 0
                top = best[0] + own[0]
                for q in range(1, n_roles):  # without a branch: which role wins can't be foreseen
                    value = best[q] + own[q]
                    before = q if value > top else before
                    top = value if value > top else top
                back[i, r] = before
                fresh[r] = top + scores[i, r]
            best, fresh = fresh, best
        for r in range(n_roles):
            best[r] += moves[r, n_roles]
        roles[last - 1] = np.argmax(best)
        for i in range(last - 1, first, -1):
            roles[i - 1] = back[i, roles[i]]
    return roles


def learn_moves(
    roles: NDArray[np.int16], bounds: Bounds, n_roles: int, strength: float, apart: int | None = None
) -> FloatArray:
    """Log-weights of one role after another, from labelled lines.

    A weight is ``strength * log(P(b after a) / P(b))``: how much more likely a role is because of the one before it.
    What a line alone says already holds how frequent its role is.

    Parameters
    ----------
    roles : ndarray of int16, shape (n_lines,)
    bounds : ndarray of int64, shape (n_docs + 1,)
    n_roles : int
    strength : float
        The lines' scores have seen their neighbours too, so that the full weight (1) would count them twice.
    apart : int, optional
        A role between which and all others together the weights are learnt: a rare role is then as likely next to it
        as a frequent one.

    Returns
    -------
    ndarray of float32, shape (n_roles + 1, n_roles + 1)
    """
    counts = np.full((n_roles + 1, n_roles + 1), 0.5)
    for first, last in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        path = [n_roles, *roles[first:last].tolist(), n_roles]
        for a, b in pairwise(path):
            counts[a, b] += 1
    after = counts / counts.sum(axis=1, keepdims=True)
    alone = counts.sum(axis=0) / counts.sum()
    moves = np.asarray(strength * np.log(after / alone), dtype=np.float32)
    if apart is not None:
        others = np.delete(np.arange(n_roles), apart)
        two = learn_moves((roles == apart).astype(np.int16), bounds, 2, strength)
        moves[apart, others], moves[others, apart], moves[apart, apart] = two[1, 0], two[0, 1], two[1, 1]
    return moves
