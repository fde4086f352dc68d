"""Fit the word segmenter: pkuseg's features and file format, a faster trainer.

The folder it writes is a spacy-pkuseg model (``features.msgpack``, ``weights.npz``) with the same weights once more
as flat tables (``tables.npz``), which is all that the segment stage reads.

Why not pkuseg's own trainer: it needs a minute where this needs a second, forgets its random state, and lets a word
of the training text always find itself in the dictionary, which no word of a new text can count on. Here a share of
the features is hidden at every step instead. Weights are rounded to multiples of ``1 / SCALE``, so that sums are
exact whatever their order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import srsly
from numpy.typing import NDArray

from pipeline.kernels import decode
from pipeline.kernels.crf import Crf, decode_sparse
from pipeline.training.conllu import Sentence, Treebank, read_folder
from pipeline.weights import checksum, save_meta

Words = Sequence[str]

SCALE = 64  # rounding to 1/64 changes F1 by less than 0.02 and makes the model half as large as 1/1024
B, B_SINGLE, I, I_END, I_FIRST = range(decode.N_TAGS)
MAX_EPOCHS = 12
AVERAGE_FROM = 3  # epochs; what is kept is the mean over the later ones
RATE, L2 = 0.2, 3e-4
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
        return [B_SINGLE]
    return [B, *(I_FIRST if i == 1 else I for i in range(1, len(word) - 1)), I_END]


def rename(word: str) -> str:
    """Get a word as pkuseg's dictionary spells it."""
    return "".join("&" if char in decode.SAME else char for char in word)


class Lexicon:
    """The words and neighbours that features may mention."""

    def __init__(self, sentences: Iterable[Words]) -> None:
        self.words: set[str] = set()
        self.links: set[str] = set()
        for words in sentences:
            renamed = [rename(word) for word in words]
            self.words.update(renamed)
            self.links.update(f"{a}*{b}" for a, b in zip(renamed, renamed[1:], strict=False))

    def features(self, words: Words) -> list[list[str]]:
        """Get the features of every character of a sentence, in pkuseg's names."""
        nodes = [decode.normalize(char) for word in words for char in word]
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
    if feature == "$$":
        return 0.0
    if feature.startswith("w"):
        return DROPOUT["w"]
    return DROPOUT["pair" if feature.startswith(decode.PAIR_FEATURES) else "char"]


def pack(sentences: Sequence[Words], lexicon: Lexicon, index: Mapping[str, int]) -> Sample:
    """Look up the features of sentences; what `index` does not know is left out."""
    begins, offsets, features = [0], [0], list[int]()
    for words in sentences:
        for names in lexicon.features(words):
            features += [index[name] for name in names if name in index]
            offsets.append(len(features))
        begins.append(len(offsets) - 1)
    tags = [tag for words in sentences for word in words for tag in word_tags(word)]
    return Sample(*(np.array(column, np.int32) for column in (begins, offsets, features, tags)))


def number_features(sentences: Iterable[Words], lexicon: Lexicon, min_count: int = 1) -> dict[str, int]:
    """Number the features of sentences, the most frequent first; ``$$`` is 0, as pkuseg expects."""
    counts: Counter[str] = Counter()
    for words in sentences:
        for names in lexicon.features(words):
            counts.update(names)
    ordered = sorted((name for name, n in counts.items() if n >= min_count), key=lambda name: (-counts[name], name))
    ordered.remove("$$")
    return {name: i for i, name in enumerate(["$$", *ordered])}


def fit(sample: Sample, index: Mapping[str, int], n_epochs: int, seed: int, dev: Sample | None = None) -> tuple[Crf, int]:
    """Fit weights; with `dev`, stop at the best number of epochs.

    Returns
    -------
    model : Crf
        With the mean of the weights over the later epochs.
    n_epochs : int
        How many epochs it saw.
    """
    model = Crf(len(index), decode.N_TAGS, RATE, L2)
    dropout = np.array([hide_share(name) for name in index], np.float32)
    rng = np.random.default_rng(seed)
    weights, transitions = np.zeros_like(model.weights_), np.zeros_like(model.transitions_)
    best: tuple[float, int, Any, Any] = (-1.0, 0, None, None)
    for epoch in range(1, n_epochs + 1):
        order = rng.permutation(len(sample.sentences) - 1).astype(np.int32)
        model.fit_epoch(
            sample.sentences, sample.offsets, sample.features, sample.tags, dropout, order, seed + epoch
        )  # fmt: skip
        if epoch < AVERAGE_FROM:
            continue
        weights += model.weights_
        transitions += model.transitions_
        n = epoch - AVERAGE_FROM + 1
        score = epoch if dev is None else sample_f1(dev, weights / n, transitions / n)
        if score > best[0]:
            best = (score, epoch, weights / n, transitions / n)
    _, n_epochs, model.weights_, model.transitions_ = best
    return model, n_epochs


def sample_f1(sample: Sample, weights: NDArray[np.float32], transitions: NDArray[np.float32]) -> float:
    """The words' F1 of a model on packed sentences."""
    predicted = decode_sparse(sample.sentences, sample.offsets, sample.features, weights, transitions)
    return f1(_tag_spans(sample.sentences, sample.tags), _tag_spans(sample.sentences, predicted))


def _tag_spans(sentences: NDArray[np.int32], tags: NDArray[np.int32]) -> set[tuple[int, int]]:
    starts = tags <= B_SINGLE
    starts[sentences[:-1][np.diff(sentences) > 0]] = True
    borders = [*np.flatnonzero(starts).tolist(), len(tags)]
    return set(zip(borders, borders[1:], strict=False))


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
        Figures, as in ``meta.json``.
    """
    bank = read_folder(data)
    train = [plain_words(s) for s in bank.train] + further_words(bank)
    dev = [plain_words(s) for s in bank.dev]
    _, n_epochs = _fit_words(train, MAX_EPOCHS, seed, dev)
    parts, _ = _fit_words(train + dev, n_epochs, seed)
    out.mkdir(parents=True, exist_ok=True)
    tables = save_pkuseg(out, *parts)
    figures = score_words(bank, tables)
    _write_card(out, bank, figures, n_epochs, seed)
    return figures


def fit_tables(bank: Treebank, seed: int) -> decode.Tables:
    """Fit a segmenter for the tagger to work on; nothing is written."""
    train = [plain_words(s) for s in bank.train + bank.dev] + further_words(bank)
    parts, _ = _fit_words(train, MAX_EPOCHS, seed)
    data, weights = to_pkuseg(*parts)
    return decode.build_tables(data, weights, SCALE)


def _fit_words(
    train: Sequence[Words], n_epochs: int, seed: int, dev: Sequence[Words] | None = None
) -> tuple[tuple[Crf, dict[str, int], Lexicon], int]:
    lexicon = Lexicon(train)
    index = number_features(train, lexicon)
    dev_sample = None if dev is None else pack(dev, lexicon, index)
    model, n_epochs = fit(pack(train, lexicon, index), index, n_epochs, seed, dev_sample)
    return (model, index, lexicon), n_epochs


def plain_words(sentence: Sentence) -> list[str]:
    """The words of a sentence; one with white space within is several."""
    return [part for word in sentence.words for part in word.split()]


def further_words(bank: Treebank) -> list[list[str]]:
    """The trainable sentences of the further genres, in simplified script."""
    return [simplified(plain_words(sentence)) for part in bank.more.values() for sentence in part]


def simplified(words: Words) -> list[str]:
    """Convert words to simplified script; one whose length would change stays."""
    from opencc import OpenCC  # noqa: PLC0415 - a second to load, for training alone

    global _CONVERTER  # noqa: PLW0603 - made once
    if _CONVERTER is None:
        _CONVERTER = OpenCC("t2s")
    converted = [_CONVERTER.convert(word) for word in words]
    return [new if len(new) == len(old) else old for new, old in zip(converted, words, strict=True)]


_CONVERTER: Any = None


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
    tables = decode.build_tables(data, weights, SCALE)
    np.savez_compressed(out / "tables.npz", **tables._asdict())
    return tables


def _mentioned(name: str) -> list[str]:
    """The words a feature is about."""
    if name.startswith("ww."):
        return name[5:].split("*")
    return [name.partition(".")[2]]


def score_words(bank: Treebank, tables: decode.Tables) -> dict[str, float]:
    """The words' F1 from raw text on what was not trained on."""
    parts = {"dev": bank.dev, "test": bank.test, **bank.held_out}
    return {name: round(words_f1(part, tables, convert=name in bank.held_out), 2) for name, part in parts.items() if part}


def words_f1(sentences: Sequence[Sentence], tables: decode.Tables, *, convert: bool = False) -> float:
    """The words' F1 from raw text."""
    texts = [sentence.text for sentence in sentences]
    if convert:
        texts = simplified(texts)
    ends = np.cumsum([len(text) for text in texts])
    spans = np.stack([ends - [len(text) for text in texts], ends], axis=1).astype(np.int32)
    found = decode.decode(decode.to_codes("".join(texts)), spans, tables)
    gold = set()
    for (start, _), sentence in zip(spans.tolist(), sentences, strict=True):
        gold.update((start + a, start + b) for a, b in sentence.spans())
    return f1(gold, {(a, b) for a, b in found.tolist()})


def _write_card(out: Path, bank: Treebank, figures: Mapping[str, float], n_epochs: int, seed: int) -> None:
    files = {path.name: checksum(path) for path in bank.files if path.suffix == ".conllu"}
    save_meta(
        out,
        "segmenter",
        {"format": 1, "scale": SCALE, "epochs": n_epochs, "seed": seed, "data": files, "words_f1": dict(figures)},
    )
