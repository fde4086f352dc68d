"""Altered copies of labelled pages: reworded, footers glued on, laid out in short lines, cut short, turned upside down.

Copies keep their page's labels and its site, so that a copy is never scored by a model that saw the page.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.training.labelled import Page, page_of

_HAN = re.compile(r"[\u4e00-\u9fff]")
_SENTENCE_END = "。！？!?”"
_GLUED_KINDS = ("credit", "copyright", "disclaimer", "follow_cta", "repost_terms", "author_bio", "ad", "other")
MAX_GLUED = 60
"""Code points of the longest footer that is glued to a line."""


def rows_of(page: Page) -> list[dict[str, Any]]:
    """A page's lines in the schema that `page_of` reads."""
    rows: list[dict[str, Any]] = []
    for line in page.lines:
        row: dict[str, Any] = {"text": page.source[line.start : line.end]}
        row["label"] = line.role if line.role in ("title", "boilerplate") else "body"
        if line.role in ("heading", "caption", "code"):
            row["sub"] = line.role
        if line.kind:
            row["kind"] = line.kind
        row["sents"] = [
            {"text": page.source[sent.start : sent.end], "label": sent.label, "kind": sent.kind} for sent in line.sents
        ]
        rows.append(row)
    return rows


def rebuild(page: Page, rows: Sequence[dict[str, Any]], mark: str) -> Page:
    """The page with other lines; `mark` is appended to its id."""
    data = {"id": f"{page.id}{mark}", "publisher": page.publisher, "site": page.site, "genre": page.genre}
    return page_of({**data, "split": page.split, "lines": list(rows)}, f"{page.id}{mark}")


def alphabet_of(pages: Sequence[Page]) -> str:
    """All Han characters of the pages, as often as they occur: what a random substitute is drawn from."""
    return "".join("".join(_HAN.findall(page.source)) for page in pages)


def spin_page(page: Page, rng: np.random.Generator, alphabet: str, rate: float) -> Page:
    """Get a copy with Han characters replaced at random, in footers and text alike.

    A synonym tool that rewrites a footer leaves shape and place and destroys wording. Rewriting body lines equally
    keeps odd wording from becoming a cue of its own.

    Parameters
    ----------
    page : Page
    rng : numpy Generator
    alphabet : str
        Where substitutes come from.
    rate : float
        The share of characters replaced; every line's own rate varies around it.
    """
    rows = rows_of(page)
    for row in rows:
        line_rate = rate * rng.uniform(0.3, 1.7)
        if row["sents"]:
            pieces = [_spin(sent["text"], rng, alphabet, line_rate) for sent in row["sents"]]
            text = row["text"]
            at = 0
            for sent, piece in zip(row["sents"], pieces, strict=True):
                start = text.index(sent["text"], at)
                text = text[:start] + piece + text[start + len(piece) :]
                sent["text"], at = piece, start + len(piece)
            row["text"] = text
        else:
            row["text"] = _spin(row["text"], rng, alphabet, line_rate)
    return rebuild(page, rows, "+spun")


def _spin(text: str, rng: np.random.Generator, alphabet: str, rate: float) -> str:
    """`text` with a share of its Han characters replaced; its length stays."""
    chars = list(text)
    hits = np.flatnonzero(rng.random(len(chars)) < rate).tolist()
    for i in hits:
        if _HAN.match(chars[i]):
            chars[i] = alphabet[int(rng.integers(len(alphabet)))]
    return "".join(chars)


def glue_page(page: Page, rng: np.random.Generator, share: float = 0.5) -> Page:
    """Get a copy in which short footers next to a body line have become part of it."""
    rows: list[dict[str, Any]] = []
    for row in rows_of(page):
        before = rows[-1] if rows else None
        if before is not None and _can_glue(before, row) and rng.random() < share:
            footer = {"text": row["text"], "label": "boilerplate", "kind": row["kind"]}
            before["text"] += row["text"]
            before["sents"] = [*before["sents"], footer]
        else:
            rows.append(row)
    return rebuild(page, rows, "+glued")


def _can_glue(before: dict[str, Any], row: dict[str, Any]) -> bool:
    """Whether a footer may become the last sentence of the line before it."""
    return (
        before["label"] == "body"
        and "sub" not in before
        and before["text"][-1] in _SENTENCE_END
        and row["label"] == "boilerplate"
        and row["kind"] in _GLUED_KINDS
        and len(row["text"]) <= MAX_GLUED
        and len(before["text"]) > len(row["text"])
    )


_CLAUSE = re.compile(r"[^，。！？；、,!?;…]+[，。！？；、,!?;…]*[”’」』）)]*")
_MARKS = "，。；、,;"


def relay_page(page: Page, rng: np.random.Generator) -> Page:
    """Get a copy laid out as self-media posters are: the text broken into one clause a line, end marks dropped.

    Parameters
    ----------
    page : Page
    rng : numpy Generator
        Decides for each line: left alone, broken at sentences, or broken at clauses.
    """
    rows: list[dict[str, Any]] = []
    for row in rows_of(page):
        if row["label"] != "body" or "sub" in row or len(row["text"]) < 20 or rng.random() < 0.2:
            rows.append(row)
            continue
        pieces = [piece.strip() for piece in _CLAUSE.findall(row["text"])]
        drops = rng.random() < 0.8
        for piece in pieces:
            text = piece.rstrip(_MARKS) if drops else piece
            if text:
                rows.append({"text": text, "label": "body"})
    return rebuild(page, rows, "+relaid")


def thin_page(page: Page, rng: np.random.Generator) -> Page:
    """Get a copy of which only one to four lines of text in a row are left, with all its boilerplate: a short notice.

    Parameters
    ----------
    page : Page
    rng : numpy Generator
    """
    rows = rows_of(page)
    body = [i for i, row in enumerate(rows) if row["label"] == "body"]
    if len(body) < 6:
        return page
    n_kept = int(rng.integers(1, 5))
    first = int(rng.integers(len(body) - n_kept + 1))
    kept = set(body[first : first + n_kept])
    return rebuild(page, [row for i, row in enumerate(rows) if row["label"] != "body" or i in kept], "+thin")


def behead_page(page: Page) -> Page:
    """Get a copy that begins with its first line of running text, as clippings and rows of a table often do."""
    rows = rows_of(page)
    first = next((i for i, row in enumerate(rows) if row["label"] == "body" and "sub" not in row), 0)
    return rebuild(page, rows[first:], "+beheaded")


def turn_page(page: Page) -> Page:
    """Get a copy whose closing boilerplate stands above everything else, as mirrors and exports of accounts have it."""
    rows = rows_of(page)
    last = max((i for i, row in enumerate(rows) if row["label"] == "body"), default=len(rows) - 1)
    return rebuild(page, rows[last + 1 :] + rows[: last + 1], "+turned")
