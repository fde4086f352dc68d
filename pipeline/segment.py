"""Segment stage: the words of every sentence.

Reads ``text`` and ``sents``, assigns ``tokens``; the text itself is never altered. Words are those that spacy-pkuseg
would cut with the same model; neither spaCy nor pkuseg is imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.doc import Doc, IntArray
from pipeline.errors import ConfigError, ModelError
from pipeline.kernels import decode
from pipeline.stage import Stage, stage
from pipeline.weights import load_arrays, load_meta

TABLES = "tables.npz"
FORMAT = 1


@dataclass(frozen=True)
class SegmentConfig:
    """What the segment stage wants to know.

    Parameters
    ----------
    model : Path
        A folder that `pipeline.training.segmenter.train_segmenter` wrote.
    """

    model: Path


def load_segmenter(folder: Path) -> decode.Tables:
    """Load a segmenter's tables; their checksums are verified."""
    meta = load_meta(folder, "segmenter")
    if meta.get("format") != FORMAT:
        raise ModelError(f"{folder} has format {meta.get('format')}, expected {FORMAT}; train it again")
    arrays = load_arrays(folder / TABLES)
    if set(arrays) != set(decode.Tables._fields):
        raise ModelError(f"{folder / TABLES} has other arrays than this version reads; train it again")
    return decode.Tables(**arrays)


def lay_out(docs: Sequence[Doc]) -> tuple[decode.Codes, IntArray, NDArray[np.int64]]:
    """Get a batch as the kernels want it.

    Returns
    -------
    codes : ndarray of uint32
        The code points of all texts, one after the other.
    sents : ndarray of int32, shape (n_sents, 2)
        The sentences of all documents, as offsets into `codes`.
    begins : ndarray of int64, shape (n_docs + 1,)
        Where each document begins in `codes`.

    Raises
    ------
    ConfigError
        If a document has no sentences layer.
    """
    begins = np.concatenate([[0], np.cumsum([len(doc.text) for doc in docs], dtype=np.int64)])
    parts = [np.zeros((0, 2), np.int64)]
    for doc, begin in zip(docs, begins[:-1].tolist(), strict=True):
        if doc.sents is None:
            raise ConfigError(f"document {doc.id!r} has no sentences; run the clean stage before this one")
        parts.append(doc.sents.astype(np.int64) + begin)
    codes = decode.to_codes("".join(doc.text for doc in docs))
    return codes, np.concatenate(parts).astype(np.int32), begins


def split_rows(rows: IntArray, begins: NDArray[np.int64]) -> list[IntArray]:
    """Give each document its rows of offsets, counted from its own beginning.

    Examples
    --------
    >>> [part.tolist() for part in split_rows(np.array([[0, 2], [5, 7]], np.int32), np.array([0, 4, 4, 9]))]
    [[[0, 2]], [], [[1, 3]]]
    """
    cuts = np.searchsorted(rows[:, 0], begins)
    pairs = zip(cuts, cuts[1:], begins[:-1], strict=False)
    return [(rows[low:high] - begin).astype(np.int32) for low, high, begin in pairs]


@stage("segment", requires=["sents"], assigns=["tokens"])
def make_segment(config: SegmentConfig) -> Stage:
    """Get the stage that finds words."""
    tables = load_segmenter(config.model)

    def segment(docs: Sequence[Doc]) -> list[Doc]:
        codes, sents, begins = lay_out(docs)
        parts = split_rows(decode.decode(codes, sents, tables), begins)
        return [replace(doc, tokens=tokens) for doc, tokens in zip(docs, parts, strict=True)]

    return segment
