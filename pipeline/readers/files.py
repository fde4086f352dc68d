"""Files that are one document: text, Markdown, HTML."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from pipeline.errors import InputRejectedError
from pipeline.readers.base import (
    MAX_DOC_BYTES,
    Read,
    decoding_meta,
    make_doc,
    make_html_doc,
    reader,
    repair,
    too_large,
)
from pipeline.readers.encoding import decode, page_label
from pipeline.readers.markdown import read_markdown
from pipeline.readers.sources import Piece
from pipeline.readers.streams import read_limited


def _read_whole(stream: IO[bytes]) -> bytes:
    data = read_limited(stream, MAX_DOC_BYTES)
    if data is None:
        raise too_large()
    if not data:
        raise InputRejectedError("empty", "the file is empty")
    return data


@reader(".txt")
def read_text_file(stream: IO[bytes], piece: Piece) -> Iterator[Read]:
    """A text file is one document."""
    decoded = decode(_read_whole(stream))
    own = decoding_meta(piece.origin, decoded)
    yield make_doc(piece.origin, repair(decoded.text, own), {}, own)


@reader(".md", ".markdown")
def read_markdown_file(stream: IO[bytes], piece: Piece) -> Iterator[Read]:
    """A Markdown file is one document: its blocks."""
    decoded = decode(_read_whole(stream))
    own = decoding_meta(piece.origin, decoded)
    page = read_markdown(repair(decoded.text, own))
    yield make_doc(piece.origin, page.text, page.said, {**own, "blocks": page.blocks})


@reader(".html", ".htm", ".xhtml")
def read_html_file(stream: IO[bytes], piece: Piece) -> Iterator[Read]:
    """A page is one document: its visible blocks."""
    data = _read_whole(stream)
    decoded = decode(data, page_label(data))
    yield make_html_doc(piece.origin, decoded.text, {}, decoding_meta(piece.origin, decoded))
