"""Tables: CSV and TSV, and Parquet, a row group at a time."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import InputRejectedError
from pipeline.readers.base import MAX_DOC_BYTES, Read, Rejection, decoding_meta, reader, too_large
from pipeline.readers.encoding import Decoded, decode, decode_like
from pipeline.readers.rows import row_doc
from pipeline.readers.sources import Piece
from pipeline.readers.streams import DAMAGED, open_rows, say, seekable
from pipeline.storage import File

N_BATCH_ROWS = 64
"""Rows of a Parquet file that are held at a time."""

_KNOWN = frozenset({"id", "text", "html", "publisher", "title", "url", "published"})


def _known_names(columns: Sequence[str]) -> list[str]:
    """Get the columns' names; those with a meaning are known in capitals, too, and between spaces."""
    names = [name.strip() for name in columns]
    return [name.lower() if name.lower() in _KNOWN else name for name in names]


def _check_columns(names: Sequence[str]) -> None:
    if "text" not in names and "html" not in names:
        shown = ", ".join(repr(name[:40]) for name in names[:20])
        raise InputRejectedError("bad_header", f"there is no column 'text' or 'html'; the columns are {shown}")
    repeated = sorted({name for name in names if name in _KNOWN and names.count(name) > 1})
    if repeated:
        raise InputRejectedError("bad_header", f"there is more than one column {repeated[0]!r}; rename all but one")


def _lines(stream: io.TextIOWrapper) -> Iterator[str]:
    while line := stream.readline(MAX_DOC_BYTES):
        if len(line) == MAX_DOC_BYTES:
            raise too_large()
        yield line


class _Records:
    """The records of a CSV file as lists of bytes: quotes, commas and line ends are single bytes in all encodings.

    Parameters
    ----------
    stream : binary stream
    delimiter : str
    """

    def __init__(self, stream: Any, delimiter: str) -> None:
        self._delimiter = delimiter
        # Latin-1 maps each byte to one character and back; the cells are decoded when they are whole
        self._text = io.TextIOWrapper(stream, encoding="latin-1", newline="")
        self._record: list[str] = []

    def __iter__(self) -> Iterator[list[bytes]]:
        csv.field_size_limit(MAX_DOC_BYTES)
        try:
            for record in csv.reader(self._take_lines(), delimiter=self._delimiter):
                if self._is_unclosed():
                    raise InputRejectedError("truncated", "a quote opened in this row is never closed")
                self._record.clear()
                if record:
                    yield [cell.encode("latin-1") for cell in record]
        except csv.Error as error:
            raise InputRejectedError("bad_csv", f"the row is no CSV: {error}") from error
        finally:
            self._text.detach()

    def _take_lines(self) -> Iterator[str]:
        for line in _lines(self._text):
            self._record.append(line)
            yield line
        self._is_over = True

    _is_over = False

    def _is_unclosed(self) -> bool:
        """Say whether the file ended within quotes; only then is there a last row that a strict reader refuses so."""
        if not self._is_over or sum(line.count('"') for line in self._record) % 2 == 0:
            return False
        try:
            list(csv.reader(self._record, delimiter=self._delimiter, strict=True))
        except csv.Error as error:
            return "end of data" in str(error)
        return False


DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}


def read_head(path: File, delimiter: str) -> tuple[list[str], str]:
    """Get the names of a CSV file's columns and its encoding, for what reads on in the middle of it.

    Raises
    ------
    InputRejectedError
        If it has no header, or none with a text.
    """
    with path.open("rb") as file:
        rows, encoding = open_rows(file)
        for cells in _Records(rows, delimiter):
            return _header(cells, encoding), encoding
    raise InputRejectedError("empty", "the file is empty")


@reader(*DELIMITERS)
def read_records(stream: IO[bytes], piece: Piece) -> Iterator[Read]:
    """One document a row, cells by commas or tabs; the first row names the columns."""
    delimiter = DELIMITERS[piece.format]
    rows: Any = stream
    names: list[str] = []
    n_rows = 0
    if piece.start == 0:
        rows, encoding = open_rows(stream)
    else:
        names, encoding = read_head(piece.path, delimiter)
        n_rows = piece.first_row - 1
    try:
        for cells in _Records(rows, delimiter):
            if not names:
                names = _header(cells, encoding)
                continue
            n_rows += 1
            yield _read_record(cells, names, encoding, f"{piece.origin}#{n_rows}", n_rows, piece.origin)
    except InputRejectedError as error:
        line = n_rows + 1 if names else None
        yield Rejection(piece.origin, None, line, None, error.code, f"{error.reason}; nothing behind it is read")
    else:
        if not names:
            raise InputRejectedError("empty", "the file is empty")


def _header(cells: Sequence[bytes], encoding: str) -> list[str]:
    marked = [cells[0].removeprefix(b"\xef\xbb\xbf").strip(b'"'), *cells[1:]]
    names = _known_names([decode_like(cell, encoding).text for cell in marked])
    _check_columns(names)
    return names


def _read_record(
    cells: Sequence[bytes], names: Sequence[str], encoding: str, doc_id: str, n_row: int, origin: str
) -> Read:
    try:
        if len(cells) > len(names):
            raise InputRejectedError("bad_row", f"the row has {len(cells)} cells, the header names {len(names)}")
        row: dict[str, Any] = {}
        own: dict[str, Any] = {}
        for name, cell in zip(names, cells, strict=False):
            decoded = decode_like(cell, encoding)
            row[name] = decoded.text or None
            if name in ("text", "html") and decoded.text:
                own = decoding_meta(origin, decoded)
        if not own:
            raise InputRejectedError("empty", "the row's text is empty", doc_id=row.get("id"))
        return row_doc(row, doc_id, own)
    except InputRejectedError as error:
        return Rejection(origin, error.doc_id or doc_id, n_row, None, error.code, error.reason)


@reader(".parquet", seekable=True)
def read_parquet(stream: IO[bytes], piece: Piece) -> Iterator[Read]:
    """One document a row, read a row group at a time."""
    with seekable(stream) as file:
        try:
            table = pq.ParquetFile(file, pre_buffer=False, buffer_size=1 << 20)
        except pa.ArrowInvalid as error:
            cut = "magic bytes" in str(error) or "smaller than the minimum" in str(error)
            code = "truncated" if cut else "unreadable"
            raise InputRejectedError(code, f"the file is no whole Parquet file: {say(error)}") from error
        yield from _read_row_groups(table, piece)


def known_columns(schema: pa.Schema) -> tuple[list[str], list[str]]:
    """Get the columns of a Parquet file that are read, and the names that these are known by.

    Raises
    ------
    InputRejectedError
        If none of them is a text.
    """
    columns = [field.name for field in schema if field.name.lower().strip() in _KNOWN or not _is_binary(field.type)]
    names = _known_names(columns)
    _check_columns(names)
    return columns, names


def _read_row_groups(table: pq.ParquetFile, piece: Piece) -> Iterator[Read]:
    columns, names = known_columns(table.schema_arrow)
    groups = range(*(piece.groups or (0, table.num_row_groups)))
    n_rows = piece.first_row - 1
    try:
        for values in _parquet_values(table, columns, groups):
            n_rows += 1
            row = dict(zip(names, values, strict=True))
            yield _read_parquet_row(row, f"{piece.origin}#{n_rows}", n_rows, piece.origin)
    except DAMAGED as error:
        n_all = sum(table.metadata.row_group(group).num_rows for group in groups)
        n_left = n_all - (n_rows - piece.first_row + 1)
        reason = f"{n_left} rows from here on can't be read: {say(error)}"
        yield Rejection(piece.origin, None, n_rows + 1, None, "unreadable", reason)


def _parquet_values(table: pq.ParquetFile, columns: list[str], groups: range) -> Iterator[tuple[Any, ...]]:
    """Yield the rows' values; group by group, so that a damaged one does not take rows of another with it."""
    for group in groups:
        for batch in table.iter_batches(N_BATCH_ROWS, row_groups=[group], columns=columns, use_threads=False):
            yield from zip(*(_plain_values(batch.column(name)) for name in columns), strict=True)


def _plain_values(column: pa.Array) -> list[Any]:
    """Get a column's values; bytes for strings that are no UTF-8, a string for a time that Python has no room for."""
    try:
        values: list[Any] = column.to_pylist()
    except (ValueError, OverflowError):
        values = [_plain_value(scalar) for scalar in column]
    return values


def _plain_value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except (ValueError, OverflowError):
        if isinstance(scalar, (pa.StringScalar, pa.LargeStringScalar)):
            return scalar.as_buffer().to_pybytes()
    try:
        return scalar.cast(pa.string()).as_py()
    except (ValueError, OverflowError, pa.ArrowException):
        return None


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _read_parquet_row(row: dict[str, Any], doc_id: str, n_row: int, origin: str) -> Read:
    decoded = Decoded("", "utf-8", 0)
    try:
        for name, value in row.items():
            if isinstance(value, (str, bytes)) and len(value) > MAX_DOC_BYTES:
                raise too_large()
            if isinstance(value, bytes):
                decoded = decode(value)
                row[name] = decoded.text
        return row_doc(row, doc_id, decoding_meta(origin, decoded))
    except InputRejectedError as error:
        return Rejection(origin, error.doc_id or doc_id, n_row, None, error.code, error.reason)
