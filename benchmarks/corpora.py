"""The corpora that `throughput.py` measures on, made of the text that the project ships.

``shipped`` is the labelled pages and the raw articles as they are. Their lines and sentences are shorter than those of
real Chinese pages (`REAL`, measured on 188 pages that are not shipped), and work is paid by the line and
by the sentence. ``dense`` is therefore the same text joined until it has the density of real pages: pages of several
articles, neighbouring lines joined, some full stops replaced by commas. It is made so, and reads so; its speed is what
counts. Both are repeated under new ids to any size, so that lines recur as they would not in a crawl.
"""

from __future__ import annotations

import html
import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from pipeline.doc import Doc
from pipeline.readers import READERS, read_piece
from pipeline.readers.sources import list_input

ROOT = Path(__file__).parent.parent
SENTENCE = re.compile(r"[^。！？!?；…\n]+[。！？!?；…]*[”’\"'）)」』》】]*")
PROSE = re.compile(r"[。，！？；]")
PAGE_SPREAD = 0.55
"""Standard deviation of the logarithm of a real page's size."""
OVERSHOOT = 1.1
"""How much larger than wanted pages of whole articles get."""


@dataclass(frozen=True)
class Density:
    """How much text, in bytes of UTF-8, the mean page, line and sentence has."""

    page: float
    line: float
    sentence: float

    def __str__(self) -> str:
        """As the results have it."""
        return f"{self.page / 1000:.1f} KB a page, {self.line:.0f} B a line, {self.sentence:.0f} B a sentence"


REAL = Density(6500, 136, 89)


def n_bytes(text: str) -> int:
    """The size of a text in UTF-8."""
    return len(text.encode())


def measure_density(texts: Sequence[str]) -> Density:
    """Get the density of texts; white lines do not count."""
    size = sum(map(n_bytes, texts))
    n_lines = sum(1 for text in texts for line in text.splitlines() if line.strip())
    n_sents = sum(len(SENTENCE.findall(text)) for text in texts)
    return Density(size / len(texts), size / n_lines, size / n_sents)


def shipped_texts() -> list[str]:
    """Get the texts of the labelled pages and, after them, of the raw articles."""
    rows = (ROOT / "corpus/labelled/documents.jsonl").read_text(encoding="utf-8").splitlines()
    pages = ["\n".join(line["text"] for line in json.loads(row)["lines"]) for row in rows]
    files = list_input([str(ROOT / "corpus/raw")], tuple(READERS)).files
    return pages + [read.source for file in files for read in read_piece(file) if isinstance(read, Doc)]


def dense_texts() -> list[str]:
    """Get the shipped text with the density of real pages; the same at every call."""
    chance = random.Random(0)
    pages = join_articles(shipped_texts(), chance)
    pages = thin_out(pages, join_lines, chance, lambda density: density.line < REAL.line)
    return thin_out(pages, join_sentences, chance, lambda density: density.sentence < REAL.sentence)


def join_articles(texts: Sequence[str], chance: random.Random) -> list[str]:
    """Join articles to pages whose sizes are spread like those of real pages."""
    articles = [re.sub(r"\n\s*\n+", "\n", text).strip() for text in texts]
    chance.shuffle(articles)
    pages, page, wanted = [], "", 0.0
    for article in articles:
        wanted = wanted or REAL.page / OVERSHOOT * chance.lognormvariate(-(PAGE_SPREAD**2) / 2, PAGE_SPREAD)
        page = f"{page}\n{article}" if page else article
        if n_bytes(page) >= wanted - n_bytes(article) / 2:
            pages.append(page)
            page, wanted = "", 0.0
    return pages


def join_lines(text: str, at: int) -> str | None:
    """Get what may stand for a line end, between two lines of prose or between two others."""
    if text[at] != "\n":
        return None
    before = text[text.rfind("\n", 0, at) + 1 : at]
    is_prose = [bool(PROSE.search(line)) for line in (before, text[at + 1 :].partition("\n")[0])]
    return None if is_prose[0] != is_prose[1] else "" if is_prose[0] else "　"


def join_sentences(text: str, at: int) -> str | None:
    """Get what may stand for a full stop that has text before and behind it on its line."""
    return "，" if text[at] == "。" and text[at + 1 : at + 2] not in ("", "\n", "”", "」", "』", "）") else None


def thin_out(
    pages: Sequence[str],
    find: Callable[[str, int], str | None],
    chance: random.Random,
    is_wanted: Callable[[Density], bool],
) -> list[str]:
    """Replace cuts that `find` finds, chosen by chance, as few as bring the density to where no more is wanted."""
    found = [(i, at, find(page, at)) for i, page in enumerate(pages) for at in range(1, len(page))]
    cuts = [(i, at, instead) for i, at, instead in found if instead is not None]
    chance.shuffle(cuts)
    low, high = 0, len(cuts)
    while low < high:
        middle = (low + high) // 2
        if is_wanted(measure_density(_replace(pages, cuts[:middle]))):
            low = middle + 1
        else:
            high = middle
    return _replace(pages, cuts[:low])


def _replace(pages: Sequence[str], cuts: Sequence[tuple[int, int, str]]) -> list[str]:
    """Replace the character at each cut: page, place, what to put there."""
    chars = [list(page) for page in pages]
    for i, at, instead in cuts:
        chars[i][at] = instead
    return ["".join(page) for page in chars]


def wrap(text: str) -> str:
    """Get a page of HTML with a heading and a paragraph a line: less markup than any real page has."""
    title, *lines = [html.escape(line, quote=False) for line in text.splitlines() if line.strip()]
    body = "\n".join(f"<p>{line}</p>" for line in lines)
    head = f'<head><meta charset="utf-8"><title>{title}</title></head>'
    return f'<!doctype html><html lang="zh">{head}<body><div><h1>{title}</h1>\n{body}\n</div></body></html>'


def write_rows(path: Path, texts: Sequence[str], column: str, n_megabytes: float) -> float:
    """Write rows of texts or of HTML made of them, repeated under new ids; get the MB of text, without any markup."""
    size = 0
    with path.open("w", encoding="utf-8") as file:
        for number in count():
            text = texts[number % len(texts)]
            row = {"id": f"d{number}", column: wrap(text) if column == "html" else text}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            size += n_bytes(text)
            if size >= n_megabytes * 1e6:
                return size / 1e6
    raise AssertionError
