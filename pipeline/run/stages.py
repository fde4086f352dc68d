"""One stage alone: documents as JSON lines in, the same with further layers out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pipeline.config import Config
from pipeline.doc import Doc
from pipeline.errors import ConfigError, InputRejectedError
from pipeline.interchange import doc_from_json, doc_to_json
from pipeline.pipe import Pipeline, batches
from pipeline.readers import READERS, Read, Rejection, read_piece
from pipeline.readers.sources import list_input
from pipeline.stage import STAGES


def run_stage(name: str, source: str, target: Path, config: Config) -> int:
    """Run one stage over a file.

    Parameters
    ----------
    name : str
        The stage.
    source : str
        For clean any INPUT; for the others JSONL that an earlier stage wrote.
    target : Path
        Gets the documents; beside it ``.rejected.jsonl`` gets what was set aside, if anything was.
    config : Config

    Returns
    -------
    int
        How many rows were set aside.

    Raises
    ------
    ConfigError
        If the input does not exist, or lacks a layer that the stage requires.
    """
    pipeline = Pipeline(_only(config, name))
    rejections: list[Rejection] = []

    def reject(doc: Doc, error: InputRejectedError) -> None:
        rejections.append(Rejection.of(error, str(doc.meta.get("origin")), doc.id))

    def read() -> Iterator[Doc]:
        for item in _read_raw(source) if name == "clean" else _read_docs(source, name):
            if isinstance(item, Doc):
                yield item
            else:
                rejections.append(item)

    draft = target.with_name(target.name + ".tmp")
    with draft.open("wb") as file:
        for batch in batches(read()):
            for doc in pipeline.annotate_each(batch, reject):
                file.write(doc_to_json(doc))
    draft.replace(target)
    aside = target.with_name(target.name + ".rejected.jsonl")
    aside.unlink(missing_ok=True)
    if rejections:
        aside.write_bytes(b"".join(row.to_json() for row in rejections))
    return len(rejections)


def _only(config: Config, name: str) -> Config:
    """The config of one stage, its requirements taken for granted: the rows are checked for them."""
    return replace(config, stages=(name,))


def _read_raw(source: str) -> Iterator[Read]:
    for piece in list_input([source], tuple(READERS)).files:
        yield from read_piece(piece)


def _read_docs(source: str, name: str) -> Iterator[Read]:
    """Yield documents that hold what the stage requires."""
    path = Path(source)
    if not path.is_file():
        raise ConfigError(f"IN {source}: no such file")
    with path.open("rb") as file:
        for row, line in enumerate(file, 1):
            try:
                doc = doc_from_json(line)
            except InputRejectedError as error:
                yield Rejection(path.name, None, row, None, error.code, error.reason)
                continue
            missing = [layer for layer in STAGES[name].requires if getattr(doc, layer) is None]
            if missing:
                raise ConfigError(f"IN {source}, line {row}: stage {name!r} requires {missing[0]!r}, which is null")
            yield doc
