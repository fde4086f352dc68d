"""Invented publishers made of labelled pages: frames that recur over articles that do not.

They stand for a corpus in which publishers are known; `fit_support.py` fits on them, `templates.py` measures on them.
Each labelled page lends its boilerplate, slot by slot, to a publisher of as many pages as are asked for; the articles
are those of other pages of the same source. What varies on real sites varies here: the names behind a credit's label,
dates and numbers, the neighbours in "previous" and "next", tags, lists of related articles, readers' comments, often
advertisements and bios; some slots stand only on some of the pages. Some publishers have lines that recur in the
articles themselves (headings, openings, closing formulas, refrains, labels), some print an article again, revised or
not.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.clean import CleanConfig, make_clean
from pipeline.doc import Doc
from pipeline.passes import TemplatesConfig
from pipeline.passes.count import count_templates
from pipeline.passes.scan import open_scans, scan_pieces
from pipeline.passes.templates import TemplateTable
from pipeline.readers.sources import Piece
from pipeline.training.augment import rows_of
from pipeline.training.labelled import Page, page_of

KEPT = (1.0, 1.0, 1.0, 1.0, 0.9, 0.6, 0.3, 0.1)
"""On which share of a publisher's pages a slot stands."""
N_BIOS = 3
MAX_FIXED = 12
"""Code points of the longest comment or list line that is taken for the site's own, not a reader's or an article's."""
RECURRING_SHARE, COPIED_SHARE, SECTIONED_SHARE = 0.4, 0.1, 0.4
"""Publishers with lines that recur in their articles, with an article printed again, and those whose rarer slots stand
together, on the pages of one section."""
REVISED = (0.0, 0.0, 0.3, 0.6)
"""How much of an article that is printed again is new."""
MAX_FORMULA = 40
RATES = {
    "opening": (0.15, 0.3, 0.5),
    "closing": (0.15, 0.3, 0.5),
    "heading": (0.15, 0.3, 0.6, 0.9),
    "refrain": (0.15, 0.3, 0.5),
}
"""Where lines recur in articles, and on which share of a publisher's pages. A formula may open or close all of them;
any other line that did so would be no part of the articles."""
FORMULA_RATE = 0.9

_LABEL = re.compile(r"^(.{2,9}?[：:|丨])(.+)$")
_LIST_HEAD = re.compile(r"[：:]$|推荐|相关|热|阅读|更多|排行|最新|往期|精彩|猜你|栏目|专题")
_FORMULA = re.compile(r"^各.{2,30}：$|特此|请.{0,8}执行|周知|敬礼|如下：$")
_DIGITS = re.compile(r"\d")

Row = dict[str, Any]
Rng = np.random.Generator


@dataclass(frozen=True)
class Slot:
    """A line of a publisher's frame.

    Parameters
    ----------
    row : dict
        As `page_of` reads it.
    place : float
        -1 above the title, 0 below it, 1 below the article, between 0 and 1 within it.
    rate : float
        The share of pages that have it.
    variants : tuple of str
        What stands in its place, page by page; empty where the line stays.
    """

    row: Row
    place: float
    rate: float
    variants: tuple[str, ...]


class Stock:
    """The articles and the lines by kind of all pages of one source.

    Parameters
    ----------
    pages : sequence of Page
    rng : numpy Generator
    """

    def __init__(self, pages: Sequence[Page], rng: Rng) -> None:
        self.rows = [rows_of(page) for page in pages]
        self.articles = [[row for row in rows if row["label"] != "boilerplate"] for rows in self.rows]
        self.articles = [rows for rows in self.articles if any(row["label"] == "body" for row in rows)]
        self.titles = [rows[0]["text"] for rows in self.articles if rows[0]["label"] == "title"]
        self.by_kind: dict[str, list[str]] = {}
        for row in (row for rows in self.rows for row in rows if row["label"] == "boilerplate"):
            self.by_kind.setdefault(row["kind"], []).append(row["text"])
        self._rng = rng
        self._queue: list[int] = []

    def article(self) -> list[Row]:
        """The next article; each comes as often as any other."""
        if not self._queue:
            self._queue = self._rng.permutation(len(self.articles)).tolist()
        return self.articles[self._queue.pop()]

    def draw(self, texts: Sequence[str], n: int) -> tuple[str, ...]:
        """Some texts, drawn at random."""
        return tuple(texts[i] for i in self._rng.integers(0, len(texts), n).tolist())

    def variants(self, row: Row, n_pages: int) -> tuple[str, ...]:
        """What stands in the place of a line of a frame, page by page; empty where it stays as it is."""
        text, kind = row["text"], row["kind"]
        pool = self.by_kind[kind]
        label = _LABEL.match(text)
        if kind == "nav_prev_next" and label:
            return tuple(label[1] + title for title in self.draw(self.titles, n_pages))
        if kind in ("credit", "tags") and label:
            others = [found[2] for found in map(_LABEL.match, pool) if found]
            return tuple(label[1] + other for other in self.draw(others, n_pages))
        is_fixed = len(text) <= MAX_FIXED or (kind == "related" and len(text) <= 20 and _LIST_HEAD.search(text))
        if kind in ("related", "comment_ui") and not is_fixed:
            return self.draw([*pool, *self.titles] if kind == "related" else pool, n_pages)
        if kind == "ad" and self._rng.random() < 0.5:
            return self.draw(pool, n_pages)
        if kind == "author_bio" and self._rng.random() < 0.5:
            return self.draw((text, *self.draw(pool, N_BIOS - 1)), n_pages)
        return ()


def find_slots(rows: Sequence[Row], stock: Stock, n_pages: int, rng: Rng) -> list[Slot]:
    """The frame of a page, its lists of articles either the same on all pages or different on each."""
    own = [row["label"] for row in rows if row["label"] != "boilerplate"]
    n_titles = next((i for i, label in enumerate(own) if label != "title"), len(own))
    has_hot_list = rng.random() < 0.2
    slots, above = [], 0
    for row in rows:
        if row["label"] != "boilerplate":
            above += 1
            continue
        place = above / max(len(own), 1)
        if above <= n_titles and above < len(own):
            place = -1.0 if above == 0 else 0.0
        keeps = row["kind"] == "related" and has_hot_list
        variants = () if keeps else stock.variants(row, n_pages)
        slots.append(Slot(row, place, float(rng.choice(KEPT)), variants))
    return slots


def frame(
    article: Sequence[Row], slots: Sequence[Slot], old_title: str, k: int, section: float | None, rng: Rng
) -> list[Row]:
    """Page `k` of a publisher: its article with its slots around it; those of a rate above `section`, if given."""
    n_titles = sum(row["label"] == "title" for row in article[:3])
    title = article[0]["text"]
    placed: list[tuple[float, Row]] = [(i + 0.5, row) for i, row in enumerate(article)]
    for slot in slots:
        if k and (rng.random() if section is None else section) >= slot.rate:
            continue
        text = slot.row["text"]
        if k:
            text = slot.variants[k] if slot.variants else text
            text = text.replace(old_title, title) if len(old_title) >= 6 else text
            if slot.row["kind"] in ("credit", "other", "comment_ui"):
                text = _DIGITS.sub(lambda _: str(rng.integers(0, 10)), text)
        within = min(max(round(slot.place * len(article)), n_titles + 1), len(article))
        at = {-1.0: 0, 0.0: n_titles, 1.0: len(article)}.get(slot.place, within)
        placed.append((float(at), {"label": "boilerplate", "kind": slot.row["kind"], "text": text}))
    return [row for _, row in sorted(placed, key=lambda pair: pair[0])]


def recur(articles: list[list[Row]], stock: Stock, rng: Rng) -> list[list[Row]]:
    """Articles with lines of one of the source's articles in them, each on some share of the pages."""
    texts = [row["text"] for row in stock.article() if row["label"] == "body"]
    texts = [text for text in texts if 4 <= len(text) <= MAX_FORMULA or _LABEL.match(text)]
    done = [list(rows) for rows in articles]
    for i in rng.permutation(len(texts))[: int(rng.integers(1, 5))].tolist():
        text, label = texts[i], _LABEL.match(texts[i])
        place = str(rng.choice(list(RATES)))
        is_formula = place in ("opening", "closing") and _FORMULA.search(text)
        rate = FORMULA_RATE if is_formula else float(rng.choice(RATES[place]))
        for rows in done:
            if rng.random() < rate:
                said = label[1] + str(rng.choice(stock.titles))[: int(rng.integers(2, 16))] if label else text
                line = {"text": said, "label": "body"}
                first = sum(row["label"] == "title" for row in rows[:3])
                middle = int(rng.integers(first, len(rows) + 1))
                for at in {"opening": [first], "closing": [len(rows)], "heading": [middle]}.get(place, [middle] * 3):
                    rows.insert(min(at, len(rows)), line)
    return done


def revise(article: Sequence[Row], other: Sequence[Row], share: float) -> list[Row]:
    """An article of which some share is replaced by the end of another one."""
    n_kept = max(round(len(article) * (1 - share)), 1)
    n_new = len(article) - n_kept
    return [*article[:n_kept], *(other[-n_new:] if n_new else [])]


def publish(rows: Sequence[Row], stock: Stock, n_pages: int, rng: Rng) -> list[list[Row]]:
    """The pages of one publisher, the labelled one first."""
    own = [row for row in rows if row["label"] != "boilerplate"]
    articles = [own, *(stock.article() for _ in range(n_pages - 1))]
    if n_pages > 1 and rng.random() < COPIED_SHARE:
        articles[-1] = revise(articles[-2], articles[-1], float(rng.choice(REVISED)))
    if n_pages > 1 and rng.random() < RECURRING_SHARE:
        articles = recur(articles, stock, rng)
    slots = find_slots(rows, stock, n_pages, rng)
    old_title = own[0]["text"] if own[0]["label"] == "title" else ""
    sections = rng.random(n_pages).tolist() if rng.random() < SECTIONED_SHARE else [None] * n_pages
    return [
        frame(article, slots, old_title, k, section, rng)
        for k, (article, section) in enumerate(zip(articles, sections, strict=True))
    ]


def simulate(sources: Sequence[Sequence[Page]], sizes: Sequence[int], turn: int, rng: Rng) -> Iterator[Page]:
    """Yield the pages of a corpus of publishers of mixed sizes, one publisher a labelled page.

    Parameters
    ----------
    sources : sequence of sequence of Page
        A publisher's articles come from the source of its frame.
    sizes : sequence of int
        Pages of a publisher: the size at the place that its number and `turn` say, so that after ``len(sizes)`` turns
        each frame was used with each of them.
    turn : int
    rng : numpy Generator

    Yields
    ------
    Page
        Of genre ``str(size)``.
    """
    for s, pages in enumerate(sources):
        stock = Stock(pages, rng)
        for number, rows in enumerate(stock.rows):
            if all(row["label"] == "boilerplate" for row in rows):
                continue
            size = sizes[(number + turn) % len(sizes)]
            for k, lines in enumerate(publish(rows, stock, size, rng)):
                name = f"p{s}-{number}"
                yield page_of({"id": f"{name}-{k}", "publisher": name, "genre": str(size), "lines": lines})


def prepare(pages: Sequence[Page]) -> tuple[TemplateTable, list[Doc]]:
    """The templates of a corpus of pages, and its cleaned documents."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        rows = [{"id": page.id, "publisher": page.publisher, "text": page.source} for page in pages]
        path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
        piece = Piece(path, path.name, ".jsonl", 0, path.stat().st_size)
        scan_pieces([piece], Path(folder) / "scan", templates=True, duplicates=False)
        table = count_templates(open_scans([Path(folder) / "scan"]), TemplatesConfig(), Path(folder))
    return table, make_clean(CleanConfig())([page.doc() for page in pages])
