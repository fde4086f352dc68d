"""How firmly neighbouring characters hold together in plain text: what a teacher knows beyond its treebank.

Two statistics of a pair of Chinese characters: pointwise mutual information, and accessor variety, the smaller number
of characters that are seen before it and behind it (a word has many, half a word few). They are learnt from tens of
megabytes and can't be shipped as pkuseg features; the teacher that uses them labels plain text for the student that
is shipped.

References
----------
Feng, Chen, Deng and Zheng (2004), Accessor Variety Criteria for Chinese Word Extraction.
Sun and Xu (2011), Enhancing Chinese Word Segmentation Using Unlabeled Data.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.doc import code_points
from pipeline.kernels import decode

Numbers = NDArray[np.int64]

HAN_FIRST, HAN_END = 0x3400, 0xA000
MIN_BIN, MAX_BIN = -3, 12  # of mutual information, in bits
MAX_VARIETY = 11  # log2
# Beyond the last bin: a pair that plain text does not have, one that is not of Chinese characters, none at all.
UNSEEN, OTHER, NONE = 16, 17, 18


def to_numbers(text: str) -> Numbers:
    """Get code points, those above U+FFFF as one."""
    return np.minimum(code_points(text), decode.N_BMP - 1).astype(np.int64)


class Cohesion:
    """The statistics of pairs of Chinese characters.

    Parameters
    ----------
    texts : iterable of str
        Plain text in the script of the sentences to come.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        codes = to_numbers("\n".join(texts))
        han = _is_han(codes)
        both = han[:-1] & han[1:]
        pairs = codes[:-1] << 16 | codes[1:]
        self._pairs, counts = np.unique(pairs[both], return_counts=True)
        single = np.bincount(codes, minlength=decode.N_BMP)
        expected = single[self._pairs >> 16] * single[self._pairs & 0xFFFF] / max(len(codes), 1)
        bits = np.floor(np.log2(counts / np.maximum(expected, 1e-9)))
        self._strength = np.clip(bits, MIN_BIN, MAX_BIN).astype(np.int64) - MIN_BIN
        triples = pairs[:-1] << 16 | codes[2:]
        after = self._variety(np.unique(triples[both[:-1]]) >> 16)
        before = self._variety(np.unique(triples[both[1:]]) & 0xFFFFFFFF)
        self._variety_bin = np.minimum(np.log2(np.minimum(after, before) + 1), MAX_VARIETY).astype(np.int64)

    def _variety(self, pairs: Numbers) -> Numbers:
        """How many of the given rows each pair has."""
        found, counts = np.unique(pairs, return_counts=True)
        variety = np.zeros(len(self._pairs), np.int64)
        variety[np.searchsorted(self._pairs, found)] = counts
        return variety

    def features(self, words: Sequence[str]) -> list[list[str]]:
        """Get the features of every character of a sentence; each name begins with ``~``."""
        text = "".join(words)
        strength, variety = self._bins(to_numbers(text))
        return [_names(char, *strength[i : i + 4], *variety[i + 1 : i + 3]) for i, char in enumerate(text)]

    def _bins(self, codes: Numbers) -> tuple[list[int], list[int]]:
        """Get both bins of the pairs around each character: at i + 2 that of characters i and i + 1."""
        strength, variety = (np.full(len(codes) + 3, NONE, np.int64) for _ in range(2))
        if len(codes) > 1 and len(self._pairs):
            keys = codes[:-1] << 16 | codes[1:]
            at = np.minimum(np.searchsorted(self._pairs, keys), len(self._pairs) - 1)
            han = _is_han(codes)
            missing = np.where(han[:-1] & han[1:], UNSEEN, OTHER)
            seen = (self._pairs[at] == keys) & (missing == UNSEEN)
            strength[2 : len(codes) + 1] = np.where(seen, self._strength[at], missing)
            variety[2 : len(codes) + 1] = np.where(seen, self._variety_bin[at], missing)
        return strength.tolist(), variety.tolist()


def _is_han(codes: Numbers) -> NDArray[np.bool_]:
    return np.asarray((codes >= HAN_FIRST) & (codes < HAN_END))


def _names(char: str, before2: int, before: int, after: int, after2: int, *variety: Any) -> list[str]:
    """Name what is known of the pairs two before, before, behind and two behind a character."""
    left, right = variety
    return [
        f"~p1:{before}",
        f"~p2:{after}",
        f"~p12:{before}:{after}",
        f"~a1:{left}",
        f"~a2:{right}",
        f"~a12:{left}:{right}",
        f"~pa1:{before}:{left}",
        f"~pa2:{after}:{right}",
        f"~p0:{before2}:{before}",
        f"~p3:{after}:{after2}",
        f"~c{char}:{before // 3}:{after // 3}",
    ]
