"""Measure what templates bring on invented publishers of several sizes, mixed in one corpus (see `publishers.py`).

    python benchmarks/templates.py [--data FILE SPLIT]... [--model DIR]

Every labelled page becomes a publisher of each size in turn. By size: precision, recall and F1 of body and boilerplate
lines, and the share of the body's visible characters that were lost, with templates off and on. Frames and articles
are those of the labelled test pages, unless `--data` names others; no weight was fitted on them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from publishers import prepare, simulate

from pipeline.classify import Classifier, annotate, load_classifier
from pipeline.doc import ROLES, Doc
from pipeline.passes.templates import add_support
from pipeline.training.labelled import Page, read_pages
from pipeline.training.score import compare

ROOT = Path(__file__).parent.parent
SIZES = (1, 2, 3, 4, 12, 30)
BATCH = 64
_BOILERPLATE, _TITLE = ROLES.index("boilerplate"), ROLES.index("title")

Counts = NDArray[np.int64]
"""Lines of the body found as such, lost; boilerplate lines missed, found; visible characters of the body, lost ones."""


def count(page: Page, doc: Doc) -> Counts:
    """What was right and wrong on one page: (6,)."""
    compared = compare(page, doc)
    used = compared.gold_role != _TITLE
    gold, found = compared.gold_role[used] == _BOILERPLATE, compared.role[used] == _BOILERPLATE
    lines = [int(((gold == a) & (found == b)).sum()) for a in (False, True) for b in (False, True)]
    lines[2:2] = []
    return np.array([*lines, compared.n_chars[used][~gold].sum(), compared.n_lost[used][~gold].sum()], dtype=np.int64)


def tally(pages: Sequence[Page], docs: Sequence[Doc], classifier: Classifier) -> dict[str, Counts]:
    """What was right and wrong, by the size of the publisher."""
    counts: dict[str, Counts] = {}
    for start in range(0, len(docs), BATCH):
        part = slice(start, start + BATCH)
        for page, doc in zip(pages[part], annotate(classifier, docs[part]), strict=True):
            counts[page.genre] = counts.get(page.genre, np.zeros(6, dtype=np.int64)) + count(page, doc)
    return counts


def figures(counts: Counts) -> Iterable[float]:
    """Precision, recall, F1 of the body and of boilerplate, and the share of the body's characters that was lost."""
    kept, lost, missed, found, n_chars, n_lost = counts.tolist()
    for right, wrong, absent in ((kept, missed, lost), (found, lost, missed)):
        yield right / max(right + wrong, 1)
        yield right / max(right + absent, 1)
        yield 2 * right / max(2 * right + wrong + absent, 1)
    yield n_lost / max(n_chars, 1)


def print_table(off: dict[str, Counts], on: dict[str, Counts]) -> None:
    """A row for each size and for all, templates off and on."""
    print("| pages | templates | body P | R | F1 | boilerplate P | R | F1 | missed | lost | body characters lost |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    rows = [(size, size) for size in sorted(off, key=int)]
    for name, size in rows:
        for mode, counts in (("off", off[size]), ("on", on[size])):
            print_row(name, mode, counts)
    for mode, by_size in (("off", off), ("on", on)):
        print_row("all", mode, np.sum(list(by_size.values()), axis=0))


def print_row(name: str, mode: str, counts: Counts) -> None:
    """One row of the table."""
    *shares, lost = figures(counts)
    values = " | ".join(f"{value:.4f}" for value in shares)
    print(f"| {name} | {mode} | {values} | {counts[2]} | {counts[1]} | {100 * lost:.3f} % ({counts[5]}) |")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    labelled = [str(ROOT / "corpus" / "labelled" / "documents.jsonl"), "test"]
    parser.add_argument("--data", nargs=2, action="append", metavar=("FILE", "SPLIT"), help="default: labelled test")
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "classifier")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    sources = [read_pages([Path(file)], split) for file, split in arguments.data or [labelled]]
    classifier = load_classifier(arguments.model)
    total: list[dict[str, Counts]] = [{}, {}]
    for turn in range(len(SIZES)):
        rng = np.random.default_rng(arguments.seed * len(SIZES) + turn)
        pages = list(simulate(sources, SIZES, turn, rng))
        table, docs = prepare(pages)
        for sums, annotated in zip(total, (docs, add_support(table, docs)), strict=True):
            for size, counts in tally(pages, annotated, classifier).items():
                sums[size] = sums.get(size, np.zeros(6, dtype=np.int64)) + counts
    print_table(*total)


if __name__ == "__main__":
    main()
