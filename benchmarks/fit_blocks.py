"""Fit what the build of HTML pages adds to the verdict on their lines, and tell what it brings on sites not fitted on.

The labelled pages and their HTML are development data beside the checkout (``--real``); the train split alone is used.
Line models without a fold of sites each are fitted first (five, some three minutes each) and kept in ``--models``.
Prints the weights, to be put into `pipeline.classify.blocks`, and figures of lines by weights that saw nothing of their
site; with ``--texts``, writes the lines then taken for body, for `extract.py --held-out`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from pipeline.clean import CleanConfig, make_clean
from pipeline.kernels.boxes import FEATURES
from pipeline.training.blocks import (
    BODY,
    BOILERPLATE,
    TITLE,
    HtmlPage,
    add_weights,
    cross_odds,
    describe,
    fit_weights,
    fold_lines,
    fold_of_sites,
    read_html_pages,
)
from pipeline.training.labelled import read_pages

ROOT = Path(__file__).parent.parent


def print_figures(name: str, odds: np.ndarray, label: np.ndarray) -> None:
    """Print F1 of body and boilerplate, and how many titles are taken for boilerplate."""
    body = odds <= 0
    scores = []
    for gold, found in ((BODY, body), (BOILERPLATE, ~body)):
        hits = (found & (label == gold)).sum()
        scores.append(2 * hits / ((label == gold).sum() + (found & np.isin(label, (BODY, BOILERPLATE))).sum()))
    wrong = (body & (label == BOILERPLATE)).sum() + (~body & (label == BODY)).sum()
    titles = (~body & (label == TITLE)).sum()
    print(f"{name:34} body {scores[0]:.3f}  boilerplate {scores[1]:.3f}  wrong {wrong}  titles lost {titles}")


def write_texts(path: Path, html: list[HtmlPage], odds: np.ndarray, page: np.ndarray) -> None:
    """Write the lines taken for body, page by page."""
    with path.open("w", encoding="utf-8") as file:
        for i, one in enumerate(html):
            lines = one.table.lines[odds[page == i] <= 0].tolist()
            text = "\n".join(one.doc.text[start:end] for start, end in lines)
            file.write(json.dumps({"id": one.id, "text": text}, ensure_ascii=False) + "\n")


def main() -> None:
    """Fit and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, default=ROOT.parent / "shared" / "real", help="docs.jsonl and html/")
    parser.add_argument("--models", type=Path, default=ROOT / "build" / "folds", help="where line models are kept")
    parser.add_argument("--texts", type=Path, help="file for the lines taken for body by held-out weights")
    arguments = parser.parse_args()
    clean = make_clean(CleanConfig())
    html = [page for page in read_html_pages(arguments.real, clean) if page.split == "train"]
    pages = read_pages([arguments.real / "docs.jsonl", ROOT / "corpus" / "labelled"], "train")
    models = fold_lines(pages, html, clean, 0, arguments.models)
    folds = fold_of_sites(pages, html)
    lines = describe(html, [models[folds[page.site]] for page in html])
    sites = len(set(lines.site.tolist()))
    print(f"{len(html)} pages, {sites} sites, {len(lines.label)} lines, {(lines.label <= BOILERPLATE).sum()} labelled")
    print_figures("text alone", lines.text_odds, lines.label)
    held = cross_odds(html, lines)
    print_figures("with the build, site left out", held, lines.label)
    weights = fit_weights(lines, np.ones(len(lines.label), dtype=bool))
    print_figures("with the build, fitted on them", add_weights(html, lines, weights), lines.label)
    print({name: round(float(weight), 2) for name, weight in zip(FEATURES, weights, strict=True)})
    if arguments.texts:
        write_texts(arguments.texts, html, held, lines.page)


if __name__ == "__main__":
    main()
