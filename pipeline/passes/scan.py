"""The first pass over a part of the input: keys of lines, hashes and signatures of documents, into files.

A scan holds rows by ranges of their keys, so that scans of many parts are merged one range at a time. It needs about
30 bytes of disk a line and 540 a document (28 without signatures).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from pipeline.doc import Doc, code_points
from pipeline.kernels.lines import find_lines, key_lines, line_marks
from pipeline.kernels.recur import N_RANGES, sort_by_range
from pipeline.kernels.shingles import shingle
from pipeline.pipe import batches
from pipeline.readers import read_piece
from pipeline.readers.sources import Piece
from pipeline.tables import char_classes

N_HASHES = 128
"""Numbers in a MinHash signature; the estimate's standard deviation at 0.8 is 0.035."""

SEED = 42
MAX_TITLE_LINE = 60
"""Code points of a first line that is taken for the title where the input names none."""

_SEPARATORS = ("_", "|", "｜", " - ", " — ", "——")

CHUNK_ROWS = 1 << 18
"""Rows that are put in order at once: 4 MB, and as much again three times for a moment."""

LINE_ROW = np.dtype([("key", np.uint64), ("doc", np.uint32), ("weight", np.int32)])
NEAR_ROW = np.dtype([("key", np.uint64), ("doc", np.uint32), ("line", np.uint32)])
ROWS = {"lines": LINE_ROW, "near": NEAR_ROW}
DOC_ROW = np.dtype([("publisher", np.uint64), ("whole", np.uint64), ("position", np.uint32)])


@lru_cache(1 << 16)
def name_hash(name: str | None) -> int:
    """A publisher as a 64-bit number; 0 for none."""
    if not name:
        return 0
    return int.from_bytes(hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=8).digest(), "little") | 1


def title_of(doc: Doc) -> str:
    """The words by which a document's lines may call it: its title without the site's name, else its first line.

    Examples
    --------
    >>> title_of(Doc.from_text("正文。", title="小城的桥修好了_某某新闻网"))
    '小城的桥修好了'
    """
    title = str(doc.meta.get("title") or "")
    if not title:
        first = doc.source.lstrip()[: MAX_TITLE_LINE + 1].split("\n", 1)[0].strip()
        return first if len(first) <= MAX_TITLE_LINE else ""
    for separator in _SEPARATORS:
        head = title.split(separator, 1)[0].strip()
        if len(head) >= 6:
            title = head
    return title


@dataclass(frozen=True, eq=False)
class Keyed:
    """The lines of a batch's sources.

    Parameters
    ----------
    bounds : ndarray of int64, shape (n_docs + 1,)
        Where each source begins in the joined text.
    lines : ndarray of int32, shape (n_lines, 2)
        Offsets into the joined text.
    line_bounds : ndarray of int64, shape (n_docs + 1,)
    exact, near : ndarray of uint64, shape (n_lines,)
    weight : ndarray of int32, shape (n_lines,)
    """

    bounds: NDArray[np.int64]
    lines: NDArray[np.int32]
    line_bounds: NDArray[np.int64]
    exact: NDArray[np.uint64]
    near: NDArray[np.uint64]
    weight: NDArray[np.int32]


def _bounds(texts: Sequence[str], gap: int) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum([len(text) + gap for text in texts])]).astype(np.int64)


def key_sources(docs: Sequence[Doc]) -> Keyed:
    """Get the keys of the lines of the documents' sources."""
    sources, titles = [doc.source for doc in docs], [title_of(doc) for doc in docs]
    points, bounds = code_points("\n".join([*sources, ""])), _bounds(sources, 1)
    lines, line_bounds = find_lines(points, bounds)
    keys = key_lines(points, lines, line_bounds, code_points("".join(titles)), _bounds(titles, 0), line_marks())
    return Keyed(bounds, lines, line_bounds, *keys)


def sign_sources(docs: Sequence[Doc]) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
    """Get each document's hash of all visible characters, and its MinHash signature: (n_docs,), (n_docs, N_HASHES)."""
    from rensa import RMinHash  # type: ignore[import-untyped]  # noqa: PLC0415 (only who asks for duplicates needs it)

    sources = [doc.source for doc in docs]
    hashes, offsets, whole = shingle(code_points("".join(sources)), _bounds(sources, 0), char_classes())
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(hashes, offsets, N_HASHES, SEED)
    return whole, np.array(matrix.to_rows(), dtype=np.uint32).reshape(len(docs), N_HASHES)


class _RowFile:
    """Rows of lines on their way to disk: in chunks, each by ranges of keys.

    Parameters
    ----------
    folder : Path
    name : str
        ``lines`` or ``near``.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._path, self._cuts_path = folder / f"{name}.rows", folder / f"{name}.cuts.npy"
        self._dtype = ROWS[name]
        self._parts: list[NDArray[Any]] = []
        self._cuts: list[NDArray[np.int32]] = []
        self._n_pending = 0
        self._path.write_bytes(b"")

    def add(self, key: NDArray[np.uint64], doc: NDArray[np.int64], value: NDArray[Any]) -> None:
        """Take the lines of a batch; those without a key are left out."""
        rows = np.empty(len(key), dtype=self._dtype)
        for name, values in zip(rows.dtype.names or (), (key, doc, value), strict=True):
            rows[name] = values
        self._parts.append(rows)
        self._n_pending += len(rows)
        if self._n_pending >= CHUNK_ROWS:
            self._flush()

    def _flush(self) -> None:
        rows = np.concatenate(self._parts)
        self._parts.clear()
        order, cuts = sort_by_range(np.ascontiguousarray(rows["key"]))
        with self._path.open("ab") as file:
            rows[order].tofile(file)
        self._cuts.append(cuts.astype(np.int32))
        self._n_pending = 0

    def close(self) -> None:
        """Write what is left, and where the ranges of each chunk begin."""
        if self._parts:
            self._flush()
        np.save(self._cuts_path, np.array(self._cuts, dtype=np.int32).reshape(-1, N_RANGES + 1))


@dataclass
class _Parts:
    """Arrays of a scan under construction, a batch each."""

    rows: dict[str, _RowFile]
    docs: list[NDArray[Any]] = field(default_factory=list)
    signatures: list[NDArray[Any]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    publishers: dict[int, str] = field(default_factory=dict)

    def add(self, batch: Sequence[Doc], *, duplicates: bool) -> None:
        """Scan a batch."""
        first = len(self.ids)
        rows = np.zeros(len(batch), dtype=DOC_ROW)
        names = [doc.meta.get("publisher") for doc in batch]
        rows["publisher"] = [name_hash(name) for name in names]
        rows["position"] = self.positions[first : first + len(batch)]
        self.publishers.update((name_hash(name), name) for name in names if name)
        self.ids += [doc.id for doc in batch]
        if self.rows:
            self._add_lines(key_sources(batch), first)
        if duplicates:
            rows["whole"], signatures = sign_sources(batch)
            self.signatures.append(signatures)
        self.docs.append(rows)

    def _add_lines(self, keyed: Keyed, first: int) -> None:
        doc = np.repeat(np.arange(len(keyed.line_bounds) - 1), np.diff(keyed.line_bounds)) + first
        variant = (keyed.exact >> np.uint64(32)).astype(np.uint32)
        self.rows["lines"].add(keyed.exact, doc, keyed.weight)
        self.rows["near"].add(keyed.near, doc, variant)


class _NoDigest:
    """Stands for a hash where none is asked for: a run takes that of its input when it annotates."""

    def update(self, data: bytes, /) -> None:
        """Do nothing."""


def _read(pieces: Sequence[Piece], positions: list[int], progress: Callable[[int, int], None]) -> Iterator[Doc]:
    """Yield the documents; tell the position of each, from 1, among all that was read."""
    position = 0
    for piece in pieces:
        for read in read_piece(piece, _NoDigest()):
            position += 1
            if isinstance(read, Doc):
                positions.append(position)
                yield read
        progress(0, piece.n_bytes)


def scan_pieces(
    pieces: Sequence[Piece],
    folder: Path,
    *,
    templates: bool,
    duplicates: bool,
    progress: Callable[[int, int], None] = lambda n_docs, n_bytes: None,
) -> None:
    """Scan pieces of input into the files of a folder; `Scan` reads them."""
    folder.mkdir(exist_ok=True)
    parts = _Parts({name: _RowFile(folder, name) for name in ROWS if templates})
    for batch in batches(_read(pieces, parts.positions, progress)):
        parts.add(batch, duplicates=duplicates)
        progress(len(batch), 0)
    np.save(folder / "docs.npy", np.concatenate([np.zeros(0, dtype=DOC_ROW), *parts.docs]))
    for rows in parts.rows.values():
        rows.close()
    if duplicates:
        none = np.zeros((0, N_HASHES), dtype=np.uint32)
        np.save(folder / "signatures.npy", np.concatenate([none, *parts.signatures]))
    names = {str(key): name for key, name in parts.publishers.items()}
    (folder / "names.json").write_bytes(orjson.dumps({"publishers": names, "ids": parts.ids}, default=str))


@dataclass(frozen=True)
class Scan:
    """A part of the input that was scanned; the arrays stay on disk.

    Parameters
    ----------
    folder : Path
    first : int
        The number of its first document in the whole input.
    """

    folder: Path
    first: int

    def array(self, name: str) -> NDArray[Any]:
        """Map one of ``docs``, ``signatures`` into memory."""
        array: NDArray[Any] = np.load(self.folder / f"{name}.npy", mmap_mode="r")
        return array

    def cuts(self, name: str) -> NDArray[np.int32]:
        """Where, in each chunk of ``lines`` or ``near``, the ranges of keys begin: (n_chunks, N_RANGES + 1)."""
        cuts: NDArray[np.int32] = np.load(self.folder / f"{name}.cuts.npy")
        return cuts

    def rows(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Read some of the rows of ``lines`` or ``near``."""
        dtype = ROWS[name]
        return np.fromfile(self.folder / f"{name}.rows", dtype, stop - start, offset=start * dtype.itemsize)

    def names(self) -> dict[str, Any]:
        """``publishers`` by hash, ``ids`` of the documents in order."""
        names: dict[str, Any] = orjson.loads((self.folder / "names.json").read_bytes())
        return names


def open_scans(folders: Sequence[Path]) -> list[Scan]:
    """Get scans in the order of the input, their documents numbered through."""
    scans, first = [], 0
    for folder in folders:
        scans.append(Scan(folder, first))
        first += len(scans[-1].array("docs"))
    return scans


def doc_column(scans: Sequence[Scan], name: str) -> NDArray[Any]:
    """A column of the document rows of all scans: ``publisher``, ``whole`` or ``position``."""
    parts = [np.array(scan.array("docs")[name]) for scan in scans]  # copies: pages once mapped would stay in memory
    return np.concatenate([np.zeros(0, dtype=DOC_ROW[name]), *parts])
