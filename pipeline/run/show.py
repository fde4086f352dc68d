"""One document in the terminal: every sentence with its label, every boilerplate line with its reason."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.text import Text

from pipeline.classify import load_classifier
from pipeline.classify.reasons import Reason, attribution, describe, explain
from pipeline.config import Config
from pipeline.doc import Doc
from pipeline.errors import ConfigError, PipelineError
from pipeline.pipe import Pipeline
from pipeline.readers import READERS, Rejection, read_piece
from pipeline.readers.sources import list_input
from pipeline.writers.columns import source_spans

_STYLES = {"claim": "blue", "opinion": "dark_orange3", "boilerplate": "dim", None: "bold"}


def read_one(path: Path) -> Doc:
    """Get a file's first document.

    Raises
    ------
    ConfigError
        If there is no such file, or it is of a format that can't be read.
    PipelineError
        If nothing in it can be read.
    """
    if not path.is_file():
        raise ConfigError(f"FILE {path}: no such file")
    for item in read_piece(list_input([str(path)], tuple(READERS)).files[0]):
        if isinstance(item, Rejection):
            raise PipelineError(f"{path} can't be read: {item.reason}")
        return item
    raise PipelineError(f"{path} holds no document")


def show_file(path: Path, config: Config, *, as_json: bool) -> None:
    """Print a file's first document, labelled.

    Parameters
    ----------
    path : Path
    config : Config
        Must have the stage classify.
    as_json : bool
        One object for machines instead of colours.
    """
    if "classify" not in config.stages:
        raise ConfigError("show needs a config with the stage 'classify'")
    (doc,) = Pipeline(config).annotate([read_one(path)])
    reasons = {reason.line.start: reason for reason in explain(load_classifier(config.classify.model), doc)}
    rows = list(_rows(doc, reasons))
    if as_json:
        Console().print_json(orjson.dumps({"doc_id": doc.id, "sentences": rows}, default=str).decode())
        return
    console = Console(highlight=False)
    for row in rows:
        _print_row(console, row)


def _rows(doc: Doc, reasons: dict[int, Reason]) -> list[dict[str, Any]]:
    if doc.sents is None or doc.role is None or doc.label is None or doc.kind is None or doc.probs is None:
        raise PipelineError("the document was not classified")
    rows = []
    spans = source_spans([doc]).tolist()
    layers = zip(doc.sents.tolist(), spans, doc.role, doc.label, doc.kind, doc.probs.tolist(), strict=True)
    for (start, end), source, role, label, kind, probs in layers:
        text = doc.text[start:end]
        source_of = attribution(text) if label == "claim" else None
        rows.append(
            {
                "start": source[0],
                "end": source[1],
                "text": text,
                "role": role,
                "label": label,
                "kind": kind,
                "probs": None if label is None else [round(value, 4) for value in probs],
                "attributed_to": None if source_of is None else text[source_of.start : source_of.end],
                "reason": asdict(reasons[start]) | {"text": describe(reasons[start])} if start in reasons else None,
            }
        )
    return rows


def _print_row(console: Console, row: dict[str, Any]) -> None:
    name = row["kind"] or row["label"] or row["role"]
    line = Text(f"{name:>13}  ", style="cyan" if row["kind"] else "dim")
    line.append(row["text"], style=_STYLES[row["label"]])
    if row["attributed_to"]:
        line.append(f"  ← {row['attributed_to']}", style="green")
    console.print(line, soft_wrap=True)
    if row["reason"]:
        console.print(Text(f"{'':>15}because: {row['reason']['text']}", style="italic dim"), soft_wrap=True)
