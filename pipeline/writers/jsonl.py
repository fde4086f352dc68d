"""Arrow tables as lines of JSON."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.kernels.columns import BLOCK
from pipeline.kernels.json import (
    DECIMALS,
    INT,
    MAX_ESCAPE,
    MAX_INT,
    N_PARTS,
    NO_NUMBER,
    NULL,
    PIECE,
    STRING,
    Pieces,
    count_special,
    join_lists,
    join_rows,
    nearest_decimals,
)


def to_json_lines(rows: pa.Table) -> bytes | memoryview:
    r"""Get a table as JSON, one row a line, keys in the order of the columns.

    Parameters
    ----------
    rows : pyarrow.Table
        Columns of strings, 32-bit integers, probabilities (float32, by their four decimals), and lists and structs of
        these.

    Returns
    -------
    bytes or memoryview

    Examples
    --------
    >>> bytes(to_json_lines(pa.table({"a": pa.array([1, None], pa.int32()), "b": ["x", '"']})))
    b'{"a":1,"b":"x"}\n{"a":null,"b":"\\""}\n'
    """
    if not len(rows):
        return b""
    columns = [c.chunk(0) if c.num_chunks == 1 else c.combine_chunks() for c in rows.columns]
    data, bounds = _objects(columns, rows.column_names, "}\n")
    return data[: bounds[-1]].data


class _Column(NamedTuple):
    """The cells of a column, how many bytes their JSON has at most, and what the cells point to."""

    kind: int
    cells: NDArray[Any]
    max_bytes: int
    source: Pieces | None = None


def _objects(columns: Sequence[pa.Array], names: Sequence[str], end: str) -> Pieces:
    """Put columns together to objects; one without a value is part of the next key."""
    present, keys, key = [], [], "{"
    for name, column in zip(names, columns, strict=True):
        key += f'"{name}":'
        if column.null_count == len(column):
            key += "null,"
            continue
        present.append(_column(column))
        keys.append(key)
        key = ","
    keys.append(key.removesuffix(",") + end)
    return _join(present, len(columns[0]), keys)


def _join(columns: Sequence[_Column], n: int, keys: Sequence[str]) -> Pieces:
    """Put columns of `n` cells together, with what stands before each and behind the last."""
    cells = np.empty((len(columns), n), dtype=np.int64)
    bases = np.zeros(len(columns), dtype=np.int64)
    sources: dict[int, list[Pieces]] = {PIECE: [], STRING: []}
    for i, column in enumerate(columns):
        cells[i] = column.cells
        if column.source is not None:
            known = sources[column.kind]
            bases[i] = sum(len(source.bounds) for source in known)
            known.append(column.source)
    pieces, strings = _concatenate(sources[PIECE]), _concatenate(sources[STRING])
    size = sum(column.max_bytes for column in columns) + n * len("".join(keys).encode()) + BLOCK
    size += (MAX_ESCAPE - 1) * count_special(strings.data, strings.bounds[-1])
    joined = np.empty(size, dtype=np.uint8)
    kinds = np.array([column.kind for column in columns], dtype=np.uint8)
    return Pieces(
        joined, join_rows(joined, kinds, cells, bases, _pieces([key.encode() for key in keys]), pieces, strings)
    )


def _pieces(written: Sequence[bytes]) -> Pieces:
    """Get a few pieces that are written one by one."""
    data = np.frombuffer(b"".join(written) + bytes(BLOCK), dtype=np.uint8)
    return Pieces(data, np.cumsum([0, *map(len, written)], dtype=np.int64))


def _concatenate(parts: Sequence[Pieces]) -> Pieces:
    """Put pieces one behind the other; a part has as many bounds as before."""
    data, bounds = parts[0] if parts else _pieces([])
    if len(parts) > 1 or len(data) < bounds[-1] + BLOCK:
        texts = [part.data[: part.bounds[-1]] for part in parts]
        data = np.concatenate([*texts, np.zeros(BLOCK, dtype=np.uint8)])
    if len(parts) > 1:
        shifts = np.cumsum([0, *map(len, texts[:-1])])
        bounds = np.concatenate([part.bounds + shift for part, shift in zip(parts, shifts, strict=True)])
    data, bounds = data[:], bounds[:]
    data.flags.writeable = bounds.flags.writeable = False  # Arrow's are; and kernels are compiled for one sort alone
    return Pieces(data, bounds)


def _column(array: pa.Array) -> _Column:
    """Get a column's cells."""
    n = len(array)
    if array.null_count == n:  # of whatever type: nothing to point to
        return _Column(INT, np.full(n, NULL), MAX_INT * n)
    if pa.types.is_int32(array.type):
        return _Column(INT, _fill(array, NULL), MAX_INT * n)
    if pa.types.is_float32(array.type):
        return _Column(PIECE, nearest_decimals(_fill(array, NO_NUMBER)), (DECIMALS + 2) * n, _decimals())
    if pa.types.is_dictionary(array.type):
        names = array.dictionary.to_pylist()
        pieces = _pieces([orjson.dumps(name) for name in [*names, None]])
        return _Column(PIECE, _fill(array.indices, np.int64(len(names))), n * int(np.diff(pieces.bounds).max()), pieces)
    kind = PIECE
    if pa.types.is_list(array.type):
        child = array.flatten() if array.null_count else array.values
        pieces = join_lists(*_join([_column(child)], len(child), ["", ","]), _list_offsets(array))
    elif pa.types.is_struct(array.type):
        fields = [array.type.field(i).name for i in range(array.type.num_fields)]
        pieces = _objects(array.flatten(), fields, "}")
    else:
        kind, pieces = STRING, _strings(array.cast(pa.large_string()))
    rows = np.arange(n)
    if array.null_count:
        rows[np.asarray(array.is_null())] = NULL
    return _Column(kind, rows, int(pieces.bounds[-1]) + len("null") * n, pieces)


@cache
def _decimals() -> Pieces:
    """Write every number from 0 to 1 that has `DECIMALS` decimals, ascending, and null; see `nearest_decimals`."""
    numbers = [part / N_PARTS for part in range(N_PARTS + 1)]
    return _pieces(orjson.dumps([*numbers, None])[1:-1].split(b","))


def _fill(array: pa.Array, null: int | np.int64) -> NDArray[Any]:
    """Get the numbers of a column, and another one for null; Arrow's own way takes three times as long."""
    valid, data = array.buffers()
    part = slice(array.offset, array.offset + len(array))
    numbers: NDArray[Any] = np.frombuffer(data, dtype=array.type.to_pandas_dtype())[part]
    if not array.null_count:
        return numbers
    is_valid = np.unpackbits(np.frombuffer(valid, dtype=np.uint8), bitorder="little")[part]
    return np.where(is_valid.view(np.bool_), numbers, null)


def _list_offsets(array: pa.ListArray) -> NDArray[np.int64]:
    """Get where each list begins in its flattened values."""
    if not array.null_count:
        offsets: NDArray[np.int64] = array.offsets.to_numpy().astype(np.int64)
        return offsets
    lengths = array.value_lengths().fill_null(0).to_numpy()
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _strings(array: pa.LargeStringArray) -> Pieces:
    """Get the bytes of strings, and where each begins."""
    _, offsets, data = array.buffers()
    begin = np.frombuffer(offsets, dtype=np.int64)[array.offset : array.offset + len(array) + 1]
    text: Any = np.frombuffer(data, dtype=np.uint8) if data is not None and data.size else np.zeros(0, np.uint8)
    return Pieces(text[begin[0] :], begin - begin[0] if begin[0] else begin)
