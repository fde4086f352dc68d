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

from pipeline.doc import Coded, Doc, IntArray
from pipeline.kernels.chars import CodePoints, code_points, to_text
from pipeline.kernels.columns import body_points, string_column
from pipeline.tables import INVISIBLE, char_classes

_STRING = pa.large_string()
_CODED = pa.dictionary(pa.int16(), pa.string())
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
    ]
)
"""The columns of `sentences`."""


def source_spans(doc: Doc) -> IntArray:
    """Get the source span of every sentence: together they hold every visible character once.

    A character that clean deleted belongs to the sentence of the character before it, at the start of the text to
    the one after it.

    Returns
    -------
    ndarray of int32, shape (n_sents, 2)
        Half-open code points of `Doc.source`.
    """
    sents = doc.sents
    if sents is None or not len(doc.edits) or not len(sents):
        return np.zeros((0, 2), dtype=np.int32) if sents is None else sents
    visible = np.flatnonzero(char_classes()[code_points(doc.source)] & INVISIBLE == 0)
    starts = doc.to_source(sents[:, 0])
    first = np.searchsorted(visible, starts)
    first[0] = 0
    last = np.append(first[1:], len(visible)) - 1
    return np.stack([visible[first], visible[last] + 1], axis=1).astype(np.int32)


@dataclass(frozen=True)
class Tables:
    """The rows of some documents."""

    documents: pa.Table
    sentences: pa.Table


def make_tables(docs: Sequence[Doc], *, keep_source: bool = False) -> Tables:
    """Get the rows of annotated documents, in their order.

    Parameters
    ----------
    docs : sequence of Doc
        Cleaned; the layers of stages that were not run become nulls.
    keep_source : bool
        Add the column ``source_text``.
    """
    points = [_mask(code_points(doc.text), doc) for doc in docs]
    return Tables(_document_rows(docs, points, keep_source=keep_source), _sentence_rows(docs, points))


def _mask(points: CodePoints, doc: Doc) -> CodePoints:
    """Hide private data, character by character, where the document's config says so."""
    if not doc.meta.get("mask") or doc.pii is None or not len(doc.pii):
        return points
    masked = points.copy()
    for start, end in doc.pii.tolist():
        masked[start:end] = ord("*")
    return masked


def _sents(doc: Doc) -> IntArray:
    return np.zeros((0, 2), dtype=np.int32) if doc.sents is None else doc.sents


def _body(doc: Doc, points: CodePoints) -> CodePoints:
    sents = _sents(doc)
    keep = np.ones(len(sents), dtype=np.bool_)
    if doc.role is not None:
        keep = doc.role.codes != doc.role.names.index("boilerplate")
    body: CodePoints = body_points(points, sents, keep)
    return body


def _count(layer: Coded | None, name: str) -> int | None:
    return None if layer is None else layer.count(name)


def _meta_column(doc: Doc) -> str:
    known = {"published": doc.meta.get("published"), "url": doc.meta.get("url"), **doc.meta.get("extra", {})}
    for name in ("n_undecodable", "mojibake", "repairs", "left"):
        known[name] = doc.meta.get(name)
    plain = {name: value for name, value in known.items() if value not in (None, {}, "")}
    return orjson.dumps(plain, option=orjson.OPT_SORT_KEYS, default=str).decode()


def _document_rows(docs: Sequence[Doc], points: Sequence[CodePoints], *, keep_source: bool) -> pa.Table:
    bodies = [_body(doc, doc_points) for doc, doc_points in zip(docs, points, strict=True)]
    columns: dict[str, Any] = {
        "doc_id": [doc.id for doc in docs],
        **{name: [doc.meta.get(name) for doc in docs] for name in ("origin", "publisher", "title")},
        "text": pa.array([to_text(body) for body in bodies], _STRING),
        **{name: [doc.meta.get(name) for doc in docs] for name in ("script", "lang", "encoding")},
        "source_sha256": [hashlib.sha256(doc.source.encode("utf-8", "surrogatepass")).hexdigest() for doc in docs],
        "n_chars": [len(doc.source) for doc in docs],
        "n_body_chars": [len(body) for body in bodies],
        "n_sents": [len(_sents(doc)) for doc in docs],
        "n_claims": [_count(doc.label, "claim") for doc in docs],
        "n_opinions": [_count(doc.label, "opinion") for doc in docs],
        "duplicate_of": [doc.meta.get("duplicate_of") for doc in docs],
        "meta": [_meta_column(doc) for doc in docs],
    }
    schema = DOCUMENTS
    if keep_source:
        columns["source_text"] = [doc.source.encode("utf-8", "replace").decode() for doc in docs]
        schema = schema.append(pa.field("source_text", _STRING))
    return pa.table(columns, schema=schema)


def _stack(parts: Sequence[IntArray], shifts: Sequence[int]) -> NDArray[np.int64]:
    """Concatenate spans of several texts, each moved to its place in the joined text."""
    moved = [part.astype(np.int64) + shift for part, shift in zip(parts, shifts, strict=True)]
    return np.concatenate(moved) if moved else np.zeros((0, 2), dtype=np.int64)


def _coded_column(layers: Sequence[Coded | None]) -> pa.Array | None:
    """Get a layer of all documents as one column of strings; None if no document has it."""
    present = [layer for layer in layers if layer is not None]
    if len(present) < len(layers) or not present:
        return None
    codes = np.concatenate([layer.codes for layer in present])
    names = pa.array(present[0].names, pa.string())
    return names.take(pa.array(codes, mask=codes < 0))


def _lists(values: pa.Array, sents: NDArray[np.int64], starts: NDArray[np.int64]) -> pa.Array:
    """Group items that begin at `starts`, ascending, by the sentence in which they begin."""
    offsets = np.append(np.searchsorted(starts, sents[:, 0]), len(starts)).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values)


def _sentence_rows(docs: Sequence[Doc], points: Sequence[CodePoints]) -> pa.Table:
    shifts = np.concatenate([[0], np.cumsum([len(part) for part in points])]).tolist()[:-1]
    joined = np.concatenate(points) if points else np.zeros(0, dtype=np.uint32)
    counts = [len(_sents(doc)) for doc in docs]
    sents = _stack([_sents(doc) for doc in docs], shifts)
    source = _stack([source_spans(doc) for doc in docs], [0] * len(docs))
    columns: dict[str, Any] = {
        "doc_id": pa.array([doc.id for doc in docs], pa.string()).take(
            pa.array(np.repeat(np.arange(len(docs)), counts))
        ),
        "sent": np.concatenate([np.arange(n, dtype=np.int32) for n in counts] or [np.zeros(0, dtype=np.int32)]),
        "start": source[:, 0],
        "end": source[:, 1],
        "text": string_column(joined, sents),
        **{name: _coded_column([getattr(doc, name) for doc in docs]) for name in ("label", "role", "kind")},
        **_probability_columns(docs),
        **_token_columns(docs, joined, sents, shifts),
        "pii": _private_lists(docs, sents, shifts),
    }
    nulls = {name: pa.nulls(len(sents), SENTENCES.field(name).type) for name in SENTENCES.names}
    given = {name: column for name, column in columns.items() if column is not None}
    return pa.table({**nulls, **given}, schema=SENTENCES)


def _probability_columns(docs: Sequence[Doc]) -> dict[str, Any]:
    parts = [doc.probs for doc in docs if doc.probs is not None]
    if not parts or len(parts) < len(docs):
        return {}
    probs = np.concatenate(parts)
    names = ("p_claim", "p_opinion", "p_boilerplate")
    return {
        name: pa.array(np.ascontiguousarray(probs[:, i]), mask=np.isnan(probs[:, i])) for i, name in enumerate(names)
    }


def _token_columns(
    docs: Sequence[Doc], joined: CodePoints, sents: NDArray[np.int64], shifts: Sequence[int]
) -> dict[str, Any]:
    token_parts = [doc.tokens for doc in docs if doc.tokens is not None]
    if not token_parts or len(token_parts) < len(docs):
        return {}
    tokens = _stack(token_parts, shifts)
    columns = {"tokens": _lists(string_column(joined, tokens), sents, tokens[:, 0])}
    for name in ("upos", "xpos"):
        column = _coded_column([getattr(doc, name) for doc in docs])
        if column is not None:
            columns[name] = _lists(column, sents, tokens[:, 0])
    labels = _coded_column([doc.ent_labels for doc in docs])
    ent_parts = [doc.ents for doc in docs if doc.ents is not None]
    if labels is not None and len(ent_parts) == len(docs):
        columns["ents"] = _entity_lists(_stack(ent_parts, shifts), labels, tokens, sents)
    return columns


def _private_lists(docs: Sequence[Doc], sents: NDArray[np.int64], shifts: Sequence[int]) -> pa.Array | None:
    """Get the private spans of every sentence, as code points of its text."""
    types = _coded_column([doc.pii_types for doc in docs])
    parts = [doc.pii for doc in docs if doc.pii is not None]
    if types is None or len(parts) < len(docs):
        return None
    spans = _stack(parts, shifts)
    sent_starts = sents[np.searchsorted(sents[:, 0], spans[:, 0], side="right") - 1, 0] if len(sents) else spans[:, 0]
    local = (spans - sent_starts[:, None]).astype(np.int32)
    fields = [pa.array(np.ascontiguousarray(local[:, 0])), pa.array(np.ascontiguousarray(local[:, 1])), types]
    return _lists(pa.StructArray.from_arrays(fields, fields=list(_PRIVATE)), sents, spans[:, 0])


def _entity_lists(
    ents: NDArray[np.int64], labels: pa.Array, tokens: NDArray[np.int64], sents: NDArray[np.int64]
) -> pa.Array:
    """Get the entities of every sentence, as half-open indices of its tokens."""
    sent_of = np.searchsorted(sents[:, 0], ents[:, 0], side="right") - 1
    first_token = np.searchsorted(tokens[:, 0], sents[:, 0])[sent_of] if len(sents) else sent_of
    start = np.searchsorted(tokens[:, 0], ents[:, 0]) - first_token
    end = np.searchsorted(tokens[:, 1], ents[:, 1]) + 1 - first_token
    fields = [pa.array(start.astype(np.int32)), pa.array(end.astype(np.int32)), labels]
    return _lists(pa.StructArray.from_arrays(fields, fields=list(_ENTITY)), sents, ents[:, 0])
