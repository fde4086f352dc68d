"""Unique document ids over a whole corpus: a repeated one gets ``~2``, ``~3`` in the order of the input.

Shards are annotated without knowledge of each other; what repeats is found from 64-bit digests of the ids, and only
the files of shards that hold a repeated id are written again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.run.shards import ShardNote, write_note
from pipeline.storage import Folder, read_each
from pipeline.weights import checksum


def make_ids_unique(notes: Sequence[ShardNote], out: Folder, work: Folder) -> None:
    """Rename repeated ids in the shards' files; the notes get the new checksums.

    Parameters
    ----------
    notes : sequence of ShardNote
        All shards, in order; changed in place.
    out, work : Folder
    """
    repeated = find_repeated(notes, work)
    if not len(repeated):
        return
    seen: Counter[str] = Counter()
    taken: set[str] = set()
    for note, digests in zip(notes, _read_digests(notes, work), strict=True):
        suspect = np.isin(digests, repeated)
        if suspect.any():
            _rename_in_shard(note, suspect, seen, taken, out, work)


def _read_digests(notes: Sequence[ShardNote], work: Folder) -> Iterator[NDArray[np.uint64]]:
    """Yield the digests of each shard's ids."""
    for data in read_each(work, [f"{note.index:05d}.ids" for note in notes]):
        yield np.frombuffer(data, dtype=np.uint64)


def find_repeated(notes: Sequence[ShardNote], work: Folder) -> NDArray[np.uint64]:
    """The digests that several documents' ids have, ascending; takes 8 bytes of memory a document."""
    every = np.empty(sum(note.n_written for note in notes), dtype=np.uint64)
    end = 0
    for digests in _read_digests(notes, work):
        every[end : end + len(digests)] = digests
        end += len(digests)
    every.sort()
    return np.unique(every[1:][every[1:] == every[:-1]])


def _rename_in_shard(
    note: ShardNote, suspect: NDArray[np.bool_], seen: Counter[str], taken: set[str], out: Folder, work: Folder
) -> None:
    documents, sentences = note.files
    ids = read_ids(out, documents)
    renamed = {}
    for row in np.flatnonzero(suspect).tolist():
        seen[ids[row]] += 1
        if seen[ids[row]] > 1:
            name = f"{ids[row]}~{seen[ids[row]]}"
            while name in taken:
                seen[ids[row]] += 1
                name = f"{ids[row]}~{seen[ids[row]]}"
            renamed[row] = name
        taken.add(renamed.get(row, ids[row]))
    if renamed:
        for name, first in ((documents, None), (sentences, "sent")):
            draft = work.draft(name)
            _rewrite(out, name, draft, renamed, first)
            note.files[name] = checksum(draft)
            out.put(draft, name)
        write_note(note, out, work)


def read_ids(out: Folder, name: str) -> list[str]:
    """The ids of a documents' file, in order."""
    with out.open(name) as file:
        if name.endswith(".parquet"):
            ids: list[str] = pq.read_table(file, columns=["doc_id"]).column(0).to_pylist()
            return ids
        return [orjson.loads(line)["doc_id"] for line in file]


def _rewrite(out: Folder, name: str, draft: Path, renamed: dict[int, str], sent_column: str | None) -> None:
    """Write a file again with other ids; rows of sentences count up a document wherever ``sent`` is 0."""
    with out.open(name) as source:
        if name.endswith(".parquet"):
            _rewrite_parquet(source, draft, renamed, sent_column)
        else:
            _rewrite_jsonl(source, draft, renamed, sent_column)


def _rewrite_parquet(file: IO[bytes], draft: Path, renamed: dict[int, str], sent_column: str | None) -> None:
    source = pq.ParquetFile(file)
    row = -1
    with pq.ParquetWriter(draft, source.schema_arrow, compression="zstd", store_schema=True) as writer:
        for group in range(source.num_row_groups):
            rows = source.read_row_group(group)
            ids = rows.column("doc_id").to_pylist()
            starts = rows.column(sent_column).to_pylist() if sent_column else [0] * len(ids)
            for i, start in enumerate(starts):
                row += start == 0
                ids[i] = renamed.get(row, ids[i])
            rows = rows.set_column(0, rows.schema.field(0), pa.array(ids, pa.string()))
            writer.write_table(rows, row_group_size=max(1, len(rows)))


def _rewrite_jsonl(source: IO[bytes], draft: Path, renamed: dict[int, str], sent_column: str | None) -> None:
    row = -1
    with draft.open("wb") as target:
        for line in source:
            record = orjson.loads(line)
            row += not sent_column or record[sent_column] == 0
            if row in renamed:
                record["doc_id"] = renamed[row]
            target.write(orjson.dumps(record) + b"\n")
