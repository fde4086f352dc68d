"""Arrow tables as lines of JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.kernels.columns import SLACK
from pipeline.kernels.json import Pieces, decimals, join_lists, join_rows, nearest_decimals, quote_strings, write_ints

_SLACK = np.zeros(SLACK, dtype=np.uint8)
_NULL = np.frombuffer(b"null", dtype=np.uint8)


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
    columns = [column.combine_chunks() for column in rows.columns]
    return _join(columns, rows.column_names, "}\n").data.data


def _join(columns: Sequence[pa.Array], names: Sequence[str], end: str) -> Pieces:
    """Put columns together to objects; one without a value is part of the next key."""
    pieces, keys, key = [], [], "{"
    for name, column in zip(names, columns, strict=True):
        key += f'"{name}":'
        if column.null_count == len(column):
            key += "null,"
            continue
        pieces.append(_pieces(column))
        keys.append(key)
        key = ","
    keys.append(key.removesuffix(",") + end)
    starts, ends = np.empty((2, len(columns[0]), len(pieces)), dtype=np.int64)
    shift = 0
    for i, column in enumerate(pieces):
        np.add(column.starts, shift, out=starts[:, i])
        np.add(column.ends, shift, out=ends[:, i])
        shift += len(column.data)
    data = np.concatenate([*(column.data for column in pieces), _SLACK])
    key_offsets = np.cumsum([0] + [len(key.encode()) for key in keys])
    key_data = np.frombuffer("".join(keys).encode() + bytes(SLACK), dtype=np.uint8)
    joined: Pieces = join_rows(data, starts, ends, key_data, key_offsets)
    return joined


def _pieces(array: pa.Array) -> Pieces:
    """Get the JSON of a column's cells."""
    if array.null_count == len(array):
        zeros = np.zeros(len(array), dtype=np.int64)
        return Pieces(_NULL, zeros, zeros + len(_NULL))
    pieces = _plain_pieces(array)
    if not array.null_count:
        return pieces
    is_null = np.asarray(array.is_null())
    at = len(pieces.data)
    return Pieces(
        np.concatenate([pieces.data, _NULL]),
        np.where(is_null, at, pieces.starts),
        np.where(is_null, at + len(_NULL), pieces.ends),
    )


def _plain_pieces(array: pa.Array) -> Pieces:
    """Get the JSON of cells; what stands for a null is any value."""
    pieces: Pieces
    if pa.types.is_dictionary(array.type):
        pieces = _take(_pieces(array.dictionary), array.indices.fill_null(0).to_numpy())
    elif pa.types.is_list(array.type):
        child = _pieces(array.flatten() if array.null_count else array.values)
        pieces = join_lists(np.append(child.data, _SLACK), child.starts, child.ends, _list_offsets(array))
    elif pa.types.is_struct(array.type):
        fields = [array.type.field(i).name for i in range(array.type.num_fields)]
        pieces = _join(array.flatten(), fields, "}")
    elif pa.types.is_float32(array.type):
        pieces = _take(decimals(), nearest_decimals(array.to_numpy(zero_copy_only=False)))
    elif pa.types.is_int32(array.type):
        pieces = write_ints(array.fill_null(0).to_numpy())
    else:
        pieces = quote_strings(*_string_buffers(array.cast(pa.large_string())))
    return pieces


def _take(pieces: Pieces, rows: NDArray[Any]) -> Pieces:
    """Get cells that are among those that are written."""
    return Pieces(pieces.data, pieces.starts[rows], pieces.ends[rows])


def _list_offsets(array: pa.ListArray) -> NDArray[np.int64]:
    """Get where each list begins in its flattened values."""
    if not array.null_count:
        offsets: NDArray[np.int64] = array.offsets.to_numpy().astype(np.int64)
        return offsets
    lengths = array.value_lengths().fill_null(0).to_numpy()
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _string_buffers(array: pa.LargeStringArray) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Get the bytes of strings, and where each begins."""
    _, offsets, data = array.buffers()
    begin = np.frombuffer(offsets, dtype=np.int64)[array.offset : array.offset + len(array) + 1]
    text: Any = np.frombuffer(data, dtype=np.uint8) if data is not None and data.size else np.zeros(0, np.uint8)
    return text, begin
