"""Web archives: WARC responses that are pages or text, and the text of WET files."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import IO, NamedTuple

from fastwarc.warc import ArchiveIterator

from pipeline.doc import Doc
from pipeline.errors import InputRejectedError
from pipeline.readers.base import (
    MAX_DOC_BYTES,
    Read,
    Rejection,
    decoding_meta,
    known_label,
    make_doc,
    make_html_doc,
    reader,
    repair,
    too_large,
)
from pipeline.readers.encoding import decode, page_label
from pipeline.readers.sources import Piece
from pipeline.readers.streams import BUFFER, Lookahead, read_limited

_PAGES = frozenset({"text/html", "application/xhtml+xml"})
_TEXTS = frozenset({"text/plain"})
_READ_TYPES = frozenset({"response", "resource", "conversion"})

_MAX_LINE = 1 << 16
_NUMBER = re.compile("[0-9]{1,18}")


class _Record(NamedTuple):
    """A record's headers by lower-case name, its bytes up to the content, and the content."""

    headers: dict[str, str]
    head: bytes
    content: bytes

    @property
    def url(self) -> str | None:
        """The address, which some writers put in angle brackets."""
        return self.headers.get("warc-target-uri", "").strip("<>") or None


class _Content(NamedTuple):
    """What a page or text consists of: its bytes, media type and the encoding that the server named."""

    data: bytes
    media_type: str
    label: str | None


def _media_type(header: str) -> str:
    return header.partition(";")[0].strip().lower()


def _read_head(stream: IO[bytes]) -> tuple[dict[str, str], bytes]:
    """Read a record's headers; a line that begins with white space continues the one before it."""
    head, name = b"", ""
    headers: dict[str, str] = {}
    while (line := stream.readline(_MAX_LINE)).strip():
        head += line
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        if text[0] in " \t" and name:
            headers[name] += " " + text.strip()
        else:
            name, _, value = text.partition(":")
            name = name.strip().lower()
            headers[name] = value.strip()
    if not line:
        raise InputRejectedError("truncated", "the file ends within a record's headers")
    return headers, head + line


def _read_exactly(stream: IO[bytes], n_bytes: int, *, keep: bool) -> bytes:
    pieces, left = [], n_bytes
    while left:
        data = stream.read(min(left, BUFFER))
        if not data:
            raise InputRejectedError("truncated", f"the file ends {left} bytes before the end of a record")
        left -= len(data)
        if keep:
            pieces.append(data)
    return b"".join(pieces)


def _read_record(stream: IO[bytes], first_line: bytes) -> _Record | None:
    """Read the record that a line begins; None if it is of a type that holds no document.

    FastWARC, which does the rest, wants records that are whole: it takes an error of the stream for its own.
    """
    headers, head = _read_head(stream)
    length = headers.get("content-length", "")
    if not _NUMBER.fullmatch(length):
        raise InputRejectedError("bad_record", f"the record's Content-Length is {length[:40]!r}, not a number")
    is_read = headers.get("warc-type", "").lower() in _READ_TYPES
    is_kept = is_read and int(length) <= MAX_DOC_BYTES
    content = _read_exactly(stream, int(length), keep=is_kept)
    if is_read and not is_kept:
        raise too_large()
    return _Record(headers, first_line + head, content) if is_read else None


def _http_content(record: _Record) -> _Content | None:
    """Get what a server sent, unpacked; None if it says that this is not the page that was asked for."""
    try:
        data = record.head + record.content + b"\r\n\r\n"
        for response in ArchiveIterator(io.BytesIO(data), auto_decode="all", strict_mode=False):
            if not response.is_http_parsed:
                return None
            status = response.http_headers.status_code
            if status is not None and not 200 <= status < 300:
                return None
            body = read_limited(response.reader, MAX_DOC_BYTES)
            if body is None:
                raise too_large()
            return _Content(body, (response.http_content_type or "").lower(), response.http_charset)
    except OSError as error:
        raise InputRejectedError("unreadable", f"the server's answer can't be unpacked: {error}") from error
    raise InputRejectedError("bad_record", "the record can't be parsed")


def _content(record: _Record) -> _Content | None:
    media_type = _media_type(record.headers.get("content-type", ""))
    if record.headers["warc-type"].lower() == "response" and media_type == "application/http":
        return _http_content(record)
    if record.headers["warc-type"].lower() == "conversion":
        return _Content(record.content, media_type or "text/plain", None)
    return _Content(record.content, media_type, None)


def _is_page(content: _Content) -> bool:
    if content.media_type:
        return content.media_type in _PAGES
    return content.data[:512].lstrip().lower().startswith((b"<!doctype html", b"<html"))


def _to_doc(record: _Record, doc_id: str, piece: Piece) -> Doc | None:
    """Get a record's document, if it is a page or text."""
    content = _content(record)
    if content is None:
        return None
    is_page = _is_page(content)
    if not is_page and content.media_type not in _TEXTS:
        return None
    if not content.data.strip():
        raise InputRejectedError("empty", "the record is empty")
    label = known_label(content.label) or (page_label(content.data) if is_page else None)
    decoded = decode(content.data, label)
    own = decoding_meta(record.url or piece.origin, decoded)
    said = {"url": record.url, "date": record.headers.get("warc-date")}
    if is_page:
        return make_html_doc(doc_id, decoded.text, said, own)
    return make_doc(doc_id, repair(decoded.text, own), said, own)


@reader(".warc", ".wet")
def read_warc(stream: IO[bytes], piece: Piece) -> Iterator[Read]:
    """One document a record that is a page or plain text: a response, a resource, or what was converted to text."""
    records = io.BufferedReader(Lookahead(stream), BUFFER)
    n_records, n_foreign = 0, 0
    while line := records.readline(_MAX_LINE):
        if not line.startswith(b"WARC/"):
            n_foreign += len(line.strip())
            continue
        n_records += 1
        if n_foreign:
            yield _foreign(n_foreign, n_records, piece.origin)
            n_foreign = 0
        doc_id = f"{piece.origin}#{n_records}"
        try:
            record = _read_record(records, line)
            if record is None:
                continue
            doc_id = record.headers.get("warc-record-id", "").strip("<>") or doc_id
            if doc := _to_doc(record, doc_id, piece):
                yield doc
        except InputRejectedError as error:
            yield Rejection(piece.origin, doc_id, n_records, None, error.code, error.reason)
    if n_foreign or not n_records:
        yield _foreign(n_foreign, n_records + 1, piece.origin)


def _foreign(n_bytes: int, n_record: int, origin: str) -> Rejection:
    if not n_bytes:
        return Rejection(origin, origin, None, None, "empty", "the file is empty")
    reason = f"{n_bytes} bytes in front of record {n_record} belong to no WARC record"
    return Rejection(origin, None, n_record, None, "bad_record", reason)
