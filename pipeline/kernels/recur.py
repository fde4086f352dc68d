"""Rows of keys and documents put together by key, and how many documents, and which, have each key."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.kernels.lines import Keys, finish

N_RANGES = 4096
"""Ranges of keys: what a scan sorts its rows by, and a merge takes at the least."""

_SHIFT = np.uint64(52)  # the upper bits tell the range, the lower ones the place in a table of a range's keys
_LONG = 200  # running text weighs ten times its 20 characters

Ints = NDArray[np.int32]
Index = NDArray[np.int64]


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def sort_by_range(keys: Keys) -> tuple[Index, Index]:
    """Order rows by the range of their key; within one they stay as they were.

    Parameters
    ----------
    keys : ndarray of uint64, shape (n_rows,)
        0 where a row is to be left out.

    Returns
    -------
    order : ndarray of int64, shape (n_rows that are left,)
    cuts : ndarray of int64, shape (N_RANGES + 1,)
        Where each range begins; their number last.
    """
    cuts = np.zeros(N_RANGES + 1, dtype=np.int64)
    for i in range(len(keys)):
        if keys[i]:
            cuts[(keys[i] >> _SHIFT) + 1] += 1
    cuts = np.cumsum(cuts)
    at = cuts.copy()
    order = np.empty(cuts[-1], dtype=np.int64)
    for i in range(len(keys)):
        if keys[i]:
            bucket = keys[i] >> _SHIFT
            order[at[bucket]] = i
            at[bucket] += 1
    return order, cuts


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _number_keys(keys: Keys) -> tuple[Index, int]:
    """Number the different keys in the order of their first row."""
    n_slots = 16
    while n_slots < 2 * len(keys):
        n_slots *= 2
    table = np.full(n_slots, -1, dtype=np.int64)
    firsts = np.empty(len(keys), dtype=np.uint64)
    number = np.empty(len(keys), dtype=np.int64)
    n = 0
    for i in range(len(keys)):
        slot = np.int64(keys[i] & np.uint64(n_slots - 1))
        while table[slot] >= 0 and firsts[table[slot]] != keys[i]:
            slot = (slot + 1) & (n_slots - 1)
        if table[slot] < 0:
            table[slot] = n
            firsts[n] = keys[i]
            n += 1
        number[i] = table[slot]
    return number, n


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def chain_equal(keys: Keys) -> tuple[Ints, Ints]:
    """Find where a row's key was before.

    Parameters
    ----------
    keys : ndarray of uint64, shape (n_rows,)

    Returns
    -------
    first : ndarray of int32, shape (n_rows,)
        The first row with the key; the row itself where it is new.
    previous : ndarray of int32, shape (n_rows,)
        The last one before; -1 where it is new.
    """
    n_slots = 16
    while n_slots < 2 * len(keys):
        n_slots *= 2
    last = np.full(n_slots, -1, dtype=np.int32)
    first = np.arange(len(keys), dtype=np.int32)
    previous = np.full(len(keys), -1, dtype=np.int32)
    for i in range(len(keys)):
        slot = np.int64(finish(keys[i]) & np.uint64(n_slots - 1))
        while last[slot] >= 0 and keys[last[slot]] != keys[i]:
            slot = (slot + 1) & (n_slots - 1)
        if last[slot] >= 0:
            previous[i] = last[slot]
            first[i] = first[last[slot]]
        last[slot] = i
    return first, previous


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def group_by_key(keys: Keys) -> tuple[Index, Index]:
    """Order rows so that equal keys stand together; rows of one key stay as they were.

    Parameters
    ----------
    keys : ndarray of uint64, shape (n_rows,)

    Returns
    -------
    order : ndarray of int64, shape (n_rows,)
    starts : ndarray of int64, shape (n_keys + 1,)
        Where each key begins; ends with n_rows.
    """
    number, n_keys = _number_keys(keys)
    starts = np.zeros(n_keys + 1, dtype=np.int64)
    for i in range(len(keys)):
        starts[number[i] + 1] += 1
    starts = np.cumsum(starts)
    at = starts.copy()
    order = np.empty(len(keys), dtype=np.int64)
    for i in range(len(keys)):
        order[at[number[i]]] = i
        at[number[i]] += 1
    return order, starts


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def take_lines(
    rows: Any, starts: Index, group: Ints, least: int, seen: Ints, total: Ints, own: Ints, rarest: Keys
) -> NDArray[np.bool_]:
    """Add lines to what is known of the documents; tell which rows may belong to a template.

    Parameters
    ----------
    rows : structured ndarray of key, doc, weight, shape (n_rows,)
        Together by key, by document within a key.
    starts : ndarray of int64, shape (n_keys + 1,)
    group : ndarray of int32, shape (n_docs,)
        What is counted together; -1 for a document that is left out.
    least : int
        Documents of a group that a template's line occurs in.
    seen : ndarray of int32, shape (n_groups,)
        Zeros, and zeros again afterwards.
    total, own : ndarray of int32, shape (n_docs,)
        The weight of all lines, and of those that no other document of the group has.
    rarest : ndarray of uint64, shape (n_docs,)
        Of the others: long ones first, then what the fewest documents have, then the upper bits of the key.

    Returns
    -------
    ndarray of bool, shape (n_rows,)
    """
    keep = np.zeros(len(rows), dtype=np.bool_)
    for k in range(len(starts) - 1):
        first, last = starts[k], starts[k + 1]
        for i in range(first, last):
            g = group[rows[i].doc]
            if g >= 0 and (i == first or rows[i].doc != rows[i - 1].doc):
                seen[g] += 1
        for i in range(first, last):
            row = rows[i]
            g = group[row.doc]
            if g < 0:
                continue
            keep[i] = seen[g] >= least
            if i > first and row.doc == rows[i - 1].doc:
                continue  # a line that a document repeats counts once
            total[row.doc] += row.weight
            if seen[g] == 1:
                own[row.doc] += row.weight
                continue
            short = np.uint64(row.weight < _LONG)
            count = np.uint64(min(seen[g], 0xFFFF))
            packed = (short << np.uint64(63)) | (count << np.uint64(47)) | (row.key >> np.uint64(17))
            rarest[row.doc] = min(rarest[row.doc], packed)
        for i in range(first, last):
            seen[max(group[rows[i].doc], 0)] = 0
    return keep


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def count_support(
    docs: NDArray[np.uint32],
    variants: NDArray[np.uint32],
    starts: Index,
    group: Ints,
    original: Ints,
    publisher: Ints,
    n_groups: int,
) -> tuple[Index, Ints, Ints, Ints]:
    """Count, for each key and group of documents, what is different in it.

    Parameters
    ----------
    docs, variants : ndarray of uint32, shape (n_rows,)
        The document, and which line it is of those that share the key; together by key.
    starts : ndarray of int64, shape (n_keys + 1,)
    group : ndarray of int32, shape (n_docs,)
        What is counted together; -1 for a document that is left out.
    original, publisher : ndarray of int32, shape (n_docs,)
        What a document counts as (below n_docs), and where it is from.
    n_groups : int

    Returns
    -------
    first : ndarray of int64, shape (n_found,)
        The first row of each key and group.
    n_originals, n_publishers, n_variants : ndarray of int32, shape (n_found,)
        Different ones; of publishers and variants up to 3.
    """
    counts = np.zeros((3, n_groups), dtype=np.int32)
    known = np.zeros((4, n_groups), dtype=np.uint32)
    found = np.full(n_groups, -1, dtype=np.int64)
    stamp = np.full(len(original), -1, dtype=np.int32)
    first = np.empty(len(docs), dtype=np.int64)
    out = np.empty((3, len(docs)), dtype=np.int32)
    n = 0
    for k in range(len(starts) - 1):
        begin = n
        for i in range(starts[k], starts[k + 1]):
            g = group[docs[i]]
            if g < 0:
                continue
            if found[g] < 0:
                found[g] = first[n] = i
                counts[:, g] = 0
                n += 1
            if stamp[original[docs[i]]] != k:
                stamp[original[docs[i]]] = k
                counts[0, g] += 1
            _note(counts[1], known[:2], g, np.uint32(publisher[docs[i]]))
            _note(counts[2], known[2:], g, variants[i])
        for m in range(begin, n):
            g = group[docs[first[m]]]
            out[:, m] = counts[:, g]
            found[g] = -1
    return first[:n].copy(), out[0, :n].copy(), out[1, :n].copy(), out[2, :n].copy()


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _note(count: Ints, known: NDArray[np.uint32], g: int, value: Any) -> None:
    """Count a value of group `g` if it is another one than those before; 3 are enough."""
    if count[g] > 2 or (count[g] > 0 and known[0, g] == value) or (count[g] > 1 and known[1, g] == value):
        return
    if count[g] < 2:
        known[count[g], g] = value
    count[g] += 1
