"""Labels that stand apart from their texts, put into the texts: labelled data of texts that the project can't ship.

A row of the labels is a file's name up to its first dot, a document's id, half-open code points of the document's text,
the label, and four hexadecimal digits that tell whether the text is the one that was labelled (`checked`).
"""

from __future__ import annotations

import argparse
import csv
import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from pipeline.training.labelled import SENT_LABELS, LabelledDataError

CONTEXT = 3
"""Lines on each side of a labelled one that are kept, where they end like a sentence: what stands around counts."""

_ENDS = "。！？!?；;：:…”’」』）)"


class Label(NamedTuple):
    """A labelled sentence of a text: half-open code points."""

    start: int
    end: int
    label: str


Labels = dict[str, list[Label]]


def checked(sentence: str) -> str:
    """Four hexadecimal digits of a sentence.

    Examples
    --------
    >>> checked("下雨了。")
    '25ae'
    """
    return f"{zlib.crc32(sentence.encode()) & 0xFFFF:04x}"


def read_standoff(path: Path) -> tuple[dict[str, Labels], dict[tuple[str, str, int], str]]:
    """Get the labels of a tab-separated file, by file and document, and the digits of each.

    Raises
    ------
    LabelledDataError
        With the first row that is no label: its line, what was found, what was expected.
    """
    labels: dict[str, Labels] = {}
    digits = {}
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.DictReader(file, delimiter="\t"), 2):
            try:
                name, doc, start, end, label, check = (
                    row[column] for column in ("file", "id", "start", "end", "label", "check")
                )
                sentence = Label(int(start), int(end), label)
            except (KeyError, ValueError, TypeError) as error:
                raise LabelledDataError(
                    f"{path}:{number}: found {row}, expected file, id, start, end, label, check"
                ) from error
            if label not in SENT_LABELS:
                raise LabelledDataError(f"{path}:{number}: label {label!r}, expected one of {', '.join(SENT_LABELS)}")
            labels.setdefault(name, {}).setdefault(doc, []).append(sentence)
            digits[name, doc, sentence.start] = check
    return labels, digits


def label_page(page: dict[str, Any], labels: Sequence[Label]) -> dict[str, Any]:
    """Get a page with the labels as sentences of those of its lines that have none yet."""
    lines, at = [], 0
    for line in page["lines"]:
        end = at + len(line["text"])
        own = [
            {"text": line["text"][label.start - at : label.end - at], "label": label.label}
            for label in labels
            if at <= label.start and label.end <= end
        ]
        lines.append({**line, "sents": own} if own and not line.get("sents") else line)
        at = end + 1
    return {**page, "lines": lines}


def cut_runs(text: str, labels: Sequence[Label]) -> Iterator[tuple[str, list[list[Any]]]]:
    """Yield the labelled stretches of a text with what stands around them, and their spans: start, end, label."""
    lines, at = [], 0
    for line in text.split("\n"):
        own = [label for label in labels if at <= label.start and label.end <= at + len(line)]
        lines.append((at, line, own))
        at += len(line) + 1
    wanted = {near for i, (_, _, own) in enumerate(lines) if own for near in range(i - CONTEXT, i + CONTEXT + 1)}
    run: list[str] = []
    spans: list[list[Any]] = []
    size = 0
    for i, (start, line, own) in enumerate([*lines, (0, "", [])]):
        if i not in wanted or i == len(lines):
            if spans:
                yield "\n".join(run), spans
            run, spans, size = [], [], 0
        elif own or line.rstrip().endswith(tuple(_ENDS)):
            spans += [[label.start - start + size, label.end - start + size, label.label] for label in own]
            run.append(line)
            size += len(line) + 1


def _check(text: str, labels: Sequence[Label], digits: dict[tuple[str, str, int], str], name: str, doc: str) -> None:
    for label in labels:
        if checked(text[label.start : label.end]) != digits[name, doc, label.start]:
            raise LabelledDataError(
                f"{name}: document {doc!r} is not the text that was labelled, at characters {label.start} to "
                f"{label.end}; take the version that corpus/standoff/CARD.md names"
            )


def join_standoff(labels: Path, texts: Sequence[Path], out: Path) -> int:
    """Write labelled data, one file in `out` for each of the texts that has labels; get how many sentences have one.

    Parameters
    ----------
    labels : Path
        Gzipped, tab-separated.
    texts : sequence of Path
        JSONL, plain or gzipped: ``{"id", "text"}``, or labelled pages, whose split stays.
    out : Path
        A folder; made if need be.

    Raises
    ------
    LabelledDataError
        If a text is not the one that was labelled, or none has labels.
    """
    known, digits = read_standoff(labels)
    n_sents = 0
    out.mkdir(parents=True, exist_ok=True)
    for path in texts:
        name = path.name.partition(".")[0]
        own = known.get(name, {})
        rows = []
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            for data in map(orjson.loads, file):
                found = own.get(data["id"], [])
                is_page = "lines" in data
                text = "\n".join(line["text"] for line in data["lines"]) if is_page else data["text"]
                _check(text, found, digits, name, data["id"])
                n_sents += len(found)
                if is_page:
                    rows.append(label_page(data, found))
                elif found:
                    rows += [
                        {"text": run, "label": spans, "doc": f"{data['id']}-{i}", "publisher": f"{name}:{data['id']}"}
                        for i, (run, spans) in enumerate(cut_runs(text, found))
                    ]
        if own:
            (out / f"{name}.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    if not n_sents:
        raise LabelledDataError(f"{labels} has no label for {', '.join(map(str, texts))}; it has: {', '.join(known)}")
    return n_sents


def main() -> None:
    """Join labels and texts."""
    parser = argparse.ArgumentParser(description="Put labels into the texts that they are of.")
    parser.add_argument("labels", type=Path, help="corpus/standoff/labels.tsv.gz")
    parser.add_argument("out", type=Path, help="folder for the labelled data")
    parser.add_argument("texts", type=Path, nargs="+", help="JSONL files, plain or gzipped")
    arguments = parser.parse_args()
    n_sents = join_standoff(arguments.labels, arguments.texts, arguments.out)
    print(f"{n_sents} labelled sentences in {arguments.out}")  # noqa: T201 - a command of its own


if __name__ == "__main__":
    main()
