"""Tag stage: the part of speech of every word, and the names.

Reads ``text``, ``sents`` and ``tokens``; assigns ``upos``, ``xpos`` (the tagset of UD Chinese-GSD) and ``ents`` with
``ent_labels`` (PER, LOC, ORG).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.doc import Coded, Doc, IntArray
from pipeline.errors import ConfigError, ModelError
from pipeline.kernels import decode, decode_tags
from pipeline.stage import Stage, stage
from pipeline.weights import load_arrays, load_meta

TABLES = "tables.npz"
FORMAT = 1
Int16s = NDArray[np.int16]


@dataclass(frozen=True)
class TagConfig:
    """What the tag stage wants to know.

    Parameters
    ----------
    model : Path
        A folder that `pipeline.training.tagger.train_tagger` wrote.
    """

    model: Path


class Tagger(NamedTuple):
    """A loaded tagger: arrays for the kernel, and what its numbers mean.

    Parameters
    ----------
    lexicon, tables
        See `pipeline.kernels.decode_tags`.
    upos, xpos, labels : tuple of str
        The inventories.
    upos_of, xpos_of : ndarray of int16
        What each of the kernel's tags, which are pairs of the two, means.
    """

    lexicon: decode_tags.Lexicon
    tables: decode_tags.Tables
    upos: tuple[str, ...]
    xpos: tuple[str, ...]
    labels: tuple[str, ...]
    upos_of: Int16s
    xpos_of: Int16s


def load_tagger(folder: Path) -> Tagger:
    """Load a tagger; its checksums are verified."""
    meta = load_meta(folder, "tagger")
    if meta.get("format") != FORMAT:
        raise ModelError(f"{folder} has format {meta.get('format')}, expected {FORMAT}; train it again")
    arrays = load_arrays(folder / TABLES)
    try:
        lexicon = decode_tags.Lexicon(**{name: arrays[name] for name in decode_tags.Lexicon._fields})
        tables = decode_tags.Tables(**{name: arrays[name] for name in decode_tags.Tables._fields})
    except KeyError as error:
        raise ModelError(f"{folder / TABLES} lacks the array {error}; train it again") from error
    return make_tagger(lexicon, tables, meta["tags"], meta["labels"])


def make_tagger(
    lexicon: decode_tags.Lexicon, tables: decode_tags.Tables, tags: Sequence[Sequence[str]], labels: Sequence[str]
) -> Tagger:
    """Get a tagger from its parts; `tags` are pairs of UPOS and XPOS."""
    upos, xpos = (tuple(sorted({tag[i] for tag in tags})) for i in (0, 1))
    upos_of = np.array([upos.index(tag[0]) for tag in tags], np.int16)
    xpos_of = np.array([xpos.index(tag[1]) for tag in tags], np.int16)
    return Tagger(lexicon, tables, upos, xpos, tuple(labels), upos_of, xpos_of)


def lay_out(docs: Sequence[Doc]) -> tuple[decode.Codes, IntArray, IntArray, list[int]]:
    """Get a batch as the kernel wants it.

    Returns
    -------
    codes : ndarray of uint32
        The code points of all texts, one after the other.
    tokens : ndarray of int32, shape (n_tokens, 2)
        The words of all documents, as offsets into `codes`.
    sents : ndarray of int32, shape (n_sents, 2)
        The sentences of all documents, as ranges of `tokens`.
    firsts : list of int, length n_docs + 1
        The first token of each document.

    Raises
    ------
    ConfigError
        If a document has no sentences or no words.
    """
    tokens, sents, firsts, begin = [np.zeros((0, 2), np.int64)], [np.zeros((0, 2), np.int64)], [0], 0
    for doc in docs:
        if doc.sents is None or doc.tokens is None:
            raise ConfigError(f"document {doc.id!r} has no sentences or no words; run clean and segment before tag")
        tokens.append(doc.tokens.astype(np.int64) + begin)
        sents.append(np.searchsorted(doc.tokens[:, 0], doc.sents) + firsts[-1])
        firsts.append(firsts[-1] + len(doc.tokens))
        begin += len(doc.text)
    codes = decode.to_codes("".join(doc.text for doc in docs))
    return codes, np.concatenate(tokens).astype(np.int32), np.concatenate(sents).astype(np.int32), firsts


def tag_docs(docs: Sequence[Doc], tagger: Tagger) -> list[Doc]:
    """Tag a batch of documents."""
    codes, tokens, sents, firsts = lay_out(docs)
    tags, names = decode_tags.decode_tags(codes, tokens, sents, tagger.lexicon, tagger.tables)
    upos, xpos = tagger.upos_of[tags], tagger.xpos_of[tags]
    cuts = np.searchsorted(names[:, 0], firsts).tolist()
    tagged = []
    for i, doc in enumerate(docs):
        here = slice(firsts[i], firsts[i + 1])
        rows = names[cuts[i] : cuts[i + 1]]
        layers: dict[str, Any] = {
            "upos": Coded(upos[here], tagger.upos),
            "xpos": Coded(xpos[here], tagger.xpos),
            "ents": _name_offsets(doc, rows[:, :2] - firsts[i]),
            "ent_labels": Coded(rows[:, 2].astype(np.int16), tagger.labels),
        }
        tagged.append(replace(doc, **layers))
    return tagged


def _name_offsets(doc: Doc, ranges: IntArray) -> IntArray:
    """Get the code points that ranges of a document's tokens cover."""
    if doc.tokens is None or not len(ranges):
        return np.zeros((0, 2), np.int32)
    return np.stack([doc.tokens[ranges[:, 0], 0], doc.tokens[ranges[:, 1] - 1, 1]], axis=1)


@stage("tag", requires=["sents", "tokens"], assigns=["upos", "xpos", "ents", "ent_labels"])
def make_tag(config: TagConfig) -> Stage:
    """Get the stage that tags words and finds names."""
    tagger = load_tagger(config.model)
    return lambda docs: tag_docs(docs, tagger)
