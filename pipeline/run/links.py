"""The last word on duplicates: ``duplicate_of`` names the kept document by the id that it has in the corpus.

A repeated id is numbered when all shards are done, and a document that was to be kept may have been set aside; then the
files that name it are written again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.passes.duplicates import Link
from pipeline.run.first import read_all_links
from pipeline.run.ids import find_repeated, read_ids
from pipeline.run.shards import ShardNote, id_digest, write_note
from pipeline.storage import Folder
from pipeline.weights import checksum

Place = tuple[int, int]
"""A document's shard, and its position in it."""


def settle_links(notes: Sequence[ShardNote], out: Folder, work: Folder) -> None:
    """Correct ``duplicate_of`` in the documents' files; the notes get the new checksums.

    Parameters
    ----------
    notes : sequence of ShardNote
        All shards, in order; changed in place.
    out, work : Folder
    """
    links = read_all_links(work, [note.index for note in notes])
    final = _final_ids(notes, links, out, work)
    for note, own in zip(notes, links, strict=True):
        changed = {
            position: final[link.shard, link.kept_position]
            for position, link in own.items()
            if final.get((link.shard, link.kept_position), link.kept_id) != link.kept_id
        }
        if changed:
            _rewrite_dropped(work, f"{note.index:05d}.dropped.jsonl", changed)
            rows = _rows(note, work, changed)
            if rows:
                _rewrite_documents(note, out, work, rows)


def _positions(note: ShardNote, work: Folder) -> NDArray[np.int64]:
    return np.frombuffer(work.read(f"{note.index:05d}.positions"), dtype=np.int64)


def _rows(note: ShardNote, work: Folder, changed: Mapping[int, str | None]) -> dict[int, str | None]:
    """What changes, by row of the documents' file."""
    row_of = {position: row for row, position in enumerate(_positions(note, work).tolist())}
    return {row_of[position]: name for position, name in changed.items() if position in row_of}


def _final_ids(
    notes: Sequence[ShardNote], links: Sequence[Mapping[int, Link]], out: Folder, work: Folder
) -> dict[Place, str | None]:
    """The ids, in the corpus, of kept documents that may not have the one that the input gave them; None: not in it."""
    repeated = set(find_repeated(notes, work).tolist())
    wanted: dict[int, dict[int, str]] = {}
    for own in links:
        for link in own.values():
            wanted.setdefault(link.shard, {})[link.kept_position] = link.kept_id
    final: dict[Place, str | None] = {}
    for note in notes:
        kept = wanted.get(note.index, {})
        if not kept:
            continue
        row_of = {position: row for row, position in enumerate(_positions(note, work).tolist())}
        ids: list[str] = []
        for position, name in kept.items():
            if position not in row_of:
                final[note.index, position] = None
            elif id_digest(name) in repeated:
                ids = ids or read_ids(out, next(iter(note.files)))
                final[note.index, position] = ids[row_of[position]]
    return final


def _rewrite_dropped(work: Folder, name: str, changed: Mapping[int, str | None]) -> None:
    rows: list[dict[str, Any]] = [orjson.loads(line) for line in work.read(name).splitlines()]
    for row in rows:
        row["duplicate_of"] = changed.get(row["position"], row["duplicate_of"])
    work.write(name, b"".join(orjson.dumps(row) + b"\n" for row in rows))


def _rewrite_documents(note: ShardNote, out: Folder, work: Folder, changed: Mapping[int, str | None]) -> None:
    name = next(iter(note.files))
    draft = work.draft(name)
    with out.open(name) as source:
        if name.endswith(".parquet"):
            _rewrite_parquet(source, draft, changed)
        else:
            _rewrite_jsonl(source, draft, changed)
    note.files[name] = checksum(draft)
    out.put(draft, name)
    write_note(note, out, work)


def _rewrite_jsonl(source: IO[bytes], draft: Path, changed: Mapping[int, str | None]) -> None:
    with draft.open("wb") as target:
        for row, line in enumerate(source):
            record = orjson.loads(line)
            record["duplicate_of"] = changed.get(row, record["duplicate_of"])
            target.write(orjson.dumps(record) + b"\n")


def _rewrite_parquet(file: IO[bytes], draft: Path, changed: Mapping[int, str | None]) -> None:
    source = pq.ParquetFile(file)
    first = 0
    column = source.schema_arrow.get_field_index("duplicate_of")
    with pq.ParquetWriter(draft, source.schema_arrow, compression="zstd", store_schema=True) as writer:
        for group in range(source.num_row_groups):
            rows = source.read_row_group(group)
            names = rows.column(column).to_pylist()
            names = [changed.get(first + i, name) for i, name in enumerate(names)]
            first += len(rows)
            rows = rows.set_column(column, rows.schema.field(column), pa.array(names, pa.string()))
            writer.write_table(rows, row_group_size=max(1, len(rows)))
