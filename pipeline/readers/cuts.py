"""Large files cut into pieces on the borders of their rows; nothing but their bytes decides where."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq

from pipeline.errors import InputRejectedError
from pipeline.kernels.records import LINE_START, scan_records
from pipeline.readers.sources import Piece
from pipeline.readers.streams import DAMAGED
from pipeline.readers.tables import DELIMITERS, known_columns, read_head

_BLOCK = 1 << 20


def cut_file(file: Piece, max_bytes: int) -> Iterator[Piece]:
    """Cut a file into pieces of whole rows, each about `max_bytes`.

    What is compressed, or one document, stays whole; so does what can't be read, so that it is set aside once.
    """
    cut = _CUTTERS.get(file.format)
    if cut is None or file.compression or file.n_bytes <= max_bytes:
        yield file
    else:
        yield from cut(file, max_bytes)


def _is_wide(head: bytes) -> bool:
    """Tell UTF-16 and UTF-32: a byte that looks like a line feed may be half a character there."""
    return b"\x00" in head


def _cut_lines(file: Piece, max_bytes: int) -> Iterator[Piece]:
    with file.path.open("rb") as stream:
        if _is_wide(stream.read(_BLOCK)):
            yield file
            return
        start, row = 0, 1
        while start < file.end:
            stream.seek(start)
            n_lines, end = 0, start
            while end < file.end and end - start < max_bytes:
                block = stream.read(min(_BLOCK, start + max_bytes - end))
                if not block:
                    break
                n_lines += int(np.count_nonzero(np.frombuffer(block, np.uint8) == ord("\n")))  # far faster than count
                end += len(block)
            rest = stream.readline()
            n_lines += rest.endswith(b"\n")
            end += len(rest)
            yield replace(file, start=start, end=end, first_row=row)
            start, row = end, row + n_lines


def _cut_records(file: Piece, max_bytes: int) -> Iterator[Piece]:
    delimiter = DELIMITERS[file.format]
    try:
        with file.path.open("rb") as stream:
            is_wide = _is_wide(stream.read(_BLOCK))
        read_head(file.path, delimiter)
    except (InputRejectedError, *DAMAGED):
        is_wide = True
    if is_wide:
        yield file
        return
    start, row = 0, 1
    for end, n_records in _record_ends(file, ord(delimiter), max_bytes):
        yield replace(file, start=start, end=end, first_row=row)
        row += n_records - (start == 0)  # the header is none of the rows
        start = end


def _record_ends(file: Piece, delimiter: int, max_bytes: int) -> Iterator[tuple[int, int]]:
    """Yield where pieces end, and how many records each holds."""
    start, at, state, n_records = 0, 0, LINE_START, 0
    with file.path.open("rb") as stream:
        while block := stream.read(min(_BLOCK, file.end - at)):
            data = np.frombuffer(block, np.uint8)
            done = 0
            while done < len(data):
                state, n_found, cut = scan_records(data[done:], state, delimiter, start + max_bytes - at - done)
                n_records += n_found
                if cut < 0:
                    break
                done += cut
                yield at + done, n_records
                start, n_records = at + done, 0
            at += len(block)
    if start < file.end:
        yield file.end, n_records


def _cut_row_groups(file: Piece, max_bytes: int) -> Iterator[Piece]:
    try:
        with file.path.open("rb") as stream, pq.ParquetFile(stream) as table:
            meta = table.metadata
            known_columns(table.schema_arrow)
            groups = [meta.row_group(i) for i in range(meta.num_row_groups)]
            starts = [_group_start(group) for group in groups]
            n_rows = [group.num_rows for group in groups]
    except (InputRejectedError, *DAMAGED):
        starts = []
    if starts != sorted(set(starts)) or not starts or starts[-1] >= file.end:
        yield file
        return
    first, row = 0, 1
    for i in range(len(starts)):
        is_last = i + 1 == len(starts)
        start, end = starts[first] if first else 0, file.end if is_last else starts[i + 1]
        if is_last or end - start >= max_bytes:
            yield replace(file, start=start, end=end, first_row=row, groups=(first, i + 1))
            row += sum(n_rows[first : i + 1])
            first = i + 1


def _group_start(group: pq.RowGroupMetaData) -> int:
    columns = [group.column(i) for i in range(group.num_columns)]
    return int(min(column.dictionary_page_offset or column.data_page_offset for column in columns))


_CUTTERS: dict[str, Callable[[Piece, int], Iterator[Piece]]] = {
    ".jsonl": _cut_lines,
    ".ndjson": _cut_lines,
    **dict.fromkeys(DELIMITERS, _cut_records),
    ".parquet": _cut_row_groups,
}
