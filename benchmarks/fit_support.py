"""Fit what support adds to a line's log-odds of boilerplate; prints the constants of `pipeline/kernels/support.py`.

Invented publishers share the frame of one train page; their articles are those of others. Lines of the frame are left
out of some pages, and what follows a label changes; lines of articles (slogans, labels) recur on up to half of a
publisher's pages. The log-odds come from two classifiers, each of which saw only the other half of the pages.
"""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from pipeline.classify import Classifier
from pipeline.classify.table import make_table
from pipeline.clean import CleanConfig, make_clean
from pipeline.doc import Doc
from pipeline.kernels.support import LOG_ODDS_CAP
from pipeline.passes import TemplatesConfig
from pipeline.passes.count import count_templates
from pipeline.passes.scan import open_scans, scan_pieces
from pipeline.passes.templates import add_support
from pipeline.readers.sources import Piece
from pipeline.training.classifier import fit_classifier
from pipeline.training.labelled import Page, read_pages

ROOT = Path(__file__).parent.parent
N_PUBLISHERS = 60
N_PAGES = (6, 12, 25, 40)
RECUR, KEPT, CHANGED = (0, 0.1, 0.25, 0.5), (1.0, 0.8, 0.5, 0.3), (0, 0.5, 1.0)
BODY_WEIGHT = 2
_LABEL = re.compile(r"^(.{2,9}?[：:|丨])(.+)$")

Line = tuple[str, bool]
Rng = np.random.Generator


def change(line: Line, page: Page, rng: Rng, rate: float) -> Line:
    """Put something from the page behind the line's label."""
    label = _LABEL.match(line[0])
    if label is None or rng.random() >= rate:
        return line
    source = page.source.replace("\n", "")
    n = int(rng.integers(2, 16))
    at = int(rng.integers(0, max(1, len(source) - n)))
    return label[1] + source[at : at + n], line[1]


def lines_of(page: Page) -> list[Line]:
    """The lines of a page, and whether each is boilerplate."""
    return [(page.source[line.start : line.end], line.role == "boilerplate") for line in page.lines]


def publish(pages: list[Page], rng: Rng) -> list[list[Line]]:
    """The pages of one publisher."""
    frame = lines_of(pages[rng.integers(len(pages))])
    body = [i for i, line in enumerate(frame) if not line[1]]
    top, bottom = frame[: body[0]], frame[body[-1] + 1 :]
    kept, changed = rng.choice(KEPT), float(rng.choice(CHANGED))
    donor = [line for line in lines_of(pages[rng.integers(len(pages))])[1:] if not line[1] and len(line[0]) <= 60]
    recurring = [donor[i] for i in rng.permutation(len(donor))[:3]] + [x for x in donor if _LABEL.match(x[0])][:2]
    rates = rng.choice(RECUR, size=len(recurring))
    found = []
    for i in rng.permutation(len(pages))[: rng.choice(N_PAGES)]:
        page = pages[i]
        own = [line for line in lines_of(page) if not line[1]]
        for line, rate in zip(recurring, rates, strict=True):
            if rng.random() < rate:
                at = int(rng.choice([1, int(rng.integers(0, len(own) + 1)), len(own)]))
                own.insert(at, change(line, page, rng, changed))
        above = [change(line, page, rng, changed) for line in top if rng.random() < kept]
        below = [change(line, page, rng, changed) for line in bottom if rng.random() < kept]
        strays = [line for line in lines_of(page) if line[1] and rng.random() < 0.2]
        at = int(rng.integers(0, len(below) + 1))
        found.append([*above, *own, *below[:at], *strays, *below[at:]])
    return found


def observe(pages: list[Page], classifier: Classifier, rng: Rng) -> tuple[NDArray, NDArray, NDArray]:
    """Support, truth and log-odds of the lines of simulated publishers."""
    named = [(f"p{p}", lines) for p in range(N_PUBLISHERS) for lines in publish(pages, rng)]
    docs = [
        Doc.from_text("\n".join(text for text, _ in lines), str(i), publisher=name)
        for i, (name, lines) in enumerate(named)
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        rows = [{"id": doc.id, "publisher": doc.meta["publisher"], "text": doc.source} for doc in docs]
        path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
        piece = Piece(path, path.name, ".jsonl", 0, path.stat().st_size)
        scan_pieces([piece], Path(folder) / "scan", templates=True, duplicates=False)
        templates = count_templates(open_scans([Path(folder) / "scan"]), TemplatesConfig(), Path(folder))
    docs = add_support(templates, make_clean(CleanConfig())(docs))
    truth, odds = [], []
    for doc, (_, lines) in zip(docs, named, strict=True):
        table = make_table([doc])
        starts = np.cumsum([0] + [len(text) + 1 for text, _ in lines])[:-1]
        at = np.searchsorted(starts, doc.to_source(table.lines[:, 0]), side="right") - 1
        truth.append(np.array([lines[i][1] for i in at]))
        odds.append(classifier.lines.decide(table).log_odds)
    return np.concatenate([doc.meta["templates"] for doc in docs]), np.concatenate(truth), np.concatenate(odds)


def fit(features: NDArray, odds: NDArray, truth: NDArray, bounds: list[tuple[float | None, float | None]]) -> NDArray:
    """Logistic regression on top of the log-odds that are there."""
    weight = np.where(truth, 1, BODY_WEIGHT)

    def loss(p: NDArray) -> tuple[float, NDArray]:
        z = odds + features @ p
        slope = weight * (1 / (1 + np.exp(-z)) - truth)
        return (weight * (np.logaddexp(0, z) - truth * z)).sum() + p @ p, features.T @ slope + 2 * p

    return minimize(loss, np.zeros(features.shape[1]), jac=True, bounds=bounds, method="L-BFGS-B").x


def main() -> None:
    """Print the constants."""
    pages = read_pages([ROOT / "corpus" / "labelled" / "documents.jsonl"], "train")
    pages = [page for page in pages if any(line.role != "boilerplate" for line in page.lines)]
    sites = sorted({page.site for page in pages})
    half = dict(zip(sites, np.random.default_rng(0).permutation(len(sites)) % 2, strict=True))
    seen = []
    for h in (0, 1):
        model = fit_classifier([page for page in pages if half[page.site] != h], make_clean(CleanConfig()), 0)
        held = [page for page in pages if half[page.site] == h]
        seen.append(observe(held, model, np.random.default_rng(h)))
    support, truth, odds = (np.concatenate(parts) for parts in zip(*seen, strict=True))
    odds = odds.astype(np.float64)
    has, ones = support[:, 0] > 0, np.ones(len(support))
    share, documents, near, middle, enclosed, company, framed, _, _, solid = support.T
    own = np.clip(odds, -LOG_ODDS_CAP, LOG_ODDS_CAP)
    features = np.column_stack([ones, share, documents, near, middle, enclosed, company, own, solid])[has]
    free, up, down = (None, None), (0, None), (None, 0)
    weights = fit(features, odds[has], truth[has], [free, up, up, down, down, up, up, (-1, 0), up])
    names = ("base", "share", "log_documents", "near", "middle", "enclosed", "company", "own", "solid")
    print({name: round(float(value), 2) for name, value in zip(names, weights, strict=True)})
    for name, z in (("alone", odds[has]), ("with support", odds[has] + features @ weights)):
        print(name, "missed", int((truth[has] & (z <= 0)).sum()), "lost", int((~truth[has] & (z > 0)).sum()))
    lone = ~has & (framed > 0)
    print("lone", fit(np.column_stack([ones, enclosed])[lone], odds[lone], truth[lone], [free, free]).round(2))


if __name__ == "__main__":
    main()
