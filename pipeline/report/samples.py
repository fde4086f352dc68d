"""What the report shows of a sample document: its lines, and its shape as a strip."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pipeline.doc import LABELS

UNSURE_BELOW = 0.6
"""A sentence whose best label is less probable than this gets a question mark."""

_UNLABELLED = ("title", "heading", "caption", "code")
_MAX_SHOWN = 2000  # code points; a page without punctuation is one sentence, and would be all of the report
_STRIP_WIDTH = 1000
_STRIP_HEIGHTS = {"claim": 20, "opinion": 13, "boilerplate": 6}
_PLAIN_HEIGHT = 20
_ENDASH = "\N{EN DASH}"


class Sentence(NamedTuple):
    """A sentence as the page shows it."""

    text: str
    style: str
    badge: str
    tooltip: str
    is_unsure: bool
    has_gap: bool


class Line(NamedTuple):
    """The sentences of one line; `tag` is what stands in the margin, empty where the line above has the same."""

    style: str
    tag: str
    continues: bool
    sentences: list[Sentence]


class Block(NamedTuple):
    """One sentence in the strip: place, width and height in units of a 1000 by 20 box."""

    style: str
    x: str
    width: str
    y: int
    height: int


class Sample(NamedTuple):
    """A sample document."""

    doc_id: str
    title: str | None
    publisher: str | None
    n_sents: int
    tally: str
    lines: list[Line]
    strip: list[Block]


def view_sample(sample: Mapping[str, Any]) -> Sample:
    """Get what the page shows of a sample document."""
    rows: Sequence[Mapping[str, Any]] = sample.get("sentences") or ()
    return Sample(
        doc_id=str(sample.get("doc_id") or ""),
        title=sample.get("title"),
        publisher=sample.get("publisher"),
        n_sents=len(rows),
        tally=_tally(rows),
        lines=_view_lines(rows),
        strip=_view_strip(rows),
    )


def _style(row: Mapping[str, Any]) -> str:
    """The class of a sentence: its label, else its role, else plain."""
    label, role = row.get("label"), row.get("role")
    if label in LABELS:
        return str(label)
    return str(role) if role in _UNLABELLED else "plain"


def _tally(rows: Sequence[Mapping[str, Any]]) -> str:
    """Count the labels, such as ``12 claims, 1 opinion, 3 boilerplate``."""
    counts = {label: sum(row.get("label") == label for row in rows) for label in LABELS}
    plural = {label: label if label == "boilerplate" else f"{label}s" for label in LABELS}
    return ", ".join(f"{n:,} {label if n == 1 else plural[label]}" for label, n in counts.items() if n)


def _probabilities(row: Mapping[str, Any]) -> dict[str, float]:
    """The probabilities that are there; NaN is null."""
    known = {label: row.get(f"p_{label}") for label in LABELS}
    return {label: float(p) for label, p in known.items() if p is not None and not math.isnan(p)}


def tell_sentence(row: Mapping[str, Any]) -> str:
    """Say in one line what is known of a sentence.

    Examples
    --------
    >>> tell_sentence({"label": "claim", "role": "body", "p_claim": 0.93, "start": 3, "end": 9})
    'claim (body): claim 0.930; source characters 3–9'
    >>> tell_sentence({"label": "boilerplate", "role": "boilerplate", "kind": "ad"})
    'boilerplate (ad)'
    """
    label, role, kind = row.get("label"), row.get("role"), row.get("kind")
    name, detail = (label, kind or role) if label else (role or "not labelled", None)
    head = f"{name} ({detail})" if detail else str(name)
    probabilities = ", ".join(f"{label} {p:.3f}" for label, p in _probabilities(row).items())
    told = f"{head}: {probabilities}" if probabilities else head
    if row.get("start") is None or row.get("end") is None:
        return told
    return f"{told}; source characters {row['start']}{_ENDASH}{row['end']}"


def _clip(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"


def _view_sentence(row: Mapping[str, Any], before: Mapping[str, Any] | None) -> Sentence:
    """View a sentence; `before` is the one before it in its line."""
    style = _style(row)
    badge = str(row.get("kind") or "") if style == "boilerplate" else ""
    if before is not None and before.get("kind") == row.get("kind"):
        badge = ""
    probabilities = _probabilities(row)
    has_gap = before is not None and (row.get("start") or 0) > (before.get("end") or 0)
    return Sentence(
        text=_clip(str(row.get("text") or "")),
        style=style,
        badge=badge,
        tooltip=tell_sentence(row),
        is_unsure=bool(probabilities) and max(probabilities.values()) < UNSURE_BELOW,
        has_gap=has_gap,
    )


def _view_lines(rows: Sequence[Mapping[str, Any]]) -> list[Line]:
    groups: list[list[Mapping[str, Any]]] = []
    for row in rows:
        if not groups or row.get("starts_line", True):
            groups.append([])
        groups[-1].append(row)
    lines: list[Line] = []
    shown = ""
    for group in groups:
        line = _view_line(group, shown)
        shown = line.tag or (shown if line.continues else "")
        lines.append(line)
    return lines


def _view_line(group: Sequence[Mapping[str, Any]], shown: str) -> Line:
    """View a line; `shown` is the tag of the line above."""
    styles = {_style(row) for row in group}
    style = styles.pop() if len(styles) == 1 else "mixed"
    tag = str(group[0].get("kind") or "") if style == "boilerplate" else style if style in _UNLABELLED else ""
    sentences = [_view_sentence(row, before) for row, before in zip(group, (None, *group[:-1]), strict=True)]
    if tag:  # the margin says it
        sentences[0] = sentences[0]._replace(badge="")
    continues = bool(tag) and tag == shown
    return Line(style, "" if continues else tag, continues, sentences)


def _view_strip(rows: Sequence[Mapping[str, Any]]) -> list[Block]:
    """Draw every sentence as long as its text; what stands high is the article, what lies low is not."""
    lengths = [max(len(str(row.get("text") or "")), 1) for row in rows]
    scale, at, blocks = _STRIP_WIDTH / max(sum(lengths), 1), 0, []
    for row, length in zip(rows, lengths, strict=True):
        style = _style(row)
        height = _STRIP_HEIGHTS.get(style, _PLAIN_HEIGHT)
        blocks.append(Block(style, f"{at * scale:.1f}", f"{length * scale:.1f}", _PLAIN_HEIGHT - height, height))
        at += length
    return blocks
