"""Templates: lines that recur across a publisher; what support each line of a document has from them.

Reads ``source``, ``text``, ``sents`` and the publisher; writes ``meta["templates"]`` and ``meta["template_rows"]``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from pipeline.doc import Doc, FloatArray, IntArray, code_points
from pipeline.errors import ConfigError
from pipeline.kernels.support import SUPPORT_COLUMNS, find_text_lines, place_support
from pipeline.passes.scan import Keyed, key_sources, name_hash

TEMPLATE = np.dtype(
    [
        ("publisher", np.uint64),
        ("near", np.bool_),
        ("key", np.uint64),
        ("documents", np.int64),
        ("share", np.float64),
    ]
)

MAX_NEAR_REPEATS = 3
"""A near line that occurs more often in one document is its form (question and answer), not its frame."""


@dataclass(frozen=True, eq=False)
class TemplateTable:
    """Templates, sorted by publisher, near and key.

    Parameters
    ----------
    rows : structured ndarray of TEMPLATE, shape (n_templates,)
        Publisher 0 is the corpus as a whole.
    names : mapping of int to str
        The publishers' names by their hashes.
    """

    rows: NDArray[Any]
    names: Mapping[int, str]

    def of_publisher(self, publisher: int, *, near: bool) -> tuple[int, NDArray[Any]]:
        """The templates of one publisher, sorted by key, and the row of the first."""
        wanted = np.uint64(publisher)
        start = int(np.searchsorted(self.rows["publisher"], wanted))
        part = self.rows[start : int(np.searchsorted(self.rows["publisher"], wanted, side="right"))]
        middle = int(np.searchsorted(part["near"], np.bool_(True)))
        return (start + middle, part[middle:]) if near else (start, part[:middle])

    def find(self, publisher: int, keys: NDArray[np.uint64], *, near: bool) -> NDArray[np.int64]:
        """Get the row of each key's template, -1 for none."""
        first, part = self.of_publisher(publisher, near=near)
        if not len(part):
            return np.full(len(keys), -1, dtype=np.int64)
        at = np.minimum(np.searchsorted(part["key"], keys), len(part) - 1)
        return np.where(part["key"][at] == keys, first + at, -1)

    def n_documents(self, publisher: int) -> int:
        """How many documents of a publisher were counted; 0 if it has no templates."""
        start = int(np.searchsorted(self.rows["publisher"], np.uint64(publisher)))
        if start == len(self.rows) or int(self.rows["publisher"][start]) != publisher:
            return 0
        row = self.rows[start]
        return round(float(row["documents"] / row["share"])) if row["share"] else 0

    def records(self) -> Iterable[dict[str, Any]]:
        """The templates as `templates.jsonl` has them, without what the classifier says."""
        for row in self.rows.tolist():
            publisher, near, key, documents, share = row
            name = self.names.get(publisher)
            yield {
                "publisher": name,
                "match": "near" if near else "exact",
                "key": f"{key:016x}",
                "documents": documents,
                "share": round(share, 4),
            }


def read_templates(path: Path) -> TemplateTable:
    """Read templates that a run wrote; rows may have been deleted since.

    Raises
    ------
    ConfigError
        At the first line that is no template.
    """
    if not path.is_file():
        raise ConfigError(f"templates {path}: no such file")
    rows, names = [], {}
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                record = orjson.loads(line)
                publisher = name_hash(record["publisher"])
                match = ("exact", "near").index(record["match"])
                rows.append(
                    (publisher, match, int(record["key"], 16), int(record["documents"]), float(record["share"]))
                )
            except (ValueError, KeyError, TypeError) as error:
                raise ConfigError(f"templates {path}, line {number}: no template ({error!r})") from error
            names[publisher] = record["publisher"]
    table = np.array(rows, dtype=TEMPLATE)
    return TemplateTable(np.sort(table, order=["publisher", "near", "key"]), names)


def _match(table: TemplateTable, publisher: int, keyed: Keyed, first: int, last: int) -> NDArray[np.int64]:
    """The template of each source line of a document, exact before near; -1 for none."""
    exact, near = keyed.exact[first:last], keyed.near[first:last]
    found = table.find(publisher, exact, near=False)
    found[exact == 0] = -1
    loose = table.find(publisher, near, near=True)
    loose[near == 0] = -1
    counts = np.bincount(loose[loose >= 0], minlength=1)
    often = np.flatnonzero(counts > MAX_NEAR_REPEATS)
    loose[np.isin(loose, often)] = -1
    return np.where(found >= 0, found, loose)


def add_support(table: TemplateTable, docs: Sequence[Doc]) -> list[Doc]:
    """Get the documents with the support of each of their lines.

    ``meta["templates"]`` is a float32 array of shape (n_lines, len(SUPPORT_COLUMNS)), ``meta["template_rows"]`` an
    int64 array of shape (n_lines, 2): the rows of the line's templates, the publisher's (where none is known: the
    corpus's) and the corpus's, -1 for none. Lines are those that hold a sentence.
    A line of the text that clean joined from several lines of the source has the least support of them.
    """
    keyed = key_sources(docs)
    done = []
    for d, doc in enumerate(docs):
        first, last = keyed.line_bounds[d : d + 2].tolist()
        publisher = name_hash(doc.meta.get("publisher"))
        n_pages = table.n_documents(publisher) if publisher else 0
        known = publisher if n_pages else 0
        everywhere = _match(table, 0, keyed, first, last)
        matched = _match(table, known, keyed, first, last) if known else everywhere
        spans = keyed.lines[first:last] - np.int32(keyed.bounds[d])
        done.append(_with_support(table, doc, spans, np.stack([matched, everywhere], axis=1), n_pages))
    return done


def _with_support(
    table: TemplateTable, doc: Doc, source_lines: IntArray, matched: NDArray[np.int64], n_pages: int
) -> Doc:
    sents = np.zeros((0, 2), dtype=np.int32) if doc.sents is None else doc.sents
    points = code_points(doc.text)
    lines = find_text_lines(points, sents)
    rows = _carry(table, doc, lines, source_lines, matched)
    own = np.ascontiguousarray(rows[:, 0])
    known = table.rows[own] if len(table.rows) else np.zeros(len(rows), dtype=TEMPLATE)
    support: FloatArray = place_support(points, lines, own, known["share"], known["documents"], known["near"], n_pages)
    return doc.extend(meta={**doc.meta, "templates": support, "template_rows": rows})


def _carry(
    table: TemplateTable, doc: Doc, lines: IntArray, source_lines: IntArray, matched: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Carry templates from lines of the source to lines of the text: (n_lines, 2)."""
    if not len(lines) or not len(source_lines):
        return np.full((len(lines), 2), -1, dtype=np.int64)
    source = doc.to_source(np.stack([lines[:, 0], lines[:, 1] - 1], axis=1))
    begins = source_lines[:, 0]
    start = np.maximum(np.searchsorted(begins, source[:, 0], side="right") - 1, 0)
    end = np.searchsorted(begins, source[:, 1], side="right")
    rows = matched[start]
    for i in np.flatnonzero(end - start > 1).tolist():
        for column in range(2):
            parts = matched[start[i] : end[i], column]
            rows[i, column] = -1 if (parts < 0).any() else parts[np.argmin(table.rows["share"][parts])]
    return rows


__all__ = ["SUPPORT_COLUMNS", "TEMPLATE", "TemplateTable", "add_support", "read_templates"]
