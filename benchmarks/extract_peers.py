"""Extract the main text of pages by other programs; `benchmarks/extract.py` runs this in their environment.

Reads ``{"html": …}`` lines from standard input; writes, for each program and setting, a line with the texts of all
pages in their order, the CPU seconds that took (the best of several runs) and the program's version. With `--tune` it
runs jusText with many lengths and link densities instead, once each, for `extract.py` to choose from.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version

import justext
import trafilatura
from resiliparse.extract.html2text import extract_plain_text

N_RUNS = 2


def extract_justext(html: str, **settings: float) -> str:
    """Get the good paragraphs; without stop list every paragraph has enough stop words."""
    paragraphs = justext.justext(html, frozenset(), stopwords_low=0, stopwords_high=0, **settings)
    return "\n".join(paragraph.text for paragraph in paragraphs if not paragraph.is_boilerplate)


def extract_trafilatura(html: str, **settings: bool) -> str:
    """Get the text; None means that nothing was found."""
    return trafilatura.extract(html, **settings) or ""


EXTRACTORS: dict[str, Callable[[str], str]] = {
    "trafilatura": extract_trafilatura,
    "trafilatura, favor_recall": partial(extract_trafilatura, favor_recall=True),
    "trafilatura, favor_precision": partial(extract_trafilatura, favor_precision=True),
    "jusText, no stop list": extract_justext,
    "jusText, no stop list, lengths halved": partial(extract_justext, length_low=35, length_high=100),
    "resiliparse, main_content": partial(extract_plain_text, main_content=True),
}

LOW, HIGH, DENSITY = (15, 20, 25, 35, 50, 70), (30, 40, 60, 80, 100, 140, 200), (0.1, 0.2, 0.33, 0.5)
TUNED: dict[str, Callable[[str], str]] = {
    f"jusText, length_low {low}, length_high {high}, max_link_density {density}": partial(
        extract_justext, length_low=low, length_high=high, max_link_density=density
    )
    for low, high, density in itertools.product(LOW, HIGH, DENSITY)
    if low < high
}
"""Its own lengths and density are 70, 200 and 0.2."""


def main() -> None:
    """Extract all pages by all programs."""
    pages = [json.loads(line)["html"] for line in sys.stdin]
    tunes = "--tune" in sys.argv
    for name, extract in (TUNED if tunes else EXTRACTORS).items():
        extract(pages[0])
        seconds = []
        for _ in range(1 if tunes else N_RUNS):
            start = time.process_time()
            texts = [extract(page) for page in pages]
            seconds.append(time.process_time() - start)
        known = version(name.partition(",")[0])
        print(json.dumps({"name": name, "version": known, "texts": texts, "seconds": min(seconds)}))


if __name__ == "__main__":
    main()
