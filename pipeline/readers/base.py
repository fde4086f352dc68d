"""What readers share: their register, what they yield, and how a document is made of what was read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import IO, Any
from urllib.parse import urlsplit

import orjson

from pipeline.doc import Doc
from pipeline.errors import InputRejectedError
from pipeline.readers.blocks import read_html
from pipeline.readers.encoding import Decoded, codec_name
from pipeline.readers.mojibake import undo_mojibake
from pipeline.readers.sources import Piece

MAX_DOC_BYTES = 256 << 20
"""A single document of more bytes is set aside: one document must not fill the memory."""


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


Read = Doc | Rejection
Reader = Callable[[IO[bytes], Piece], Iterator[Read]]

READERS: dict[str, Reader] = {}

SEEKABLE: set[str] = set()
"""Formats that are not read from their beginning to their end; their stream can seek."""


def reader(*suffixes: str, seekable: bool = False) -> Callable[[Reader], Reader]:
    """Register a reader for files that end so."""

    def register(function: Reader) -> Reader:
        READERS.update(dict.fromkeys(suffixes, function))
        if seekable:
            SEEKABLE.update(suffixes)
        return function

    return register


def too_large() -> InputRejectedError:
    """Get the error of a document that would fill the memory."""
    return InputRejectedError(
        "too_large", f"it is larger than {MAX_DOC_BYTES >> 20} MiB; cut it into documents, one a file or row"
    )


def repair(text: str, own: dict[str, Any]) -> str:
    """Undo a text's mojibake; note it, and what was lost, in `own`."""
    repaired = undo_mojibake(text)
    if repaired.mojibake:
        own["mojibake"] = repaired.mojibake
    if repaired.n_undecodable:
        own["n_undecodable"] = own.get("n_undecodable", 0) + repaired.n_undecodable
    return repaired.text


def decoding_meta(origin: str, decoded: Decoded) -> dict[str, Any]:
    """Get what a reader knows of a document that it has decoded."""
    meta: dict[str, Any] = {"origin": origin, "encoding": decoded.encoding}
    if decoded.n_undecodable:
        meta["n_undecodable"] = decoded.n_undecodable
    return meta


_FIELDS = ("publisher", "title", "url", "published")


def make_doc(doc_id: str, source: str, said: Mapping[str, Any], own: Mapping[str, Any]) -> Doc:
    """Get a document.

    Parameters
    ----------
    doc_id, source : str
    said : mapping
        What the input says of the document: the fields of the record by name, anything else goes into ``extra``.
    own : mapping
        What the reader itself knows: origin, encoding, blocks.
    """
    meta: dict[str, str] = {}  # filled in loops: a comprehension is a call, until Python 3.12
    extra: dict[str, Any] = {}
    for name in _FIELDS:
        if (value := said.get(name)) not in (None, ""):
            meta[name] = _repair_field(str(value)) if "mojibake" in own else str(value)
    for name, value in said.items():
        if name not in _FIELDS and value is not None:
            extra[name] = value
    if "publisher" not in meta and "url" in meta and (domain := registered_domain(meta["url"])):
        meta["publisher"] = domain
    return Doc.from_text(source, doc_id, **meta, **own, extra=extra)


def _repair_field(value: str) -> str:
    """Undo the mojibake of a title or name; it stays as it is where that can't be done."""
    try:
        return undo_mojibake(value).text
    except InputRejectedError:
        return value


def make_html_doc(doc_id: str, html: str, said: Mapping[str, Any], own: dict[str, Any]) -> Doc:
    """Get the document that a page's visible blocks are; what `said` says goes before what the page says."""
    page = read_html(repair(html, own))
    return make_doc(doc_id, page.text, {**page.said, **said}, {**own, "blocks": page.blocks})


def known_label(label: str | None) -> str | None:
    """Get an encoding's label if there is an encoding of that name."""
    return label if codec_name(label) else None


_PLAIN_HOST = re.compile(r"https?://([a-z0-9.-]+)(?=[/?#]|\Z)")
"""The host of nearly every URL; found in a tenth of the time that taking the URL apart needs."""

_SECOND_LEVEL = frozenset({"com", "net", "org", "gov", "edu", "ac", "co", "mil", "idv", "or", "ne", "go"})


def registered_domain(url: str) -> str | None:
    """Get the domain under which a site is registered.

    Examples
    --------
    >>> registered_domain("https://news.example.com.cn/a/1.html"), registered_domain("http://m.example.com")
    ('example.com.cn', 'example.com')
    """
    plain = _PLAIN_HOST.match(url)
    host = plain[1] if plain else _host(url)
    if not host or "." not in host or host.replace(".", "").isdigit():
        return None
    labels = host.split(".")
    n_labels = 3 if len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL else 2
    return ".".join(labels[-n_labels:])


def _host(url: str) -> str | None:
    try:
        return urlsplit(url if "//" in url else f"//{url}").hostname
    except ValueError:
        return None
