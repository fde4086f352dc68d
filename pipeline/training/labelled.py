"""Read labelled pages: JSON lines, one page a line, validated row by row.

A page is ``{"id", "publisher", "genre", "split", "lines": [{"text", "label", "sub"?, "kind"?, "sents"?}]}``; what the
labels mean stands in ``corpus/labelled/GUIDELINE.md``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from pipeline.doc import KINDS, LABELS, ROLES, Doc
from pipeline.errors import ConfigError
from pipeline.stage import Stage

LINE_LABELS = ("title", "body", "boilerplate")
SENT_LABELS = ("claim", "opinion", "unsure", "boilerplate")
SUBS = ("heading", "caption", "code")


MAX_SHOWN = 20
"""Faults that one message tells in full."""


class LabelledDataError(ConfigError):
    """Labelled data break the schema; nothing is fitted on them.

    Parameters
    ----------
    *faults : str
        What is wrong, where, and what to do: one sentence each. The first `MAX_SHOWN` and the number of the others
        make the message.
    """

    def __init__(self, *faults: str) -> None:
        shown = list(faults[:MAX_SHOWN])
        if len(faults) > MAX_SHOWN:
            shown.append(f"and {len(faults) - MAX_SHOWN} more")
        super().__init__("\n".join(shown))
        self.faults = faults


@dataclass
class Faults:
    """Gathers what is wrong with labelled data, so that all of it is told at once."""

    found: list[str] = field(default_factory=list)

    @contextmanager
    def collect(self) -> Iterator[None]:
        """Keep the faults of a LabelledDataError and go on behind the block."""
        try:
            yield
        except LabelledDataError as error:
            self.found.extend(error.faults)

    def raise_any(self) -> None:
        """Raise one LabelledDataError that tells of all faults, if there are any."""
        if self.found:
            raise LabelledDataError(*self.found)


@dataclass(frozen=True)
class GoldSent:
    """A labelled sentence: half-open offsets into the page's source, label, kind of a boilerplate piece."""

    start: int
    end: int
    label: str
    kind: str | None = None


@dataclass(frozen=True)
class GoldLine:
    """A labelled line: half-open offsets into the page's source, role, kind if it is boilerplate."""

    start: int
    end: int
    role: str
    kind: str | None
    sents: tuple[GoldSent, ...]


@dataclass(frozen=True)
class Page:
    """A labelled page.

    Parameters
    ----------
    id, publisher, site, genre, split : str
        `site` groups what must not be split between fitting and measuring; the publisher where the page names none.
    source : str
        The lines' texts, joined by newlines.
    lines : tuple of GoldLine
    where : tuple of str
        The place of every line in the labelled data: what a list of doubtful labels names.
    """

    id: str
    publisher: str
    site: str
    genre: str
    split: str
    source: str
    lines: tuple[GoldLine, ...]
    where: tuple[str, ...] = ()

    def doc(self) -> Doc:
        """The page as a document that no stage has seen."""
        return Doc.from_text(self.source, self.id, publisher=self.publisher)


def read_pages(paths: Iterable[Path], split: str | None = None) -> list[Page]:
    """Get the pages of files and folders of JSON lines.

    Parameters
    ----------
    paths : iterable of Path
        Files, or folders of which every ``*.jsonl`` is read, by name.
    split : str or None
        Only pages of this split; None for all.

    Raises
    ------
    LabelledDataError
        With every row that breaks the schema: file, line, what was found, what was expected.
    """
    pages: list[Page] = []
    faults = Faults()
    for path in paths:
        files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
        if not files:
            raise LabelledDataError(f"{path} holds no labelled pages (*.jsonl)")
        for file in files:
            pages.extend(page for page in _read_file(file, faults) if split is None or page.split == split)
    faults.raise_any()
    return pages


def _read_file(path: Path, faults: Faults) -> Iterator[Page]:
    """The pages of one file."""
    if not path.is_file():
        raise LabelledDataError(f"{path} does not exist; expected a file of labelled pages")
    with path.open("rb") as file:
        for number, row in enumerate(file, 1):
            if row.strip():
                with faults.collect():
                    yield parse_page(row, f"{path}:{number}")


def parse_page(row: bytes | str, where: str = "page") -> Page:
    """Get one page from its JSON.

    Parameters
    ----------
    row : bytes or str
    where : str
        What an error names: file and line.
    """
    try:
        data = orjson.loads(row)
    except orjson.JSONDecodeError as error:
        raise LabelledDataError(f"{where}: no JSON ({error})") from error
    return page_of(data, where)


def page_of(data: Any, where: str = "page", places: Sequence[str] | None = None) -> Page:
    """Get one page from its parsed JSON.

    Parameters
    ----------
    data : object
    where : str
        What an error names: file and line.
    places : sequence of str or None
        The place of every line, if it is not its number in the page.
    """
    if not isinstance(data, dict) or not isinstance(data.get("lines"), list) or not data["lines"]:
        raise LabelledDataError(f"{where}: expected an object with a list 'lines' that is not empty")
    for name in ("id", "publisher"):
        if not isinstance(data.get(name), str):
            raise LabelledDataError(f"{where}: {name!r} is {data.get(name)!r}, expected a string")
    places = places or [f"{where}, line {number} of the page" for number in range(1, len(data["lines"]) + 1)]
    lines, texts, at = [], [], 0
    faults = Faults()
    for line, place in zip(data["lines"], places, strict=True):
        with faults.collect():
            gold, text = _line_of(line, at, place)
            lines.append(gold)
            texts.append(text)
            at += len(text) + 1
    faults.raise_any()
    return Page(
        id=data["id"],
        publisher=data["publisher"],
        site=str(data.get("site") or data["publisher"]),
        genre=str(data.get("genre") or ""),
        split=str(data.get("split") or "train"),
        source="\n".join(texts),
        lines=tuple(lines),
        where=tuple(places),
    )


def _one_of(data: Any, name: str, allowed: Sequence[str], where: str) -> str:
    """The value of a field that has to be one of `allowed`."""
    value = data.get(name)
    if value not in allowed:
        raise LabelledDataError(f"{where}: {name!r} is {value!r}, expected one of {', '.join(allowed)}")
    return str(value)


def _line_of(line: Any, at: int, where: str) -> tuple[GoldLine, str]:
    """A line that begins at offset `at`, and its text."""
    if not isinstance(line, dict) or not isinstance(line.get("text"), str) or not line["text"].strip():
        raise LabelledDataError(f"{where}: expected an object with a 'text' that is not empty")
    text: str = line["text"].replace("\n", " ").replace("\r", " ")
    label = _one_of(line, "label", LINE_LABELS, where)
    kind = _one_of(line, "kind", KINDS, where) if label == "boilerplate" else None
    role = _one_of(line, "sub", SUBS, where) if label == "body" and line.get("sub") is not None else label
    sents = tuple(_sents_of(line.get("sents") or [], text, at, where))
    return GoldLine(at, at + len(text), role, kind, sents), text


def _sents_of(sents: Any, text: str, at: int, where: str) -> Iterator[GoldSent]:
    """The labelled sentences of a line, found in its text from left to right."""
    end = 0
    for number, sent in enumerate(sents, 1):
        place = f"{where}, sentence {number}"
        if not isinstance(sent, dict) or not isinstance(sent.get("text"), str) or not sent["text"]:
            raise LabelledDataError(f"{place}: expected an object with a 'text'")
        piece = sent["text"].replace("\n", " ").replace("\r", " ")
        start = text.find(piece, end)
        if start < 0:
            raise LabelledDataError(f"{place}: {piece[:20]!r} does not continue the line's text")
        end = start + len(piece)
        label = _one_of(sent, "label", SENT_LABELS, place)
        kind = _one_of(sent, "kind", KINDS, place) if sent.get("kind") is not None else None
        yield GoldSent(at + start, at + end, label, kind)


@dataclass(frozen=True, eq=False)
class Aligned:
    """Gold labels carried to the sentences of a cleaned document.

    Parameters
    ----------
    role, kind, label : ndarray of int16, shape (n_sents,)
        Codes into ROLES, KINDS, LABELS of every sentence, -1 for none. The role is the line's, or boilerplate for a
        glued piece; a label is given only where one was decided.
    line : ndarray of int32, shape (n_sents,)
        The gold line that holds the sentence; -1 for none.
    """

    role: np.ndarray[Any, np.dtype[np.int16]]
    kind: np.ndarray[Any, np.dtype[np.int16]]
    label: np.ndarray[Any, np.dtype[np.int16]]
    line: np.ndarray[Any, np.dtype[np.int32]]


def align(page: Page, doc: Doc) -> Aligned:
    """Carry a page's labels to the sentences of its cleaned document, by their offsets in the source."""
    sents = doc.to_source(doc.sents if doc.sents is not None else np.zeros((0, 2), np.int32))
    middle = (sents[:, 0] + np.maximum(sents[:, 1] - 1, sents[:, 0])) // 2
    line = np.searchsorted([line.start for line in page.lines], middle, side="right") - 1
    roles = np.array([ROLES.index(gold.role) for gold in page.lines], dtype=np.int16)
    kinds = np.array([KINDS.index(gold.kind) if gold.kind else -1 for gold in page.lines], dtype=np.int16)
    role, kind = roles[line], kinds[line]
    label = np.where(role == ROLES.index("boilerplate"), LABELS.index("boilerplate"), -1).astype(np.int16)
    golds = [sent for gold in page.lines for sent in gold.sents]
    if golds:
        at = np.searchsorted([sent.start for sent in golds], middle, side="right") - 1
        for s, g in enumerate(at.tolist()):
            gold = golds[g]
            if g < 0 or middle[s] >= gold.end or gold.label == "unsure":
                continue
            label[s] = LABELS.index(gold.label)
            if gold.label == "boilerplate":
                role[s] = ROLES.index("boilerplate")
                kind[s] = KINDS.index(gold.kind or "credit")
    return Aligned(role.astype(np.int16), kind.astype(np.int16), label, line.astype(np.int32))


def clean_pages(pages: Sequence[Page], clean: Stage) -> Sequence[Doc]:
    """The pages as cleaned documents, in order."""
    return clean([page.doc() for page in pages])
