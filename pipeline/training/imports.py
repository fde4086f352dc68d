"""Read what people label with: tables, doccano's and Label Studio's exports, and our own labelled pages.

A file's kind is told by its suffix and by the fields of its rows, so that kinds may be mixed in a folder. Nothing is
judged here but the form; what the labels have to be is `pipeline.training.dataset`'s business.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from pipeline.errors import InputRejectedError
from pipeline.readers.encoding import decode
from pipeline.training.labelled import Faults, LabelledDataError, Page, page_of

DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t"}
SUFFIXES = (".jsonl", ".json", *DELIMITERS)
ALIASES = {"doc_id": "doc", "labels": "label", "entities": "label"}
"""Other names of fields; `entities` is doccano's where relations are labelled, too."""

_MIN_KNOWN = frozenset({"id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "text"})
_FIELDS = ("doc", "publisher", "split", "kind")


@dataclass(frozen=True)
class LabelSpan:
    """A labelled piece of a text: half-open code points, and the label."""

    start: int
    end: int
    label: str


@dataclass(frozen=True)
class Row:
    """One text with its label, or with labelled spans.

    Parameters
    ----------
    file : Path
    where : str
        File and line, or file and task.
    text : str
    label : str or None
        None where `spans` say what is labelled.
    spans : tuple of LabelSpan
        Ascending.
    doc, publisher, split, kind : str
        Empty where the data say nothing.
    """

    file: Path
    where: str
    text: str
    label: str | None = None
    spans: tuple[LabelSpan, ...] = ()
    doc: str = ""
    publisher: str = ""
    split: str = ""
    kind: str = ""


@dataclass
class Imported:
    """What files held, in reading order.

    Parameters
    ----------
    pages : list of Page
        Labelled pages in our own form.
    rows : list of Row
    n_unlabelled : int
        Texts without a label: not annotated, skipped or cancelled.
    """

    pages: list[Page] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    n_unlabelled: int = 0

    def add(self, found: Row | Page | None) -> None:
        """Put one thing where it belongs; None is a text without a label."""
        if isinstance(found, Page):
            self.pages.append(found)
        elif found is not None:
            self.rows.append(found)
        else:
            self.n_unlabelled += 1


def labelled_files(path: Path) -> list[Path]:
    """The files of labelled data that a path means: itself, or those in the folder, by name.

    Raises
    ------
    LabelledDataError
        If there are none.
    """
    files = [path] if path.is_file() else sorted(file for file in path.glob("*") if file.suffix.lower() in SUFFIXES)
    if not files or files[0].suffix.lower() not in SUFFIXES:
        raise LabelledDataError(f"{path}: no labelled data here; expected a folder of files {', '.join(SUFFIXES)}")
    return files


def import_file(path: Path, into: Imported, faults: Faults) -> None:
    """Read one file; what is wrong with it goes to `faults`."""
    suffix = path.suffix.lower()
    n_before = len(faults.found), len(into.pages), len(into.rows), into.n_unlabelled
    with faults.collect():
        text = _decode(path)
        found: Iterator[Row | Page | None]
        if suffix in DELIMITERS:
            found = _read_table(path, text, DELIMITERS[suffix], faults)
        else:
            found = _read_lines(path, text, faults) if suffix == ".jsonl" else _read_list(path, text, faults)
        for item in found:
            into.add(item)
    if n_before == (len(faults.found), len(into.pages), len(into.rows), into.n_unlabelled):
        faults.found.append(f"{path}: the file is empty; delete it, or put labelled rows into it")


def _decode(path: Path) -> str:
    """A file's text, whatever its encoding."""
    try:
        decoded = decode(path.read_bytes())
    except InputRejectedError as error:
        raise LabelledDataError(f"{path}: {error.reason}") from error
    if decoded.n_undecodable:
        raise LabelledDataError(f"{path}: {decoded.n_undecodable} characters are no {decoded.encoding}; save it anew")
    return decoded.text


def _read_table(path: Path, text: str, delimiter: str, faults: Faults) -> Iterator[Row]:
    """The rows of a table whose first row names the columns."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        names = [name.strip().lower() for name in next(reader, [])]
        if names and not {"text", "label"} <= {ALIASES.get(name, name) for name in names}:
            raise LabelledDataError(
                f"{path}:1: the columns are {', '.join(names)}; expected text and label, "
                f"and where known doc, publisher, split, kind"
            )
        at = reader.line_num
        for cells in reader:
            where, at = f"{path}:{at + 1}", reader.line_num
            if any(cells):
                with faults.collect():
                    yield _cells_row(path, cells, names, where)
    except csv.Error as error:
        raise LabelledDataError(
            f"{path}:{reader.line_num}: no row of a table ({error}); look for a lone quote"
        ) from error


def _cells_row(path: Path, cells: Sequence[str], names: Sequence[str], where: str) -> Row:
    if len(cells) != len(names):
        raise LabelledDataError(
            f"{where}: {len(cells)} cells, but the first row names {len(names)}; quote texts that hold the delimiter"
        )
    data = _renamed(dict(zip(names, cells, strict=True)))
    label = data["label"].strip()
    if not label:
        raise LabelledDataError(f"{where}: the label is empty; label the row or delete it")
    return _row(path, data, where, label, ())


def _read_lines(path: Path, text: str, faults: Faults) -> Iterator[Row | Page | None]:
    """The rows of JSON lines: our own pages, or doccano's."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            with faults.collect():
                yield _json_row(path, _parse(line, f"{path}:{number}"), f"{path}:{number}")


def _read_list(path: Path, text: str, faults: Faults) -> Iterator[Row | Page | None]:
    """The rows of a JSON list: Label Studio's two forms, or doccano's."""
    if not text.strip():
        return
    items = _parse(text, str(path))
    if not isinstance(items, list):
        raise LabelledDataError(f"{path}: expected a JSON list of tasks, as Label Studio exports it")
    for number, item in enumerate(items, 1):
        with faults.collect():
            name = item.get("id", number) if isinstance(item, dict) else number
            yield _json_row(path, item, f"{path}, task {name}")


def _parse(text: str, where: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise LabelledDataError(f"{where}: no JSON ({error})") from error


def _json_row(path: Path, data: Any, where: str) -> Row | Page | None:
    """What one JSON object holds; None if nothing in it is labelled."""
    if not isinstance(data, dict):
        raise LabelledDataError(f"{where}: expected a JSON object, found {str(data)[:20]!r}")
    if "lines" in data:
        return page_of(data, where)
    if "annotations" in data:
        try:
            return _task_row(path, data, where)
        except (AttributeError, KeyError, TypeError) as error:
            raise LabelledDataError(f"{where}: no task of Label Studio ({error!r}); export it anew as JSON") from error
    data = _renamed(data)
    text = _text_of(data, where)
    label, spans = _labels_of(_label_field(data, where), text, where)
    return _row(path, data, where, label, spans) if label or spans else None


def _renamed(data: Mapping[str, Any]) -> dict[str, Any]:
    """Fields under the names that we know them by; a field's own name goes first."""
    return {ALIASES[name]: data[name] for name in data if name in ALIASES} | {
        name: data[name] for name in data if name not in ALIASES
    }


def _label_field(data: Mapping[str, Any], where: str) -> Any:
    """The field that holds the label: `label`, or the one that Label Studio's short form calls as its project does."""
    if "label" in data:
        return data["label"]
    others = [name for name in data if name not in _MIN_KNOWN and name not in _FIELDS]
    others = [name for name in others if isinstance(data[name], str | list | dict)]
    if len(others) != 1:
        raise LabelledDataError(f"{where}: no field 'label'; the fields are {', '.join(data)}: rename the one that is")
    return data[others[0]]


def _task_row(path: Path, task: Mapping[str, Any], where: str) -> Row | None:
    """A task of Label Studio's full form; None if all its annotations were cancelled or are empty."""
    text = _text_of(task["data"], where)
    kept = [item for item in task["annotations"] if not item.get("was_cancelled") and item.get("result")]
    verdicts = dict.fromkeys(_labels_of(_results(item["result"], where), text, where) for item in kept)
    verdicts.pop((None, ()), None)
    if len(verdicts) > 1:
        shown = " and ".join(repr(label or f"{len(spans)} spans") for label, spans in verdicts)
        raise LabelledDataError(f"{where}: its annotations disagree ({shown}); keep one")
    return next((_row(path, _renamed(task["data"]), where, label, spans) for label, spans in verdicts), None)


def _results(results: Sequence[Mapping[str, Any]], where: str) -> list[Any]:
    """What an annotation of Label Studio says, without relations, ratings and the like."""
    choices = [name for item in results if item.get("type") == "choices" for name in item["value"]["choices"]]
    spans = [item["value"] for item in results if item.get("type") == "labels"]
    if choices and spans:
        raise LabelledDataError(f"{where}: bears a choice and spans; export one of them")
    return choices or spans


def _text_of(data: Mapping[str, Any], where: str) -> str:
    text = data.get("text")
    if not isinstance(text, str) or not text.strip():
        raise LabelledDataError(f"{where}: the text is missing; expected a field 'text' that is not empty")
    return text


def _labels_of(value: Any, text: str, where: str) -> tuple[str | None, tuple[LabelSpan, ...]]:
    """A text's one label, or its spans, from any of the forms that they come in."""
    if isinstance(value, dict) and "choices" in value:
        value = value["choices"]
    items = [value] if isinstance(value, str) else value or []
    if not isinstance(items, list):
        raise LabelledDataError(f"{where}: the label is {str(value)[:20]!r}, expected a name or a list")
    if not items:
        return None, ()
    if all(isinstance(item, str) for item in items):
        names = sorted({item.strip() for item in items})
        if len(names) > 1:
            raise LabelledDataError(f"{where}: labels {' and '.join(names)} on one text; keep one")
        return names[0], ()
    faults, spans = Faults(), []
    for item in items:
        with faults.collect():
            spans.append(_span_of(item, text, where))
    faults.raise_any()
    return None, tuple(sorted(spans, key=lambda span: (span.start, span.end)))


def _span_of(item: Any, text: str, where: str) -> LabelSpan:
    """A span as doccano writes it (a list, or an object with offsets), or as Label Studio does."""
    if isinstance(item, dict):
        names = item.get("labels") or [item.get("label")]
        start, end = (item.get(name, item.get(f"{name}_offset")) for name in ("start", "end"))
    else:
        start, end, *names = item if isinstance(item, list) and len(item) > 1 else (None, None)
    if len(names) != 1 or not isinstance(names[0], str) or not isinstance(start, int) or not isinstance(end, int):
        raise LabelledDataError(f"{where}: a span is {str(item)[:60]}, expected start, end and one label")
    if isinstance(item, dict) and isinstance(quoted := item.get("text"), str) and text[start:end] != quoted:
        start, end = _from_utf16(text, start, end)
        if text[start:end] != quoted:
            raise LabelledDataError(
                f"{where}: a span says {quoted[:20]!r}, but the text there is {text[start:end][:20]!r}"
            )
    if not 0 <= start < end <= len(text):
        raise LabelledDataError(f"{where}: span {start} to {end} is out of the text's {len(text)} characters")
    return LabelSpan(start, end, names[0].strip())


def _from_utf16(text: str, start: int, end: int) -> tuple[int, int]:
    """Offsets in code points from a browser's, which count an emoji twice.

    Examples
    --------
    >>> _from_utf16("\U0001f600好的", 2, 4)
    (1, 3)
    """
    units = text.encode("utf-16-le", "surrogatepass")
    before, inside = units[: 2 * max(start, 0)], units[2 * max(start, 0) : 2 * max(end, 0)]
    first = len(before.decode("utf-16-le", "replace"))
    return first, first + len(inside.decode("utf-16-le", "replace"))


def _row(path: Path, data: Mapping[str, Any], where: str, label: str | None, spans: tuple[LabelSpan, ...]) -> Row:
    known = {name: str(data[name]).strip() for name in _FIELDS if data.get(name) not in (None, "")}
    return Row(path, where, _text_of(data, where), label, spans, **known)
