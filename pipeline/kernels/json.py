"""Columns to lines of JSON, without a Python object a cell.

Every cell is a number: one to be written, or which of some strings, or which piece of JSON that is written already. So
rows of any schema are put together in one pass, and nearly every byte is written once, where it stays.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from pipeline.kernels.columns import BLOCK, Bytes, Offsets, copy_block, copy_bytes, find_block

INT, PIECE, STRING = range(3)
"""What the cells of a column are."""
NULL = np.int64(np.iinfo(np.int64).min)
"""The cell of any column that is null."""
DECIMALS = 4
N_PARTS = 10**DECIMALS
NO_NUMBER = -1
"""Stands among probabilities for null."""
MAX_ESCAPE = 6
"""Characters that stand for a control character."""
MAX_INT = 11
"""Characters of the longest 32-bit integer."""

_QUOTE, _BACKSLASH, _MINUS, _OPEN, _CLOSE = (ord(char) for char in '"\\-[]')
_LETTERS = np.zeros(32, dtype=np.uint8)
_LETTERS[[8, 9, 10, 12, 13]] = [ord(letter) for letter in "btnfr"]
_HEX = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
_NULL = np.frombuffer(b"null".ljust(BLOCK), dtype=np.uint8)
_DIGITS = np.frombuffer("".join(f"{number:04}" for number in range(10_000)).encode() + bytes(BLOCK), dtype=np.uint8)
_ZERO, _ONE, _TWO, _THREE, _FOUR, _FIVE = (np.uint64(number) for number in range(6))
_MYRIAD, _BLOCK = np.uint64(10_000), np.uint64(BLOCK)
_VECTOR = ir.VectorType(ir.IntType(8), BLOCK)


class Pieces(NamedTuple):
    """JSON of some cells, one behind the other.

    Parameters
    ----------
    data : ndarray of uint8
        With `BLOCK` behind the last.
    bounds : ndarray of int64, shape (n + 1,)
    """

    data: Bytes
    bounds: Offsets


@intrinsic  # type: ignore[untyped-decorator]
def _n_plain(_typing: Any, text: Any, _first: Any) -> Any:
    """Count the bytes of a block before the first that JSON escapes."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        block = builder.load(find_block(context, builder, signature.args[0], *arguments), align=1)
        found = builder.icmp_unsigned("<", block, ir.Constant(_VECTOR, [0x20] * BLOCK))
        for byte in (_QUOTE, _BACKSLASH):
            found = builder.or_(found, builder.icmp_unsigned("==", block, ir.Constant(_VECTOR, [byte] * BLOCK)))
        bits = builder.bitcast(found, ir.IntType(BLOCK))  # the first byte is the lowest bit
        return builder.zext(builder.cttz(bits, ir.Constant(ir.IntType(1), 0)), ir.IntType(64))

    return types.uint64(text, types.uint64), generate


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _copy_piece(target: Bytes, at: np.uint64, data: Bytes, bounds: Offsets, row: int) -> np.uint64:
    """Copy a piece; get where it ends in `target`."""
    end: np.uint64 = copy_bytes(target, at, data, bounds[row], bounds[row + 1])
    return end


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _escape(data: Bytes, at: np.uint64, byte: int) -> np.uint64:
    """Write a byte that JSON escapes; get where it ends."""
    data[at] = _BACKSLASH
    letter = byte if byte >= 0x20 else _LETTERS[byte]
    if letter:
        data[at + _ONE] = letter
        return at + _TWO
    data[at + _ONE] = 0x75  # u
    data[at + _TWO] = data[at + _THREE] = 0x30  # 0
    data[at + _FOUR], data[at + _FIVE] = _HEX[byte >> 4], _HEX[byte & 15]
    return at + np.uint64(MAX_ESCAPE)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def count_special(text: Bytes, n_bytes: int) -> int:
    """Count the bytes that JSON escapes among the first."""
    n = 0
    for i in range(n_bytes):
        n += (text[i] < 0x20) | (text[i] == _QUOTE) | (text[i] == _BACKSLASH)
    return n


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _write_string(data: Bytes, at: np.uint64, text: Bytes, bounds: Offsets, row: int) -> np.uint64:
    """Write a string, quoted and escaped; get where it ends."""
    first, last = np.uint64(bounds[row]), np.uint64(bounds[row + 1])
    data[at] = _QUOTE
    at += _ONE
    while first < last:
        n_plain = _n_plain(text, first)
        copy_block(data, at, text, first)
        if n_plain < _BLOCK and n_plain < last - first:
            at = _escape(data, at + n_plain, text[first + n_plain])
            first += n_plain + _ONE
        else:
            at += min(_BLOCK, last - first)
            first += _BLOCK
    data[at] = _QUOTE
    return at + _ONE


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _write_digits(data: Bytes, at: np.uint64, number: np.uint64, skip: np.uint64) -> np.uint64:
    """Write a number of four digits, less some at its beginning; get where it ends."""
    for i in range(_FOUR):
        data[at + i] = _DIGITS[_FOUR * number + skip + i]
    return at + _FOUR - skip


@njit(cache=True, nogil=True, inline="always")  # type: ignore[untyped-decorator]
def _write_int(data: Bytes, at: np.uint64, value: int) -> np.uint64:
    """Write an integer; get where it ends."""
    if value < 0:
        data[at] = _MINUS
        at += _ONE
    rest, unit = np.uint64(abs(value)), _ONE
    while rest >= unit * _MYRIAD:
        unit *= _MYRIAD
    first = rest if unit == _ONE else rest // unit
    skip = _THREE - np.uint64(first > 9) - np.uint64(first > 99) - np.uint64(first > 999)
    at = _write_digits(data, at, first, skip)
    while unit > _ONE:
        rest %= unit
        unit //= _MYRIAD
        at = _write_digits(data, at, rest // unit, _ZERO)
    return at


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def nearest_decimals(values: NDArray[np.float32]) -> Offsets:
    """Get how many ten-thousandths each probability is, rounded; `NO_NUMBER` is `N_PARTS` + 1, NaN is 0."""
    rows = np.empty(len(values), dtype=np.int64)
    for k in range(len(values)):
        value = np.float64(values[k])
        row = 0 if np.isnan(value) else np.int64(np.rint(value * N_PARTS))
        if value == NO_NUMBER:
            row = N_PARTS + 1
        elif not 0 <= row <= N_PARTS:
            raise ValueError("a probability is not between 0 and 1")
        rows[k] = row
    return rows


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def join_lists(data: Bytes, bounds: Offsets, offsets: Offsets) -> Pieces:
    """Write lists of cells that are written.

    Parameters
    ----------
    data, bounds
        As `Pieces` has them; each piece with a comma behind it.
    offsets : ndarray of int64, shape (n + 1,)
        Which cells belong to each list.
    """
    n = len(offsets) - 1
    joined = np.empty(bounds[offsets[n]] - bounds[offsets[0]] + 2 * n + BLOCK, dtype=np.uint8)
    ends = np.zeros(n + 1, dtype=np.int64)
    at = np.uint64(0)
    for k in range(n):
        joined[at] = _OPEN
        at = copy_bytes(joined, at + _ONE, data, bounds[offsets[k]], bounds[offsets[k + 1]])
        at -= np.uint64(offsets[k + 1] > offsets[k])  # the last comma
        joined[at] = _CLOSE
        at += _ONE
        ends[k + 1] = at
    return Pieces(joined, ends)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def join_rows(
    joined: Bytes, kinds: Bytes, cells: Offsets, bases: Offsets, keys: Pieces, pieces: Pieces, strings: Pieces
) -> Offsets:
    """Write rows: key, cell, key, cell and so on, and a last key that closes the row.

    Parameters
    ----------
    joined : ndarray of uint8
        Gets the rows; with `BLOCK` behind what they need.
    kinds : ndarray of uint8, shape (n_columns,)
        `INT`, `PIECE` or `STRING`.
    cells : ndarray of int64, shape (n_columns, n_rows)
    bases : ndarray of int64, shape (n_columns,)
        Which bound among all is a column's first.
    keys : Pieces
        What stands before each column, and at the end of the row.
    pieces, strings : Pieces
        What cells point to; strings are UTF-8, not quoted yet.

    Returns
    -------
    ndarray of int64, shape (n_rows + 1,)
        Where each row begins.
    """
    key_data, key_bounds = keys
    data, bounds = pieces
    text, text_bounds = strings
    n_columns, n = cells.shape
    rows = np.zeros(n + 1, dtype=np.int64)
    at = np.uint64(0)
    for k in range(n):
        for c in range(n_columns):
            at = _copy_piece(joined, at, key_data, key_bounds, c)
            cell = cells[c, k]
            kind = kinds[c]
            if cell < 0 and (kind != INT or cell == NULL):
                at = copy_bytes(joined, at, _NULL, 0, 4)
            elif kind == PIECE:
                at = _copy_piece(joined, at, data, bounds, bases[c] + cell)
            elif kind == INT:
                at = _write_int(joined, at, cell)
            else:
                at = _write_string(joined, at, text, text_bounds, bases[c] + cell)
        at = _copy_piece(joined, at, key_data, key_bounds, n_columns)
        rows[k + 1] = at
    return rows
