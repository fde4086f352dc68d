"""Fit the tagger: parts of speech and names by two linear-chain CRFs over the same hashed features.

Learnt from plain text besides: word clusters, by which the tagger knows something of words that no treebank has.
They are stored by hash. Weights are rounded to 8 bits.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.doc import code_points
from pipeline.kernels import decode, features, perfect
from pipeline.kernels.crf import Crf, Reals
from pipeline.kernels.decode_tags import Decoder
from pipeline.kernels.features import DIGIT, HAN, KANA, LATIN, NUMERAL, OTHER, PUNCT, Lexicon
from pipeline.kernels.tag_plan import N_COLUMNS, Tables
from pipeline.segment import load_segmenter
from pipeline.tag import FORMAT, TABLES, Tagger, make_tagger
from pipeline.training import lexicon as lexicon_module
from pipeline.training import segmenter
from pipeline.training.cards import write_card
from pipeline.training.conllu import NAMES, Sentence, Treebank, name_spans, read_folder
from pipeline.training.plain import plain_files, read_texts, simplified
from pipeline.weights import checksum, save_meta

Offsets = list[tuple[int, int]]

NAME_TAGS = ("O", *(f"{begin}-{label}" for label in NAMES for begin in "BI"))
HAN_NUMERALS = "〇零一二三四五六七八九十百千万亿兆两"
HAN_FIRST, HAN_END = 0x3400, 0xA000
KANA_FIRST, KANA_END = 0x3040, 0x3100
SCALE = 24  # weights are rounded to multiples of 1 / SCALE
MAX_WEIGHT = 127
MIN_WEIGHT = 3  # of SCALE: a feature that never weighs as much is left out, at no loss on dev
MIN_TAG_COUNT = 3  # a pair of tags seen less often is learnt as the most frequent pair of its UPOS


@dataclass(frozen=True)
class Recipe:
    """How one of the two CRFs is fitted; tuned on GSDSimp dev.

    Parameters
    ----------
    templates : tuple of Template
        What it sees.
    n_epochs : int
    n_runs : int
        Fits with other seeds, whose weights are averaged.
    dropout : float
        How often a feature is hidden.
    """

    templates: tuple[features.Template, ...]
    n_epochs: int
    n_runs: int
    dropout: float
    rate: float = 0.2
    l2: float = 1e-4


BASIC, BY_TAG, BY_NAME = features.BASIC_TEMPLATES, features.TAG_TEMPLATES, features.NAME_TEMPLATES
TAG_RECIPE = Recipe(BASIC + BY_TAG, n_epochs=6, n_runs=1, dropout=0.2)
NAME_RECIPE = Recipe(BASIC + BY_NAME, n_epochs=8, n_runs=3, dropout=0.4)
# The taggers that tag plain text for the lexicon.
FIRST_RECIPES = Recipe(BASIC, n_epochs=4, n_runs=1, dropout=0.2), Recipe(BASIC, n_epochs=6, n_runs=1, dropout=0.4)
N_FOLDS = 4


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
        folded = simplified([folded])[0]
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
    """Sentences as the kernels want them; see `pipeline.tag.tag_docs`."""

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
        codes = code_points("".join(sentence.text for sentence in sentences))
        return cls(codes, np.array(tokens, np.int32).reshape(-1, 2), sents.astype(np.int32))


def predict_words(sentences: Sequence[Sentence], tables: decode.Tables) -> list[Offsets]:
    """Get the words that a segmenter finds in each sentence, as offsets into its text."""
    lengths = np.array([len(sentence.text) for sentence in sentences])
    ends = np.cumsum(lengths)
    sents = np.stack([ends - lengths, ends], axis=1).astype(np.int32)
    words = decode.decode(code_points("".join(s.text for s in sentences)), sents, tables)
    cuts = np.searchsorted(words[:, 0], [0, *ends.tolist()])
    return [
        [(a - begin, b - begin) for a, b in words[low:high].tolist()]
        for low, high, begin in zip(cuts, cuts[1:], sents[:, 0].tolist(), strict=False)
    ]


def look_up(hashes: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.int32]:
    """Get the place of each hash in the ascending `known`, or -1."""
    at = np.minimum(np.searchsorted(known, hashes), len(known) - 1)
    return np.where(known[at] == hashes, at, -1).astype(np.int32)


@dataclass(frozen=True)
class Sample:
    """What one CRF learns from.

    Parameters
    ----------
    hashes : ndarray of uint64, shape (n_tokens, n_templates)
    sents : ndarray of int32, shape (n_sents, 2)
        Ranges of tokens.
    tags : ndarray of int32, shape (n_tokens,)
    """

    hashes: NDArray[np.uint64]
    sents: decode.Ints
    tags: NDArray[np.int32]

    def joined(self, other: Sample) -> Sample:
        """Both samples as one."""
        sents = np.concatenate([self.sents, other.sents + len(self.tags)]).astype(np.int32)
        return Sample(np.concatenate([self.hashes, other.hashes]), sents, np.concatenate([self.tags, other.tags]))


def fit(sample: Sample, n_tags: int, recipe: Recipe, seed: int) -> tuple[Crf, NDArray[np.uint64]]:
    """Fit one CRF.

    Returns
    -------
    model : Crf
        Its weights are the mean over the epochs from the third, and over the runs.
    known : ndarray of uint64
        The hash of each of its features, ascending.
    """
    known = np.unique(sample.hashes)
    columns = (*_ranges(sample.hashes, sample.sents), look_up(sample.hashes.ravel(), known), sample.tags)
    dropout = np.full(len(known), recipe.dropout, np.float32)
    weights: Reals = np.zeros((len(known), n_tags), np.float32)
    transitions: Reals = np.zeros((n_tags, n_tags), np.float32)
    n = 0
    for run in range(recipe.n_runs):
        model = Crf(len(known), n_tags, recipe.rate, recipe.l2)
        rng = np.random.default_rng(seed + run)
        for epoch in range(1, recipe.n_epochs + 1):
            order = rng.permutation(len(sample.sents)).astype(np.int32)
            model.fit_epoch(*columns, dropout, order, seed + 100 * run + epoch)
            if epoch >= segmenter.AVERAGE_FROM:
                weights += model.weights_
                transitions += model.transitions_
                n += 1
    model.weights_, model.transitions_ = weights / np.float32(n), transitions / np.float32(n)
    return model, known


def _ranges(hashes: NDArray[np.uint64], sents: decode.Ints) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Where each sentence begins among the words, and each word among the features."""
    begins = np.concatenate([sents[:, 0], sents[-1:, 1]]).astype(np.int32)
    return begins, (np.arange(len(hashes) + 1) * hashes.shape[1]).astype(np.int32)


def merge_weights(
    models: Sequence[tuple[Crf, NDArray[np.uint64]]],
) -> tuple[NDArray[np.uint64], NDArray[np.int8], list[NDArray[np.int32]]]:
    """Round the weights of CRFs and lay them side by side.

    Returns
    -------
    hashes : ndarray of uint64, shape (n_rows,)
        The features that weigh something.
    weights : ndarray of int8, shape (n_rows, n_columns)
        The tags of all models, and nothing up to `N_COLUMNS`.
    edges : list of ndarray of int32
        The transitions of each model, on the scale of its weights.
    """
    known = np.unique(np.concatenate([hashes for _, hashes in models]))
    columns, edges = [], []
    for model, hashes in models:
        rounded = np.zeros((len(known), model.weights_.shape[1]), np.int8)
        rounded[look_up(hashes, known)] = np.clip(np.round(model.weights_ * SCALE), -MAX_WEIGHT, MAX_WEIGHT)
        columns.append(rounded)
        edges.append(np.round(model.transitions_ * SCALE).astype(np.int32))
    weights = np.concatenate(columns, axis=1)
    keep = np.any(np.abs(weights) >= MIN_WEIGHT, axis=1)
    return known[keep], np.pad(weights[keep], ((0, 0), (0, N_COLUMNS - weights.shape[1]))), edges


def tag_inventory(sentences: Sequence[Sentence]) -> dict[tuple[str, str], tuple[str, str]]:
    """Get the pair of UPOS and XPOS that stands for each pair in the data: itself unless it is rare."""
    counts = Counter(pair for sentence in sentences for pair in zip(sentence.upos, sentence.xpos, strict=True))
    ordered = [pair for pair, _ in counts.most_common()]
    return {
        pair: pair if n >= MIN_TAG_COUNT else next(other for other in ordered if other[0] == pair[0])
        for pair, n in counts.items()
    }


class Fitter:
    """Fits taggers on parts of the data, with lexicons made for them.

    Parameters
    ----------
    sentences : sequence of Sentence
        What tags are learnt from, and names where they are annotated.
    named : sequence of Sentence
        What names are learnt from besides.
    seed : int
    """

    def __init__(self, sentences: Sequence[Sentence], named: Sequence[Sentence], seed: int) -> None:
        self.sentences = sentences
        self.named = [sentence for sentence in named if sentence.names is not None]
        self.seed = seed
        self.stand_in = tag_inventory(sentences)
        self.tags = sorted(set(self.stand_in.values()))

    def fit_first(self, lexicon: Lexicon, skip: int = -1) -> Tagger:
        """Fit a tagger that knows nothing of tags in plain text, on all folds but one."""
        sentences = [s for i, s in enumerate(self.sentences) if i % N_FOLDS != skip]
        named = [s for i, s in enumerate(self.named) if i % N_FOLDS != skip]
        tag_recipe, name_recipe = FIRST_RECIPES
        tag_sample = self.tag_sample(sentences, lexicon, tag_recipe)
        name_sample = self.name_sample([*sentences, *named], lexicon, name_recipe)
        return self.assemble(lexicon, (tag_sample, tag_recipe), (name_sample, name_recipe))

    def fit_final(self, lexicon: Lexicon, fold_lexicons: Sequence[Lexicon]) -> Tagger:
        """Fit the tagger; each fold sees a lexicon made without it, as new text will."""
        tag_samples, name_samples = [], []
        for i, fold_lexicon in enumerate(fold_lexicons):
            sentences, named = self.sentences[i::N_FOLDS], self.named[i::N_FOLDS]
            tag_samples.append(self.tag_sample(sentences, fold_lexicon, TAG_RECIPE))
            name_samples.append(self.name_sample([*sentences, *named], fold_lexicon, NAME_RECIPE))
        tag_sample, name_sample = reduce(Sample.joined, tag_samples), reduce(Sample.joined, name_samples)
        return self.assemble(lexicon, (tag_sample, TAG_RECIPE), (name_sample, NAME_RECIPE))

    def tag_sample(self, sentences: Sequence[Sentence], lexicon: Lexicon, recipe: Recipe) -> Sample:
        """Get what a CRF learns tags from."""
        number = {tag: i for i, tag in enumerate(self.tags)}
        pairs = (pair for s in sentences for pair in zip(s.upos, s.xpos, strict=True))
        return _sample(sentences, [number[self.stand_in[pair]] for pair in pairs], lexicon, recipe)

    def name_sample(self, sentences: Sequence[Sentence], lexicon: Lexicon, recipe: Recipe) -> Sample:
        """Get what a CRF learns names from."""
        sentences = [s for s in sentences if s.names is not None]
        tags = [NAME_TAGS.index(tag) for s in sentences for tag in s.names or ()]
        return _sample(sentences, tags, lexicon, recipe)

    def assemble(self, lexicon: Lexicon, tags: tuple[Sample, Recipe], names: tuple[Sample, Recipe]) -> Tagger:
        """Fit both CRFs and lay their weights out."""
        tag_model = fit(tags[0], len(self.tags), tags[1], self.seed)
        name_model = fit(names[0], len(NAME_TAGS), names[1], self.seed)
        known, weights, edges = merge_weights([tag_model, name_model])
        places, order = perfect.place(known)
        used = tuple(dict.fromkeys(tags[1].templates + names[1].templates))
        tables = Tables(features.compile_templates(used), *places, weights[order], *edges)
        return make_tagger(Decoder(lexicon, tables), self.tags, NAMES)


def _sample(sentences: Sequence[Sentence], tags: list[int], lexicon: Lexicon, recipe: Recipe) -> Sample:
    batch = Batch.of(sentences, [sentence.spans() for sentence in sentences])
    templates = features.compile_templates(recipe.templates)
    hashes = features.hash_sentences(batch.codes, batch.tokens, batch.sents, lexicon, templates)
    return Sample(hashes, batch.sents, np.array(tags, np.int32))


def train_tagger(
    data: Path, out: Path, also: Path | None = None, seed: int = 1, words: Path | None = None
) -> dict[str, Any]:
    """Fit a tagger on a treebank folder and write its model folder.

    Parameters
    ----------
    data : Path
        See `pipeline.training.conllu`; train needs XPOS and names.
    out : Path
        The model folder to write.
    also : Path or None
        A folder of plain text (``*.jsonl.gz`` rows with ``text``) to learn the lexicon from; without it the
        treebank's own text has to do.
    seed : int
        For the order of sentences and what is hidden.
    words : Path or None
        The folder of the segmenter that the tagger will follow; None fits one on the same data.

    Returns
    -------
    dict
        Figures, as in ``meta.json``.
    """
    bank = read_folder(data)
    tables = segmenter.fit_tables(bank, also, seed) if words is None else load_segmenter(words)
    tagger = fit_tagger(bank, bank.train + bank.dev, tables, also, seed)
    files = [*bank.files, *([] if also is None else plain_files(also))]
    return save_tagger(out, tagger, score_parts(bank, tagger, tables), files, seed)


def save_tagger(
    out: Path, tagger: Tagger, figures: dict[str, dict[str, float]], files: Sequence[Path], seed: int
) -> dict[str, dict[str, float]]:
    """Write a model folder, and get the figures that its card shows."""
    out.mkdir(parents=True, exist_ok=True)
    decoder = tagger.decoder
    np.savez_compressed(out / TABLES, **decoder.lexicon._asdict(), **decoder.tables._asdict())
    meta = {
        "format": FORMAT,
        "tags": [(tagger.upos[u], tagger.xpos[x]) for u, x in zip(tagger.upos_of, tagger.xpos_of, strict=True)],
        "labels": tagger.labels,
        "seed": seed,
        "data": {path.name: checksum(path) for path in files},
        "figures": figures,
    }
    save_meta(out, "tagger", meta)
    write_card(out)
    return figures


def fit_tagger(
    bank: Treebank, sentences: Sequence[Sentence], words: decode.Tables, also: Path | None, seed: int
) -> Tagger:
    """Fit a tagger on sentences, with what plain text and the further genres' names add."""
    fold, kinds = code_point_tables()
    texts = [s.text for s in sentences] + list(read_texts(plain_files(also)) if also is not None else [])
    plain = lexicon_module.segment(texts, words, fold)
    base, slot_words = lexicon_module.build(plain, fold, kinds, seed)
    fitter = Fitter(sentences, [simplified_sentence(s) for part in bank.more.values() for s in part], seed)

    def with_tags(skip: int = -1) -> Lexicon:
        first = fitter.fit_first(base, skip)
        tags, names = first.decoder.decode(plain.codes, plain.tokens, plain.sents)
        return lexicon_module.add_tags(base, slot_words, plain, first.xpos_of[tags], names)

    return fitter.fit_final(with_tags(), [with_tags(skip) for skip in range(N_FOLDS)])


def simplified_sentence(sentence: Sentence) -> Sentence:
    """Convert a sentence to simplified script, if that keeps all lengths; else as it is."""
    text, words = simplified([sentence.text])[0], tuple(simplified(sentence.words))
    if len(text) != len(sentence.text) or "".join(text.split()) != "".join("".join(words).split()):
        return sentence
    return replace(sentence, text=text, words=words)


def score_parts(bank: Treebank, tagger: Tagger, words: decode.Tables) -> dict[str, dict[str, float]]:
    """Get the figures of every part that nothing was tuned on, and of dev; further genres in simplified script."""
    held_out = {name: list(map(simplified_sentence, part)) for name, part in bank.by_genre().items()}
    parts = {"dev": bank.dev, "test": bank.test, **held_out}
    return {name: score(part, tagger, words) for name, part in parts.items() if part}


def score(sentences: Sequence[Sentence], tagger: Tagger, words: decode.Tables) -> dict[str, float]:
    """Get F1 of words, UPOS, and as far as they are annotated XPOS and names, from raw text."""
    spans = predict_words(sentences, words)
    batch = Batch.of(sentences, spans)
    tags, names = tagger.decoder.decode(batch.codes, batch.tokens, batch.sents)
    offsets = batch.tokens.tolist()
    upos, xpos = (
        [inventory[i] for i in of[tags].tolist()]
        for inventory, of in ((tagger.upos, tagger.upos_of), (tagger.xpos, tagger.xpos_of))
    )
    gold = Batch.of(sentences, [sentence.spans() for sentence in sentences]).tokens.tolist()
    found: dict[str, set[Any]] = {
        "words": {(a, b) for a, b in offsets},
        "upos": _tagged(offsets, upos),
        "xpos": _tagged(offsets, xpos),
        "names": {(offsets[a][0], offsets[b - 1][1], tagger.labels[label]) for a, b, label in names.tolist()},
    }
    reference: dict[str, set[Any]] = {
        "words": {(a, b) for a, b in gold},
        "upos": _tagged(gold, [tag for s in sentences for tag in s.upos]),
        "xpos": _tagged(gold, [tag for s in sentences for tag in s.xpos]),
        "names": _gold_names(sentences, gold),
    }
    if all(tag == "_" for s in sentences for tag in s.xpos):
        del reference["xpos"]
    if all(s.names is None for s in sentences):
        del reference["names"]
    return {layer: round(segmenter.f1(reference[layer], found[layer]), 2) for layer in reference}


def _tagged(offsets: Sequence[Sequence[int]], tags: Sequence[str]) -> set[tuple[int, int, str]]:
    return {(a, b, tag) for (a, b), tag in zip(offsets, tags, strict=True)}


def _gold_names(sentences: Sequence[Sentence], offsets: Sequence[Sequence[int]]) -> set[tuple[int, int, str]]:
    names: set[tuple[int, int, str]] = set()
    at = 0
    for sentence in sentences:
        here = [(a, b) for a, b in offsets[at : at + len(sentence.words)]]
        names.update(name_spans(here, sentence.names or ()))
        at += len(here)
    return names
