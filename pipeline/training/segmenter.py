"""Fit the word segmenter: pkuseg's features and file format, a faster trainer.

The folder it writes is a spacy-pkuseg model (``features.msgpack``, ``weights.npz``) with the same weights once more
as flat tables (``tables.npz``), which is all that the segment stage reads.

With plain text at hand, a teacher with further features labels some of it, and what is shipped learns from both.

Why not pkuseg's own trainer: it needs a minute where this needs a second, forgets its random state, and lets a word
of the training text always find itself in the dictionary, which no word of a new text can count on. Here a share of
the features is hidden at every step instead. Weights are rounded to multiples of ``1 / SCALE``, so that sums are
exact whatever their order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import srsly  # type: ignore[import-untyped]
from numpy.typing import NDArray

from pipeline.doc import code_points
from pipeline.errors import ConfigError
from pipeline.kernels import decode, decode_tables
from pipeline.kernels.crf import Crf, Reals, decode_sparse
from pipeline.segment import FORMAT
from pipeline.training.cards import write_card
from pipeline.training.cohesion import Cohesion
from pipeline.training.conllu import Sentence, Treebank, read_folder
from pipeline.training.latin import with_latin
from pipeline.training.plain import plain_files, read_texts, sample_sentences, simplified
from pipeline.weights import checksum, save_meta

Words = Sequence[str]
Extractor = Callable[[Words], list[list[str]]]

SCALE = 64  # rounding to 1/64 changes F1 by less than 0.02 and makes the model half as large as 1/1024
BEGIN, SINGLE, INSIDE, LAST, SECOND = range(decode.N_TAGS)
# Tuned on GSDSimp dev, like the dropout below.
GOLD_EPOCHS, TEACHER_EPOCHS, STUDENT_EPOCHS = 6, 5, 6
AVERAGE_FROM = 3  # epochs; what is kept is the mean over the later ones
RATE, L2 = 0.2, 3e-4
SILVER_CHARS = 800_000  # labelled by the teacher, of each file of plain text
GOLD_COPIES = 2  # a gold sentence counts as so many silver ones
MIN_SILVER_COUNT = 3  # a word or feature that only silver has, and less often, is not learnt
LABEL_CHUNK = 2000  # sentences
# How often a feature is hidden, by kind; tuned on GSDSimp dev.
DROPOUT = {"w": 0.2, "pair": 0.2, "char": 0.1}


@dataclass(frozen=True)
class Sample:
    """Sentences as a trainer wants them: see `Crf.fit_epoch`."""

    sentences: NDArray[np.int32]
    offsets: NDArray[np.int32]
    features: NDArray[np.int32]
    tags: NDArray[np.int32]


def word_tags(word: str) -> list[int]:
    """Get the tags of a word's characters.

    Examples
    --------
    >>> [decode.TAGS[tag] for tag in word_tags("东方航空")]
    ['B', 'I_first', 'I', 'I_end']
    """
    if len(word) == 1:
        return [SINGLE]
    return [BEGIN, *(SECOND if i == 1 else INSIDE for i in range(1, len(word) - 1)), LAST]


def rename(word: str) -> str:
    """Get a word as pkuseg's dictionary spells it."""
    return "".join("&" if char in decode_tables.SAME else char for char in word)


class Lexicon:
    """The words and neighbours that features may mention."""

    def __init__(self, gold: Sequence[Words], silver: Sequence[Words] = ()) -> None:
        self.words: set[str] = set()
        self.links: set[str] = set()
        for sentences, min_count in ((gold, 1), (silver, MIN_SILVER_COUNT)):
            renamed = [[rename(word) for word in words] for words in sentences]
            words_seen = Counter(word for words in renamed for word in words)
            links_seen = Counter(f"{a}*{b}" for words in renamed for a, b in pairwise(words))
            self.words.update(word for word, n in words_seen.items() if n >= min_count)
            self.links.update(link for link, n in links_seen.items() if n >= min_count)

    def features(self, words: Words) -> list[list[str]]:
        """Get the features of every character of a sentence, in pkuseg's names."""
        nodes = [decode_tables.normalize(char) for word in words for char in word]
        starting = [self._known(nodes, i, reverse=False) for i in range(len(nodes) + 1)]
        ending = [self._known(nodes, i, reverse=True) for i in range(len(nodes) + 1)]
        found = []
        for i, char in enumerate(nodes):
            names = ["$$", *_char_features(nodes, i, char)]
            names += ["w-1." + word for word in ending[i + 1]]
            names += ["w1." + word for word in starting[i]]
            names += self._links("ww.l.", ending[i], starting[i])
            names += self._links("ww.r.", ending[i + 1], starting[i + 1])
            found.append(names)
        return found

    def _known(self, nodes: Sequence[str], at: int, *, reverse: bool) -> list[str]:
        """Get the known words that start at, or end before, a place; longest first."""
        known = []
        for length in range(decode.MAX_WORD, decode.MIN_WORD - 1, -1):
            start = at - length if reverse else at
            if start >= 0 and start + length <= len(nodes):
                word = "".join(nodes[start : start + length])
                if word in self.words:
                    known.append(word)
        return known

    def _links(self, kind: str, before: Iterable[str], after: Sequence[str]) -> list[str]:
        return [f"{kind}{a}*{b}" for a in before for b in after if f"{a}*{b}" in self.links]


def _char_features(nodes: Sequence[str], i: int, char: str) -> list[str]:
    names = ["c." + char]
    if i > 0:
        names += ["c-1." + nodes[i - 1], f"c-1c.{nodes[i - 1]}.{char}"]
    if i + 1 < len(nodes):
        names += ["c1." + nodes[i + 1], f"cc1.{char}.{nodes[i + 1]}"]
    if i > 1:
        names += ["c-2." + nodes[i - 2], f"c-2c-1.{nodes[i - 2]}.{nodes[i - 1]}"]
    if i + 2 < len(nodes):
        names.append("c2." + nodes[i + 2])
    return names


def hide_share(feature: str) -> float:
    """How often training hides a feature."""
    if feature == "$$" or feature.startswith("~"):  # the teacher's statistics: no word of them is learnt by heart
        return 0.0
    if feature.startswith("w"):
        return DROPOUT["w"]
    return DROPOUT["pair" if feature.startswith(decode.PAIR_FEATURES) else "char"]


def pack(sentences: Sequence[Words], extract: Extractor, index: Mapping[str, int]) -> Sample:
    """Look up the features of sentences; what `index` does not know is left out."""
    begins, offsets, features = [0], [0], list[int]()
    for words in sentences:
        for names in extract(words):
            features += [index[name] for name in names if name in index]
            offsets.append(len(features))
        begins.append(len(offsets) - 1)
    tags = [tag for words in sentences for word in words for tag in word_tags(word)]
    return Sample(*(np.array(column, np.int32) for column in (begins, offsets, features, tags)))


def number_features(sentences: Iterable[Words], extract: Extractor, min_count: int = 1) -> dict[str, int]:
    """Number the features of sentences, the most frequent first; ``$$`` is 0, as pkuseg expects."""
    counts: Counter[str] = Counter()
    for words in sentences:
        for names in extract(words):
            counts.update(names)
    ordered = sorted((name for name, n in counts.items() if n >= min_count), key=lambda name: (-counts[name], name))
    ordered.remove("$$")
    return {name: i for i, name in enumerate(["$$", *ordered])}


def fit(sample: Sample, index: Mapping[str, int], n_epochs: int, seed: int) -> Crf:
    """Fit weights; what is returned has their mean over the later epochs."""
    model = Crf(len(index), decode.N_TAGS, RATE, L2)
    dropout = np.array([hide_share(name) for name in index], np.float32)
    columns = (sample.sentences, sample.offsets, sample.features, sample.tags, dropout)
    rng = np.random.default_rng(seed)
    weights: Reals = np.zeros_like(model.weights_)
    transitions: Reals = np.zeros_like(model.transitions_)
    for epoch in range(1, n_epochs + 1):
        model.fit_epoch(*columns, rng.permutation(len(sample.sentences) - 1).astype(np.int32), seed + epoch)
        if epoch >= AVERAGE_FROM:
            weights += model.weights_
            transitions += model.transitions_
    n = np.float32(n_epochs - AVERAGE_FROM + 1)
    model.weights_, model.transitions_ = weights / n, transitions / n
    return model


def f1(reference: set[Any], predicted: set[Any]) -> float:
    """The harmonic mean of precision and recall, in percent."""
    return 200 * len(reference & predicted) / max(len(reference) + len(predicted), 1)


def train_segmenter(data: Path, out: Path, also: Path | None = None, seed: int = 1) -> dict[str, Any]:
    """Fit a segmenter on a treebank folder and write its model folder.

    Parameters
    ----------
    data : Path
        See `pipeline.training.conllu`. Traditional script in the further genres is converted to simplified.
    out : Path
        The model folder to write.
    also : Path or None
        A folder of plain text (``*.jsonl.gz`` rows with ``text``) to learn further words from.
    seed : int
        For the order of sentences and what is hidden.

    Returns
    -------
    dict
        The words' F1 by part, as in ``meta.json``.
    """
    bank = read_folder(data)
    parts = fit_words([plain_words(s) for s in bank.train + bank.dev] + further_words(bank), also, seed)
    out.mkdir(parents=True, exist_ok=True)
    tables = save_pkuseg(out, *parts)
    figures = score_words(bank, tables)
    files = [*(path for path in bank.files if path.suffix == ".conllu"), *([] if also is None else plain_files(also))]
    meta = {
        "format": FORMAT,
        "scale": SCALE,
        "seed": seed,
        "data": {path.name: checksum(path) for path in files},
        "figures": {part: {"words": score} for part, score in figures.items()},
    }
    save_meta(out, "segmenter", meta)
    write_card(out)
    return figures


def fit_words(gold: Sequence[Words], also: Path | None, seed: int) -> tuple[Crf, dict[str, int], Lexicon]:
    """Fit a segmenter on gold words and, with `also`, on what a teacher says of plain text."""
    gold = [*gold, *with_latin(gold, seed)]
    silver = [] if also is None else label_plain(gold, also, seed)
    lexicon = Lexicon(gold, silver)
    index = number_features(gold, lexicon.features)
    for name in number_features(silver, lexicon.features, MIN_SILVER_COUNT) if silver else ():
        index.setdefault(name, len(index))
    sample = pack([*gold * (GOLD_COPIES if silver else 1), *silver], lexicon.features, index)
    return fit(sample, index, STUDENT_EPOCHS if silver else GOLD_EPOCHS, seed), index, lexicon


def fit_tables(bank: Treebank, also: Path | None, seed: int) -> decode.Tables:
    """Fit a segmenter for a tagger to work on; nothing is written."""
    gold = [plain_words(s) for s in bank.train + bank.dev] + further_words(bank)
    data, weights = to_pkuseg(*fit_words(gold, also, seed))
    return decode_tables.build_tables(data, weights, SCALE)


def label_plain(gold: Sequence[Words], folder: Path, seed: int) -> list[list[str]]:
    """Segment plain text by a teacher, who knows besides how firmly its characters hold together."""
    files = plain_files(folder)
    if not files:
        raise ConfigError(f"{folder} has no *.jsonl.gz to learn further words from")
    cohesion, lexicon = Cohesion(read_texts(files)), Lexicon(gold)

    def extract(words: Words) -> list[list[str]]:
        pairs = zip(lexicon.features(words), cohesion.features(words), strict=True)
        return [names + further for names, further in pairs]

    index = number_features(gold, extract)
    teacher = fit(pack(gold, extract, index), index, TEACHER_EPOCHS, seed)
    pieces = [sentence.split() for sentence in sample_sentences(files, SILVER_CHARS, seed)]
    chunks = (pieces[i : i + LABEL_CHUNK] for i in range(0, len(pieces), LABEL_CHUNK))
    return [words for chunk in chunks for words in _label(chunk, pack(chunk, extract, index), teacher)]


def _label(sentences: Sequence[Words], sample: Sample, model: Crf) -> list[list[str]]:
    """Segment sentences that are packed; white space, between their given pieces, stays a border."""
    tags = decode_sparse(sample.sentences, sample.offsets, sample.features, model.weights_, model.transitions_)
    labelled = []
    for begin, pieces in zip(sample.sentences.tolist(), sentences, strict=False):
        text, ends = "".join(pieces), set(accumulate(len(piece) for piece in pieces))
        cuts = [i for i in range(len(text)) if i == 0 or tags[begin + i] <= SINGLE or i in ends]
        labelled.append([text[a:b] for a, b in pairwise([*cuts, len(text)])])
    return labelled


def plain_words(sentence: Sentence) -> list[str]:
    """The words of a sentence; one with white space within is several."""
    return [part for word in sentence.words for part in word.split()]


def further_words(bank: Treebank) -> list[list[str]]:
    """The trainable sentences of the further genres, in simplified script."""
    return [simplified(plain_words(sentence)) for part in bank.more.values() for sentence in part]


def to_pkuseg(model: Crf, index: Mapping[str, int], lexicon: Lexicon) -> tuple[dict[str, Any], NDArray[np.float64]]:
    """Get the contents of pkuseg's two files; features that weigh nothing are left out."""
    limit = np.iinfo(np.int16).max
    rounded = np.clip(np.round(model.weights_.astype(np.float64) * SCALE), -limit, limit)
    keep = np.flatnonzero(np.any(rounded != 0, axis=1) | (np.arange(len(rounded)) == 0))
    names = list(index)
    features = {names[i]: k for k, i in enumerate(keep.tolist())}
    mentioned = {part for name in features if name[0] == "w" for part in _mentioned(name)}
    edges = np.round(model.transitions_.astype(np.float64).T * SCALE)
    weights = np.concatenate([rounded[keep].ravel(), edges.ravel()]) / SCALE
    data = {
        "unigram": sorted(lexicon.words & mentioned),
        "bigram": [],  # pkuseg reads them when it trains, never when it cuts
        "feature_to_idx": features,
        "tag_to_idx": {tag: i for i, tag in enumerate(decode.TAGS)},
    }
    return data, weights


def save_pkuseg(out: Path, model: Crf, index: Mapping[str, int], lexicon: Lexicon) -> decode.Tables:
    """Write pkuseg's two files and our tables."""
    data, weights = to_pkuseg(model, index, lexicon)
    srsly.write_msgpack(out / "features.msgpack", data)
    np.savez_compressed(out / "weights.npz", sizes=np.array([decode.N_TAGS, len(data["feature_to_idx"])]), w=weights)
    tables = decode_tables.build_tables(data, weights, SCALE)
    np.savez_compressed(out / "tables.npz", **tables._asdict())
    return tables


def _mentioned(name: str) -> list[str]:
    """The words a feature is about."""
    if name.startswith("ww."):
        return name[5:].split("*")
    return [name.partition(".")[2]]


def score_words(bank: Treebank, tables: decode.Tables) -> dict[str, float]:
    """The words' F1 from raw text on what was not trained on."""
    held_out = bank.by_genre()
    parts = {"dev": bank.dev, "test": bank.test, **held_out}
    return {name: round(words_f1(part, tables, convert=name in held_out), 2) for name, part in parts.items() if part}


def words_f1(sentences: Sequence[Sentence], tables: decode.Tables, *, convert: bool = False) -> float:
    """The words' F1 from raw text."""
    texts = [sentence.text for sentence in sentences]
    if convert:
        texts = simplified(texts)
    ends = np.cumsum([len(text) for text in texts])
    spans = np.stack([ends - [len(text) for text in texts], ends], axis=1).astype(np.int32)
    found = decode.decode(code_points("".join(texts)), spans, tables)
    gold: set[tuple[int, int]] = set()
    for (start, _), sentence in zip(spans.tolist(), sentences, strict=True):
        gold.update((start + a, start + b) for a, b in sentence.spans())
    return f1(gold, {(a, b) for a, b in found.tolist()})
