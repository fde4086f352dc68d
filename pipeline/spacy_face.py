"""The spaCy face: our annotation in a spaCy `Doc`, and components that make it.

Importing this module imports spaCy; nothing else in the package does. The folder ``models/zh_corpus`` refers to the
model folders beside it and has no weights of its own::

    nlp = spacy.load("models/zh_corpus")
"""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import spacy
from spacy.language import Language
from spacy.tokens import Doc as SpacyDoc
from spacy.util import registry
from spacy.vocab import Vocab

from pipeline.clean import clean_doc
from pipeline.doc import Doc, IntArray
from pipeline.errors import ConfigError
from pipeline.segment import SegmentConfig, make_segment
from pipeline.stage import Stage
from pipeline.tag import TagConfig, make_tag

TOKENIZER, TAGGER = "zh_corpus_tokenizer", "zh_corpus_tagger"
CONFIG_FILE = "config.json"
BATCH = 64  # documents a kernel call


def to_spacy(doc: Doc, vocab: Vocab | None = None) -> SpacyDoc:
    """Get a spaCy document with words, spaces, sentences, tags and names, as far as they were made.

    White space that is not one blank behind a word becomes a token of its own, as spaCy does it; so the text is kept.

    Parameters
    ----------
    doc : Doc
        With tokens.
    vocab : spacy.vocab.Vocab or None
        Whose strings to use; None makes one.

    Raises
    ------
    ConfigError
        If the document has no tokens.
    """
    if doc.tokens is None:
        raise ConfigError(f"document {doc.id!r} has no tokens; run the segment stage first")
    words, spaces, places = _split(doc.text, doc.tokens)
    made = SpacyDoc(spacy.blank("zh").vocab if vocab is None else vocab, words=words, spaces=spaces)
    made.user_data["source_id"] = doc.id
    _set_tags(made, doc, places)
    _set_sentences(made, doc, places)
    if doc.ents is not None and doc.ent_labels is not None:
        rows = zip(doc.ents.tolist(), doc.ent_labels.tolist(), strict=True)
        made.set_ents([made.char_span(start, end, label=label) for (start, end), label in rows])
    return made


def _split(text: str, tokens: IntArray) -> tuple[list[str], list[bool], list[int]]:
    """Get spaCy's words and following blanks, and where among them each token is."""
    words: list[str] = []
    spaces: list[bool] = []
    places: list[int] = []
    at = 0
    for start, end in [*tokens.tolist(), (len(text), len(text))]:
        gap = text[at:start]
        if gap and words and gap[0] == " ":
            spaces[-1] = True
            gap = gap[1:]
        if gap:
            words.append(gap)
            spaces.append(False)
        if end > start:
            places.append(len(words))
            words.append(text[start:end])
            spaces.append(False)
        at = end
    return words, spaces, places


def _set_tags(made: SpacyDoc, doc: Doc, places: Sequence[int]) -> None:
    if doc.upos is None or doc.xpos is None:
        return
    for place, upos, xpos in zip(places, doc.upos, doc.xpos, strict=True):
        made[place].pos_ = upos or ""
        made[place].tag_ = xpos or ""
    for token in made:
        if token.text.isspace():
            token.pos_ = "SPACE"


def _set_sentences(made: SpacyDoc, doc: Doc, places: Sequence[int]) -> None:
    if doc.sents is None or doc.tokens is None:
        return
    firsts = np.searchsorted(doc.tokens[:, 0], doc.sents[:, 0]).tolist()
    starts = {places[first] for first in firsts if first < len(places)} | {0}
    for i, token in enumerate(made):
        token.is_sent_start = i in starts


class _Saved(ABC):
    """What our components save: the path of their model folder, relative to the file where that is possible."""

    model: str

    @abstractmethod
    def _load(self, model: Path) -> None:
        """Load the models of a folder."""

    def to_disk(self, path: Path | str, **_: Any) -> None:
        """Write a reference to the model folder."""
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        reference = os.path.relpath(self.model, folder) if self.model else ""
        (folder / CONFIG_FILE).write_text(json.dumps({"model": reference}) + "\n", encoding="utf-8")

    def from_disk(self, path: Path | str, **_: Any) -> _Saved:
        """Load the model folder that `to_disk` wrote a reference to."""
        folder = Path(path)
        reference = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))["model"]
        if reference:
            self._load((folder / reference).resolve())
        return self

    def to_bytes(self, **_: Any) -> bytes:
        """Get a reference to the model folder."""
        return self.model.encode()

    def from_bytes(self, data: bytes, **_: Any) -> _Saved:
        """Load the model folder that `to_bytes` referred to."""
        if data:
            self._load(Path(data.decode()))
        return self


class CorpusTokenizer(_Saved):
    """A spaCy tokenizer: our clean and segment stages; `doc.text` is the cleaned text.

    Parameters
    ----------
    vocab : spacy.vocab.Vocab
    model : str
        The segmenter's folder; empty until `from_disk`.
    """

    def __init__(self, vocab: Vocab, model: str = "") -> None:
        self.vocab = vocab
        self.model = ""
        self._stage: Stage | None = None
        if model:
            self._load(Path(model))

    def _load(self, model: Path) -> None:
        self.model = str(model)
        self._stage = make_segment(SegmentConfig(model))

    def __call__(self, text: str) -> SpacyDoc:
        """Get the words and sentences of a text."""
        if self._stage is None:
            raise ConfigError(f"{TOKENIZER} has no model; give the path of a segmenter's folder")
        (doc,) = self._stage([clean_doc(Doc.from_text(text))])
        return to_spacy(doc, self.vocab)


class CorpusTagger(_Saved):
    """A spaCy component: our tag stage on spaCy's words and sentences.

    Parameters
    ----------
    model : str
        The tagger's folder; empty until `from_disk`.
    """

    def __init__(self, model: str = "") -> None:
        self.model = ""
        self._stage: Stage | None = None
        if model:
            self._load(Path(model))

    def _load(self, model: Path) -> None:
        self.model = str(model)
        self._stage = make_tag(TagConfig(model))

    def __call__(self, doc: SpacyDoc) -> SpacyDoc:
        """Tag one document in place."""
        return next(self.pipe([doc]))

    def pipe(self, docs: Iterable[SpacyDoc], batch_size: int = BATCH, **_: Any) -> Iterator[SpacyDoc]:
        """Tag documents in place, a batch at a time."""
        if self._stage is None:
            raise ConfigError(f"{TAGGER} has no model; give the path of a tagger's folder")
        stream = iter(docs)
        while batch := list(islice(stream, batch_size)):
            for made, doc in zip(batch, self._stage([from_spacy(made) for made in batch]), strict=True):
                places = [token.i for token in made if not token.text.isspace()]
                _set_tags(made, doc, places)
                rows = zip(doc.ents.tolist(), doc.ent_labels or (), strict=True)  # type: ignore[union-attr]
                made.set_ents([made.char_span(start, end, label=label) for (start, end), label in rows])
                yield made


def from_spacy(made: SpacyDoc) -> Doc:
    """Get our record of a spaCy document's words and sentences."""
    rows = [(token.idx, token.idx + len(token)) for token in made if not token.text.isspace()]
    whole = [(0, len(made.text))] if len(made) else []
    sents = [(sent.start_char, sent.end_char) for sent in made.sents] if made.has_annotation("SENT_START") else whole
    tokens, spans = (np.array(pairs, np.int32).reshape(-1, 2) for pairs in (rows, sents))
    return replace(Doc.from_text(made.text), tokens=tokens, sents=spans)


@registry.tokenizers(TOKENIZER)  # type: ignore[untyped-decorator]
def create_tokenizer(model: str = "") -> Callable[[Language], CorpusTokenizer]:
    """Get what spaCy makes the tokenizer with."""
    return lambda nlp: CorpusTokenizer(nlp.vocab, model)


@Language.factory(  # type: ignore[untyped-decorator]
    TAGGER, assigns=["token.tag", "token.pos", "doc.ents"], default_config={"model": ""}
)
def create_tagger(nlp: Language, name: str, model: str) -> CorpusTagger:
    """Get the component."""
    return CorpusTagger(model)


def write_package(folder: Path, segmenter: Path, tagger: Path) -> None:
    """Write a folder for `spacy.load` that refers to model folders and copies nothing.

    Parameters
    ----------
    folder : Path
        Such as ``models/zh_corpus``.
    segmenter, tagger : Path
        Model folders; they have to stay where they are in relation to `folder`.
    """
    nlp = spacy.blank("zh", config={"nlp": {"tokenizer": {"@tokenizers": TOKENIZER, "model": ""}}})
    nlp.tokenizer = CorpusTokenizer(nlp.vocab, str(segmenter.resolve()))
    nlp.add_pipe(TAGGER)
    nlp.get_pipe(TAGGER).from_bytes(str(tagger.resolve()).encode())
    nlp.meta.update(
        name="corpus", version="0.1.0", description="zhcorpus: words, tags and names.", license="CC BY-SA 4.0"
    )
    nlp.to_disk(folder)
