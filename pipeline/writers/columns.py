"""Documents to the two tables of a corpus: one row a document, one row a sentence."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.doc import LABELS, ROLES, Coded, Doc, IntArray, code_points, join_points, no_edits
from pipeline.kernels.chars import CodePoints
from pipeline.kernels.columns import Bytes, Offsets, join_bodies, string_column, to_utf8, visible_spans
from pipeline.tables import char_classes

_STRING = pa.large_string()
_SPAN = pa.struct([("start", pa.int32()), ("end", pa.int32())])
_PRIVATE = pa.struct([("start", pa.int32()), ("end", pa.int32()), ("type", pa.string())])
_ENTITY = pa.struct([("start", pa.int32()), ("end", pa.int32()), ("label", pa.string())])

DOCUMENTS = pa.schema(
    [
        ("doc_id", pa.string()),
        ("origin", pa.string()),
        ("publisher", pa.string()),
        ("title", pa.string()),
        ("text", _STRING),
        ("script", pa.string()),
        ("lang", pa.string()),
        ("encoding", pa.string()),
        ("source_sha256", pa.string()),
        ("n_chars", pa.int32()),
        ("n_body_chars", pa.int32()),
        ("n_sents", pa.int32()),
        ("n_claims", pa.int32()),
        ("n_opinions", pa.int32()),
        ("duplicate_of", pa.string()),
        ("meta", pa.string()),
    ]
)
"""The columns of `documents`; ``source_text`` is added on request."""

SENTENCES = pa.schema(
    [
        ("doc_id", pa.string()),
        ("sent", pa.int32()),
        ("start", pa.int32()),
        ("end", pa.int32()),
        ("text", _STRING),
        ("label", pa.string()),
        ("p_claim", pa.float32()),
        ("p_opinion", pa.float32()),
        ("p_boilerplate", pa.float32()),
        ("role", pa.string()),
        ("kind", pa.string()),
        ("tokens", pa.list_(_STRING)),
        ("upos", pa.list_(pa.string())),
        ("xpos", pa.list_(pa.string())),
        ("ents", pa.list_(_ENTITY)),
        ("pii", pa.list_(_PRIVATE)),
        ("reason", pa.string()),
        ("attributed_to", _SPAN),
    ]
)
"""The columns of `sentences`, as they are read back."""

_CODED = {"doc_id": pa.int32(), "label": pa.int16(), "role": pa.int16(), "kind": pa.int16()}

CODED_SENTENCES = pa.schema(
    [
        column.with_type(pa.dictionary(_CODED[column.name], column.type)) if column.name in _CODED else column
        for column in SENTENCES
    ]
)
"""The columns of `sentences`, as they are made: of what is often the same, each string is there once."""


def source_spans(docs: Sequence[Doc]) -> IntArray:
    """Get the source span of every sentence: together they hold every visible character once.

    A character that clean deleted belongs to the sentence of the character before it, at the start of the text to
    the one after it.

    Returns
    -------
    ndarray of int32, shape (n_sents, 2)
        Half-open code points of each `Doc.source`, document after document.
    """
    sources, sents, edits = [doc.source for doc in docs], [_sents(doc) for doc in docs], [doc.edits for doc in docs]
    bounds, sent_bounds, edit_bounds = (_bounds(parts) for parts in (sources, sents, edits))
    joined = np.concatenate([_NO_SENTS, *sents])
    spans: IntArray = visible_spans(
        code_points("".join(sources)),
        bounds,
        joined,
        sent_bounds,
        np.concatenate([no_edits(), *edits]),
        edit_bounds,
        char_classes(),
    )
    for d, doc in enumerate(docs):
        if not len(doc.edits) and doc.text == doc.source:
            part = slice(sent_bounds[d], sent_bounds[d + 1])
            spans[part] = joined[part]
    return spans


def _bounds(parts: Sequence[Any]) -> Offsets:
    """Get where each of several parts begins when they are joined, and the length of all."""
    return np.cumsum([0, *map(len, parts)], dtype=np.int64)


@dataclass(frozen=True)
class Tables:
    """The rows of some documents, with the columns `DOCUMENTS` and `CODED_SENTENCES`."""

    documents: pa.Table
    sentences: pa.Table


@dataclass(frozen=True)
class _Joined:
    """The texts of documents one after another, and their sentences.

    Parameters
    ----------
    points : ndarray of uint32, shape (n_chars,)
        As they are written: private data hidden where the config says so.
    starts : ndarray of int64, shape (n_docs + 1,)
    sents : ndarray of int64, shape (n_sents, 2)
        In the joined text.
    sent_bounds : ndarray of int64, shape (n_docs + 1,)
    data, offsets : ndarray of uint8, ndarray of int64, shape (n_sents + 1,)
        The sentences in UTF-8.
    """

    points: CodePoints
    starts: Offsets
    sents: Offsets
    sent_bounds: Offsets
    data: Bytes
    offsets: Offsets

    @property
    def doc_of_sent(self) -> Offsets:
        """The document of every sentence."""
        return np.repeat(np.arange(len(self.starts) - 1), np.diff(self.sent_bounds))


def _join(docs: Sequence[Doc]) -> _Joined:
    points, starts = join_points(docs)
    hidden = [(d, doc.pii) for d, doc in enumerate(docs) if doc.pii is not None and doc.meta.get("mask")]
    for d, spans in hidden:
        for start, end in (spans + starts[d]).tolist():
            points[start:end] = ord("*")
    parts = [_sents(doc) for doc in docs]
    sents = _stack(parts, starts)
    return _Joined(points, starts, sents, _bounds(parts), *to_utf8(points, sents))


def make_tables(docs: Sequence[Doc], *, keep_source: bool = False) -> Tables:
    """Get the rows of annotated documents, in their order.

    Parameters
    ----------
    docs : sequence of Doc
        Cleaned; the layers of stages that were not run become nulls.
    keep_source : bool
        Add the column ``source_text``.
    """
    joined = _join(docs)
    return Tables(_document_rows(docs, joined, keep_source=keep_source), _sentence_rows(docs, joined))


_NO_SENTS = np.zeros((0, 2), dtype=np.int32)


def _sents(doc: Doc) -> IntArray:
    return _NO_SENTS if doc.sents is None else doc.sents


def _codes(layers: Sequence[Coded | None]) -> NDArray[np.int16] | None:
    """Get the codes of a layer of all documents, one after another; None if one of them lacks it."""
    present = [layer.codes for layer in layers if layer is not None]
    return np.concatenate(present) if present and len(present) == len(layers) else None


def _count_label(docs: Sequence[Doc], joined: _Joined, name: str) -> list[int] | None:
    """Count the sentences with a label, by document."""
    codes = _codes([doc.label for doc in docs])
    if codes is None:
        return None
    counts: list[int] = np.bincount(joined.doc_of_sent[codes == LABELS.index(name)], minlength=len(docs)).tolist()
    return counts


def _meta_column(doc: Doc) -> str:
    """Get what else is known of a document: what the input said, then what the pipeline has to say."""
    said = {"published": doc.meta.get("published"), "url": doc.meta.get("url"), **doc.meta.get("extra", {})}
    own = {name: value for name in _OWN_META if (value := doc.meta.get(name)) not in _NOTHING}
    plain = {name: value for name, value in said.items() if value not in _NOTHING} | own
    return orjson.dumps(plain, option=orjson.OPT_SORT_KEYS, default=str).decode()


_NOTHING: tuple[Any, ...] = (None, {}, "")
_OWN_META = ("n_undecodable", "mojibake", "repairs", "left")


def _document_rows(docs: Sequence[Doc], joined: _Joined, *, keep_source: bool) -> pa.Table:
    roles = _codes([doc.role for doc in docs])
    keep = np.ones(len(joined.sents), dtype=np.bool_) if roles is None else roles != ROLES.index("boilerplate")
    body, starts, n_body_chars = join_bodies(
        joined.points, joined.sents, joined.sent_bounds, keep, joined.data, joined.offsets
    )
    columns: dict[str, Any] = {
        "doc_id": [doc.id for doc in docs],
        **{name: [doc.meta.get(name) for doc in docs] for name in ("origin", "publisher", "title")},
        "text": string_column(body, starts),
        **{name: [doc.meta.get(name) for doc in docs] for name in ("script", "lang", "encoding")},
        "source_sha256": [hashlib.sha256(doc.source.encode("utf-8", "surrogatepass")).hexdigest() for doc in docs],
        "n_chars": [len(doc.source) for doc in docs],
        "n_body_chars": n_body_chars,
        "n_sents": np.diff(joined.sent_bounds).astype(np.int32),
        "n_claims": _count_label(docs, joined, "claim"),
        "n_opinions": _count_label(docs, joined, "opinion"),
        "duplicate_of": [doc.meta.get("duplicate_of") for doc in docs],
        "meta": [_meta_column(doc) for doc in docs],
    }
    schema = DOCUMENTS
    if keep_source:
        columns["source_text"] = [doc.source.encode("utf-8", "replace").decode() for doc in docs]
        schema = schema.append(pa.field("source_text", _STRING))
    nulls = {name: pa.nulls(len(docs), schema.field(name).type) for name, column in columns.items() if column is None}
    return pa.table({**columns, **nulls}, schema=schema)


def _stack(parts: Sequence[IntArray], shifts: Offsets) -> Offsets:
    """Concatenate spans of several texts, each moved to its place in the joined text."""
    if not parts:
        return np.zeros((0, 2), dtype=np.int64)
    return np.concatenate(parts) + np.repeat(shifts[: len(parts)], [len(part) for part in parts])[:, None]


def _coded_column(layers: Sequence[Coded | None]) -> pa.DictionaryArray | None:
    """Get a layer of all documents as one column of coded strings; None if a document lacks it."""
    codes = _codes(layers)
    if codes is None or layers[0] is None:
        return None
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), pa.array(layers[0].names, pa.string()))


def _names_column(layers: Sequence[Coded | None]) -> pa.Array | None:
    """Get the same as a column of plain strings, as lists and structs hold them."""
    column = _coded_column(layers)
    return None if column is None else column.dictionary_decode()


def _lists(values: pa.Array, sents: Offsets, starts: Offsets) -> pa.Array:
    """Group items that begin at `starts`, ascending, by the sentence in which they begin."""
    offsets = np.append(np.searchsorted(starts, sents[:, 0]), len(starts)).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values)


def _sentence_rows(docs: Sequence[Doc], joined: _Joined) -> pa.Table:
    sents, doc_of_sent = joined.sents, joined.doc_of_sent
    source = source_spans(docs)
    columns: dict[str, Any] = {
        "doc_id": pa.DictionaryArray.from_arrays(
            pa.array(doc_of_sent.astype(np.int32)), pa.array([doc.id for doc in docs], pa.string())
        ),
        "sent": (np.arange(len(sents)) - joined.sent_bounds[doc_of_sent]).astype(np.int32),
        "start": source[:, 0],
        "end": source[:, 1],
        "text": string_column(joined.data, joined.offsets),
        **{name: _coded_column([getattr(doc, name) for doc in docs]) for name in ("label", "role", "kind")},
        **_probability_columns(docs),
        **_token_columns(docs, joined),
        "pii": _private_lists(docs, joined),
        **_evidence_columns(docs),
    }
    nulls = {column.name: pa.nulls(len(sents), column.type) for column in CODED_SENTENCES}
    given = {name: column for name, column in columns.items() if column is not None}
    return pa.table({**nulls, **given}, schema=CODED_SENTENCES)


def _probability_columns(docs: Sequence[Doc]) -> dict[str, Any]:
    parts = [doc.probs for doc in docs if doc.probs is not None]
    if not parts or len(parts) < len(docs):
        return {}
    probs = np.concatenate(parts)
    names = ("p_claim", "p_opinion", "p_boilerplate")
    return {
        name: pa.array(np.ascontiguousarray(probs[:, i]), mask=np.isnan(probs[:, i])) for i, name in enumerate(names)
    }


def _evidence_columns(docs: Sequence[Doc]) -> dict[str, Any]:
    """Get the reasons and the sources of claims, where they were kept."""
    if not docs or not all("evidence" in doc.meta for doc in docs):
        return {}
    evidence = [entry or {} for doc in docs for entry in doc.meta["evidence"]]
    sources = [entry.get("attributed_to") for entry in evidence]
    spans = [None if source is None else {"start": source[0], "end": source[1]} for source in sources]
    return {"reason": [entry.get("reason") for entry in evidence], "attributed_to": pa.array(spans, _SPAN)}


def _token_columns(docs: Sequence[Doc], joined: _Joined) -> dict[str, Any]:
    token_parts = [doc.tokens for doc in docs if doc.tokens is not None]
    if not token_parts or len(token_parts) < len(docs):
        return {}
    tokens, sents = _stack(token_parts, joined.starts), joined.sents
    columns = {"tokens": _lists(string_column(*to_utf8(joined.points, tokens)), sents, tokens[:, 0])}
    for name in ("upos", "xpos"):
        column = _names_column([getattr(doc, name) for doc in docs])
        if column is not None:
            columns[name] = _lists(column, sents, tokens[:, 0])
    labels = _names_column([doc.ent_labels for doc in docs])
    ent_parts = [doc.ents for doc in docs if doc.ents is not None]
    if labels is not None and len(ent_parts) == len(docs):
        columns["ents"] = _entity_lists(_stack(ent_parts, joined.starts), labels, tokens, sents)
    return columns


def _private_lists(docs: Sequence[Doc], joined: _Joined) -> pa.Array | None:
    """Get the private spans of every sentence, as code points of its text."""
    types = _names_column([doc.pii_types for doc in docs])
    parts = [doc.pii for doc in docs if doc.pii is not None]
    if types is None or len(parts) < len(docs):
        return None
    spans, sents = _stack(parts, joined.starts), joined.sents
    sent_starts = sents[np.searchsorted(sents[:, 0], spans[:, 0], side="right") - 1, 0] if len(sents) else spans[:, 0]
    local = (spans - sent_starts[:, None]).astype(np.int32)
    fields = [pa.array(np.ascontiguousarray(local[:, 0])), pa.array(np.ascontiguousarray(local[:, 1])), types]
    return _lists(pa.StructArray.from_arrays(fields, fields=list(_PRIVATE)), sents, spans[:, 0])


def _entity_lists(ents: Offsets, labels: pa.Array, tokens: Offsets, sents: Offsets) -> pa.Array:
    """Get the entities of every sentence, as half-open indices of its tokens."""
    sent_of = np.searchsorted(sents[:, 0], ents[:, 0], side="right") - 1
    first_token = np.searchsorted(tokens[:, 0], sents[:, 0])[sent_of] if len(sents) else sent_of
    start = np.searchsorted(tokens[:, 0], ents[:, 0]) - first_token
    end = np.searchsorted(tokens[:, 1], ents[:, 1]) + 1 - first_token
    fields = [pa.array(start.astype(np.int32)), pa.array(end.astype(np.int32)), labels]
    return _lists(pa.StructArray.from_arrays(fields, fields=list(_ENTITY)), sents, ents[:, 0])
