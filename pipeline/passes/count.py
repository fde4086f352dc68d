"""Merge scans into templates: in how many documents of a publisher, and of the corpus, a line recurs.

Copies of an article must not make its lines templates. A document is its own when a fair share of its running text
occurs in no other document of the publisher; otherwise its rarest recurring line stands for it, which copies of one
article have in common. A line's support is the number of different documents in that sense.

Keys are merged one range after another, so that memory does not grow with the number of lines; it takes about 60 bytes
a document, and what the templates themselves need.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.passes import TemplatesConfig
from pipeline.passes.scan import Scan, all_docs
from pipeline.passes.templates import TEMPLATE, TemplateTable

MAX_ROWS = 1 << 20
"""Rows of one range of keys, about."""

N_RANGES = 4096
"""Ranges of keys at the finest; adjacent ones are merged together while they are small."""

OWN_SHARE = 0.15
"""A document with so much text of its own is no copy."""

MIN_VARIANTS = 3
"""Different lines behind a near key, without which the exact keys say it all."""

MIN_PUBLISHERS = 3
"""Publishers that a template without a publisher occurs at."""

MAX_TEMPLATES = 200_000
"""The best supported ones are kept: 48 bytes each."""

Rows = NDArray[Any]


def _ranges(scans: Sequence[Scan], name: str) -> Iterator[Rows]:
    """Yield the rows of all scans by ascending ranges of keys, each range whole, documents numbered through."""
    if not scans:
        return
    borders = (np.arange(1, N_RANGES, dtype=np.uint64) * np.uint64(2**64 // N_RANGES)).astype(np.uint64)
    cuts = np.stack([_cut(scan.array(name), borders) for scan in scans])
    sizes = cuts.sum(axis=0)
    start = 0
    while start < N_RANGES:
        stop = max(start + 1, int(np.searchsorted(sizes, sizes[start] + MAX_ROWS, side="right")) - 1)
        parts = []
        for scan, cut in zip(scans, cuts, strict=True):  # mapped anew each time: pages once read would stay in memory
            part = np.array(scan.array(name)[cut[start] : cut[stop]])
            part["doc"] += np.uint32(scan.first)
            parts.append(part)
        yield np.concatenate(parts)
        start = stop


def _cut(rows: Rows, borders: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Where each range begins in rows sorted by key, and their number last."""
    return np.concatenate([[0], np.searchsorted(rows["key"], borders), [len(rows)]]).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Groups:
    """Rows by key and group, and where each (key, group) begins.

    Parameters
    ----------
    rows : structured ndarray, shape (n_rows,)
    starts : ndarray of int64, shape (n_groups + 1,)
        Ends with n_rows.
    counts : ndarray of int64, shape (n_groups,)
        Documents.
    """

    rows: Rows
    starts: NDArray[np.int64]
    counts: NDArray[np.int64]


def group_rows(rows: Rows, group: NDArray[np.int32], rank: NDArray[np.uint32]) -> Groups:
    """Group rows by their key and the group of their document; -1 means none, such rows are left out.

    Rows whose key occurs once come first: most do, and need no further sorting. `rank` is the place of each document
    among all, by group and number.
    """
    rows = rows[group[rows["doc"]] >= 0]
    keys = rows["key"]
    if len(rows) > 1 and (keys[1:] < keys[:-1]).any():
        rows = rows[np.argsort(keys, kind="stable")]  # several scans; each is sorted by key, all are by document
        keys = rows["key"]
    same = keys[1:] == keys[:-1]
    shared = np.append(False, same)[: len(rows)] | np.append(same, False)[: len(rows)]
    several = rows[shared]
    number = np.cumsum(np.append(False, several["key"][1:] != several["key"][:-1])[: len(several)], dtype=np.uint64)
    several = several[np.argsort(number << np.uint64(32) | rank[several["doc"]])]
    rows = np.concatenate([rows[~shared], several])
    of_row = group[rows["doc"]]
    new = np.append(True, (rows["key"][1:] != rows["key"][:-1]) | (of_row[1:] != of_row[:-1]))[: len(rows)]
    new_doc = new | np.append(True, rows["doc"][1:] != rows["doc"][:-1])[: len(rows)]
    starts = np.append(np.flatnonzero(new), len(rows)).astype(np.int64)
    return Groups(rows, starts, _add_up(new_doc, starts))


def _add_up(values: NDArray[Any], starts: NDArray[np.int64]) -> NDArray[np.int64]:
    total = np.concatenate([[0], np.cumsum(values, dtype=np.int64)])
    return np.asarray(total[starts[1:]] - total[starts[:-1]], dtype=np.int64)


class Originals:
    """Which documents are copies of each other, told from lines that recur; see the module's text.

    Parameters
    ----------
    n_docs : int
    """

    def __init__(self, n_docs: int) -> None:
        self.all = np.zeros(n_docs, dtype=np.int64)
        self.own = np.zeros(n_docs, dtype=np.int64)
        self.rarest = np.full(n_docs, np.iinfo(np.uint64).max, dtype=np.uint64)

    def add(self, groups: Groups) -> None:
        """Take in a range of exact lines."""
        rows, count = groups.rows, np.repeat(groups.counts, np.diff(groups.starts))
        self.all += np.bincount(rows["doc"], rows["weight"], len(self.all)).astype(np.int64)
        alone = rows[count == 1]
        self.own += np.bincount(alone["doc"], alone["weight"], len(self.own)).astype(np.int64)
        shared, count = rows[count > 1], np.minimum(count[count > 1], 0xFFFF).astype(np.uint64)
        short = (shared["weight"] < 200).astype(np.uint64)  # running text weighs ten times its 20 characters
        packed = (short << np.uint64(63)) | (count << np.uint64(47)) | (shared["key"] >> np.uint64(17))
        np.minimum.at(self.rarest, shared["doc"], packed)

    def representatives(self) -> NDArray[np.uint64]:
        """One number a document, equal for copies: (n_docs,)."""
        numbers = np.arange(len(self.all), dtype=np.uint64)
        is_own = self.own >= np.maximum(OWN_SHARE * self.all, 1)
        return np.where(is_own, numbers, self.rarest | np.uint64(1 << 62))


def _distinct(groups: Groups, of_doc: NDArray[Any]) -> NDArray[np.int64]:
    """How many different values the documents of each group have."""
    of_row = np.repeat(np.arange(len(groups.counts)), np.diff(groups.starts))
    values = of_doc[groups.rows["doc"]]
    order = np.lexsort((values, of_row))
    values, sorted_row = values[order], of_row[order]
    new = np.append(True, (values[1:] != values[:-1]) | (sorted_row[1:] != sorted_row[:-1]))[: len(values)]
    return _add_up(new, groups.starts)


def _pick(groups: Groups, keep: NDArray[np.bool_]) -> Groups:
    """Get some of the groups."""
    lengths = np.diff(groups.starts)
    starts = np.concatenate([[0], np.cumsum(lengths[keep])]).astype(np.int64)
    return Groups(groups.rows[np.repeat(keep, lengths)], starts, groups.counts[keep])


@dataclass(frozen=True, eq=False)
class Scope:
    """What is counted together.

    Parameters
    ----------
    group : ndarray of int32, shape (n_docs,)
        The number of each document's publisher; -1 for none.
    n_docs : ndarray of int64, shape (n_groups,)
    publishers : ndarray of uint64, shape (n_groups,)
        Their hashes; 0 for the corpus as a whole.
    """

    group: NDArray[np.int32]
    n_docs: NDArray[np.int64]
    publishers: NDArray[np.uint64]


def _scopes(publisher: NDArray[np.uint64]) -> tuple[Scope, Scope]:
    """By publisher, and all together."""
    values, inverse, counts = np.unique(publisher, return_inverse=True, return_counts=True)
    group = inverse.astype(np.int32)
    if len(values) and values[0] == 0:
        group, values, counts = group - np.int32(1), values[1:], counts[1:]
    everyone = Scope(np.zeros(len(publisher), dtype=np.int32), np.array([len(publisher)]), np.zeros(1, dtype=np.uint64))
    return Scope(group, counts.astype(np.int64), values), everyone


def _candidates(
    scans: Sequence[Scan], name: str, scope: Scope, least: int, originals: Originals | None
) -> Iterator[Groups]:
    """Yield the groups of at least so many documents, by ranges of keys; `originals` sees all of them."""
    rank = np.empty(len(scope.group), dtype=np.uint32)
    rank[np.argsort(scope.group, kind="stable")] = np.arange(len(rank), dtype=np.uint32)
    for rows in _ranges(scans, name):
        groups = group_rows(rows, scope.group, rank)
        if originals is not None:
            originals.add(groups)
        yield _pick(groups, groups.counts >= least)


def _spill(file: IO[bytes], groups: Groups) -> None:
    for array in (groups.rows, groups.starts, groups.counts):
        np.save(file, array)


def _reread(path: Path) -> Iterator[Groups]:
    size = path.stat().st_size
    with path.open("rb") as file:
        while file.tell() < size:
            yield Groups(np.load(file), np.load(file), np.load(file))


def _count_scope(
    scans: Sequence[Scan], scope: Scope, config: TemplatesConfig, work: Path, publishers: Rows | None
) -> Rows:
    """The templates of one scope, exact and near, as rows of TEMPLATE."""
    draft = work / "candidates.tmp"
    originals = Originals(len(scope.group))
    with draft.open("wb") as file:
        for groups in _candidates(scans, "lines", scope, config.min_documents, originals):
            _spill(file, groups)
    of_doc = originals.representatives()
    found = [_templates(groups, scope, config, of_doc, publishers, near=False) for groups in _reread(draft)]
    draft.unlink()
    for groups in _candidates(scans, "near", scope, config.min_documents, None):
        found.append(_templates(groups, scope, config, of_doc, publishers, near=True))
    return np.concatenate([np.zeros(0, dtype=TEMPLATE), *found])


def _templates(
    groups: Groups, scope: Scope, config: TemplatesConfig, of_doc: Rows, publishers: Rows | None, *, near: bool
) -> Rows:
    """The groups with enough support."""
    first = groups.starts[:-1]
    group = scope.group[groups.rows["doc"][first]]
    support, total = _distinct(groups, of_doc), scope.n_docs[group]
    keep = support >= config.min_documents
    if publishers is None:
        keep &= support >= config.min_share * total
    else:
        keep &= _distinct(groups, publishers) >= MIN_PUBLISHERS
    if near:
        lines = groups.rows["line"]
        variants = np.zeros(len(first), dtype=np.int64)
        for i in np.flatnonzero(keep).tolist():
            variants[i] = len(np.unique(lines[groups.starts[i] : groups.starts[i + 1]]))
        keep &= variants >= MIN_VARIANTS
    rows = np.zeros(int(keep.sum()), dtype=TEMPLATE)
    rows["key"], rows["publisher"] = groups.rows["key"][first][keep], scope.publishers[group][keep]
    rows["documents"], rows["share"] = support[keep], (support / np.maximum(total, 1))[keep]
    rows["near"] = near
    return rows


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
    docs = all_docs(scans)
    by_publisher, everyone = _scopes(docs["publisher"])
    rows = _count_scope(scans, by_publisher, config, work, None)
    if len(by_publisher.publishers) >= MIN_PUBLISHERS:
        rows = np.concatenate([rows, _count_scope(scans, everyone, config, work, docs["publisher"])])
    order = np.lexsort((rows["near"], rows["key"], rows["publisher"], -rows["documents"].astype(np.int64)))
    rows = np.sort(rows[order[:MAX_TEMPLATES]], order=["publisher", "near", "key"])
    wanted = set(rows["publisher"].tolist())
    names = {int(key): name for scan in scans for key, name in scan.names()["publishers"].items() if int(key) in wanted}
    return TemplateTable(rows, names)
