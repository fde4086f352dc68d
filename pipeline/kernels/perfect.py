"""Find the place of a hash with one look: a table without collisions for keys that never change.

Keys fall into buckets; each bucket has a shift, chosen when the table is made, that sends all its keys to slots of
their own. A slot keeps a mark, the upper half of its key, by which a key that is not in the table is told.

References
----------
Belazzougui, Botelho and Dietzfelbinger (2009), Hash, Displace, and Compress.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

BUCKET = 4  # keys a bucket, on average; more make the shifts few, and the search for them long
MAX_LOAD = 0.66
MAX_SHIFT = 1 << 15


class Places(NamedTuple):
    """A table of hashes.

    Parameters
    ----------
    shifts : ndarray of uint16, shape (n_buckets,)
    marks : ndarray of uint32, shape (n_slots,)
        Odd; 0 for an empty slot.
    """

    shifts: NDArray[np.uint16]
    marks: NDArray[np.uint32]


def place(hashes: Hashes) -> tuple[Places, NDArray[np.int64]]:
    """Lay distinct hashes out for `find`.

    Returns
    -------
    places : Places
    order : ndarray of int64, shape (n_hashes,)
        The hashes in the order of their slots.
    """
    n_slots, n_buckets = 4, 1
    while n_slots * MAX_LOAD < len(hashes):
        n_slots *= 2
    while n_buckets * BUCKET < len(hashes):
        n_buckets *= 2
    buckets = (hashes & np.uint64(n_buckets - 1)).astype(np.int64)
    # full buckets first, while there is room
    order = np.lexsort((hashes, buckets, -np.bincount(buckets, minlength=1)[buckets]))
    while True:
        places = Places(np.zeros(n_buckets, np.uint16), np.zeros(n_slots, np.uint32))
        slots = np.full(len(hashes), -1, np.int64)
        if _settle(hashes[order], buckets[order], *places, slots):
            return places, order[np.argsort(slots)]
        n_slots *= 2


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def slot_of(key: Any, shift: Any, n_slots: int) -> Any:
    """Where a shift sends a key."""
    # mixed first, or the slot would tell what the mark tells; a sum, so that 0 is a key like others
    mixed = (key + np.uint64(0xD6E8FEB86659FD93)) * np.uint64(0x9E3779B97F4A7C15)
    mixed *= np.uint64(2) * np.uint64(shift) + np.uint64(1)
    return np.int64((mixed >> np.uint64(32)) & np.uint64(n_slots - 1))


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def mark_of(key: Any) -> Any:
    """What a slot keeps of its key."""
    return np.uint32(key >> np.uint64(32)) | np.uint32(1)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def find(key: Any, shifts: NDArray[np.uint16], marks: NDArray[np.uint32]) -> Any:
    """Get the slot of a hash, or -1."""
    slot = slot_of(key, shifts[key & np.uint64(len(shifts) - 1)], len(marks))
    return slot if marks[slot] == mark_of(key) else np.int64(-1)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _settle(
    keys: Hashes, buckets: NDArray[Any], shifts: NDArray[np.uint16], marks: NDArray[np.uint32], slots: NDArray[np.int64]
) -> bool:
    """Choose a shift for each bucket, whose keys stand together."""
    begin = 0
    while begin < len(keys):
        end = begin + 1
        while end < len(keys) and buckets[end] == buckets[begin]:
            end += 1
        shift = 0
        placed = False
        while not placed:
            placed = True
            for i in range(begin, end):
                slots[i] = slot_of(keys[i], shift, len(marks))
                placed = placed and marks[slots[i]] == 0
                for j in range(begin, i):
                    placed = placed and slots[j] != slots[i]
            shift += 1
            if shift > MAX_SHIFT:
                return False
        shifts[buckets[begin]] = shift - 1
        for i in range(begin, end):
            marks[slots[i]] = mark_of(keys[i])
        begin = end
    return True
