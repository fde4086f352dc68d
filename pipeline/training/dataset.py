"""Labelled data of any form, judged row by row: our labels become pages, a user's own become examples."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from pipeline.doc import KINDS
from pipeline.training.imports import Imported, LabelSpan, Row, import_file, labelled_files
from pipeline.training.labelled import LINE_LABELS, SENT_LABELS, SUBS, Faults, Page, page_of

OWN, OURS = "own", "ours"
CORE_LABELS = tuple(dict.fromkeys((*SENT_LABELS, *LINE_LABELS, *SUBS)))
OUR_LABELS = (*CORE_LABELS, *KINDS)
UNKNOWN_KIND = "other"


@dataclass(frozen=True)
class Example:
    """A text with a label of the user's own.

    Parameters
    ----------
    text, label : str
    publisher : str
        Empty where the data name none.
    doc : str
        The document; the row itself where the data name none.
    split, where : str
    """

    text: str
    label: str
    publisher: str
    doc: str
    split: str
    where: str


@dataclass(frozen=True)
class Labelled:
    """Labelled data that passed every check.

    Parameters
    ----------
    pages : list of Page
        Lines in their place, with our labels.
    sentences : list of Page
        Claims and opinions of which nobody said what else stood on the page.
    examples : list of Example
        Texts with labels of the user's own; then there are no pages.
    notes : list of str
        What was left out or read in a way that has to be told.
    files : list of Path
    """

    pages: list[Page]
    sentences: list[Page]
    examples: list[Example]
    notes: list[str]
    files: list[Path]


def read_labelled(paths: Sequence[Path], labels: str = "") -> Labelled:
    """Get the labelled data of files and folders.

    Parameters
    ----------
    paths : sequence of Path
    labels : str
        ``ours``, ``own``, or the user's own names with commas between; empty to tell by the names in the data.

    Raises
    ------
    LabelledDataError
        With everything that is wrong, each with its file and line.
    """
    faults, found, files = Faults(), Imported(), []
    for path in paths:
        with faults.collect():
            for file in labelled_files(path):
                files.append(file)
                import_file(file, found, faults)
    is_own = labels != OURS if labels else not _bears_ours(found)
    known = tuple(name.strip() for name in labels.split(",")) if labels not in ("", OURS, OWN) else ()
    faults.found += _judge(found, is_own, known)
    faults.raise_any()
    notes = Counter({"texts left out, for they bear no label": found.n_unlabelled})
    examples = _examples_of(found.rows, notes) if is_own else []
    pages, sentences = _split_pages([] if is_own else found.rows, notes)
    told = [f"{note}: {count}" for note, count in notes.items() if count]
    return Labelled([*found.pages, *pages], sentences, examples, told, files)


def _names_of(row: Row) -> list[str]:
    """Every label that a row bears."""
    return [row.label] if row.label else [span.label for span in row.spans]


def _bears_ours(found: Imported) -> bool:
    """Whether the labels are ours: one of them is, or all are kinds of boilerplate (which alone may be anybody's)."""
    names = {name for row in found.rows for name in _names_of(row)}
    return bool(found.pages) or not names.isdisjoint(CORE_LABELS) or names <= set(KINDS)


def _judge(found: Imported, is_own: bool, known: Sequence[str]) -> Iterator[str]:
    """Everything that is wrong with the rows' labels, documents and splits."""
    if is_own and found.pages:
        yield f"{found.pages[0].where[0]}: a page with our labels among names of your own; train them apart"
    for row in found.rows:
        yield from _label_faults(row, is_own, known)
        yield from _overlaps(row)
    yield from _contradictions(found.rows, is_own)
    yield from _split_faults(found.rows)
    yield from _document_faults(found.rows)


def _label_faults(row: Row, is_own: bool, known: Sequence[str]) -> Iterator[str]:
    allowed = known if is_own else OUR_LABELS
    for name in _names_of(row):
        if allowed and name not in allowed:
            near = difflib.get_close_matches(name, allowed, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(allowed)}"
            way = "" if is_own else "; for names of your own, --labels own"
            yield f"{row.where}: unknown label {name!r}; {hint}{way}"
    if not is_own and row.kind and row.kind not in KINDS:
        yield f"{row.where}: unknown kind {row.kind!r}; known: {', '.join(KINDS)}"


def _overlaps(row: Row) -> Iterator[str]:
    for one, other in pairwise(row.spans):
        if other.start < one.end:
            yield (
                f"{row.where}: spans {one.start} to {one.end} ({one.label}) and {other.start} to {other.end} "
                f"({other.label}) overlap; cut or delete one"
            )


def _contradictions(rows: Sequence[Row], is_own: bool) -> Iterator[str]:
    """Texts that bear different labels.

    Of our labels, claim and opinion alone must agree across documents: the same line may be a title on one page and
    a link on another.
    """
    first: dict[str, tuple[str, Row]] = {}
    for row in rows:
        for text, name in _labelled_texts(row):
            if name == "unsure" or not (is_own or name in ("claim", "opinion") or _is_loose(row)):
                continue
            label, known = first.setdefault(text, (name, row))
            if label != name:
                yield (
                    f"{row.where}: {text[:20]!r} is {name!r} here, but {label!r} at {known.where}; "
                    "keep one label, or delete both"
                )


def _labelled_texts(row: Row) -> Iterator[tuple[str, str]]:
    """Each labelled text of a row with its label."""
    if row.label:
        yield row.text.strip(), row.label
    for span in row.spans:
        yield row.text[span.start : span.end].strip(), span.label


def _split_faults(rows: Sequence[Row]) -> Iterator[str]:
    """Rows without a split in a file where others have one."""
    named = {row.file for row in rows if row.split}
    for row in rows:
        if not row.split and row.file in named:
            yield f"{row.where}: the split is missing, though other rows name one; expected train, or a held-out split"


def _document_faults(rows: Sequence[Row]) -> Iterator[str]:
    """Documents whose rows name different splits or publishers."""
    first: dict[tuple[Path, str], Row] = {}
    for row in rows:
        known = first.setdefault((row.file, row.doc), row) if row.doc else row
        for name in ("split", "publisher"):
            one, other = getattr(known, name), getattr(row, name)
            if one != other:
                yield f"{row.where}: {name} {other!r}, but document {row.doc!r} has {one!r} at {known.where}"


def _is_loose(row: Row) -> bool:
    """Whether nothing is known of what stands around a row's text."""
    return not row.doc and not row.spans


def _examples_of(rows: Sequence[Row], notes: Counter[str]) -> list[Example]:
    """The labelled texts, each once."""
    examples: dict[str, Example] = {}
    for row in rows:
        doc = f"{row.file.name}:{row.doc}" if row.doc else Path(row.where).name
        for text, label in _labelled_texts(row):
            notes["repeated texts left out"] += int(text in examples)
            examples.setdefault(text, Example(text, label, row.publisher, doc, row.split or "train", row.where))
    return list(examples.values())


def _split_pages(rows: Sequence[Row], notes: Counter[str]) -> tuple[list[Page], list[Page]]:
    """Pages of rows with our labels: those with a layout to learn, and those of sentences alone."""
    groups: dict[tuple[Path, str], list[Row]] = {}
    for row in rows:
        is_line = _is_loose(row) and row.label not in SENT_LABELS[:3]
        if is_line:
            notes["lines left out, for nothing says what stands around them (column doc)"] += 1
        else:
            groups.setdefault((row.file, row.doc or row.where), []).append(row)
    faults = Faults()
    pages: list[Page] = []
    sentences: list[Page] = []
    for group in groups.values():
        with faults.collect():
            page = _page_of(group, notes)
            has_layout = any(line.role != "body" for line in page.lines)
            (pages if has_layout else sentences).append(page)
    faults.raise_any()
    n_sents = sum(len(line.sents) for page in sentences for line in page.lines)
    notes["sentences learnt as claim or opinion alone, for their page has neither title nor boilerplate"] += n_sents
    return pages, sentences


def _page_of(rows: Sequence[Row], notes: Counter[str]) -> Page:
    """One document's rows as a page."""
    lines, places = [], []
    for row in rows:
        for line in _span_lines(row) if row.spans else [_line_of(row.text.strip(), row.label or "", row.kind)]:
            lines.append(line)
            places.append(row.where)
    notes["lines of boilerplate taken for the kind 'other', for none is named"] += sum(
        line.get("kind") == "" for line in lines
    )
    for line in lines:
        if line.get("kind") == "":
            line["kind"] = UNKNOWN_KIND
    name = rows[0].doc or Path(rows[0].where).name
    data = {"id": name, "publisher": rows[0].publisher, "site": rows[0].publisher or f"{rows[0].file.name}:{name}"}
    return page_of({**data, "split": rows[0].split, "lines": lines}, rows[0].where, places)


def _line_of(text: str, label: str, kind: str = "") -> dict[str, Any]:
    """A line in the schema of labelled pages; `kind` stays empty where it is not known."""
    if label in SENT_LABELS[:3]:
        return {"text": text, "label": "body", "sents": [{"text": text, "label": label}]}
    if label in SUBS:
        return {"text": text, "label": "body", "sub": label}
    if label in ("title", "body"):
        return {"text": text, "label": label}
    return {"text": text, "label": "boilerplate", "kind": label if label in KINDS else kind}


def _span_lines(row: Row) -> Iterator[dict[str, Any]]:
    """The lines of a text with spans: a line is what most of it is marked as; what is not marked is body."""
    start = 0
    for raw in row.text.splitlines(keepends=True):
        end = start + len(raw)
        pieces = [
            LabelSpan(max(span.start, start), min(span.end, end), span.label)
            for span in row.spans
            if span.start < end and span.end > start
        ]
        if raw.strip():
            yield _span_line(row, raw.strip(), pieces)
        start = end


def _span_line(row: Row, text: str, pieces: Sequence[LabelSpan]) -> dict[str, Any]:
    widest = max(
        (piece for piece in pieces if piece.label not in SENT_LABELS[:3]),
        key=lambda piece: piece.end - piece.start,
        default=None,
    )
    if widest and 2 * (widest.end - widest.start) > len(text):
        return _line_of(text, widest.label, row.kind)
    sents = []
    for piece in pieces:
        sent = {"text": row.text[piece.start : piece.end].strip(), "label": piece.label}
        if piece.label == "boilerplate" or piece.label in KINDS:
            kind = piece.label if piece.label in KINDS else row.kind or UNKNOWN_KIND
            sent = {**sent, "label": "boilerplate", "kind": kind}
        if sent["text"] and sent["label"] in SENT_LABELS:
            sents.append(sent)
    return {"text": text, "label": "body", "sents": sents}
