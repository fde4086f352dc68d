"""The first pass over a part of the input: keys of lines, hashes and signatures of documents, into files.

A scan holds rows sorted by key, so that scans of many parts are merged one range of keys at a time. It needs about 24
bytes of disk a line and 540 a document (28 without signatures).
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

from pipeline.doc import Doc
from pipeline.kernels.lines import find_lines, key_lines
from pipeline.kernels.ngrams import codepoints
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

LINE_ROW = np.dtype([("key", np.uint64), ("doc", np.uint32), ("weight", np.int32)])
NEAR_ROW = np.dtype([("key", np.uint64), ("doc", np.uint32), ("line", np.uint32)])
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
    points, bounds = codepoints("\n".join([*sources, ""])), _bounds(sources, 1)
    lines, line_bounds = find_lines(points, bounds)
    keys = key_lines(points, lines, line_bounds, codepoints("".join(titles)), _bounds(titles, 0), char_classes())
    return Keyed(bounds, lines, line_bounds, *keys)


def sign_sources(docs: Sequence[Doc]) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
    """Get each document's hash of all visible characters, and its MinHash signature: (n_docs,), (n_docs, N_HASHES)."""
    from rensa import RMinHash  # type: ignore[import-untyped]  # noqa: PLC0415 (only who asks for duplicates needs it)

    sources = [doc.source for doc in docs]
    hashes, offsets, whole = shingle(codepoints("".join(sources)), _bounds(sources, 0), char_classes())
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(hashes, offsets, N_HASHES, SEED)
    return whole, np.array(matrix.to_rows(), dtype=np.uint32).reshape(len(docs), N_HASHES)


def _rows(
    dtype: np.dtype[Any], key: NDArray[np.uint64], doc: NDArray[np.int64], name: str, values: NDArray[Any]
) -> NDArray[Any]:
    """Rows of the lines that have a key."""
    rows = np.empty(len(key), dtype=dtype)
    rows["key"], rows["doc"], rows[name] = key, doc, values
    counted: NDArray[Any] = rows[key != 0]
    return counted


@dataclass
class _Parts:
    """Arrays of a scan under construction, a batch each."""

    docs: list[NDArray[Any]] = field(default_factory=list)
    lines: list[NDArray[Any]] = field(default_factory=list)
    near: list[NDArray[Any]] = field(default_factory=list)
    signatures: list[NDArray[Any]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    publishers: dict[int, str] = field(default_factory=dict)

    def add(self, batch: Sequence[Doc], *, templates: bool, duplicates: bool) -> None:
        """Scan a batch."""
        first = len(self.ids)
        rows = np.zeros(len(batch), dtype=DOC_ROW)
        names = [doc.meta.get("publisher") for doc in batch]
        rows["publisher"] = [name_hash(name) for name in names]
        rows["position"] = self.positions[first : first + len(batch)]
        self.publishers.update((name_hash(name), name) for name in names if name)
        self.ids += [doc.id for doc in batch]
        if templates:
            self._add_lines(key_sources(batch), first)
        if duplicates:
            rows["whole"], signatures = sign_sources(batch)
            self.signatures.append(signatures)
        self.docs.append(rows)

    def _add_lines(self, keyed: Keyed, first: int) -> None:
        doc = np.repeat(np.arange(len(keyed.line_bounds) - 1), np.diff(keyed.line_bounds)) + first
        variant = (keyed.exact >> np.uint64(32)).astype(np.uint32)
        self.lines.append(_rows(LINE_ROW, keyed.exact, doc, "weight", keyed.weight))
        self.near.append(_rows(NEAR_ROW, keyed.near, doc, "line", variant))


def _sorted_once(parts: Sequence[NDArray[Any]], dtype: np.dtype[Any], *, once: bool) -> NDArray[Any]:
    """Rows sorted by key and document; with `once`, a line that a document repeats counts once."""
    rows = np.concatenate([np.zeros(0, dtype=dtype), *parts])
    rows = rows[np.argsort(np.ascontiguousarray(rows["key"]), kind="stable")]  # documents are in order already
    if once and len(rows):
        same = (rows["key"][1:] == rows["key"][:-1]) & (rows["doc"][1:] == rows["doc"][:-1])
        rows = rows[np.append(True, ~same)]
    return rows


def _read(pieces: Sequence[Piece], positions: list[int], progress: Callable[[int, int], None]) -> Iterator[Doc]:
    """Yield the documents; tell the position of each, from 1, among all that was read."""
    position = 0
    for piece in pieces:
        for read in read_piece(piece):
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
    parts = _Parts()
    for batch in batches(_read(pieces, parts.positions, progress)):
        parts.add(batch, templates=templates, duplicates=duplicates)
        progress(len(batch), 0)
    folder.mkdir(exist_ok=True)
    np.save(folder / "docs.npy", np.concatenate([np.zeros(0, dtype=DOC_ROW), *parts.docs]))
    if templates:
        np.save(folder / "lines.npy", _sorted_once(parts.lines, LINE_ROW, once=True))
        np.save(folder / "near.npy", _sorted_once(parts.near, NEAR_ROW, once=False))
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
        """Map one of ``docs``, ``lines``, ``near``, ``signatures`` into memory."""
        array: NDArray[Any] = np.load(self.folder / f"{name}.npy", mmap_mode="r")
        return array

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


def all_docs(scans: Sequence[Scan]) -> NDArray[Any]:
    """The document rows of all scans: 20 bytes a document."""
    return np.concatenate([np.zeros(0, dtype=DOC_ROW), *(scan.array("docs") for scan in scans)])
