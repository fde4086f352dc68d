"""A document as one line of JSON, with the record's own field names: what the single stages read and write."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson

from pipeline.doc import KINDS, LABELS, ROLES, Coded, Doc, IntArray
from pipeline.errors import InputRejectedError

_SPANS = ("sents", "tokens", "ents", "pii")
_CODED: Mapping[str, tuple[str, ...] | None] = {
    "upos": None,
    "xpos": None,
    "ent_labels": None,
    "role": ROLES,
    "label": LABELS,
    "kind": KINDS,
    "pii_types": None,
}


def doc_to_json(doc: Doc) -> bytes:
    """Get a document as one line of JSON.

    Layers of spans are lists of integer pairs, layers of names lists of strings; a layer that was not run is null.
    """
    probs = None
    if doc.probs is not None:
        probs = [[None if math.isnan(value) else round(value, 4) for value in row] for row in doc.probs.tolist()]
    record = {
        "id": doc.id,
        "source": doc.source,
        "text": doc.text,
        "edits": doc.edits.tolist(),
        "meta": dict(doc.meta),
        **{name: None if getattr(doc, name) is None else getattr(doc, name).tolist() for name in _SPANS},
        **{name: None if getattr(doc, name) is None else getattr(doc, name).tolist() for name in _CODED},
        "probs": probs,
    }
    return orjson.dumps(record, default=str) + b"\n"


def _read_coded(values: list[str | None], names: tuple[str, ...] | None) -> Coded:
    known = tuple(sorted({value for value in values if value is not None})) if names is None else names
    return Coded.encode(values, known)


def _read_spans(rows: Any, length: int) -> IntArray:
    """Get half-open spans; what reads a text at them relies on their lying within it, in order."""
    spans = np.array(rows, dtype=np.int64).reshape(-1, 2)
    borders = np.concatenate([[0], spans.ravel(), [length]])
    if (borders[1:] < borders[:-1]).any() or (spans[:, 0] == spans[:, 1]).any():
        raise ValueError("spans do not ascend within the text")
    return spans.astype(np.int32)


def _check_boxes(blocks: Mapping[str, Any]) -> None:
    """Refuse boxes that are not there, or that stand in a later one: numbers that arrays are read at."""
    box, parent = (np.array(blocks.get(name, ()), dtype=np.int64) for name in ("box", "parent"))
    if not (((box >= 0) & (box < len(parent))).all() and ((parent >= 0) & (parent <= np.arange(len(parent)))).all()):
        raise ValueError("boxes of blocks are not there")


def doc_from_json(line: bytes) -> Doc:
    """Read a document back.

    Raises
    ------
    InputRejectedError
        With code ``bad_row`` if the line is no document.
    """
    try:
        record = orjson.loads(line)
        layers: dict[str, Any] = {}
        for name in _SPANS:
            if record.get(name) is not None:
                layers[name] = _read_spans(record[name], len(record["text"]))
        for name, names in _CODED.items():
            if record.get(name) is not None:
                layers[name] = _read_coded(record[name], names)
        if record.get("probs") is not None:
            rows = [[np.nan if value is None else value for value in row] for row in record["probs"]]
            layers["probs"] = np.array(rows, dtype=np.float32).reshape(-1, 3)
        edits = np.array(record["edits"], dtype=np.int32).reshape(-1, 4)
        _check_boxes(record["meta"].get("blocks", {}))
        return Doc(record["id"], record["source"], record["text"], edits, record["meta"], **layers)
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        message = f"the row is no document of this pipeline ({error!r}); write it with 'zhcorpus clean'"
        raise InputRejectedError("bad_row", message) from error
