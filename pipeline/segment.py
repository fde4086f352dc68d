"""Segment stage: the words of every sentence.

Reads ``text`` and ``sents``, assigns ``tokens``; the text itself is never altered. Words are those that spacy-pkuseg
would cut with the same model, but for what is kept whole; neither spaCy nor pkuseg is imported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.batch import Batch, Layer
from pipeline.doc import Doc, IntArray, code_points
from pipeline.errors import ConfigError, ModelError
from pipeline.kernels import decode
from pipeline.stage import Stage, stage
from pipeline.weights import load_arrays, load_meta

TABLES = "tables.npz"
FORMAT = 1
# Where an address ends, punctuation does not belong to it.
ADDRESS = re.compile(
    r"(?:https?|ftp)://[!-~]*[A-Za-z0-9/#=&_~-]|(?<![A-Za-z0-9.])www\.[!-~]*[A-Za-z0-9/#=&_~-]"
    r"|[A-Za-z0-9][A-Za-z0-9._+-]*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+"
)
ADDRESS_SIGNS = ("://", "www.", "@")  # no address is without one of them


@dataclass(frozen=True)
class SegmentConfig:
    """What the segment stage wants to know.

    Parameters
    ----------
    model : Path
        A folder that `pipeline.training.segmenter.train_segmenter` wrote.
    whole : bool
        Whether addresses (URLs, e-mail) are cut out whole and runs of Latin letters never cut; without it words are
        exactly pkuseg's.
    user_words : Path or None
        A list of words that are always cut out whole, one a line.
    """

    model: Path
    whole: bool = True
    user_words: Path | None = None


class UserWords:
    """Words that are always cut out whole, whatever the model says; text around them is cut as the model cuts it.

    pkuseg's own dictionaries merge whatever neighbours join to an entry, which costs ten points of F1; here only what
    the user listed is touched.

    Parameters
    ----------
    words : iterable of str
        Without white space.

    Examples
    --------
    >>> words = UserWords(["云计算", "计算机"])
    >>> words.find("云计算机与计算机")
    [(0, 3), (5, 8)]
    """

    def __init__(self, words: Iterable[str]) -> None:
        self._by_first: dict[str, list[str]] = {}
        for word in sorted(set(words), key=len, reverse=True):
            self._by_first.setdefault(word[0], []).append(word)
        self._first = re.compile(f"[{re.escape(''.join(self._by_first))}]" if self._by_first else r"(?!)")

    def find(self, text: str) -> list[tuple[int, int]]:
        """Where the words stand: the leftmost, then the longest, never overlapping."""
        found: list[tuple[int, int]] = []
        match = self._first.search(text)
        while match:
            at = match.start()
            word = next((word for word in self._by_first[text[at]] if text.startswith(word, at)), "")
            if word:
                found.append((at, at + len(word)))
            match = self._first.search(text, at + max(1, len(word)))
        return found


def find_addresses(text: str) -> list[tuple[int, int]]:
    """Where URLs and e-mail addresses stand.

    Examples
    --------
    >>> find_addresses("见https://a.cn/x?id=3，或写信给ask@a.cn。")
    [(1, 20), (25, 33)]
    """
    if not any(sign in text for sign in ADDRESS_SIGNS):
        return []
    return [match.span() for match in ADDRESS.finditer(text)]


def cut_out(spans: Iterable[tuple[int, int]], text: str, tokens: IntArray, sents: IntArray) -> IntArray:
    """Get the tokens with `spans` as words; one that would cross a sentence's border is left out."""
    borders = np.zeros(len(text) + 1, dtype=np.bool_)
    borders[tokens.ravel()] = True
    sent_starts = sents[:, 0]
    n_forced = 0
    for start, end in spans:
        first, last = np.searchsorted(sent_starts, [start, end - 1], side="right")
        if first == last:
            borders[start + 1 : end] = False
            borders[[start, end]] = True
            n_forced += 1
    if not n_forced:
        return tokens
    places = np.flatnonzero(borders).astype(np.int32)
    cuts = np.stack([places[:-1], places[1:]], axis=1)
    is_white = np.isin(code_points(text)[places[:-1]], _WHITE)
    return np.ascontiguousarray(cuts[~is_white])


_WHITE = np.array([point for point in range(0x3001) if chr(point).isspace()], dtype=np.uint32)  # none beyond


def load_user_words(path: Path) -> UserWords:
    """Read a list of words, one a line; lines that begin with # are comments.

    Raises
    ------
    ConfigError
        If the file can't be read, or a word holds white space.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"segment.user_words {path} can't be read as UTF-8 text: {error}") from error
    words = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    for number, word in enumerate(words, 1):
        if any(char.isspace() for char in word):
            raise ConfigError(f"segment.user_words {path}: word {number}, {word!r}, holds white space; one word a line")
    return UserWords(words)


def load_segmenter(folder: Path) -> decode.Tables:
    """Load a segmenter's tables; their checksums are verified."""
    meta = load_meta(folder, "segmenter")
    if meta.get("format") != FORMAT:
        raise ModelError(f"{folder} has format {meta.get('format')}, expected {FORMAT}; train it again")
    arrays = load_arrays(folder / TABLES)
    if set(arrays) != set(decode.Tables._fields):
        raise ModelError(f"{folder / TABLES} has other arrays than this version reads; train it again")
    return decode.Tables(**arrays)


@stage("segment", requires=["sents"], assigns=["tokens"])
def make_segment(config: SegmentConfig) -> Stage:
    """Get the stage that finds words."""
    tables = load_segmenter(config.model)
    finders = [find_addresses] if config.whole else []
    if config.user_words is not None:
        finders.append(load_user_words(config.user_words).find)

    def segment(docs: Sequence[Doc]) -> Batch:
        batch = Batch.of(docs)
        codes, sents = batch.text.values, batch.join_spans(batch.spans("sents")).values
        words = decode.decode(codes, sents, tables)
        if config.whole:
            words = decode.join_letters(codes, words, sents)
        tokens = batch.split_spans(words)
        return batch.extend(tokens=tokens.replace(_cut_out(batch, tokens)))

    def _cut_out(batch: Batch, tokens: Layer) -> dict[int, IntArray]:
        """Get the words of the documents in which something is kept whole."""
        sents = batch.spans("sents")
        changed: dict[int, IntArray] = {}
        for d in range(len(batch) if finders else 0):
            text = batch.text_of(d)
            for find in finders:
                if spans := find(text):
                    changed[d] = cut_out(spans, text, changed.get(d, tokens.of(d)), sents.of(d))
        return changed

    return segment
