"""Columns to lines of JSON, without a Python object a cell.

Every cell becomes a piece: a range of bytes in one buffer. Pieces are written column by column, and put together row by
row at the end, so that a table of any schema takes a handful of passes over its bytes.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.kernels.columns import SLACK, Bytes, Offsets, copy_bytes

_QUOTE, _BACKSLASH, _COMMA, _ZERO, _MINUS = (ord(char) for char in '"\\,0-')
_ONE = np.uint64(1)
_CHUNK = np.uint64(64)
"""Bytes of a string that are looked at together: most have nothing to escape."""
_OPEN, _CLOSE = ord("["), ord("]")
_LETTERS = np.zeros(32, dtype=np.uint8)
_LETTERS[[8, 9, 10, 12, 13]] = [ord(letter) for letter in "btnfr"]
_HEX = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)

DECIMALS = 4
MAX_ESCAPE = 6
"""Characters that stand for a control character."""
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
def _count_special(text: Bytes, first: np.uint64, last: np.uint64) -> int:
    """Count the bytes that JSON escapes."""
    n = 0
    for i in range(first, last):
        n += (text[i] < 0x20) | (text[i] == _QUOTE) | (text[i] == _BACKSLASH)
    return n


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _escape(data: Bytes, at: np.uint64, byte: int) -> np.uint64:
    """Write a byte of a string, escaped if JSON wants it so; get where it ends."""
    if byte >= 0x20 and byte != _QUOTE and byte != _BACKSLASH:
        data[at] = byte
        return at + _ONE
    data[at] = _BACKSLASH
    letter = byte if byte >= 0x20 else _LETTERS[byte]
    if letter:
        data[at + _ONE] = letter
        return at + np.uint64(2)
    data[at + _ONE] = 0x75  # u
    data[at + np.uint64(2)] = data[at + np.uint64(3)] = _ZERO
    data[at + np.uint64(4)], data[at + np.uint64(5)] = _HEX[byte >> 4], _HEX[byte & 15]
    return at + np.uint64(MAX_ESCAPE)


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
    size = offsets[n] - offsets[0] + 2 * n
    size += (MAX_ESCAPE - 1) * _count_special(text, np.uint64(offsets[0]), np.uint64(offsets[n]))
    data = np.empty(size, dtype=np.uint8)
    starts, ends = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    at = np.uint64(0)
    for k in range(n):
        starts[k] = at
        data[at] = _QUOTE
        at += _ONE
        end = np.uint64(offsets[k + 1])
        for first in range(np.uint64(offsets[k]), end, _CHUNK):
            last = min(first + _CHUNK, end)
            if _count_special(text, first, last):
                for i in range(first, last):
                    at = _escape(data, at, text[i])
                continue
            for i in range(last - first):
                data[at + i] = text[first + i]
            at += last - first
        data[at] = _QUOTE
        at += _ONE
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


@cache
def decimals() -> Pieces:
    """Write every number from 0 to 1 that has `DECIMALS` decimals, without zeros at the end, ascending."""
    written = [f"{part / 10**DECIMALS:.{DECIMALS}f}".rstrip("0") for part in range(10**DECIMALS + 1)]
    whole = [number + "0" if number.endswith(".") else number for number in written]
    bounds = np.cumsum([0, *map(len, whole)], dtype=np.int64)
    return Pieces(np.frombuffer("".join(whole).encode(), dtype=np.uint8), bounds[:-1], bounds[1:])


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def nearest_decimals(values: NDArray[np.float32]) -> Offsets:
    """Get which of `decimals` each number is, rounded; NaN is 0."""
    rows = np.empty(len(values), dtype=np.int64)
    for k in range(len(values)):
        value = np.float64(values[k])
        rows[k] = 0 if np.isnan(value) else np.int64(np.rint(value * 10.0**DECIMALS))
    return rows


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def join_lists(data: Bytes, starts: Offsets, ends: Offsets, offsets: Offsets) -> Pieces:
    """Write lists of cells that are written.

    Parameters
    ----------
    data, starts, ends
        As `Pieces` has them, with `SLACK` behind the data.
    offsets : ndarray of int64, shape (n + 1,)
        Which cells belong to each list.
    """
    n = len(offsets) - 1
    size = 2 * n
    for i in range(offsets[0], offsets[n]):
        size += ends[i] - starts[i] + 1
    joined = np.empty(size + SLACK, dtype=np.uint8)
    firsts, lasts = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    at = np.uint64(0)
    for k in range(n):
        firsts[k] = at
        joined[at] = _OPEN
        at += _ONE
        for i in range(offsets[k], offsets[k + 1]):
            if i > offsets[k]:
                joined[at] = _COMMA
                at += _ONE
            at = copy_bytes(joined, at, data, starts[i], ends[i])
        joined[at] = _CLOSE
        at += _ONE
        lasts[k] = at
    return Pieces(joined[:at], firsts, lasts)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def join_rows(data: Bytes, starts: Offsets, ends: Offsets, keys: Bytes, key_offsets: Offsets) -> Pieces:
    """Write rows of cells that are written: key, cell, key, cell and so on, and a last key that closes the row.

    Parameters
    ----------
    data : ndarray of uint8
        With `SLACK` behind the cells.
    starts, ends : ndarray of int64, shape (n_rows, n_columns)
    keys : ndarray of uint8
        With `SLACK` behind the last.
    key_offsets : ndarray of int64, shape (n_columns + 2,)
        What stands before each column, and at the end of the row.
    """
    n, n_columns = starts.shape
    size = n * (key_offsets[n_columns + 1] - key_offsets[0]) + np.sum(ends) - np.sum(starts)
    joined = np.empty(size + SLACK, dtype=np.uint8)
    firsts, lasts = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    at = np.uint64(0)
    for k in range(n):
        firsts[k] = at
        for c in range(n_columns):
            at = copy_bytes(joined, at, keys, key_offsets[c], key_offsets[c + 1])
            at = copy_bytes(joined, at, data, starts[k, c], ends[k, c])
        at = copy_bytes(joined, at, keys, key_offsets[n_columns], key_offsets[n_columns + 1])
        lasts[k] = at
    return Pieces(joined[:at], firsts, lasts)
