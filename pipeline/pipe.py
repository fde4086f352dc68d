"""The pipeline as an object: text in, annotated documents out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from pipeline.batch import Batch
from pipeline.config import Config, load_config
from pipeline.doc import Doc
from pipeline.errors import ConfigError, InputRejectedError
from pipeline.stage import STAGES, Stage, check_order

MAX_BATCH_CHARS = 1_000_000
MAX_BATCH_DOCS = 512


class Pipeline:
    """A chain of stages with their models loaded.

    Parameters
    ----------
    config : Config
        Which stages, with which settings.

    Raises
    ------
    ModelError
        If a model is missing or damaged.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.stages: dict[str, Stage] = {name: STAGES[name].make(getattr(config, name)) for name in config.stages}

    def __call__(self, text: str | Doc) -> Doc:
        """Annotate one text."""
        return self.annotate([_as_doc(text, 0)])[0]

    def pipe(self, texts: Iterable[str | Doc]) -> Iterator[Doc]:
        """Annotate a stream of texts in batches, in order."""
        for batch in batches(_as_doc(text, i) for i, text in enumerate(texts)):
            yield from self.annotate(batch)

    def annotate(self, docs: Iterable[Doc]) -> list[Doc]:
        """Annotate one batch."""
        annotated: Sequence[Doc] = list(docs)
        for stage in self.stages.values():
            annotated = stage(annotated)
        return list(annotated)

    def annotate_each(self, docs: Sequence[Doc], reject: Callable[[Doc, InputRejectedError], None]) -> Sequence[Doc]:
        """Annotate a batch, setting aside what fails.

        Parameters
        ----------
        docs : sequence of Doc
        reject : callable
            Is told of each document that has no visible text or that a stage failed on, and why.

        Returns
        -------
        sequence of Doc
            The others, in order.
        """
        for name, stage in self.stages.items():
            docs = _run_stage(name, stage, docs, reject)
            if name == "clean":
                docs = _drop_empty(docs, reject)
        return docs


def _run_stage(
    name: str, stage: Stage, docs: Sequence[Doc], reject: Callable[[Doc, InputRejectedError], None]
) -> Sequence[Doc]:
    """Run a stage on a batch; when that fails, on each document alone, to find the one at fault."""
    try:
        return stage(docs)
    except Exception as error:  # a stage may fail in any way, and must not end the run
        if len(docs) == 1:
            reason = f"stage {name!r} failed: {type(error).__name__}: {error}"
            reject(docs[0], InputRejectedError("stage_failed", reason, doc_id=docs[0].id))
            return []
    return [done for doc in docs for done in _run_stage(name, stage, [doc], reject)]


def _drop_empty(docs: Sequence[Doc], reject: Callable[[Doc, InputRejectedError], None]) -> Sequence[Doc]:
    sents = Batch.of(docs).layer("sents")
    if sents is not None and np.diff(sents.bounds).all():
        return docs
    kept = []
    for doc in docs:
        if doc.sents is not None and len(doc.sents):
            kept.append(doc)
        else:
            reject(doc, InputRejectedError("empty", "the text has no visible character", doc_id=doc.id))
    return kept


def _as_doc(text: str | Doc, i: int) -> Doc:
    if isinstance(text, Doc):
        return text
    if not isinstance(text, str):
        raise ConfigError(f"a text is a str or a Doc, not {type(text).__name__}")
    return Doc.from_text(text, f"doc{i + 1}")


def batches(docs: Iterable[Doc]) -> Iterator[list[Doc]]:
    """Group documents by size: at most MAX_BATCH_DOCS, and about MAX_BATCH_CHARS code points."""
    batch: list[Doc] = []
    n_chars = 0
    for doc in docs:
        batch.append(doc)
        n_chars += len(doc.source)
        if n_chars >= MAX_BATCH_CHARS or len(batch) >= MAX_BATCH_DOCS:
            yield batch
            batch, n_chars = [], 0
    if batch:
        yield batch


def load(config: str | Config = "default") -> Pipeline:
    """Load a pipeline by its config; see `pipeline.load`."""
    config = load_config(config) if isinstance(config, str) else config
    check_order(config.stages)
    return Pipeline(config)
