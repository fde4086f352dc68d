"""Fit the tagger: parts of speech and names by two linear-chain CRFs over the same hashed features.

Learnt from plain text besides: word clusters, by which the tagger knows something of words that no treebank has.
They are stored by hash. Weights are rounded to 8 bits.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels import decode, decode_tags
from pipeline.kernels.crf import Crf, decode_sparse
from pipeline.kernels.decode_tags import DIGIT, HAN, KANA, LATIN, NUMERAL, OTHER, PUNCT
from pipeline.tag import Tagger, make_tagger
from pipeline.training import clusters, segmenter
from pipeline.training.conllu import NAMES, Sentence, Treebank, name_spans, read_folder
from pipeline.weights import checksum, save_meta

Offsets = list[tuple[int, int]]

NAME_TAGS = ("O", *(f"{begin}-{label}" for label in NAMES for begin in "BI"))
HAN_NUMERALS = "〇零一二三四五六七八九十百千万亿兆两"
HAN_FIRST, HAN_END = 0x3400, 0xA000
KANA_FIRST, KANA_END = 0x3040, 0x3100
MAX_WEIGHT = 127
MIN_WEIGHT = 3  # of 24: a feature that never weighs as much is left out, at no loss on dev
MIN_TAG_COUNT = 3  # a pair of tags seen less often is learnt as the most frequent pair of its UPOS
LINE = 64  # bytes of a cache line


@dataclass(frozen=True)
class Recipe:
    """How one of the two CRFs is fitted; tuned on GSDSimp dev."""

    n_epochs: int
    rate: float
    l2: float
    dropout: float
    scale: int  # weights are rounded to multiples of 1 / scale


TAG_RECIPE = Recipe(n_epochs=6, rate=0.2, l2=1e-4, dropout=0.2, scale=24)
NAME_RECIPE = Recipe(n_epochs=8, rate=0.2, l2=1e-4, dropout=0.4, scale=24)


def code_point_tables() -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Get what stands for each code point below U+10000, and its kind."""
    fold, kinds = np.arange(decode.N_BMP).astype(np.uint16), np.full(decode.N_BMP, OTHER, np.uint8)
    for code in range(decode.N_BMP):
        char = _fold(chr(code))
        fold[code] = ord(char)
        kinds[code] = _kind(char)
    return fold, kinds


def _fold(char: str) -> str:
    """Get the simplified, half-width, small form of a character, if that is one character; 0 for a digit."""
    if unicodedata.category(char) in ("Cs", "Co", "Cn"):
        return char
    folded = unicodedata.normalize("NFKC", char).lower()
    if len(folded) == 1 and HAN_FIRST <= ord(folded) < HAN_END:
        folded = segmenter.simplified([folded])[0]
    if len(folded) != 1 or ord(folded) >= decode.N_BMP:
        return char
    return "0" if "0" <= folded <= "9" else folded


def _kind(char: str) -> int:
    category = unicodedata.category(char)
    if char in HAN_NUMERALS:
        return NUMERAL
    if HAN_FIRST <= ord(char) < HAN_END:
        return HAN
    if KANA_FIRST <= ord(char) < KANA_END:
        return KANA
    return {"N": DIGIT, "L": LATIN, "P": PUNCT, "S": PUNCT}.get(category[0], OTHER)


@dataclass(frozen=True)
class Batch:
    """Sentences as the kernels want them; see `pipeline.tag.lay_out`."""

    codes: decode.Codes
    tokens: decode.Ints
    sents: decode.Ints

    @classmethod
    def of(cls, sentences: Sequence[Sentence], spans: Sequence[Offsets]) -> Batch:
        """Lay out sentences with words given by `spans`, offsets into each text."""
        lengths = [len(sentence.text) for sentence in sentences]
        begins = np.cumsum([0, *lengths])[:-1].tolist()
        tokens = [(begin + a, begin + b) for begin, words in zip(begins, spans, strict=True) for a, b in words]
        ends = np.cumsum([len(words) for words in spans])
        sents = np.stack([ends - [len(words) for words in spans], ends], axis=1)
        codes = decode.to_codes("".join(sentence.text for sentence in sentences))
        return cls(codes, np.array(tokens, np.int32).reshape(-1, 2), sents.astype(np.int32))


def predict_words(sentences: Sequence[Sentence], tables: decode.Tables) -> list[Offsets]:
    """Get the words that a segmenter finds in each sentence, as offsets into its text."""
    lengths = np.array([len(sentence.text) for sentence in sentences])
    ends = np.cumsum(lengths)
    sents = np.stack([ends - lengths, ends], axis=1).astype(np.int32)
    words = decode.decode(decode.to_codes("".join(s.text for s in sentences)), sents, tables)
    cuts = np.searchsorted(words[:, 0], [0, *ends.tolist()])
    return [
        [(a - begin, b - begin) for a, b in words[low:high].tolist()]
        for low, high, begin in zip(cuts, cuts[1:], sents[:, 0].tolist(), strict=False)
    ]


def look_up(hashes: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.int32]:
    """Get the place of each hash in the ascending `known`, or -1."""
    at = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
    return np.where(known[at] == hashes, at, -1).astype(np.int32)


def fit(
    hashes: NDArray[np.uint64], sents: decode.Ints, tags: NDArray[np.int32], n_tags: int, recipe: Recipe, seed: int
) -> tuple[Crf, NDArray[np.uint64]]:
    """Fit one CRF.

    Parameters
    ----------
    hashes : ndarray of uint64, shape (n_tokens, n_templates)
    sents : ndarray of int32, shape (n_sents, 2)
        Ranges of tokens.
    tags : ndarray of int32, shape (n_tokens,)
    n_tags : int
    recipe : Recipe
    seed : int

    Returns
    -------
    model : Crf
        Its weights are the mean over the epochs from the third.
    known : ndarray of uint64
        The hash of each of its features, ascending.
    """
    known = np.unique(hashes)
    model = Crf(len(known), n_tags, recipe.rate, recipe.l2)
    sample = (*_ranges(hashes, sents), look_up(hashes.ravel(), known))
    dropout = np.full(len(known), recipe.dropout, np.float32)
    rng = np.random.default_rng(seed)
    weights, transitions, n = np.zeros_like(model.weights_), np.zeros_like(model.transitions_), 0
    for epoch in range(1, recipe.n_epochs + 1):
        order = rng.permutation(len(sents)).astype(np.int32)
        model.fit_epoch(*sample, tags, dropout, order, seed + epoch)
        if epoch >= segmenter.AVERAGE_FROM:
            weights, transitions, n = weights + model.weights_, transitions + model.transitions_, n + 1
    model.weights_, model.transitions_ = weights / n, transitions / n
    return model, known


def _ranges(hashes: NDArray[np.uint64], sents: decode.Ints) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Where each sentence begins among the words, and each word among the features."""
    begins = np.concatenate([sents[:, 0], sents[-1:, 1]]).astype(np.int32)
    return begins, (np.arange(len(hashes) + 1) * hashes.shape[1]).astype(np.int32)


def merge_weights(
    models: Sequence[tuple[Crf, NDArray[np.uint64]]], recipes: Sequence[Recipe]
) -> tuple[NDArray[np.uint64], NDArray[np.int8], list[NDArray[np.int32]]]:
    """Round the weights of CRFs and lay them side by side.

    Returns
    -------
    hashes : ndarray of uint64, shape (n_rows,)
        The features that weigh something.
    weights : ndarray of int8, shape (n_rows, n_tags of all models)
    edges : list of ndarray of int32
        The transitions of each model, on the scale of its weights.
    """
    known = np.unique(np.concatenate([hashes for _, hashes in models]))
    columns, edges = [], []
    for (model, hashes), recipe in zip(models, recipes, strict=True):
        rounded = np.zeros((len(known), model.weights_.shape[1]), np.int8)
        rounded[look_up(hashes, known)] = np.clip(np.round(model.weights_ * recipe.scale), -MAX_WEIGHT, MAX_WEIGHT)
        columns.append(rounded)
        edges.append(np.round(model.transitions_ * recipe.scale).astype(np.int32))
    weights = np.concatenate(columns, axis=1)
    keep = np.any(np.abs(weights) >= MIN_WEIGHT, axis=1)
    padding = -weights.shape[1] % LINE
    return known[keep], np.pad(weights[keep], ((0, 0), (0, padding))), edges


def train_tagger(data: Path, out: Path, also: Path | None = None, seed: int = 1) -> dict[str, Any]:
    """Fit a tagger on a treebank folder and write its model folder.

    Parameters
    ----------
    data : Path
        See `pipeline.training.conllu`; train needs XPOS and names.
    out : Path
        The model folder to write.
    also : Path or None
        A folder of plain text (``*.jsonl.gz`` rows with ``text``) to learn word clusters from.
    seed : int
        For the order of sentences and what is hidden.

    Returns
    -------
    dict
        Figures, as in ``meta.json``.
    """
    bank = read_folder(data)
    words = segmenter.fit_tables(bank, seed)
    fold, kinds = code_point_tables()
    lexicon = decode_tags.Lexicon(fold, kinds, *clusters.learn(bank, also, words, fold, seed))
    tagger = fit_tagger(bank.train + bank.dev, lexicon, seed)
    figures = {name: score(part, tagger, words) for name, part in (("dev", bank.dev), ("test", bank.test)) if part}
    out.mkdir(parents=True, exist_ok=True)
    save_tagger(out, tagger)
    files = {path.name: checksum(path) for path in bank.files}
    meta = {"format": 1, "tags": _tag_pairs(tagger), "labels": tagger.labels, "seed": seed, "data": files}
    save_meta(out, "tagger", {**meta, "figures": figures})
    return figures


def tag_inventory(sentences: Sequence[Sentence]) -> dict[tuple[str, str], tuple[str, str]]:
    """Get the pair of UPOS and XPOS that stands for each pair in the data: itself unless it is rare."""
    counts = Counter(pair for sentence in sentences for pair in zip(sentence.upos, sentence.xpos, strict=True))
    ordered = [pair for pair, _ in counts.most_common()]
    return {
        pair: pair if n >= MIN_TAG_COUNT else next(other for other in ordered if other[0] == pair[0])
        for pair, n in counts.items()
    }


def fit_tagger(sentences: Sequence[Sentence], lexicon: decode_tags.Lexicon, seed: int) -> Tagger:
    """Fit tags and names on gold words."""
    stand_in = tag_inventory(sentences)
    tags = sorted(set(stand_in.values()))
    templates = decode_tags.compile_templates()
    batch = Batch.of(sentences, [sentence.spans() for sentence in sentences])
    hashes = decode_tags.hash_sentences(batch.codes, batch.tokens, batch.sents, lexicon, templates)
    number = {tag: i for i, tag in enumerate(tags)}
    gold = np.array([number[stand_in[pair]] for s in sentences for pair in zip(s.upos, s.xpos, strict=True)], np.int32)
    tag_model = fit(hashes, batch.sents, gold, len(tags), TAG_RECIPE, seed)
    named = [s for s in sentences if s.names is not None]
    batch = Batch.of(named, [sentence.spans() for sentence in named])
    hashes = decode_tags.hash_sentences(batch.codes, batch.tokens, batch.sents, lexicon, templates)
    gold = np.array([NAME_TAGS.index(tag) for s in named for tag in s.names or ()], np.int32)
    name_model = fit(hashes, batch.sents, gold, len(NAME_TAGS), NAME_RECIPE, seed)
    known, weights, edges = merge_weights([tag_model, name_model], [TAG_RECIPE, NAME_RECIPE])
    tables = decode_tags.Tables(templates, decode_tags.place_rows(known), weights, *edges)
    return make_tagger(lexicon, tables, tags, NAMES)


def _tag_pairs(tagger: Tagger) -> list[tuple[str, str]]:
    return [(tagger.upos[u], tagger.xpos[x]) for u, x in zip(tagger.upos_of, tagger.xpos_of, strict=True)]


def save_tagger(out: Path, tagger: Tagger) -> None:
    """Write a tagger's arrays."""
    np.savez_compressed(out / "tables.npz", **tagger.lexicon._asdict(), **tagger.tables._asdict())


def score(sentences: Sequence[Sentence], tagger: Tagger, words: decode.Tables) -> dict[str, float]:
    """Get F1 of words, UPOS, XPOS and names from raw text."""
    spans = predict_words(sentences, words)
    batch = Batch.of(sentences, spans)
    tags, names = decode_tags.decode_tags(batch.codes, batch.tokens, batch.sents, tagger.lexicon, tagger.tables)
    offsets = batch.tokens.tolist()
    pairs = [(tagger.upos[tagger.upos_of[tag]], tagger.xpos[tagger.xpos_of[tag]]) for tag in tags.tolist()]
    gold = Batch.of(sentences, [sentence.spans() for sentence in sentences]).tokens.tolist()
    found: dict[str, set[Any]] = {
        "words": {(a, b) for a, b in offsets},
        "upos": {(a, b, tag[0]) for (a, b), tag in zip(offsets, pairs, strict=True)},
        "xpos": {(a, b, tag[1]) for (a, b), tag in zip(offsets, pairs, strict=True)},
        "names": {(offsets[a][0], offsets[b - 1][1], tagger.labels[label]) for a, b, label in names.tolist()},
    }
    reference: dict[str, set[Any]] = {
        "words": {(a, b) for a, b in gold},
        "upos": {(a, b, tag) for (a, b), tag in zip(gold, (t for s in sentences for t in s.upos), strict=True)},
        "xpos": {(a, b, tag) for (a, b), tag in zip(gold, (t for s in sentences for t in s.xpos), strict=True)},
        "names": _gold_names(sentences, gold),
    }
    return {layer: round(segmenter.f1(reference[layer], found[layer]), 2) for layer in found}


def _gold_names(sentences: Sequence[Sentence], offsets: Sequence[Sequence[int]]) -> set[tuple[int, int, str]]:
    names: set[tuple[int, int, str]] = set()
    at = 0
    for sentence in sentences:
        here = [(a, b) for a, b in offsets[at : at + len(sentence.words)]]
        names.update(name_spans(here, sentence.names or ()))
        at += len(here)
    return names
