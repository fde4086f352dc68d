"""Merge scans into duplicates: documents with the same visible characters, or nearly so.

Near duplicates share a band of their MinHash signatures and agree in enough numbers of the whole. Which of them is kept
is decided in the order of the input: a document is a duplicate of the earliest kept one that it is like. What a stage
sets aside can't be kept; then all is decided anew without it. Memory: about 60 bytes a document and what the pairs
need; the signatures stay on disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from pipeline.kernels.recur import chain_equal
from pipeline.passes.scan import N_HASHES, Scan, doc_column

N_BANDS, BAND = 21, 6
"""At a similarity of 0.8 a pair shares a band with probability 0.998, at 0.5 with 0.28."""

N_BEFORE = 2
"""In a band, a document is compared with the first that has it and with so many right before it."""

_PAIRS_AT_ONCE = 1 << 14

Pairs = NDArray[np.int64]


@dataclass(frozen=True)
class Link:
    """A duplicate: where it stands in its shard, and the document that is kept.

    Parameters
    ----------
    position : int
        From 1, among all that was read of the shard.
    shard, kept_position : int
        Of the kept document.
    kept_id : str
        Its id as the input has it.
    """

    position: int
    shard: int
    kept_position: int
    kept_id: str


class Signatures:
    """The signatures of all scans, on disk."""

    def __init__(self, scans: Sequence[Scan]) -> None:
        self._scans = scans
        self._first = np.array([scan.first for scan in scans], dtype=np.int64)

    def read(self, docs: NDArray[np.int64]) -> NDArray[np.uint32]:
        """The signatures of some documents: (n_docs, N_HASHES)."""
        out = np.empty((len(docs), N_HASHES), dtype=np.uint32)
        scan_of = np.searchsorted(self._first, docs, side="right") - 1
        for scan in np.unique(scan_of).tolist():
            here = scan_of == scan
            out[here] = self._scans[scan].array("signatures")[docs[here] - self._first[scan]]
        return out

    def similar(self, pairs: Pairs, threshold: float) -> Pairs:
        """Keep the pairs whose estimated Jaccard similarity reaches `threshold`."""
        kept = [np.zeros((0, 2), dtype=np.int64)]
        for at in range(0, len(pairs), _PAIRS_AT_ONCE):
            part = pairs[at : at + _PAIRS_AT_ONCE]
            same = (self.read(part[:, 0]) == self.read(part[:, 1])).mean(axis=1)
            kept.append(part[same >= threshold])
        return np.concatenate(kept)

    def band(self, number: int, docs: NDArray[np.int64]) -> NDArray[np.uint64]:
        """A hash of one band of some documents, ascending: (n_docs,)."""
        keys = np.zeros(len(docs), dtype=np.uint64)
        bounds = np.append(np.searchsorted(docs, self._first), len(docs)).tolist()
        for scan, first, start, end in zip(self._scans, self._first, bounds[:-1], bounds[1:], strict=True):
            array = scan.array("signatures")  # mapped anew each time: pages once read would stay in memory
            rows, key = docs[start:end] - first, keys[start:end]
            for column in range(number * BAND, (number + 1) * BAND):
                key[:] = (key ^ array[rows, column]) * np.uint64(0x9E3779B97F4A7C15)
                key ^= key >> np.uint64(32)
        return keys


def band_pairs(keys: NDArray[np.uint64], docs: NDArray[np.int64]) -> Pairs:
    """Pair documents of equal keys: each with the first and with those right before it; (later, earlier).

    Parameters
    ----------
    keys : ndarray of uint64, shape (n_docs,)
    docs : ndarray of int64, shape (n_docs,)
        Ascending.
    """
    first, before = chain_equal(keys)
    at = np.flatnonzero(before >= 0)
    pairs = [np.stack([docs[at], docs[first[at]]], axis=1)]
    other = at
    for _ in range(N_BEFORE):
        other = before[other]
        at, other = at[other >= 0], other[other >= 0]
        pairs.append(np.stack([docs[at], docs[other]], axis=1))
    return np.unique(np.concatenate(pairs), axis=0)


def _near_pairs(signatures: Signatures, docs: NDArray[np.int64], threshold: float) -> Pairs:
    """All verified pairs of documents that differ, sorted."""
    found = np.zeros((0, 2), dtype=np.int64)
    for number in range(N_BANDS):
        pairs = band_pairs(signatures.band(number, docs), docs)
        known = np.isin(pairs[:, 0] << 32 | pairs[:, 1], found[:, 0] << 32 | found[:, 1])
        found = np.concatenate([found, signatures.similar(pairs[~known], threshold)])
    return np.unique(found, axis=0)


def _first_of_each(whole: NDArray[np.uint64]) -> NDArray[np.int32]:
    """The first document with the same visible characters: (n_docs,); itself without any."""
    first: NDArray[np.int32] = chain_equal(whole)[0]
    alone = np.flatnonzero(whole == 0)
    first[alone] = alone
    return first


def find_kept(scans: Sequence[Scan], threshold: float, lost: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """Get the document that is kept for each: itself unless it is a duplicate; (n_docs,). `lost` ones are not kept."""
    whole = doc_column(scans, "whole")
    if lost is not None:
        whole[lost] = 0
    first = _first_of_each(whole)
    docs = np.flatnonzero((first == np.arange(len(whole))) & (whole != 0))
    del whole
    signatures = Signatures(scans)
    pairs = _near_pairs(signatures, docs, threshold)
    del docs
    kept = np.arange(len(first))
    starts = np.append(np.flatnonzero(np.diff(pairs[:, 0], prepend=-1)), len(pairs))
    for start, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
        doc, others = int(pairs[start, 0]), pairs[start:end, 1]
        keepers = others[kept[others] == others]
        if not len(keepers):  # like duplicates only: is it like what is kept of them?
            further = np.unique(kept[others])
            keepers = signatures.similar(np.stack([np.full(len(further), doc), further], axis=1), threshold)[:, 1]
        if len(keepers):
            kept[doc] = keepers.min()
    return kept[first]


def find_duplicates(
    scans: Sequence[Scan], threshold: float, lost: NDArray[np.int64] | None = None
) -> Iterator[list[Link]]:
    """Yield the duplicates of each scan, in order.

    Parameters
    ----------
    scans : sequence of Scan
        With signatures; in the order of the input, one a shard.
    threshold : float
        Estimated Jaccard similarity.
    lost : ndarray of int64, optional
        Documents that a stage set aside: they are taken for no other's original.
    """
    kept, position = find_kept(scans, threshold, lost), doc_column(scans, "position")
    first = np.array([scan.first for scan in scans] + [len(kept)], dtype=np.int64)
    duplicates = np.flatnonzero(kept != np.arange(len(kept)))
    ids = _ids(scans, first, np.unique(kept[duplicates]))
    shard = np.searchsorted(first, kept, side="right") - 1
    for start, end in zip(first[:-1].tolist(), first[1:].tolist(), strict=True):
        here = duplicates[(duplicates >= start) & (duplicates < end)].tolist()
        yield [Link(int(position[doc]), int(shard[doc]), int(position[kept[doc]]), ids[int(kept[doc])]) for doc in here]


def _ids(scans: Sequence[Scan], first: NDArray[np.int64], docs: NDArray[np.int64]) -> dict[int, str]:
    """The ids of some documents."""
    ids: dict[int, str] = {}
    for number, scan in enumerate(scans):
        here = docs[(docs >= first[number]) & (docs < first[number + 1])].tolist()
        if here:
            names = scan.names()["ids"]
            ids.update((doc, names[doc - scan.first]) for doc in here)
    return ids


def links_to_lines(links: Sequence[Link]) -> bytes:
    """The duplicates of a shard as lines of JSON."""
    return b"".join(orjson.dumps(asdict(link)) + b"\n" for link in links)


def links_from_lines(data: bytes) -> dict[int, Link]:
    """Read them back, by position."""
    records: list[dict[str, Any]] = [orjson.loads(line) for line in data.splitlines()]
    return {record["position"]: Link(**record) for record in records}
