"""Shards: the unit of work, of resume and of output; cut by the input alone."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from pipeline.batch import Batch
from pipeline.config import Config
from pipeline.doc import Doc
from pipeline.errors import InputRejectedError
from pipeline.passes.duplicates import Link, links_from_lines
from pipeline.passes.tally import TemplateTally
from pipeline.pipe import Pipeline, batches
from pipeline.readers import Rejection, read_piece
from pipeline.readers.cuts import cut_file
from pipeline.readers.sources import Piece
from pipeline.run.watch import Progress
from pipeline.storage import Folder, RemoteFile, map_ahead
from pipeline.writers import ShardWriter

MIN_SHARD_BYTES = 4 << 20
MAX_SHARD_BYTES = 64 << 20
N_SHARDS_AIMED_AT = 64
_N_CUTTERS = 16
"""Files of a store that are cut side by side: one stream is slower than the store."""
_COMPRESSION_RATIO = 4
"""A compressed byte stands for about so many of text."""


@dataclass(frozen=True)
class Shard:
    """Pieces of input that become one pair of output files."""

    index: int
    pieces: tuple[Piece, ...]

    @property
    def n_bytes(self) -> int:
        """Bytes of input on disk."""
        return sum(piece.n_bytes for piece in self.pieces)

    @property
    def origins(self) -> list[str]:
        """Where the pieces come from, with the line at which a range begins behind a ``#``."""
        return [piece.origin if piece.first_row == 1 else f"{piece.origin}#{piece.first_row}" for piece in self.pieces]

    @property
    def name(self) -> str:
        """The number in the names of its files."""
        return f"{self.index:05d}"


def _weigh(piece: Piece) -> int:
    return piece.n_bytes * (_COMPRESSION_RATIO if piece.compression else 1)


def plan_shards(files: Sequence[Piece], progress: Progress = lambda n_docs, n_bytes: None) -> list[Shard]:
    """Cut the input into shards; nothing but the files' order and bytes decides.

    A shard holds whole files up to a target size, or a range of rows of a large JSONL, CSV or Parquet file.
    """
    total = sum(_weigh(file) for file in files)
    target = min(max(total // N_SHARDS_AIMED_AT, MIN_SHARD_BYTES), MAX_SHARD_BYTES)
    shards: list[Shard] = []
    pending: list[Piece] = []
    weight = 0
    for piece in _cut(files, target):
        progress(0, piece.n_bytes)
        if pending and weight + _weigh(piece) > target:
            shards.append(Shard(len(shards), tuple(pending)))
            pending, weight = [], 0
        pending.append(piece)
        weight += _weigh(piece)
    if pending:
        shards.append(Shard(len(shards), tuple(pending)))
    return shards


def _cut(files: Sequence[Piece], max_bytes: int) -> Iterator[Piece]:
    """Yield the pieces of all files, in order."""
    is_far = any(isinstance(file.path, RemoteFile) for file in files)
    n_threads = _N_CUTTERS if is_far else 1
    for pieces in map_ahead(lambda file: list(cut_file(file, max_bytes)), files, n_threads):
        yield from pieces


def input_digest(shard: Shard) -> str:
    """The SHA-256 of a shard's input bytes; of a file that can't be opened, nothing."""
    digest = hashlib.sha256()
    for piece in shard.pieces:
        try:
            with piece.path.open("rb") as file:
                file.seek(piece.start)
                left = piece.n_bytes
                while data := file.read(min(left, 1 << 20)):
                    digest.update(data)
                    left -= len(data)
        except OSError:
            continue
    return digest.hexdigest()


@dataclass
class ShardNote:
    """What is known of a shard once it is done; a row of the manifest.

    Parameters
    ----------
    index : int
    origins : list of str
        As `Shard.origins` has them.
    n_bytes : int
        Bytes of input on disk.
    input_sha256 : str
        Of these bytes.
    n_read, n_written, n_rejected, n_dropped : int
        Documents; the last three add up to the first.
    files : dict of str to str
        Output file name -> SHA-256.
    counts : dict of str to dict
        For the report: how many sentences have each label, role, kind; documents each script, language, encoding;
        how often each repair was made; totals of characters.
    """

    index: int
    origins: list[str]
    n_bytes: int
    input_sha256: str = ""
    n_read: int = 0
    n_written: int = 0
    n_rejected: int = 0
    n_dropped: int = 0
    files: dict[str, str] = field(default_factory=dict)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


_COUNTED_META = ("script", "lang", "encoding")
_COUNTED_LAYERS = ("label", "role", "kind", "ent_labels", "pii_types")


class _Tally:
    """Counts for the report."""

    def __init__(self) -> None:
        self.meta: dict[str, Counter[str]] = {name: Counter() for name in _COUNTED_META}
        self.repairs: Counter[str] = Counter()
        self.totals: Counter[str] = Counter()
        self.layers: dict[str, tuple[tuple[str, ...], NDArray[np.int64]]] = {}

    def add(self, docs: Batch) -> None:
        for name, counter in self.meta.items():
            counter.update([meta.get(name) or "none" for meta in docs.metas])
        for meta in docs.metas:
            for name, n in (meta.get("repairs") or {}).items():
                self.repairs[name] += n
        for name in _COUNTED_LAYERS:
            if layer := docs.layer(name):
                names = layer.values.names
                counts = np.bincount(layer.values.codes + 1, minlength=len(names) + 1)
                known = self.layers.get(name)
                self.layers[name] = (names, counts if known is None else known[1] + counts)
        self.totals["chars"] += len(docs.source.values)
        for name in ("sents", "tokens"):
            if layer := docs.layer(name):
                self.totals[name] += len(layer.values)

    def to_dict(self) -> dict[str, dict[str, int]]:
        found: dict[str, Mapping[str, int]] = {**self.meta, "repairs": self.repairs, "totals": self.totals}
        for name, (names, counts) in self.layers.items():
            found[name] = dict(zip(("none", *names), counts.tolist(), strict=True))
        return {
            name: {value: n for value, n in sorted(counts.items()) if n}
            for name, counts in sorted(found.items())
            if counts
        }


def id_digest(doc_id: str) -> int:
    """A 64-bit digest of a document's id, to find repeated ones in little memory."""
    return int.from_bytes(hashlib.blake2b(doc_id.encode("utf-8", "replace"), digest_size=8).digest(), "little")


class _Meter:
    """A hash that counts what it is fed with."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self.n_bytes = 0

    def update(self, data: bytes) -> None:
        self._digest.update(data)
        self.n_bytes += len(data)

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


class ShardRun:
    """One shard on its way through the pipeline, counted as it goes.

    Parameters
    ----------
    shard : Shard
    pipeline : Pipeline
    progress : callable
    links : mapping of int to Link
        The shard's duplicates by their position.
    """

    def __init__(
        self, shard: Shard, pipeline: Pipeline, progress: Progress, links: Mapping[int, Link] | None = None
    ) -> None:
        self.note = ShardNote(shard.index, shard.origins, shard.n_bytes)
        self.id_digests: list[int] = []
        self.positions: list[int] = []
        self.dropped: list[dict[str, Any]] = []
        self.templates = TemplateTally()
        self._links = links or {}
        self._drops = pipeline.config.duplicates.mode == "drop"
        self._shard = shard
        self._pipeline = pipeline
        self._progress = progress
        self._meter = _Meter()
        self._n_told = 0
        self._tally = _Tally()
        self._rejections: list[tuple[int, Rejection]] = []

    @property
    def rejections(self) -> list[Rejection]:
        """What was set aside, in the order of the input, however it was batched."""
        return [rejection for _, rejection in sorted(self._rejections, key=lambda item: item[0])]

    def _read(self) -> Iterator[Doc]:
        """Yield the documents; keep the rejections."""
        for piece in self._shard.pieces:
            for read in read_piece(piece, self._meter):
                self.note.n_read += 1
                if not isinstance(read, Doc):
                    self._rejections.append((self.note.n_read, read))
                elif (doc := self._place(read)) is not None:
                    yield doc
        self.note.input_sha256 = self._meter.hexdigest()

    def _tell(self, n_docs: int, n_bytes: int) -> None:
        """Tell of documents that were done, and of bytes since it was last told."""
        self._progress(n_docs, n_bytes - self._n_told)
        self._n_told = n_bytes

    def _place(self, doc: Doc) -> Doc | None:
        """Tell a document its position and whether it is a duplicate; None if it is dropped for that."""
        position = self.note.n_read
        link = self._links.get(position)
        if link is not None and self._drops:
            self.dropped.append(
                {
                    "origin": doc.meta["origin"],
                    "doc_id": doc.id,
                    "position": position,
                    "code": "duplicate",
                    "duplicate_of": link.kept_id,
                }
            )
            return None
        meta = {**doc.meta, "position": position}
        if link is not None:
            meta["duplicate_of"] = link.kept_id
        return doc.extend(meta=meta)

    def _reject(self, doc: Doc, error: InputRejectedError) -> None:
        rejection = Rejection.of(error, str(doc.meta["origin"]), doc.id)
        self._rejections.append((doc.meta["position"], rejection))

    def annotate(self) -> Iterator[Batch]:
        """Yield the annotated documents in order."""
        for batch in batches(self._read()):
            done = Batch.of(self._pipeline.annotate_each(batch, self._reject))
            self._tally.add(done)
            self.templates.add(done)
            self.id_digests += [id_digest(doc.id) for doc in done.docs]
            self.positions += [meta["position"] for meta in done.metas]
            self.note.n_written += len(done)
            yield done
            self._tell(len(batch), self._meter.n_bytes)
        self._tell(0, self._shard.n_bytes)  # some of them were perhaps not to be read
        self.note.n_rejected, self.note.n_dropped = len(self._rejections), len(self.dropped)
        self.note.counts = self._tally.to_dict()


def annotate_shard(
    shard: Shard,
    pipeline: Pipeline,
    out: Folder,
    work: Folder,
    file_format: str,
    progress: Progress,
    *,
    keep_source: bool,
) -> ShardNote:
    """Run a shard and leave its files: drafted on disk, put in their place when whole, noted last.

    Parameters
    ----------
    shard : Shard
    pipeline : Pipeline
    out : Folder
        Gets ``documents-NNNNN`` and ``sentences-NNNNN``, unless no document is left.
    work : Folder
        Gets the rejections, the digests of the ids and, last of all, the note.
    file_format : str
    progress : callable
    keep_source : bool

    Returns
    -------
    ShardNote
    """
    run = ShardRun(shard, pipeline, progress, _links_of(shard, pipeline, work))
    names = [f"{table}-{shard.name}.{file_format}" for table in ("documents", "sentences")]
    drafts = [work.draft(name) for name in names]
    with ShardWriter(drafts[0], drafts[1], file_format, keep_source=keep_source) as writer:
        for docs in run.annotate():
            writer.write(docs)
    for name, draft, digest in zip(names, drafts, writer.checksums, strict=True):
        if run.note.n_written:
            run.note.files[name] = digest
            out.put(draft, name)
        else:
            draft.unlink()
    for suffix, data in _aside(run, writer.sizes, pipeline.config).items():
        work.write(f"{shard.name}.{suffix}", data)
    for folder in (out, work):
        folder.settle()  # or the note might outlive, in a power cut, the names of what it notes
    write_note(run.note, out, work)
    return run.note


def write_note(note: ShardNote, out: Folder, work: Folder) -> None:
    """Write down that a shard's files are whole, with their stamps where the store has such."""
    stamps = out.stamps(note.files)
    work.write(f"{note.index:05d}.json", orjson.dumps({**note.to_dict(), **({"stamps": stamps} if stamps else {})}))


def _aside(run: ShardRun, sizes: Mapping[str | None, Mapping[str, int]], config: Config) -> dict[str, bytes]:
    """What the end of the run needs of a shard besides its files, by suffix."""
    found = {
        "rejected.jsonl": b"".join(row.to_json() for row in run.rejections),
        "publishers.json": orjson.dumps(list(sizes.items())),
        "ids": np.array(run.id_digests, dtype=np.uint64).tobytes(),
    }
    if config.duplicates.is_on:
        found["positions"] = np.array(run.positions, dtype=np.int64).tobytes()
        found["dropped.jsonl"] = b"".join(orjson.dumps(row) + b"\n" for row in run.dropped)
    if config.templates.is_on:
        found["templates.json"] = run.templates.to_json()
    return found


FIRST_PASS = "first"
"""The folder, in the work folder, of what the first pass over the corpus left."""


def links_name(shard: int) -> str:
    """The file, in that folder, of a shard's duplicates."""
    return f"{shard:05d}.links.jsonl"


def _links_of(shard: Shard, pipeline: Pipeline, work: Folder) -> Mapping[int, Link]:
    if not pipeline.config.duplicates.is_on:
        return {}
    return links_from_lines(work.sub(FIRST_PASS).read(links_name(shard.index)))
