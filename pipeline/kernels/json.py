"""Columns to lines of JSON, without a Python object a cell.

Every cell becomes a piece: a range of bytes in one buffer. Pieces are written column by column, and put together row by
row at the end, so that a table of any schema takes a handful of passes over its bytes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Offsets = NDArray[np.int64]

_QUOTE, _BACKSLASH, _COMMA, _DOT, _ZERO, _MINUS = (ord(char) for char in '"\\,.0-')
_OPEN, _CLOSE = ord("["), ord("]")
_LETTERS = np.zeros(32, dtype=np.uint8)
_LETTERS[[8, 9, 10, 12, 13]] = [ord(letter) for letter in "btnfr"]
_HEX = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)

DECIMALS = 4
MAX_INT = 11
"""Characters of the longest 32-bit integer."""


class Pieces(NamedTuple):
    """JSON of some cells.

    Parameters
    ----------
    data : ndarray of uint8
    starts, ends : ndarray of int64, shape (n_cells,)
        Where each cell's JSON stands in `data`; several cells may share one place.
    """

    data: Bytes
    starts: Offsets
    ends: Offsets


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def quote_strings(text: Bytes, offsets: Offsets) -> Pieces:
    """Write strings, quoted and escaped as JSON.

    Parameters
    ----------
    text : ndarray of uint8
        UTF-8.
    offsets : ndarray of int64, shape (n + 1,)
    """
    n = len(offsets) - 1
    extra = 2 * n
    for i in range(offsets[0], offsets[n]):
        byte = text[i]
        if byte < 0x20:
            extra += 1 if _LETTERS[byte] else 5
        else:
            extra += byte == _QUOTE or byte == _BACKSLASH
    data = np.empty(offsets[n] - offsets[0] + extra, dtype=np.uint8)
    starts, ends = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    at = 0
    for k in range(n):
        starts[k] = at
        data[at] = _QUOTE
        at += 1
        for i in range(offsets[k], offsets[k + 1]):
            byte = text[i]
            if byte >= 0x20 and byte != _QUOTE and byte != _BACKSLASH:
                data[at] = byte
                at += 1
                continue
            data[at] = _BACKSLASH
            if byte >= 0x20:
                data[at + 1] = byte
                at += 2
            elif _LETTERS[byte]:
                data[at + 1] = _LETTERS[byte]
                at += 2
            else:
                data[at + 1] = 0x75  # u
                data[at + 2] = data[at + 3] = _ZERO
                data[at + 4], data[at + 5] = _HEX[byte >> 4], _HEX[byte & 15]
                at += 6
        data[at] = _QUOTE
        at += 1
        ends[k] = at
    return Pieces(data, starts, ends)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _write_int(data: Bytes, at: int, value: int) -> int:
    """Write an integer; get where it ends."""
    if value < 0:
        data[at] = _MINUS
        at += 1
        value = -value
    n_digits, rest = 1, value // 10
    while rest:
        n_digits, rest = n_digits + 1, rest // 10
    for i in range(n_digits - 1, -1, -1):
        data[at + i] = _ZERO + value % 10
        value //= 10
    return at + n_digits


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def write_ints(values: NDArray[np.int32]) -> Pieces:
    """Write integers."""
    data = np.empty(MAX_INT * len(values), dtype=np.uint8)
    starts, ends = np.empty(len(values), dtype=np.int64), np.empty(len(values), dtype=np.int64)
    at = 0
    for k in range(len(values)):
        starts[k] = at
        at = _write_int(data, at, np.int64(values[k]))
        ends[k] = at
    return Pieces(data, starts, ends)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def write_probabilities(values: NDArray[np.float32]) -> Pieces:
    """Write numbers from 0 to 1 by their own `DECIMALS` decimals, without zeros at the end; NaN as 0.0."""
    data = np.empty((DECIMALS + 2) * len(values), dtype=np.uint8)
    starts, ends = np.empty(len(values), dtype=np.int64), np.empty(len(values), dtype=np.int64)
    at = 0
    for k in range(len(values)):
        starts[k] = at
        value = np.float64(values[k])
        parts = 0 if np.isnan(value) else np.int64(np.rint(value * 10.0**DECIMALS))
        data[at] = _ZERO + parts // 10**DECIMALS
        data[at + 1] = _DOT
        at += 2
        rest, unit = parts % 10**DECIMALS, 10 ** (DECIMALS - 1)
        data[at] = _ZERO + rest // unit
        at += 1
        rest %= unit
        while rest:
            unit //= 10
            data[at] = _ZERO + rest // unit
            at += 1
            rest %= unit
        ends[k] = at
    return Pieces(data, starts, ends)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def join_lists(data: Bytes, starts: Offsets, ends: Offsets, offsets: Offsets) -> Pieces:
    """Write lists of cells that are written.

    Parameters
    ----------
    data, starts, ends : as `Pieces` has them
    offsets : ndarray of int64, shape (n + 1,)
        Which cells belong to each list.
    """
    n = len(offsets) - 1
    size = 2 * n
    for i in range(offsets[0], offsets[n]):
        size += ends[i] - starts[i] + 1
    joined = np.empty(size, dtype=np.uint8)
    firsts, lasts = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    at = 0
    for k in range(n):
        firsts[k] = at
        joined[at] = _OPEN
        at += 1
        for i in range(offsets[k], offsets[k + 1]):
            if i > offsets[k]:
                joined[at] = _COMMA
                at += 1
            for j in range(starts[i], ends[i]):
                joined[at] = data[j]
                at += 1
        joined[at] = _CLOSE
        at += 1
        lasts[k] = at
    return Pieces(joined, firsts, lasts)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def join_rows(data: Bytes, starts: Offsets, ends: Offsets, keys: Bytes, key_offsets: Offsets) -> Pieces:
    """Write rows of cells that are written: key, cell, key, cell and so on, and a last key that closes the row.

    Parameters
    ----------
    data : ndarray of uint8
    starts, ends : ndarray of int64, shape (n_columns, n_rows)
    keys : ndarray of uint8
    key_offsets : ndarray of int64, shape (n_columns + 2,)
        What stands before each column, and at the end of the row.
    """
    n_columns, n = starts.shape
    size = n * (key_offsets[n_columns + 1] - key_offsets[0])
    for c in range(n_columns):
        for k in range(n):
            size += ends[c, k] - starts[c, k]
    joined = np.empty(size, dtype=np.uint8)
    firsts, lasts = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    at = 0
    for k in range(n):
        firsts[k] = at
        for c in range(n_columns):
            for j in range(key_offsets[c], key_offsets[c + 1]):
                joined[at] = keys[j]
                at += 1
            for j in range(starts[c, k], ends[c, k]):
                joined[at] = data[j]
                at += 1
        for j in range(key_offsets[n_columns], key_offsets[n_columns + 1]):
            joined[at] = keys[j]
            at += 1
        lasts[k] = at
    return Pieces(joined, firsts, lasts)
