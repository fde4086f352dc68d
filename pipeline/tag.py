"""Tag stage: the part of speech of every word, and the names.

Reads ``text``, ``sents`` and ``tokens``; assigns ``upos``, ``xpos`` (the tagset of UD Chinese-GSD) and ``ents`` with
``ent_labels`` (PER, LOC, ORG).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.doc import Coded, Doc, IntArray
from pipeline.errors import ConfigError, ModelError
from pipeline.kernels import decode
from pipeline.kernels.decode_tags import Decoder
from pipeline.kernels.features import Lexicon
from pipeline.kernels.tag_plan import Tables
from pipeline.stage import Stage, stage
from pipeline.weights import load_arrays, load_meta

TABLES = "tables.npz"
FORMAT = 2
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
    """A loaded tagger: the kernel, and what its numbers mean.

    Parameters
    ----------
    decoder : Decoder
    upos, xpos, labels : tuple of str
        The inventories.
    upos_of, xpos_of : ndarray of int16
        What each of the kernel's tags, which are pairs of the two, means.
    """

    decoder: Decoder
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
        lexicon = Lexicon(**{name: arrays[name] for name in Lexicon._fields})
        tables = Tables(**{name: arrays[name] for name in Tables._fields})
    except KeyError as error:
        raise ModelError(f"{folder / TABLES} lacks the array {error}; train it again") from error
    return make_tagger(Decoder(lexicon, tables), meta["tags"], meta["labels"])


def make_tagger(decoder: Decoder, tags: Sequence[Sequence[str]], labels: Sequence[str]) -> Tagger:
    """Get a tagger from its parts; `tags` are pairs of UPOS and XPOS."""
    upos, xpos = (tuple(sorted({tag[i] for tag in tags})) for i in (0, 1))
    upos_of = np.array([upos.index(tag[0]) for tag in tags], np.int16)
    xpos_of = np.array([xpos.index(tag[1]) for tag in tags], np.int16)
    return Tagger(decoder, upos, xpos, tuple(labels), upos_of, xpos_of)


def lay_out(docs: Sequence[Doc]) -> tuple[decode.Codes, IntArray, IntArray, list[int], list[int]]:
    """Get a batch as the kernel wants it.

    Returns
    -------
    codes : ndarray of uint32
        The code points of all texts, one after the other.
    tokens : ndarray of int32, shape (n_tokens, 2)
        The words of all documents, as offsets into `codes`.
    sents : ndarray of int32, shape (n_sents, 2)
        The sentences of all documents, as ranges of `tokens`.
    begins : list of int, length n_docs
        Where each document begins in `codes`.
    firsts : list of int, length n_docs + 1
        The first token of each document.

    Raises
    ------
    ConfigError
        If a document has no sentences or no words.
    """
    tokens, sents, begins, firsts, begin = [np.zeros((0, 2), np.int32)], [np.zeros((0, 2), np.int32)], [], [0], 0
    for doc in docs:
        if doc.sents is None or doc.tokens is None:
            raise ConfigError(f"document {doc.id!r} has no sentences or no words; run clean and segment before tag")
        tokens.append(doc.tokens + np.int32(begin))
        sents.append(doc.sents + np.int32(begin))
        begins.append(begin)
        firsts.append(firsts[-1] + len(doc.tokens))
        begin += len(doc.text)
    codes = decode.to_codes("".join([doc.text for doc in docs]))
    words = np.concatenate(tokens)
    return codes, words, np.searchsorted(words[:, 0], np.concatenate(sents)).astype(np.int32), begins, firsts


def tag_docs(docs: Sequence[Doc], tagger: Tagger) -> list[Doc]:
    """Tag a batch of documents."""
    codes, tokens, sents, begins, firsts = lay_out(docs)
    tags, names = tagger.decoder.decode(codes, tokens, sents)
    upos, xpos, labels = tagger.upos_of[tags], tagger.xpos_of[tags], names[:, 2].astype(np.int16)
    ents = np.stack([tokens[names[:, 0], 0], tokens[names[:, 1] - 1, 1]], axis=1)
    cuts = np.searchsorted(names[:, 0], firsts).tolist()
    return [
        doc.extend(
            upos=Coded(upos[first:end], tagger.upos),
            xpos=Coded(xpos[first:end], tagger.xpos),
            ents=ents[low:high] - np.int32(begin),
            ent_labels=Coded(labels[low:high], tagger.labels),
        )
        for doc, begin, (first, end), (low, high) in zip(docs, begins, pairwise(firsts), pairwise(cuts), strict=True)
    ]


@stage("tag", requires=["sents", "tokens"], assigns=["upos", "xpos", "ents", "ent_labels"])
def make_tag(config: TagConfig) -> Stage:
    """Get the stage that tags words and finds names."""
    tagger = load_tagger(config.model)
    return lambda docs: tag_docs(docs, tagger)
