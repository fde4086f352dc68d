"""What a run finds out about its templates: examples, and what the classifier takes them for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import orjson

from pipeline.batch import Batch
from pipeline.doc import KINDS, Doc, IntArray, code_points
from pipeline.kernels.support import find_text_lines
from pipeline.passes.scan import name_hash

MAX_EXAMPLES = 3
MAX_EXAMPLE = 160
"""Code points of an example."""

_NOT = "none"


class TemplateTally:
    """Counts and examples of the templates in one shard."""

    def __init__(self) -> None:
        self.kinds: dict[int, Counter[str]] = {}
        self.examples: dict[int, list[str]] = {}

    def add(self, docs: Batch) -> None:
        """Take in annotated documents."""
        for d, meta in enumerate(docs.metas):
            if len(meta.get("template_rows", ())):
                self._add_doc(docs[d], meta["template_rows"])

    def _add_doc(self, doc: Doc, rows: IntArray) -> None:
        sents = doc.sents
        if sents is None:
            return
        lines = find_text_lines(code_points(doc.text), sents)
        first = np.searchsorted(sents[:, 0], lines[:, 0])
        for i, column in np.argwhere(rows >= 0).tolist():
            if column and rows[i, 1] == rows[i, 0]:
                continue
            row = int(rows[i, column])
            examples = self.examples.setdefault(row, [])
            text = doc.text[lines[i, 0] : lines[i, 1]][:MAX_EXAMPLE]
            if len(examples) < MAX_EXAMPLES and text not in examples:
                examples.append(text)
            if doc.kind is not None:
                self.kinds.setdefault(row, Counter())[doc.kind[int(first[i])] or _NOT] += 1

    def to_json(self) -> bytes:
        """As `merge_tallies` reads it."""
        return orjson.dumps(
            {"kinds": {str(row): counts for row, counts in self.kinds.items()}, "examples": self.examples},
            option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SORT_KEYS,
        )


def _sorted_records(templates: bytes) -> list[dict[str, Any]]:
    """The records of a file of templates, in the order of `TemplateTable.rows`."""
    records = [orjson.loads(line) for line in templates.splitlines() if line.strip()]
    by_key = {(name_hash(row["publisher"]), row["match"] == "near", int(row["key"], 16)): row for row in records}
    return [by_key[key] for key in sorted(by_key)]


def _majority(counts: Counter[str]) -> str | None:
    order = (*KINDS, _NOT)
    best = min(counts, key=lambda name: (-counts[name], order.index(name)))
    return None if best == _NOT else best


def merge_tallies(templates: bytes, tallies: Iterable[bytes]) -> list[dict[str, Any]]:
    """Get the templates with kind, share of lines taken for boilerplate, and examples.

    Parameters
    ----------
    templates : bytes
        The lines of what was counted, or taken over from an earlier run.
    tallies : iterable of bytes
        One a shard, in order.

    Returns
    -------
    list of dict
        By publisher, the best supported first. What no document of this run had stays as it was.
    """
    records = _sorted_records(templates)
    kinds: dict[int, Counter[str]] = {}
    examples: dict[int, list[str]] = {}
    for data in tallies:
        tally = orjson.loads(data)
        for row, counts in tally["kinds"].items():
            kinds.setdefault(int(row), Counter()).update(counts)
        for row, texts in tally["examples"].items():
            known = examples.setdefault(int(row), [])
            known += [text for text in texts if text not in known][: MAX_EXAMPLES - len(known)]
    for row, texts in examples.items():
        counts = kinds.get(row)
        records[row]["kind"] = _majority(counts) if counts else None
        records[row]["boilerplate"] = round(1 - counts[_NOT] / counts.total(), 4) if counts else None
        records[row]["examples"] = texts
    blank: dict[str, Any] = {"kind": None, "boilerplate": None, "examples": []}
    full = [{**row, **{name: row.get(name, value) for name, value in blank.items()}} for row in records]
    return sorted(full, key=lambda row: (row["publisher"] or "", -row["documents"], row["match"], row["key"]))


def to_lines(records: Sequence[dict[str, Any]]) -> Iterator[bytes]:
    """Templates as lines of JSON."""
    return (orjson.dumps(record) + b"\n" for record in records)
