"""Readers: bytes in, documents out, one at a time; what can't be read comes out as a rejection.

A reader takes an open stream and its piece, and yields `Doc` or `Rejection`. One is registered for each format.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import IO, Any
from urllib.parse import urlsplit

import orjson
import pyarrow as pa

from pipeline.doc import Doc
from pipeline.errors import InputRejectedError
from pipeline.readers.blocks import read_html, read_markdown
from pipeline.readers.encoding import Decoded, decode
from pipeline.readers.sources import Piece

MAX_LINE_BYTES = 1 << 30
"""A JSONL row longer than this is set aside."""


@dataclass(frozen=True)
class Rejection:
    """A piece of input that was set aside, and why; a row of ``rejected.jsonl``."""

    origin: str
    doc_id: str | None
    line: int | None
    offset: int | None
    code: str
    reason: str

    @classmethod
    def of(cls, error: InputRejectedError, origin: str, doc_id: str | None = None) -> Rejection:
        """Get the rejection that an error of one document or row amounts to."""
        return cls(origin, error.doc_id or doc_id, error.line, error.offset, error.code, error.reason)

    def to_json(self) -> bytes:
        """One line of JSON."""
        return orjson.dumps(asdict(self)) + b"\n"


_BUFFER = 1 << 20

Read = Doc | Rejection
Reader = Callable[[IO[bytes], Piece], Iterator[Read]]

READERS: dict[str, Reader] = {}


def reader(*suffixes: str) -> Callable[[Reader], Reader]:
    """Register a reader for files that end so."""

    def register(function: Reader) -> Reader:
        READERS.update(dict.fromkeys(suffixes, function))
        return function

    return register


class HashingStream(io.RawIOBase):
    """A byte range of a file; what is read goes into a hash."""

    def __init__(self, file: IO[bytes], n_bytes: int, digest: hashlib._Hash) -> None:
        self._file, self._left, self._digest = file, n_bytes, digest

    def readable(self) -> bool:
        """Say yes: io asks."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill the buffer as far as the range goes; 0 at its end."""
        data = self._file.read(min(self._left, len(buffer)))
        buffer[: len(data)] = data
        self._left -= len(data)
        self._digest.update(data)
        return len(data)

    def drain(self) -> None:
        """Read what a decompressor left behind: it counts as input, too."""
        while data := self._file.read(min(self._left, _BUFFER)):
            self._left -= len(data)
            self._digest.update(data)


def _decompress(stream: Any, compression: str) -> Any:
    if compression == ".gz":
        return gzip.GzipFile(fileobj=stream, mode="rb")
    if compression == ".bz2":
        return bz2.BZ2File(stream, "rb")
    if compression == ".zst":
        return io.BufferedReader(pa.CompressedInputStream(pa.PythonFile(stream, "r"), "zstd"), _BUFFER)
    return stream


_DAMAGED = (EOFError, OSError, zlib.error, pa.ArrowInvalid)


def read_piece(piece: Piece, digest: hashlib._Hash | None = None) -> Iterator[Read]:
    """Read a piece of input.

    Parameters
    ----------
    piece : Piece
    digest : hash object, optional
        Is fed with the bytes on disk.

    Yields
    ------
    Doc or Rejection
        In the order of the input. Never raises for what is wrong with the input: a file that can't be opened, or
        breaks off, is one rejection behind what could be read.
    """
    try:
        with piece.path.open("rb") as file:
            file.seek(piece.start)
            raw = HashingStream(file, piece.n_bytes, hashlib.sha256() if digest is None else digest)
            yield from _read_stream(raw, piece)
            raw.drain()
    except OSError as error:
        yield Rejection(piece.origin, None, None, None, "unreadable", f"the file can't be opened: {_say(error)}")


def _read_stream(raw: HashingStream, piece: Piece) -> Iterator[Read]:
    stream = _decompress(io.BufferedReader(raw, _BUFFER), piece.compression)
    try:
        yield from READERS[piece.format](stream, piece)
    except InputRejectedError as error:
        yield Rejection.of(error, piece.origin, piece.origin)
    except _DAMAGED as error:
        code = "truncated" if isinstance(error, EOFError) or "truncated" in str(error).lower() else "unreadable"
        yield Rejection(piece.origin, None, None, None, code, f"the file can't be read to its end: {_say(error)}")


def _say(error: BaseException) -> str:
    """An error's own words, without the path of this machine."""
    return str(error.strerror if isinstance(error, OSError) and error.strerror else error)


def _read_whole(stream: IO[bytes]) -> Decoded:
    data = stream.read()
    if not data:
        raise InputRejectedError("empty", "the file is empty")
    return decode(data)


def _file_meta(piece: Piece, decoded: Decoded) -> dict[str, Any]:
    meta: dict[str, Any] = {"origin": piece.origin, "encoding": decoded.encoding}
    if decoded.n_undecodable:
        meta["n_undecodable"] = decoded.n_undecodable
    return meta


_FIELDS = ("publisher", "title", "url", "published")


def _make_doc(doc_id: str, source: str, said: Mapping[str, Any], **own: Any) -> Doc:
    """Get a document.

    Parameters
    ----------
    doc_id, source : str
    said : mapping
        What the input says of the document: the fields of the record by name, anything else goes into ``extra``.
    own : Any
        What the reader itself knows: origin, encoding.
    """
    meta = {name: str(said[name]) for name in _FIELDS if said.get(name) not in (None, "")}
    extra = {name: value for name, value in said.items() if name not in _FIELDS and value is not None}
    if "publisher" not in meta and (domain := registered_domain(meta.get("url", ""))):
        meta["publisher"] = domain
    return Doc.from_text(source, doc_id, **meta, **own, extra=extra)


@reader(".txt")
def read_text_file(stream: IO[bytes], piece: Piece) -> Iterator[Read]:
    """A text file is one document."""
    decoded = _read_whole(stream)
    yield _make_doc(piece.origin, decoded.text, {}, **_file_meta(piece, decoded))


@reader(".md", ".markdown")
def read_markdown_file(stream: IO[bytes], piece: Piece) -> Iterator[Read]:
    """A Markdown file is one document: its blocks."""
    decoded = _read_whole(stream)
    text, meta = read_markdown(decoded.text)
    yield _make_doc(piece.origin, text, meta, **_file_meta(piece, decoded))


@reader(".html", ".htm")
def read_html_file(stream: IO[bytes], piece: Piece) -> Iterator[Read]:
    """A page is one document: its visible blocks."""
    decoded = _read_whole(stream)
    text, meta = read_html(decoded.text)
    yield _make_doc(piece.origin, text, meta, **_file_meta(piece, decoded))


@reader(".jsonl", ".ndjson")
def read_jsonl(stream: IO[bytes], piece: Piece) -> Iterator[Read]:
    """One document a line: an object with ``text`` or ``html``."""
    row, offset = piece.first_row, piece.start
    while True:
        line = stream.readline(MAX_LINE_BYTES)
        if not line:
            return
        if row == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if line.strip():
            doc_id = f"{piece.origin}#{row}"
            try:
                yield _read_row(line, doc_id, piece)
            except InputRejectedError as error:
                yield Rejection(piece.origin, error.doc_id or doc_id, row, offset, error.code, error.reason)
        offset += len(line)
        row += 1


def _parse_row(line: bytes) -> tuple[Any, str]:
    try:
        return orjson.loads(line), "utf-8"
    except orjson.JSONDecodeError as error:
        problem = error
    try:
        decoded = decode(line)
        return orjson.loads(decoded.text), decoded.encoding
    except orjson.JSONDecodeError:
        raise InputRejectedError(
            "bad_json", f"the row is no JSON: {problem.msg} at column {problem.colno}"
        ) from problem


def _read_row(line: bytes, doc_id: str, piece: Piece) -> Doc:
    row, encoding = _parse_row(line)
    if not isinstance(row, dict):
        raise InputRejectedError("bad_row", f"the row is a JSON {type(row).__name__}, expected an object")
    if row.get("id") is not None:
        doc_id = str(row.pop("id"))
    source, said = _row_source(row, doc_id)
    url = row.get("url")
    origin = url if isinstance(url, str) and url else piece.origin
    return _make_doc(doc_id, source, {**said, **row}, origin=origin, encoding=encoding)


def _row_source(row: dict[str, Any], doc_id: str) -> tuple[str, dict[str, Any]]:
    """Take the text, or the blocks of the page, out of a row."""
    text, html = row.pop("text", None), row.pop("html", None)
    if isinstance(text, str) and text:
        return text, {}
    if isinstance(html, str) and html:
        try:
            return read_html(html)
        except InputRejectedError as error:
            raise InputRejectedError(error.code, error.reason, doc_id=doc_id) from error
    if text is None and html is None:
        raise InputRejectedError("bad_row", "the row has neither 'text' nor 'html'", doc_id=doc_id)
    if text in (None, "") and html in (None, ""):
        raise InputRejectedError("empty", "the row's text is empty", doc_id=doc_id)
    name, value = ("html", html) if text is None else ("text", text)
    raise InputRejectedError(
        "bad_row", f"the row's {name!r} is of type {type(value).__name__}, not a string", doc_id=doc_id
    )


_SECOND_LEVEL = frozenset({"com", "net", "org", "gov", "edu", "ac", "co", "mil", "idv", "or", "ne", "go"})


def registered_domain(url: str) -> str | None:
    """Get the domain under which a site is registered.

    Examples
    --------
    >>> registered_domain("https://news.example.com.cn/a/1.html"), registered_domain("http://m.example.com")
    ('example.com.cn', 'example.com')
    """
    try:
        host = urlsplit(url if "//" in url else f"//{url}").hostname
    except ValueError:
        return None
    if not host or "." not in host or host.replace(".", "").isdigit():
        return None
    labels = host.split(".")
    n_labels = 3 if len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL else 2
    return ".".join(labels[-n_labels:])
