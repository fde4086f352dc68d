"""Vectors of hashed character n-grams, learnt from plain text.

An n-gram is known by the characters around it: how often each frequent character stands directly before or after it,
or a little further away. Those counts, as positive pointwise mutual information, are reduced to a few dimensions. The
sentence classifier learns weights of a sentence's mean vector; since that is linear, they become n-gram weights and
cost nothing at run time.

``python -m pipeline.training.vectors FOLDER FILE...`` learns those of `models/vectors` from gzipped JSONL files.

References
----------
Levy, Goldberg, Dagan (2015), Improving distributional similarity with lessons learned from word embeddings, TACL 3,
section 2 (PPMI and its factorisation) and 3 (context distribution smoothing, eigenvalue weighting).
"""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numba import njit
from numpy.typing import NDArray

from pipeline.classify.sents import ORDER
from pipeline.doc import FloatArray, code_points
from pipeline.kernels.ngrams import Points, _row, _step, fold_points
from pipeline.weights import load_arrays, load_meta, save_meta

BITS, N_DIMS = 18, 32
"""Of the vectors that the sentence classifier is fitted with."""
N_CONTEXT_CHARS = 800
FAR = 4
"""Code points on each side that count as "a little further away"."""
MIN_COUNT = 30
SMOOTHING = 0.75
ARRAYS = "ngrams.npz"


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _count(points: Points, context: NDArray[np.int32], bits: int, counts: FloatArray) -> None:
    """Add a text's n-grams and their surroundings to `counts`, shape (2 ** bits, 4 * N_CONTEXT_CHARS)."""
    shift = np.uint32(32 - bits)
    n = len(points)
    width = counts.shape[1] // 4
    for i in range(n):
        state = np.uint32(0)
        for order in range(min(ORDER, n - i)):
            if points[i + order] == 10:
                break
            state = _step(state, points[i + order])
            row = _row(state, shift)
            for side in range(2):
                for step in range(FAR):
                    j = i - 1 - step if side == 0 else i + order + 1 + step
                    if j < 0 or j >= n or points[j] == 10:
                        break
                    c = context[points[j]] if points[j] < len(context) else -1
                    if c >= 0:
                        counts[row, (2 * side + (step > 0)) * width + c] += 1.0


def context_chars(texts: Iterable[Points]) -> NDArray[np.int32]:
    """The number of each of the most frequent characters, by code point; -1 for all others: shape (65536,)."""
    totals = np.zeros(0x10000, dtype=np.int64)
    for points in texts:
        totals += np.bincount(points[points < 0x10000], minlength=0x10000)
    totals[:0x21] = 0
    index = np.full(0x10000, -1, dtype=np.int32)
    index[np.argsort(-totals, kind="stable")[:N_CONTEXT_CHARS]] = np.arange(N_CONTEXT_CHARS)
    return index


def _to_ppmi(counts: FloatArray) -> None:
    """Turn counts into positive pointwise mutual information, in place; rare rows become zero."""
    rows = counts.sum(axis=1, dtype=np.float64)
    columns = counts.sum(axis=0, dtype=np.float64) ** SMOOTHING
    columns /= columns.sum()
    for start in range(0, len(counts), 4096):
        part = counts[start : start + 4096]
        total = rows[start : start + 4096, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            part[:] = np.maximum(np.log(part / (total * columns)), 0)
        part[(total[:, 0] < MIN_COUNT)] = 0
        part[~np.isfinite(part)] = 0


def _reduce(matrix: FloatArray, n_dims: int, seed: int) -> FloatArray:
    """The leading left singular vectors times the root of their values, by randomised iteration."""
    rng = np.random.default_rng(seed)
    probe = rng.standard_normal((matrix.shape[1], n_dims + 16)).astype(np.float32)
    for _ in range(3):
        basis, _r = np.linalg.qr(matrix @ probe)
        probe = matrix.T @ basis
    u, values, _v = np.linalg.svd(probe.T, full_matrices=False)
    vectors = basis @ u[:, :n_dims] * np.sqrt(values[:n_dims])
    return np.asarray(vectors, dtype=np.float32)


def learn_vectors(texts: Iterable[str], bits: int, n_dims: int, seed: int = 0) -> FloatArray:
    """Get a vector for each row of a hashed n-gram table.

    Parameters
    ----------
    texts : iterable of str
    bits : int
        As in `hash_ngrams`.
    n_dims : int
    seed : int

    Returns
    -------
    ndarray of float32, shape (2 ** bits, n_dims)
        Zero for n-grams that are rare or unknown; the others of unit length.
    """
    folded = [fold_points(code_points(text)) for text in texts]
    context = context_chars(folded)
    counts = np.zeros((2**bits, 4 * N_CONTEXT_CHARS), dtype=np.float32)
    for points in folded:
        _count(points, context, bits, counts)
    _to_ppmi(counts)
    vectors = _reduce(counts, n_dims, seed)
    norms: NDArray[Any] = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(norms > 0, norms, 1), dtype=np.float32)


def save_vectors(vectors: FloatArray, folder: Path, about: Mapping[str, Any]) -> None:
    """Write vectors as int8 into a model folder; `about` goes into `meta.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    largest = float(np.abs(vectors).max())
    np.savez_compressed(folder / ARRAYS, vectors=np.rint(vectors / largest * 127).astype(np.int8))
    save_meta(folder, "vectors", about)


def load_vectors(folder: Path) -> FloatArray:
    """Get the vectors of a model folder: shape (2 ** bits, n_dims); their common scale carries no meaning."""
    load_meta(folder, "vectors")
    return np.asarray(load_arrays(folder / ARRAYS)["vectors"] / 127, dtype=np.float32)


def main() -> None:
    """Learn vectors from the texts of gzipped JSONL files and write their folder."""
    folder, *files = map(Path, sys.argv[1:])
    texts = [orjson.loads(line)["text"] for file in files for line in gzip.decompress(file.read_bytes()).splitlines()]
    vectors = learn_vectors(texts, BITS, N_DIMS)
    save_vectors(vectors, folder, {"bits": BITS, "n_chars": sum(map(len, texts)), "n_dims": N_DIMS})


if __name__ == "__main__":
    main()
