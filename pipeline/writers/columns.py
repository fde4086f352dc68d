"""Documents to the two tables of a corpus: one row a document, one row a sentence."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from pipeline.batch import Batch, Layer
from pipeline.doc import LABELS, ROLES, Doc, IntArray, no_edits
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
    batch = Batch.of(docs)
    edits = batch.layer("edits") or Layer(no_edits(), batch.source.bounds)
    spans: IntArray = visible_spans(
        batch.source.values,
        batch.source.bounds,
        batch.spans("sents").values,
        batch.spans("sents").bounds,
        edits.values,
        edits.bounds,
        char_classes(),
    )
    return spans


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
    sents : ndarray of int32, shape (n_sents, 2)
        In the joined text.
    sent_bounds : ndarray of int64, shape (n_docs + 1,)
    data, offsets : ndarray of uint8, ndarray of int64, shape (n_sents + 1,)
        The sentences in UTF-8.
    """

    points: CodePoints
    sents: IntArray
    sent_bounds: Offsets
    data: Bytes
    offsets: Offsets

    @property
    def doc_of_sent(self) -> Offsets:
        """The document of every sentence."""
        return np.repeat(np.arange(len(self.sent_bounds) - 1), np.diff(self.sent_bounds))


def _join(batch: Batch) -> _Joined:
    points = batch.text.values
    hidden = {d: batch[d].pii for d, meta in enumerate(batch.metas) if meta.get("mask")}
    if hidden:
        points = points.copy()
    for d, spans in hidden.items():
        for start, end in () if spans is None else (spans + batch.text.bounds[d]).tolist():
            points[start:end] = ord("*")
    sents = batch.join_spans(batch.spans("sents"))
    return _Joined(points, sents.values, sents.bounds, *to_utf8(points, sents.values))


def make_tables(docs: Sequence[Doc], *, keep_source: bool = False) -> Tables:
    """Get the rows of annotated documents, in their order.

    Parameters
    ----------
    docs : sequence of Doc
        Cleaned; the layers of stages that were not run become nulls.
    keep_source : bool
        Add the column ``source_text``.
    """
    batch = Batch.of(docs)
    joined = _join(batch)
    return Tables(_document_rows(batch, joined, keep_source=keep_source), _sentence_rows(batch, joined))


def _count_label(batch: Batch, joined: _Joined, name: str) -> list[int] | None:
    """Count the sentences with a label, by document."""
    layer = batch.layer("label")
    if layer is None:
        return None
    is_named = layer.values.codes == LABELS.index(name)
    counts: list[int] = np.bincount(joined.doc_of_sent[is_named], minlength=len(batch)).tolist()
    return counts


def _meta_json(meta: Mapping[str, Any]) -> str:
    """Get what else is known of a document: what the input said, then what the pipeline has to say."""
    said = {"published": meta.get("published"), "url": meta.get("url"), **meta.get("extra", {})}
    own = {name: value for name in _OWN_META if (value := meta.get(name)) not in _NOTHING}
    plain = {name: value for name, value in said.items() if value not in _NOTHING} | own
    return orjson.dumps(plain, option=orjson.OPT_SORT_KEYS, default=str).decode()


_NOTHING: tuple[Any, ...] = (None, {}, "")
_OWN_META = ("n_undecodable", "mojibake", "repairs", "left")


def _document_rows(batch: Batch, joined: _Joined, *, keep_source: bool) -> pa.Table:
    roles = batch.layer("role")
    n_sents = len(joined.sents)
    keep = np.ones(n_sents, dtype=np.bool_) if roles is None else roles.values.codes != ROLES.index("boilerplate")
    body, starts, n_body_chars = join_bodies(
        joined.points, joined.sents, joined.sent_bounds, keep, joined.data, joined.offsets
    )
    sources, metas = [doc.source for doc in batch.docs], batch.metas
    columns: dict[str, Any] = {
        "doc_id": [doc.id for doc in batch.docs],
        **{name: [meta.get(name) for meta in metas] for name in ("origin", "publisher", "title")},
        "text": string_column(body, starts),
        **{name: [meta.get(name) for meta in metas] for name in ("script", "lang", "encoding")},
        "source_sha256": [hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest() for source in sources],
        "n_chars": np.diff(batch.source.bounds).astype(np.int32),
        "n_body_chars": n_body_chars,
        "n_sents": np.diff(joined.sent_bounds).astype(np.int32),
        "n_claims": _count_label(batch, joined, "claim"),
        "n_opinions": _count_label(batch, joined, "opinion"),
        "duplicate_of": [meta.get("duplicate_of") for meta in metas],
        "meta": [_meta_json(meta) for meta in metas],
    }
    schema = DOCUMENTS
    if keep_source:
        columns["source_text"] = [source.encode("utf-8", "replace").decode() for source in sources]
        schema = schema.append(pa.field("source_text", _STRING))
    nulls = {name: pa.nulls(len(batch), schema.field(name).type) for name, column in columns.items() if column is None}
    return pa.table({**columns, **nulls}, schema=schema)


def _coded_column(layer: Layer | None) -> pa.DictionaryArray | None:
    """Get a layer of names as a column of coded strings."""
    if layer is None:
        return None
    codes, names = layer.values.codes, layer.values.names
    return pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), pa.array(names, pa.string()))


def _names_column(layer: Layer | None) -> pa.Array | None:
    """Get the same as a column of plain strings, as lists and structs hold them."""
    column = _coded_column(layer)
    return None if column is None else column.dictionary_decode()


def _lists(values: pa.Array, sents: IntArray, starts: IntArray) -> pa.Array:
    """Group items that begin at `starts`, ascending, by the sentence in which they begin."""
    offsets = np.append(np.searchsorted(starts, sents[:, 0]), len(starts)).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values)


def _sentence_rows(batch: Batch, joined: _Joined) -> pa.Table:
    sents, doc_of_sent = joined.sents, joined.doc_of_sent
    source = source_spans(batch)
    columns: dict[str, Any] = {
        "doc_id": pa.DictionaryArray.from_arrays(
            pa.array(doc_of_sent.astype(np.int32)), pa.array([doc.id for doc in batch.docs], pa.string())
        ),
        "sent": (np.arange(len(sents)) - joined.sent_bounds[doc_of_sent]).astype(np.int32),
        "start": source[:, 0],
        "end": source[:, 1],
        "text": string_column(joined.data, joined.offsets),
        **{name: _coded_column(batch.layer(name)) for name in ("label", "role", "kind")},
        **_probability_columns(batch.layer("probs")),
        **_token_columns(batch, joined),
        "pii": _private_lists(batch, joined),
        **_evidence_columns(batch.metas),
    }
    nulls = {column.name: pa.nulls(len(sents), column.type) for column in CODED_SENTENCES}
    given = {name: column for name, column in columns.items() if column is not None}
    return pa.table({**nulls, **given}, schema=CODED_SENTENCES)


def _probability_columns(layer: Layer | None) -> dict[str, Any]:
    if layer is None:
        return {}
    names = ("p_claim", "p_opinion", "p_boilerplate")
    columns = [np.ascontiguousarray(column) for column in layer.values.T]
    return {name: pa.array(column, mask=np.isnan(column)) for name, column in zip(names, columns, strict=True)}


def _evidence_columns(metas: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Get the reasons and the sources of claims, where they were kept."""
    if not metas or not all("evidence" in meta for meta in metas):
        return {}
    evidence = [entry or {} for meta in metas for entry in meta["evidence"]]
    sources = [entry.get("attributed_to") for entry in evidence]
    spans = [None if source is None else {"start": source[0], "end": source[1]} for source in sources]
    return {"reason": [entry.get("reason") for entry in evidence], "attributed_to": pa.array(spans, _SPAN)}


def _token_columns(batch: Batch, joined: _Joined) -> dict[str, Any]:
    words = batch.layer("tokens")
    if words is None:
        return {}
    tokens, sents = batch.join_spans(words).values, joined.sents
    columns = {"tokens": _lists(string_column(*to_utf8(joined.points, tokens)), sents, tokens[:, 0])}
    for name in ("upos", "xpos"):
        column = _names_column(batch.layer(name))
        if column is not None:
            columns[name] = _lists(column, sents, tokens[:, 0])
    labels, ents = _names_column(batch.layer("ent_labels")), batch.layer("ents")
    if labels is not None and ents is not None:
        columns["ents"] = _entity_lists(batch.join_spans(ents).values, labels, tokens, sents)
    return columns


def _private_lists(batch: Batch, joined: _Joined) -> pa.Array | None:
    """Get the private spans of every sentence, as code points of its text."""
    types, private = _names_column(batch.layer("pii_types")), batch.layer("pii")
    if types is None or private is None:
        return None
    spans, sents = batch.join_spans(private).values, joined.sents
    sent_starts = sents[np.searchsorted(sents[:, 0], spans[:, 0], side="right") - 1, 0] if len(sents) else spans[:, 0]
    local = spans - sent_starts[:, None]
    fields = [pa.array(np.ascontiguousarray(local[:, 0])), pa.array(np.ascontiguousarray(local[:, 1])), types]
    return _lists(pa.StructArray.from_arrays(fields, fields=list(_PRIVATE)), sents, spans[:, 0])


def _entity_lists(ents: IntArray, labels: pa.Array, tokens: IntArray, sents: IntArray) -> pa.Array:
    """Get the entities of every sentence, as half-open indices of its tokens."""
    sent_of = np.searchsorted(sents[:, 0], ents[:, 0], side="right") - 1
    first_token = np.searchsorted(tokens[:, 0], sents[:, 0])[sent_of] if len(sents) else sent_of
    start = np.searchsorted(tokens[:, 0], ents[:, 0]) - first_token
    end = np.searchsorted(tokens[:, 1], ents[:, 1]) + 1 - first_token
    fields = [pa.array(start.astype(np.int32)), pa.array(end.astype(np.int32)), labels]
    return _lists(pa.StructArray.from_arrays(fields, fields=list(_ENTITY)), sents, ents[:, 0])
