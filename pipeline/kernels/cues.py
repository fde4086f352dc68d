"""Counts of cue words in spans: short strings found through one hash table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.doc import FloatArray, IntArray

Points = NDArray[np.uint32]
Keys = NDArray[np.uint64]
Groups = NDArray[np.int8]
Lengths = NDArray[np.uint8]

MAX_CHARS = 3
_SLOTS = 4096


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _slot(key: Any) -> Any:
    """Where the search for a key begins."""
    return np.int64((key * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(52))


def build_cues(groups: Mapping[str, Sequence[str]]) -> tuple[Keys, Groups, Lengths]:
    """Get the hash table of cue words, and which characters begin one.

    Parameters
    ----------
    groups : mapping of str to sequence of str
        Words of one to three code points by the name of their group; at most a thousand in all.

    Returns
    -------
    keys : ndarray of uint64, shape (4096,)
        A word's code points, 21 bits each; 0 for an empty slot.
    codes : ndarray of int8, shape (4096,)
        The number of the word's group.
    lengths : ndarray of uint8, shape (65536,)
        The code points of the longest word that begins with each character; 0 where none does.

    Raises
    ------
    ValueError
        If a word is too long, or stands in two groups.
    """
    keys, codes = np.zeros(_SLOTS, dtype=np.uint64), np.full(_SLOTS, -1, dtype=np.int8)
    lengths = np.zeros(1 << 16, dtype=np.uint8)
    for code, (name, words) in enumerate(groups.items()):
        for word in words:
            if not 1 <= len(word) <= MAX_CHARS:
                raise ValueError(f"cue {word!r} of {name!r} has {len(word)} characters, expected 1 to {MAX_CHARS}")
            key = np.uint64(sum(ord(char) << (21 * i) for i, char in enumerate(word)))
            slot = int(int(key) * 0x9E3779B97F4A7C15 % 2**64 >> 52)
            while keys[slot] and keys[slot] != key:
                slot = (slot + 1) % _SLOTS
            if keys[slot] == key:
                raise ValueError(f"cue {word!r} of {name!r} stands in the list twice")
            keys[slot], codes[slot] = key, code
            lengths[ord(word[0])] = max(lengths[ord(word[0])], len(word))
    return keys, codes, lengths


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def count_cues(
    points: Points, spans: IntArray, keys: Keys, codes: Groups, lengths: Lengths, n_groups: int, out: FloatArray
) -> None:
    """Fill `out` with each span's cues; at every place the longest word counts, and its characters are used up.

    Parameters
    ----------
    points : ndarray of uint32, shape (n_chars,)
        Folded code points.
    spans : ndarray of int32, shape (n_spans, 2)
    keys, codes, lengths : as `build_cues` gives them
    n_groups : int
    out : ndarray of float32, shape (n_spans, 2 * n_groups)
        How often each group occurs; then where it occurs first, in code points from the start, 99 for never.
    """
    for s in range(len(spans)):
        f = out[s]
        f[:n_groups] = 0
        f[n_groups:] = 99
        i = spans[s, 0]
        while i < spans[s, 1]:
            step = 1
            longest = lengths[points[i]] if points[i] < len(lengths) else 0
            for n in range(min(longest, spans[s, 1] - i), 0, -1):
                key = np.uint64(0)
                for j in range(n):
                    key |= np.uint64(points[i + j]) << np.uint64(21 * j)
                slot = _slot(key)
                while keys[slot] != 0 and keys[slot] != key:
                    slot = (slot + 1) & (_SLOTS - 1)
                if keys[slot] == key:
                    group = codes[slot]
                    f[group] += 1
                    f[n_groups + group] = min(f[n_groups + group], i - spans[s, 0])
                    step = n
                    break
            i += step
