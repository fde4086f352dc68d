"""Rows: JSONL, and what it shares with tables."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from typing import IO, Any

import orjson

from pipeline.doc import Doc
from pipeline.errors import InputRejectedError
from pipeline.readers.base import (
    MAX_DOC_BYTES,
    Read,
    Rejection,
    decoding_meta,
    make_doc,
    make_html_doc,
    reader,
    repair,
    too_large,
)
from pipeline.readers.encoding import Decoded, decode
from pipeline.readers.sources import Piece
from pipeline.readers.streams import BUFFER, open_rows


def row_doc(row: dict[str, Any], doc_id: str, own: dict[str, Any]) -> Doc:
    """Get the document that a row is.

    Parameters
    ----------
    row : dict
        With ``text`` or ``html``; the fields of the record by name; anything else. It is used up.
    doc_id : str
        The document's id if the row has none.
    own : dict
        What the reader knows: origin, encoding. The row's url replaces the origin.

    Raises
    ------
    InputRejectedError
        With the document's id.
    """
    own_id, text, html = row.pop("id", None), row.pop("text", None), row.pop("html", None)
    if own_id not in (None, ""):
        doc_id = str(own_id)
    url = row.get("url")
    if isinstance(url, str) and url:
        own["origin"] = url
    try:
        if isinstance(text, str) and text:
            return make_doc(doc_id, repair(text, own), row, own)
        if isinstance(html, str) and html:
            return make_html_doc(doc_id, html, row, own)
        raise _no_text(text, html)
    except InputRejectedError as error:
        raise InputRejectedError(error.code, error.reason, doc_id=doc_id) from error


def _no_text(text: Any, html: Any) -> InputRejectedError:
    if text is None and html is None:
        return InputRejectedError("bad_row", "the row has neither 'text' nor 'html'")
    if text in (None, "") and html in (None, ""):
        return InputRejectedError("empty", "the row's text is empty")
    name, value = ("html", html) if text is None else ("text", text)
    return InputRejectedError("bad_row", f"the row's {name!r} is of type {type(value).__name__}, not a string")


@reader(".jsonl", ".ndjson")
def read_jsonl(stream: IO[bytes], piece: Piece) -> Iterator[Read]:
    """One document a line: an object with ``text`` or ``html``."""
    lines: IO[bytes] = open_rows(stream)[0] if piece.first_row == 1 else stream
    row, offset = piece.first_row, piece.start
    while line := lines.readline(MAX_DOC_BYTES):
        doc_id = f"{piece.origin}#{row}"
        n_bytes = len(line)
        try:
            if n_bytes == MAX_DOC_BYTES and not line.endswith(b"\n"):
                n_bytes += _skip_line(lines)
                raise too_large()
            if row == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if line and not line.isspace():
                yield _read_row(line, doc_id, piece)
        except InputRejectedError as error:
            yield Rejection(piece.origin, error.doc_id or doc_id, row, offset, error.code, error.reason)
        offset += n_bytes
        row += 1


def _skip_line(lines: IO[bytes]) -> int:
    """Read to the end of a line; get how many bytes that were."""
    n_bytes = 0
    while rest := lines.readline(BUFFER):
        n_bytes += len(rest)
        if rest.endswith(b"\n"):
            break
    return n_bytes


_UTF8 = Decoded("", "utf-8", 0)


def _parse_row(line: bytes) -> tuple[Any, Decoded]:
    try:
        return orjson.loads(line), _UTF8
    except orjson.JSONDecodeError as error:
        problem = error
    decoded = decode(line)
    with contextlib.suppress(orjson.JSONDecodeError):
        return orjson.loads(decoded.text), decoded
    try:
        row, n_lost = _parse_loose(decoded.text)
    except (ValueError, RecursionError):
        raise InputRejectedError(
            "bad_json", f"the row is no JSON: {problem.msg} at column {problem.colno}"
        ) from problem
    return row, decoded._replace(n_undecodable=decoded.n_undecodable + n_lost)


_HALF = re.compile("[\ud800-\udfff]")


def _parse_loose(text: str) -> tuple[Any, int]:
    r"""Parse what programs write for JSON although it is none: control characters in strings, NaN, halved emoji.

    Returns
    -------
    row : object
        U+FFFD stands for half a character, null for NaN.
    n_lost : int
        Halves of characters.

    Examples
    --------
    >>> _parse_loose('{"text": "一\\ud83d\t二", "views": NaN}')
    ({'text': '一�\t二', 'views': None}, 1)
    """
    row = json.loads(text, strict=False, parse_constant=lambda _: None)
    mended, n_lost = _HALF.subn("\ufffd", json.dumps(row, ensure_ascii=False))
    return orjson.loads(mended), n_lost


def _read_row(line: bytes, doc_id: str, piece: Piece) -> Doc:
    row, decoded = _parse_row(line)
    if not isinstance(row, dict):
        raise InputRejectedError("bad_row", f"the row is a JSON {type(row).__name__}, expected an object")
    return row_doc(row, doc_id, decoding_meta(piece.origin, decoded))
