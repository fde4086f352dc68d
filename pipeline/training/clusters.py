"""Learn word clusters from plain text: words that keep the same company share a number.

References
----------
Levy and Goldberg (2014), Neural Word Embedding as Implicit Matrix Factorization: PPMI and its factors.
Koo, Carreras and Collins (2008), Simple Semi-supervised Dependency Parsing: clusters as features.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import scipy.sparse
from numpy.typing import NDArray
from sklearn.cluster import MiniBatchKMeans
from sklearn.utils.extmath import randomized_svd

from pipeline.errors import ConfigError
from pipeline.kernels import decode, decode_tags
from pipeline.training.conllu import Treebank

MIN_COUNT = 5
N_CONTEXTS = 15_000  # the most frequent words; rarer neighbours say little
PLACES = {-1: 1.0, 1: 1.0, -2: 0.5, 2: 0.5}  # neighbours, and their weight
N_DIMENSIONS = 120
N_CLUSTERS = (128, 1024)  # coarse, fine
SENTENCE = re.compile(r"[^。！？!?；…\n]+[。！？!?；…]*[”’\"'）)」』》】]*")
MEASURE_ONLY = ".eval-only."  # files so named are never learnt from


def read_texts(folder: Path) -> Iterator[str]:
    """Yield the texts of a folder's ``*.jsonl.gz`` files; those for measuring only are left out.

    Raises
    ------
    ConfigError
        With file and line, if a row has no text.
    """
    for path in sorted(folder.glob("*.jsonl.gz")):
        if MEASURE_ONLY in path.name:
            continue
        with gzip.open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    text = orjson.loads(line)["text"]
                except (orjson.JSONDecodeError, KeyError, TypeError) as error:
                    raise ConfigError(f'{path}:{number}: expected a JSON object with "text"') from error
                yield text


def learn(
    bank: Treebank, plain: Path | None, words: decode.Tables, fold: NDArray[np.uint16], seed: int
) -> tuple[NDArray[np.uint64], NDArray[np.int16]]:
    """Learn clusters from a treebank's training texts and from plain text.

    Returns
    -------
    keys : ndarray of uint64
        Open addressing by the hash of a word, for `decode_tags.find_hash`.
    clusters : ndarray of int16, shape (n_slots, 2)
        Coarse and fine, by slot.
    """
    texts = [sentence.text for sentence in bank.train + bank.dev]
    texts += [] if plain is None else read_texts(plain)
    stream, hashes, counts = count_words(texts, words, fold)
    vectors, rows = embed(stream, counts, seed)
    labels = [
        MiniBatchKMeans(min(k, len(rows)), random_state=seed, batch_size=4096, n_init=1, max_iter=60).fit(vectors).labels_
        for k in N_CLUSTERS
    ]
    n_slots = 4
    while n_slots < 2 * len(rows):
        n_slots *= 2
    keys, which = decode_tags.place_hashes(hashes[rows], n_slots)
    found = np.zeros((n_slots, len(N_CLUSTERS)), np.int16)
    found[which >= 0] = np.stack(labels, axis=1)[which[which >= 0]]
    return keys, found


def count_words(
    texts: list[str], words: decode.Tables, fold: NDArray[np.uint16]
) -> tuple[NDArray[np.int32], NDArray[np.uint64], NDArray[np.int64]]:
    """Segment texts and number their words.

    Returns
    -------
    stream : ndarray of int32
        The words in order, by number; 0 where a sentence begins.
    hashes : ndarray of uint64
        Of each number; number 0 has hash 0.
    counts : ndarray of int64
    """
    simplify = _simplifier()
    parts = []
    for text in texts:
        codes = decode.to_codes(text)
        codes = np.where(codes < decode.N_BMP, simplify[np.minimum(codes, decode.N_BMP - 1)], codes)
        sents = np.array([match.span() for match in SENTENCE.finditer(text)], np.int32).reshape(-1, 2)
        tokens = decode.decode(codes, sents, words)
        firsts = np.searchsorted(tokens[:, 0], sents[:, 0])
        parts.append(np.insert(decode_tags.hash_tokens(codes, tokens, fold), firsts, np.uint64(0)))
    hashes, stream, counts = np.unique(np.concatenate(parts), return_inverse=True, return_counts=True)
    return stream.astype(np.int32), hashes, counts


def _simplifier() -> NDArray[np.uint32]:
    """Get the simplified form of every code point below U+10000."""
    from pipeline.training.segmenter import simplified  # noqa: PLC0415 - OpenCC takes a second to load

    chars = [chr(code) for code in range(0x3400, 0xA000)]
    table = np.arange(decode.N_BMP, dtype=np.uint32)
    table[0x3400:0xA000] = [ord(char) for char in simplified(chars)]
    return table


def embed(stream: NDArray[np.int32], counts: NDArray[np.int64], seed: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Get a vector for every word that is frequent enough, and the words' numbers."""
    order = np.argsort(-counts, kind="stable")
    order = order[order != 0]
    rows = order[counts[order] >= MIN_COUNT]
    row_of, context_of = np.full(len(counts), -1), np.full(len(counts), -1)
    row_of[rows] = np.arange(len(rows))
    context_of[order[:N_CONTEXTS]] = np.arange(1, len(order[:N_CONTEXTS]) + 1)
    context_of[0] = 0
    blocks = [_ppmi(row_of[stream], context_of[stream], place, len(rows)) * w for place, w in PLACES.items()]
    matrix = scipy.sparse.hstack(blocks).tocsr()
    left, values, _ = randomized_svd(matrix, min(N_DIMENSIONS, len(rows) - 1), n_iter=2, random_state=seed)
    vectors = left * np.sqrt(values)
    return vectors / (np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-9), rows


def _ppmi(words: NDArray[Any], contexts: NDArray[Any], place: int, n_words: int) -> Any:
    """Get how much more often than by chance each word has each context at a place."""
    here, there = (words[:-place], contexts[place:]) if place > 0 else (words[-place:], contexts[:place])
    known = (here >= 0) & (there >= 0)
    shape = (n_words, N_CONTEXTS + 1)
    pairs = (here[known], there[known])
    matrix = scipy.sparse.coo_matrix((np.ones(len(pairs[0]), np.float32), pairs), shape).tocsr().tocoo()
    of_word = np.asarray(matrix.sum(axis=1)).ravel()
    of_context = np.asarray(matrix.sum(axis=0)).ravel() ** 0.75  # smoothed, so that rare contexts don't win
    of_context /= of_context.sum()
    values = np.log(np.maximum(matrix.data / (of_word[matrix.row] * of_context[matrix.col]), 1e-12))
    keep = values > 0
    return scipy.sparse.csr_matrix((values[keep], (matrix.row[keep], matrix.col[keep])), shape)
