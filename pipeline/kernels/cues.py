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
Parts = NDArray[np.uint8]

MAX_CHARS = 3
_SLOTS = 4096
_LAST = np.uint32(0xFFFF)  # no character; what is beyond the basic plane counts as this
ALONE, BEGINS, BEGINS_LONGEST, FOLLOWS = 1, 2, 4, 8
"""What a character does in cue words: is one; begins a longer one; begins one of three; stands second in one."""

MOST = np.float32(3)
NEVER = 99
NEARNESS = np.exp(np.arange(NEVER + 1, dtype=np.float32) / np.float32(-6))
"""By the number of code points before a cue."""


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _group_of(keys: Any, codes: Any, key: Any) -> Any:
    """The number of a word's group; -1 if it is none."""
    slot = np.int64((key * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(52))
    while keys[slot] != 0 and keys[slot] != key:
        slot = (slot + 1) & (_SLOTS - 1)
    return codes[slot]


def build_cues(groups: Mapping[str, Sequence[str]]) -> tuple[Keys, Groups, Parts]:
    """Get the hash table of cue words, and what each character does in them.

    Parameters
    ----------
    groups : mapping of str to sequence of str
        Words of one to three code points by the name of their group; at most a thousand in all.

    Returns
    -------
    keys : ndarray of uint64, shape (4096,)
        A word's code points, 21 bits each; 0 for an empty slot.
    codes : ndarray of int8, shape (4096,)
        The number of the word's group; -1 for an empty slot.
    parts : ndarray of uint8, shape (65536,)
        `ALONE`, `BEGINS`, `BEGINS_LONGEST` and `FOLLOWS` of each character, added up.

    Raises
    ------
    ValueError
        If a word is too long, or stands in two groups.
    """
    keys, codes = np.zeros(_SLOTS, dtype=np.uint64), np.full(_SLOTS, -1, dtype=np.int8)
    parts = np.zeros(1 << 16, dtype=np.uint8)
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
            parts[ord(word[0])] |= (ALONE, BEGINS, BEGINS | BEGINS_LONGEST)[len(word) - 1]
            if len(word) > 1:
                parts[ord(word[1])] |= FOLLOWS
    return keys, codes, parts


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def count_cues(
    points: Points, spans: IntArray, keys: Keys, codes: Groups, parts: Parts, n_groups: int, out: FloatArray
) -> None:
    """Fill `out` with each span's cues; at every place the longest word counts, and its characters are used up.

    Parameters
    ----------
    points : ndarray of uint32, shape (n_chars,)
        Folded code points.
    spans : ndarray of int32, shape (n_spans, 2)
    keys, codes, parts : as `build_cues` gives them
    n_groups : int
    out : ndarray of float32, shape (n_spans, 2 * n_groups)
        How often each group occurs, at most MOST; then how near the start it occurs first, from 1 to about 0.
    """
    places = np.empty(len(points) + 1, dtype=np.int32)
    for s in range(len(spans)):
        f = out[s]
        f[:n_groups] = 0
        f[n_groups:] = NEARNESS[NEVER]
        own = points[spans[s, 0] : spans[s, 1]]
        n_places, before = np.uint64(0), np.uint64(0)
        for i in range(len(own)):  # without a branch: where a cue may begin can't be foreseen
            part = np.uint64(parts[min(own[i], _LAST)])
            places[n_places] = i - 1
            n_places += (before | before >> np.uint64(1) & part >> np.uint64(3)) & np.uint64(1)
            before = part
        places[n_places] = len(own) - 1
        n_places += before & np.uint64(1)
        free = 0
        for i in places[:n_places]:
            if i < free:
                continue
            key = np.uint64(own[i])
            # one and two are both looked up: which of them is a cue can't be foreseen either
            two = key | np.uint64(own[i + 1]) << np.uint64(21) if i + 1 < len(own) else key
            alone, group = _group_of(keys, codes, key), _group_of(keys, codes, two)
            group, n = (group, 2) if group >= 0 else (alone, 1)
            if parts[own[i]] & BEGINS_LONGEST and i + 2 < len(own):
                longest = _group_of(keys, codes, two | np.uint64(own[i + 2]) << np.uint64(42))
                group, n = (longest, 3) if longest >= 0 else (group, n)
            if group >= 0:
                f[n_groups + group] = max(f[n_groups + group], NEARNESS[min(i, NEVER)])
                f[group] = min(f[group] + 1, MOST)
                free = i + n
