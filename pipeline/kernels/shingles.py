"""Hashed character n-grams of whole documents, for MinHash, and one hash of all a document's visible characters."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.kernels.lines import Classes, Keys, finish, fold_point, step
from pipeline.kernels.ngrams import Points
from pipeline.tables import INVISIBLE

SHINGLE = 5
"""Code points of an n-gram: two to three words, so that Chinese texts on one subject share few."""


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def shingle(points: Points, bounds: NDArray[np.int64], classes: Classes) -> tuple[Keys, NDArray[np.uint64], Keys]:
    """Get the n-gram hashes of every document; a shorter one gives a single hash, one without visible text none.

    Parameters
    ----------
    points : ndarray of uint32, shape (n_chars,)
    bounds : ndarray of int64, shape (n_docs + 1,)
    classes : ndarray of uint16, shape (0x110000,)

    Returns
    -------
    hashes : ndarray of uint64, shape (n_hashes,)
        Of the folded visible characters, in reading order.
    offsets : ndarray of uint64, shape (n_docs + 1,)
        Where each document's hashes begin.
    whole : ndarray of uint64, shape (n_docs,)
        A hash of all of them; 0 without visible text.
    """
    hashes = np.empty(len(points) + len(bounds), dtype=np.uint64)
    offsets = np.zeros(len(bounds), dtype=np.uint64)
    whole = np.zeros(len(bounds) - 1, dtype=np.uint64)
    recent = np.zeros(SHINGLE, dtype=np.uint32)
    n = 0
    for d in range(len(bounds) - 1):
        state = np.uint64(17)
        seen = 0
        for i in range(bounds[d], bounds[d + 1]):
            if classes[points[i]] & INVISIBLE:
                continue
            c = fold_point(points[i])
            state = step(state, c)
            recent[seen % SHINGLE] = c
            seen += 1
            if seen >= SHINGLE:
                gram = np.uint64(19)
                for k in range(SHINGLE):
                    gram = step(gram, recent[(seen + k) % SHINGLE])
                hashes[n] = finish(gram)
                n += 1
        if seen:
            whole[d] = finish(state)
            if seen < SHINGLE:
                hashes[n] = whole[d]
                n += 1
        offsets[d + 1] = n
    return hashes[:n], offsets, whole
