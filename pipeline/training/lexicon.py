"""What plain text teaches about words: their company, and how an earlier tagger tags them.

References
----------
Levy and Goldberg (2014), Neural Word Embedding as Implicit Matrix Factorization: PPMI and its factors.
Koo, Carreras and Collins (2008), Simple Semi-supervised Dependency Parsing: clusters as features.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.cluster import MiniBatchKMeans
from sklearn.utils.extmath import randomized_svd

from pipeline.doc import code_points
from pipeline.kernels import decode, features
from pipeline.training.plain import SENTENCE

MIN_COUNT = 2  # rarer words are not in the lexicon
MIN_CLUSTER_COUNT = 5  # rarer words have no cluster
N_CONTEXTS = 15_000  # the most frequent words; rarer neighbours say little
PLACES = {-1: 1.0, 1: 1.0, -2: 0.5, 2: 0.5}  # neighbours, and their weight
N_DIMENSIONS = 120
N_CLUSTERS = (128, 1024)  # coarse, fine
# Borders between "hardly", "sometimes", ... "always"; and how often a word has to be seen to be sure of it.
TAG_SHARES, NAME_SHARES, SURE_COUNT = (0.5, 0.75, 0.95), (0.01, 0.05, 0.2, 0.5, 0.8), 5
SECOND_SHARE = 0.15
N_TAG_NAMES = 64  # more than any tagset has


@dataclass(frozen=True)
class PlainText:
    """Segmented plain text and its vocabulary.

    Parameters
    ----------
    codes : ndarray of uint32
    tokens : ndarray of int32, shape (n_tokens, 2)
        Half-open offsets into `codes`.
    sents : ndarray of int32, shape (n_sents, 2)
        Half-open ranges of tokens.
    words : ndarray of int32, shape (n_tokens,)
        The number of each token's word.
    hashes : ndarray of uint64, shape (n_words,)
        The hash of each word.
    """

    codes: decode.Codes
    tokens: decode.Ints
    sents: decode.Ints
    words: NDArray[np.int32]
    hashes: NDArray[np.uint64]

    @property
    def counts(self) -> NDArray[np.int64]:
        """How often each word occurs."""
        return np.bincount(self.words, minlength=len(self.hashes))


def segment(texts: Iterable[str], words: decode.Tables, fold: NDArray[np.uint16]) -> PlainText:
    """Segment plain text, in simplified script."""
    text = "\n".join(texts)
    codes = code_points(text)
    sents = np.array([match.span() for match in SENTENCE.finditer(text)], np.int32).reshape(-1, 2)
    tokens = decode.decode(codes, sents, words)
    ranges = np.searchsorted(tokens[:, 0], sents).astype(np.int32)
    hashes, numbers = np.unique(features.hash_tokens(codes, tokens, fold), return_inverse=True)
    return PlainText(codes, tokens, ranges, numbers.astype(np.int32), hashes)


def build(
    plain: PlainText, fold: NDArray[np.uint16], kinds: NDArray[np.uint8], seed: int
) -> tuple[features.Lexicon, NDArray[np.int64]]:
    """Get a lexicon that knows the clusters of words, and nothing yet of tags.

    Returns
    -------
    lexicon : Lexicon
    slot_words : ndarray of int64, shape (n_slots,)
        The word at each slot of the lexicon, -1 for none; for `add_tags`.
    """
    counts = plain.counts
    kept = np.flatnonzero(counts >= MIN_COUNT)
    n_slots = max(4, 1 << (2 * len(kept) - 1).bit_length())
    keys, which = features.place_hashes(plain.hashes[kept], n_slots)
    slot_words = np.where(which >= 0, kept[which], -1)
    by_word = np.zeros((len(counts), features.N_CLASSES), np.int16)
    vectors, rows = embed(plain, seed)
    for column, k in enumerate(N_CLUSTERS):
        k_means = MiniBatchKMeans(min(k, len(rows)), random_state=seed, batch_size=4096, n_init=1, max_iter=60)
        by_word[rows, column] = 1 + k_means.fit(vectors).labels_
    classes = np.where(which[:, None] >= 0, by_word[slot_words], 0).astype(np.int16)
    return features.Lexicon(fold, kinds, keys, classes), slot_words


def add_tags(
    lexicon: features.Lexicon,
    slot_words: NDArray[np.int64],
    plain: PlainText,
    tags: NDArray[np.int16],
    names: decode.Ints,
) -> features.Lexicon:
    """Get a lexicon that knows besides how a tagger tags the words of plain text.

    Parameters
    ----------
    lexicon, slot_words
        From `build`.
    plain : PlainText
    tags : ndarray of int16, shape (n_tokens,)
        XPOS codes of the words of `plain`, below `N_TAG_NAMES`.
    names : ndarray of int32, shape (n_names, 3)
        See `decode_tags.Decoder.decode`.
    """
    shape = (len(plain.hashes), N_TAG_NAMES)
    cells = plain.words.astype(np.int64) * N_TAG_NAMES + tags
    counts = np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)
    kinds = np.zeros(len(plain.tokens) + 1, np.int64)
    for label in range(names[:, 2].max(initial=0) + 1):
        of_label = names[names[:, 2] == label]
        inside = np.zeros(len(kinds), np.int64)
        np.add.at(inside, of_label[:, 0], 1)
        np.add.at(inside, of_label[:, 1], -1)
        kinds += (label + 1) * np.cumsum(inside)
    n_kinds = 1 + int(kinds.max(initial=0))
    named = np.bincount(plain.words.astype(np.int64) * n_kinds + kinds[:-1], minlength=shape[0] * n_kinds)
    by_word = np.concatenate([tag_classes(counts), name_classes(named.reshape(-1, n_kinds))], axis=1)
    classes = lexicon.classes.copy()
    classes[:, 2:] = np.where(slot_words[:, None] >= 0, by_word[slot_words], 0)
    return lexicon._replace(classes=classes)


def tag_classes(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Get classes from how often words have tags: usual tag and how usual; usual tag and the next.

    Examples
    --------
    >>> tag_classes(np.array([[0, 9, 1], [3, 0, 0]])).tolist()
    [[14, 2], [7, 1]]
    """
    total = counts.sum(axis=1)
    top = counts.argmax(axis=1)
    share = counts.max(axis=1) / np.maximum(total, 1)
    rest = counts.copy()
    rest[np.arange(len(rest)), top] = 0
    second = np.where(rest.max(axis=1) > SECOND_SHARE * total, rest.argmax(axis=1) + 1, 0)
    usual = 1 + top * 8 + np.digitize(share, TAG_SHARES) * 2 + (total >= SURE_COUNT)
    return np.stack([usual, 1 + second * N_TAG_NAMES + top], axis=1)


def name_classes(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Get a class from how often words are no name, or one of each label; shape (n, 1)."""
    total = np.maximum(counts.sum(axis=1), 1)
    labelled = counts[:, 1:] if counts.shape[1] > 1 else np.zeros((len(counts), 1), np.int64)
    label, share = labelled.argmax(axis=1), labelled.max(axis=1) / total
    sure = (total >= SURE_COUNT).astype(np.int64)
    named = 3 + label * 12 + np.digitize(share, NAME_SHARES) * 2 + sure
    classes: NDArray[np.int64] = np.where(share < NAME_SHARES[0], 1 + sure, named)
    return classes[:, None]


def embed(plain: PlainText, seed: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Get a vector for every word that is frequent enough, and the words' numbers."""
    counts = plain.counts
    order = np.argsort(-counts, kind="stable")
    rows = order[counts[order] >= MIN_CLUSTER_COUNT]
    row_of, context_of = np.full(len(counts) + 1, -1), np.full(len(counts) + 1, -1)
    row_of[rows] = np.arange(len(rows))
    context_of[order[:N_CONTEXTS]] = np.arange(1, len(order[:N_CONTEXTS]) + 1)
    context_of[-1] = 0  # the border of a sentence
    starts = plain.sents[plain.sents[:, 0] < plain.sents[:, 1], 0]
    stream = np.insert(plain.words, starts, -1)
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
