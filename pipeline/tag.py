"""Tag stage: the part of speech of every word, and the names.

Reads ``text``, ``sents`` and ``tokens``; assigns ``upos``, ``xpos`` (the tagset of UD Chinese-GSD) and ``ents`` with
``ent_labels`` (PER, LOC, ORG).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.batch import Batch, Layer
from pipeline.doc import Coded, Doc
from pipeline.errors import ModelError
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


def tag_docs(docs: Sequence[Doc], tagger: Tagger) -> Batch:
    """Tag a batch of documents.

    Raises
    ------
    AlignmentError
        If a document has no sentences or no words.
    """
    batch = Batch.of(docs)
    words = batch.spans("tokens")
    tokens = batch.join_spans(words).values
    sents = np.searchsorted(tokens[:, 0], batch.join_spans(batch.spans("sents")).values).astype(np.int32)
    tags, names = tagger.decoder.decode(batch.text.values, tokens, sents)
    ents = batch.split_spans(np.stack([tokens[names[:, 0], 0], tokens[names[:, 1] - 1, 1]], axis=1))
    return batch.extend(
        upos=Layer(Coded(tagger.upos_of[tags], tagger.upos), words.bounds),
        xpos=Layer(Coded(tagger.xpos_of[tags], tagger.xpos), words.bounds),
        ents=ents,
        ent_labels=Layer(Coded(names[:, 2].astype(np.int16), tagger.labels), ents.bounds),
    )


@stage("tag", requires=["sents", "tokens"], assigns=["upos", "xpos", "ents", "ent_labels"])
def make_tag(config: TagConfig) -> Stage:
    """Get the stage that tags words and finds names."""
    tagger = load_tagger(config.model)
    return lambda docs: tag_docs(docs, tagger)
