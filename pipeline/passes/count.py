"""Merge scans into templates: in how many documents of a publisher, and of the corpus, a line recurs.

Copies of an article must not make its lines templates. A document is its own when a fair share of its running text
occurs in no other document of the publisher; otherwise its rarest recurring line stands for it, which copies of one
article have in common. A line's support is the number of different documents in that sense.

Keys are merged one range after another, so that memory does not grow with the number of lines; it takes about 60 bytes
a document, and what the templates themselves need.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.kernels.recur import N_RANGES, count_support, group_by_key, take_lines
from pipeline.passes import TemplatesConfig
from pipeline.passes.scan import ROWS, Scan, doc_column
from pipeline.passes.templates import TEMPLATE, TemplateTable

MAX_ROWS = 1 << 18
"""Rows that are merged at once, about: 16 bytes each, and some 40 for what is made of them."""

OWN_SHARE = 0.15
"""A document with so much text of its own is no copy."""

MIN_VARIANTS = 3
"""Different lines behind a near key, without which the exact keys say it all; `count_support` counts no further."""

MIN_PUBLISHERS = 3
"""Publishers that a template without a publisher occurs at; `count_support` counts no further."""

MIN_EVERYWHERE = 4
"""Documents that a template without a publisher occurs in: articles that several publishers print make few."""

MAX_TEMPLATES = 200_000
"""The best supported ones are kept: 48 bytes each."""

Rows = NDArray[Any]
Ints = NDArray[np.int32]


def _ranges(scans: Sequence[Scan], name: str) -> Iterator[tuple[Rows, NDArray[np.int64]]]:
    """Yield the rows of all scans by ranges of keys, each range whole, together by key, and where each key begins."""
    chunks = [chunk for scan in scans for chunk in _chunks(scan, name)]
    sizes = np.zeros(N_RANGES + 1, dtype=np.int64)
    for _, _, cuts in chunks:
        sizes += cuts
    start = 0
    while start < N_RANGES:
        stop = max(start + 1, int(np.searchsorted(sizes, sizes[start] + MAX_ROWS, side="right")) - 1)
        parts = [
            _numbered(scan, name, first + int(cuts[start]), first + int(cuts[stop])) for scan, first, cuts in chunks
        ]
        rows = np.concatenate([np.zeros(0, dtype=ROWS[name]), *parts])
        order, starts = group_by_key(np.ascontiguousarray(rows["key"]))
        yield rows[order], starts
        start = stop


def _chunks(scan: Scan, name: str) -> Iterator[tuple[Scan, int, Ints]]:
    """Yield the scan itself, the first row of each of its chunks, and where ranges begin in it."""
    first = 0
    for cuts in scan.cuts(name):
        yield scan, first, cuts
        first += int(cuts[-1])


def _numbered(scan: Scan, name: str, start: int, stop: int) -> Rows:
    """Some rows of a scan, documents numbered through all scans."""
    rows = scan.rows(name, start, stop)
    rows["doc"] += np.uint32(scan.first)
    return rows


@dataclass(eq=False)
class Scope:
    """What is counted together, and what is known of its documents.

    Parameters
    ----------
    group : ndarray of int32, shape (n_docs,)
        The number of each document's publisher; -1 for none.
    n_docs : ndarray of int64, shape (n_groups,)
    publishers : ndarray of uint64, shape (n_groups,)
        Their hashes; 0 for the corpus as a whole.
    """

    group: Ints
    n_docs: NDArray[np.int64]
    publishers: NDArray[np.uint64]
    total: Ints = field(init=False)
    own: Ints = field(init=False)
    rarest: NDArray[np.uint64] = field(init=False)

    def __post_init__(self) -> None:
        self.total, self.own = np.zeros((2, len(self.group)), dtype=np.int32)
        self.rarest = np.full(len(self.group), np.iinfo(np.uint64).max, dtype=np.uint64)

    @property
    def is_whole(self) -> bool:
        """Whether it is the corpus as a whole."""
        return bool(self.publishers.tolist() == [0])

    def take(self, rows: Rows, starts: NDArray[np.int64], least: int) -> NDArray[np.bool_]:
        """Take in a range of exact lines; tell which may be templates."""
        seen = np.zeros(max(len(self.n_docs), 1), dtype=np.int32)
        keep: NDArray[np.bool_] = take_lines(rows, starts, self.group, least, seen, self.total, self.own, self.rarest)
        return keep

    def settle(self) -> Ints:
        """Tell copies: a number for each document, equal in the same group, (n_docs,). It forgets the rest."""
        out = np.arange(len(self.group), dtype=np.int32)
        parts = (slice(start, start + MAX_ROWS) for start in range(0, len(out), MAX_ROWS))
        is_copy = [self.own[part] < np.maximum(OWN_SHARE * self.total[part], 1) for part in parts]
        copies = np.flatnonzero(np.concatenate([np.zeros(0, dtype=np.bool_), *is_copy]))
        numbers = self.rarest[copies] ^ self.group[copies].astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        _, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
        out[copies] = copies[first][inverse]
        del self.total, self.own, self.rarest
        return out


def _scopes(publisher: NDArray[np.uint64]) -> tuple[Scope, Scope]:
    """By publisher, and all together."""
    values = np.unique(publisher)
    values = values[values != 0]
    group = np.searchsorted(values, publisher).astype(np.int32)
    group[publisher == 0] = -1
    counts = np.bincount(group + np.int32(1), minlength=len(values) + 1)[1:]
    everyone = Scope(np.zeros(len(publisher), dtype=np.int32), np.array([len(publisher)]), np.zeros(1, dtype=np.uint64))
    return Scope(group, counts.astype(np.int64), values), everyone


def _spill(file: IO[bytes], rows: Rows, starts: NDArray[np.int64], keep: NDArray[np.bool_]) -> None:
    """Write the rows that are kept, and where each of their keys begins."""
    before = np.concatenate([[0], np.cumsum(keep)])
    np.save(file, rows[keep])
    np.save(file, np.unique(before[starts]).astype(np.int64))


def _reread(path: Path) -> Iterator[tuple[Rows, NDArray[np.int64]]]:
    size = path.stat().st_size
    with path.open("rb") as file:
        while file.tell() < size:
            yield np.load(file), np.load(file)


def _templates(
    rows: Rows,
    starts: NDArray[np.int64],
    scope: Scope,
    original: Ints,
    publisher: Ints,
    config: TemplatesConfig,
    *,
    near: bool,
) -> Rows:
    """The lines with enough support, as rows of TEMPLATE."""
    variants = rows["line" if near else "doc"]
    first, support, n_publishers, n_variants = count_support(
        rows["doc"], variants, starts, scope.group, original, publisher, len(scope.n_docs)
    )
    group = scope.group[rows["doc"][first]]
    total = scope.n_docs[group]
    if scope.is_whole:
        keep = (support >= max(config.min_documents, MIN_EVERYWHERE)) & (n_publishers >= MIN_PUBLISHERS)
    else:
        keep = support >= np.maximum(config.min_documents, config.min_share * total)
    if near:
        keep &= n_variants >= MIN_VARIANTS
    found = np.zeros(int(keep.sum()), dtype=TEMPLATE)
    found["key"], found["publisher"] = rows["key"][first][keep], scope.publishers[group][keep]
    found["documents"], found["share"] = support[keep], (support / np.maximum(total, 1))[keep]
    found["near"] = near
    return found


def _count(scans: Sequence[Scan], scopes: Sequence[Scope], config: TemplatesConfig, work: Path) -> Iterator[Rows]:
    """Yield the templates of the scopes, exact and near."""
    drafts = [work / f"candidates-{i}.tmp" for i in range(len(scopes))]
    for draft in drafts:
        draft.unlink(missing_ok=True)
    for rows, starts in _ranges(scans, "lines"):
        for scope, draft in zip(scopes, drafts, strict=True):
            with draft.open("ab") as file:
                _spill(file, rows, starts, scope.take(rows, starts, config.min_documents))
    publisher = scopes[0].group
    originals = [scope.settle() for scope in scopes]
    for scope, original, draft in zip(scopes, originals, drafts, strict=True):
        if draft.exists():
            yield from (_templates(*part, scope, original, publisher, config, near=False) for part in _reread(draft))
            draft.unlink()
    for rows, starts in _ranges(scans, "near"):
        for scope, original in zip(scopes, originals, strict=True):
            yield _templates(rows, starts, scope, original, publisher, config, near=True)


def _best(parts: Iterable[Rows]) -> Rows:
    """The `MAX_TEMPLATES` best supported templates; little more than twice as many are held at any time."""
    best = np.zeros(0, dtype=TEMPLATE)
    waiting: list[Rows] = []
    for part in parts:
        waiting.append(part)
        if sum(map(len, waiting)) > MAX_TEMPLATES:
            best = _cut(np.concatenate([best, *waiting]))
            waiting.clear()
    return _cut(np.concatenate([best, *waiting]))


def _cut(rows: Rows) -> Rows:
    order = np.lexsort((rows["near"], rows["key"], rows["publisher"], -rows["documents"]))
    return rows[order[:MAX_TEMPLATES]]


def count_templates(scans: Sequence[Scan], config: TemplatesConfig, work: Path) -> TemplateTable:
    """Get the templates of a corpus from its scans.

    Parameters
    ----------
    scans : sequence of Scan
        With lines; in the order of the input.
    config : TemplatesConfig
    work : Path
        For what does not fit into memory.
    """
    scopes = _scopes(doc_column(scans, "publisher"))
    used = scopes if len(scopes[0].publishers) >= MIN_PUBLISHERS else scopes[:1]
    rows = np.sort(_best(_count(scans, used, config, work)), order=["publisher", "near", "key"])
    wanted = set(rows["publisher"].tolist())
    names = {int(key): name for scan in scans for key, name in scan.names()["publishers"].items() if int(key) in wanted}
    return TemplateTable(rows, names)
