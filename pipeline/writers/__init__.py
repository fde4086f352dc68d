"""Writers: annotated documents into the files of a shard."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol, Self

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.batch import Batch
from pipeline.doc import Doc
from pipeline.weights import checksum
from pipeline.writers.columns import CODED_SENTENCES, DOCUMENTS, Tables, make_tables
from pipeline.writers.jsonl import to_json_lines

FORMATS = ("parquet", "jsonl")
MAX_GROUP_CHARS = 1_000_000
"""Documents are written in groups of about so many code points, whatever the batches they came in."""


class TableFile(Protocol):
    """One file of rows under construction."""

    def write(self, rows: pa.Table) -> None:
        """Append rows."""

    def close(self) -> str:
        """Finish the file; get its SHA-256."""


class ParquetFile:
    """A Parquet file; every `write` is a row group.

    Coded strings are read back as plain ones. Where there are such, they alone get a dictionary: in a table with
    millions of short rows, one of the other columns would cost time and save nothing.
    """

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        coded = [column.name for column in schema if pa.types.is_dictionary(column.type)]
        plain = [c.with_type(c.type.value_type) if c.name in coded else c for c in schema]
        self._path = path
        self._writer = pq.ParquetWriter(
            path,
            schema,
            compression="zstd",
            use_dictionary=coded or True,
            column_encoding={name: "DELTA_BINARY_PACKED" for name in ("start", "end") if coded} or None,
            write_statistics=["doc_id"],  # every row group holds all sorts of anything else
            store_schema=False,
        )
        self._writer.add_key_value_metadata({"ARROW:schema": base64.b64encode(pa.schema(plain).serialize()).decode()})

    def write(self, rows: pa.Table) -> None:
        """Append a row group."""
        self._writer.write_table(rows, row_group_size=max(1, len(rows)))

    def close(self) -> str:
        """Write the footer; get the file's SHA-256."""
        self._writer.close()
        return checksum(self._path)


class JsonlFile:
    """A JSONL file, keys in the order of the schema; it is large, and summed up while it is at hand."""

    def __init__(self, path: Path, _schema: pa.Schema) -> None:
        self._file: IO[bytes] = path.open("wb")
        self._digest = hashlib.sha256()

    def write(self, rows: pa.Table) -> None:
        """Append rows."""
        data = to_json_lines(rows)
        self._digest.update(data)
        self._file.write(data)

    def close(self) -> str:
        """Close the file; get its SHA-256."""
        self._file.close()
        return self._digest.hexdigest()


_FILES: dict[str, type[ParquetFile] | type[JsonlFile]] = {"parquet": ParquetFile, "jsonl": JsonlFile}


def open_table(path: Path, schema: pa.Schema, file_format: str) -> TableFile:
    """Open a file of rows for writing, in one of `FORMATS`."""
    return _FILES[file_format](path, schema)


class ShardWriter:
    """Writes a shard's documents and sentences; the same documents give the same bytes, however batched.

    Parameters
    ----------
    documents, sentences : Path
        The files to write.
    file_format : str
        One of `FORMATS`.
    keep_source : bool
        Whether documents carry ``source_text``.

    Attributes
    ----------
    sizes : dict of str or None to Counter
        Of each publisher's documents that were written: ``n_docs``, ``n_chars``, ``n_body_chars``.
    checksums : list of str
        The SHA-256 of both files, once they are closed.
    """

    def __init__(self, documents: Path, sentences: Path, file_format: str, *, keep_source: bool = False) -> None:
        self.sizes: dict[str | None, Counter[str]] = defaultdict(Counter)
        self.checksums: list[str] = []
        self._keep_source = keep_source
        schema = DOCUMENTS.append(pa.field("source_text", pa.large_string())) if keep_source else DOCUMENTS
        self._documents = open_table(documents, schema, file_format)
        self._sentences = open_table(sentences, CODED_SENTENCES, file_format)
        self._pending: list[Batch] = []
        self._n_pending_chars = 0

    def write(self, docs: Sequence[Doc]) -> None:
        """Add documents."""
        batch = Batch.of(docs)
        first = 0
        for last, doc in enumerate(batch.docs, 1):
            self._n_pending_chars += len(doc.source)
            if self._n_pending_chars >= MAX_GROUP_CHARS:
                self._pending.append(batch[first:last])
                self._flush()
                first = last
        if first < len(batch):
            self._pending.append(batch[first:])

    def _flush(self) -> None:
        if self._pending:
            tables: Tables = make_tables(Batch.join(self._pending), keep_source=self._keep_source)
            self._documents.write(tables.documents)
            self._sentences.write(tables.sentences)
            self._add_sizes(tables.documents)
        self._pending = []
        self._n_pending_chars = 0

    def _add_sizes(self, documents: pa.Table) -> None:
        columns = (documents.column(name).to_pylist() for name in ("publisher", "n_chars", "n_body_chars"))
        for publisher, n_chars, n_body_chars in zip(*columns, strict=True):
            sizes = self.sizes[publisher]
            sizes["n_docs"] += 1
            sizes["n_chars"] += n_chars
            sizes["n_body_chars"] += n_body_chars

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        self.checksums = [self._documents.close(), self._sentences.close()]
