"""Shards: the unit of work, of resume and of output; cut by the input alone."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from pipeline.doc import Doc
from pipeline.errors import InputRejectedError
from pipeline.passes.duplicates import Link, read_links
from pipeline.passes.tally import TemplateTally
from pipeline.pipe import Pipeline, batches
from pipeline.readers import Rejection, read_piece
from pipeline.readers.sources import Piece, cut_file
from pipeline.weights import checksum
from pipeline.writers import ShardWriter

MIN_SHARD_BYTES = 4 << 20
MAX_SHARD_BYTES = 64 << 20
N_SHARDS_AIMED_AT = 64
_COMPRESSION_RATIO = 4
"""A compressed byte stands for about so many of text."""

Progress = Callable[[int, int], None]
"""Is told of documents and bytes of input that were done."""


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


def plan_shards(files: Sequence[Piece]) -> list[Shard]:
    """Cut the input into shards; nothing but the files' order and sizes decides.

    A shard holds whole files up to a target size, or a range of lines of a large JSONL file.
    """
    total = sum(_weigh(file) for file in files)
    target = min(max(total // N_SHARDS_AIMED_AT, MIN_SHARD_BYTES), MAX_SHARD_BYTES)
    shards: list[Shard] = []
    pending: list[Piece] = []
    weight = 0
    for file in files:
        for piece in cut_file(file, target):
            if pending and weight + _weigh(piece) > target:
                shards.append(Shard(len(shards), tuple(pending)))
                pending, weight = [], 0
            pending.append(piece)
            weight += _weigh(piece)
    if pending:
        shards.append(Shard(len(shards), tuple(pending)))
    return shards


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

    def add(self, docs: Sequence[Doc]) -> None:
        for name, counter in self.meta.items():
            counter.update([doc.meta.get(name) or "none" for doc in docs])
        for doc in docs:
            if repairs := doc.meta.get("repairs"):
                self.repairs.update(repairs)
        for name in _COUNTED_LAYERS:
            layers = [layer for doc in docs if (layer := getattr(doc, name)) is not None]
            if layers:
                names = layers[0].names
                counts = np.bincount(np.concatenate([layer.codes for layer in layers]) + 1, minlength=len(names) + 1)
                known = self.layers.get(name)
                self.layers[name] = (names, counts if known is None else known[1] + counts)
        self.totals["chars"] += sum(len(doc.source) for doc in docs)
        self.totals["sents"] += sum(len(doc.sents) for doc in docs if doc.sents is not None)
        self.totals["tokens"] += sum(len(doc.tokens) for doc in docs if doc.tokens is not None)

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
        self._tally = _Tally()
        self._rejections: list[tuple[int, Rejection]] = []

    @property
    def rejections(self) -> list[Rejection]:
        """What was set aside, in the order of the input, however it was batched."""
        return [rejection for _, rejection in sorted(self._rejections, key=lambda item: item[0])]

    def _read(self) -> Iterator[Doc]:
        """Yield the documents; keep the rejections."""
        digest = hashlib.sha256()
        for piece in self._shard.pieces:
            for read in read_piece(piece, digest):
                self.note.n_read += 1
                if isinstance(read, Doc):
                    yield from self._place(read)
                else:
                    self._rejections.append((self.note.n_read, read))
            self._progress(0, piece.n_bytes)
        self.note.input_sha256 = digest.hexdigest()

    def _place(self, doc: Doc) -> Iterator[Doc]:
        """Tell a document its position and whether it is a duplicate; drop it if duplicates are."""
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
            return
        said = {} if link is None else {"duplicate_of": link.kept_id}
        yield doc.extend(meta={**doc.meta, "position": position, **said})

    def _reject(self, doc: Doc, error: InputRejectedError) -> None:
        rejection = Rejection.of(error, str(doc.meta["origin"]), doc.id)
        self._rejections.append((doc.meta["position"], rejection))

    def annotate(self) -> Iterator[Doc]:
        """Yield the annotated documents in order."""
        for batch in batches(self._read()):
            done = self._pipeline.annotate_each(batch, self._reject)
            self._tally.add(done)
            for doc in done:
                self.templates.add_doc(doc)
                self.id_digests.append(id_digest(doc.id))
                self.positions.append(doc.meta["position"])
                self.note.n_written += 1
                yield doc
            self._progress(len(batch), 0)
        self.note.n_rejected, self.note.n_dropped = len(self._rejections), len(self.dropped)
        self.note.counts = self._tally.to_dict()


def sync(path: Path) -> None:
    """Make sure that a file's bytes are on disk before its name says so."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def annotate_shard(
    shard: Shard, pipeline: Pipeline, out: Path, work: Path, file_format: str, progress: Progress, *, keep_source: bool
) -> ShardNote:
    """Run a shard and leave its files: written under a temporary name, renamed when whole, noted last.

    Parameters
    ----------
    shard : Shard
    pipeline : Pipeline
    out : Path
        Gets ``documents-NNNNN`` and ``sentences-NNNNN``, unless no document is left.
    work : Path
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
    drafts = [work / f"{name}.tmp" for name in names]
    with ShardWriter(drafts[0], drafts[1], file_format, keep_source=keep_source) as writer:
        for doc in run.annotate():
            writer.write(doc)
    for name, draft in zip(names, drafts, strict=True):
        if run.note.n_written:
            sync(draft)
            run.note.files[name] = checksum(draft)
            draft.replace(out / name)
        else:
            draft.unlink()
    (work / f"{shard.name}.rejected.jsonl").write_bytes(b"".join(row.to_json() for row in run.rejections))
    np.array(run.id_digests, dtype=np.uint64).tofile(work / f"{shard.name}.ids")
    if pipeline.config.duplicates.is_on:
        np.array(run.positions, dtype=np.int64).tofile(work / f"{shard.name}.positions")
        dropped = b"".join(orjson.dumps(row) + b"\n" for row in run.dropped)
        (work / f"{shard.name}.dropped.jsonl").write_bytes(dropped)
    if pipeline.config.templates.is_on:
        (work / f"{shard.name}.templates.json").write_bytes(run.templates.to_json())
    write_whole(work / f"{shard.name}.json", orjson.dumps(run.note.to_dict()))
    return run.note


FIRST_PASS = "first"
"""The folder, in the work folder, of what the first pass over the corpus left."""


def links_path(work: Path, shard: int) -> Path:
    """Where the duplicates of a shard stand."""
    return work / FIRST_PASS / f"{shard:05d}.links.jsonl"


def _links_of(shard: Shard, pipeline: Pipeline, work: Path) -> Mapping[int, Link]:
    return read_links(links_path(work, shard.index)) if pipeline.config.duplicates.is_on else {}


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is either there as a whole or not at all."""
    draft = path.with_name(path.name + ".tmp")
    draft.write_bytes(data)
    sync(draft)
    draft.replace(path)
