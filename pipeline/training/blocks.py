"""Fit what the build of an HTML page adds to the verdict on its lines.

The text's log-odds come from line models that saw nothing of the page's site, and stay as they are; weights of the
features of `pipeline.kernels.boxes` are added by a logistic regression that knows their signs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from pipeline.classify.blocks import block_features, block_log_odds
from pipeline.classify.lines import LineModel
from pipeline.classify.table import Table, make_table
from pipeline.doc import Doc
from pipeline.kernels.boxes import FEATURES
from pipeline.readers.base import make_html_doc
from pipeline.readers.encoding import decode, page_label
from pipeline.stage import Stage
from pipeline.training.classifier import draw_pages, fit_lines, folds_of
from pipeline.training.fit import assign_folds
from pipeline.training.labelled import LINE_LABELS, Page

Weights = NDArray[np.float64]

TITLE, BODY, BOILERPLATE, UNKNOWN, UNCLEAR = *range(len(LINE_LABELS)), 3, 4
"""What a line of a page is. Labels leave out most of long navigation: lines before the first and behind the last line
of the body that have none are UNKNOWN, taken for boilerplate with little weight; those between are left out."""
UNKNOWN_WEIGHT = 0.5
STRENGTH = 3.0
"""Inverse strength of regularisation."""
MIN_PIECE = 8
"""Characters from which on a line may be matched as a piece of another one."""

BOUNDS: dict[str, tuple[float | None, float | None]] = {
    "boxed": (None, None),
    "box_share": (None, 0),
    "parent_share": (None, 0),
    "link": (0, None),
    "linked_list": (0, None),
    "preformatted": (None, 0),
    "in_title": (None, 0),
    "flat_link": (2.5, 2.5),
    "flat_link_near": (2.85, 2.85),
}
"""Of each weight. Too few pages are flat to fit theirs: they are those of a regression on links alone, on all pages."""


@dataclass(frozen=True, eq=False)
class HtmlPage:
    """A labelled page as its HTML shows it.

    Parameters
    ----------
    id, site, split : str
    doc : Doc
        Cleaned.
    table : Table
        Of this page alone.
    label : ndarray of int64, shape (n_lines,)
        TITLE, BODY, BOILERPLATE, UNKNOWN or UNCLEAR.
    """

    id: str
    site: str
    split: str
    doc: Doc
    table: Table
    label: NDArray[np.int64]


def read_html_pages(folder: Path, clean: Stage) -> list[HtmlPage]:
    """Get the pages of ``docs.jsonl`` of which ``html/<id>.html`` is there, by id."""
    rows = [orjson.loads(row) for row in (folder / "docs.jsonl").read_bytes().splitlines()]
    paths = {row["id"]: folder / "html" / f"{row['id']}.html" for row in rows}
    rows = sorted((row for row in rows if paths[row["id"]].exists()), key=lambda row: str(row["id"]))
    return [_page_of(row, paths[row["id"]].read_bytes(), clean) for row in rows]


def _page_of(row: dict[str, Any], data: bytes, clean: Stage) -> HtmlPage:
    doc = next(iter(clean([make_html_doc(row["id"], decode(data, page_label(data)).text, {}, {})])))
    table = make_table([doc])
    texts = [doc.text[start:end] for start, end in table.lines.tolist()]
    found = match_lines(texts, [line["text"] for line in row["lines"]])
    labels = np.array([LINE_LABELS.index(line["label"]) for line in row["lines"]] + [UNKNOWN])
    label = labels[found]
    body = np.flatnonzero(label == BODY)
    if len(body):
        inner = np.arange(len(label)) > body[0]
        label[inner & (np.arange(len(label)) < body[-1]) & (label == UNKNOWN)] = UNCLEAR
    return HtmlPage(row["id"], str(row["site"]), row["split"], doc, table, label)


def match_lines(texts: Sequence[str], labelled: Sequence[str]) -> NDArray[np.int64]:
    """Get for every text the labelled line that it is; -1 if there is none.

    Examples
    --------
    >>> match_lines(["首页", "甲 乙", "首页"], ["甲乙", "首页"]).tolist()
    [1, 0, 1]
    """
    own, known = (["".join(text.split()) for text in lines] for lines in (texts, labelled))
    found = np.full(len(own), -1, dtype=np.int64)
    for a, b, n in SequenceMatcher(None, own, known, autojunk=False).get_matching_blocks():
        found[a : a + n] = np.arange(b, b + n)
    first = {key: row for row, key in reversed(list(enumerate(known)))}
    for i in np.flatnonzero(found < 0).tolist():
        key = own[i]
        pieces = (j for j, line in enumerate(known) if min(len(key), len(line)) >= MIN_PIECE)
        found[i] = first.get(key, next((j for j in pieces if key in known[j] or known[j] in key), -1))
    return found


def fold_lines(pages: Sequence[Page], html: Sequence[HtmlPage], clean: Stage, seed: int, kept: Path) -> list[LineModel]:
    """Get line models, each without a fold of the sites of `html` (`fold_of_sites`).

    Parameters
    ----------
    pages : sequence of Page
        Labelled text to fit on.
    html : sequence of HtmlPage
    clean : Stage
    seed : int
    kept : Path
        Folder in which models are kept, and from which they are taken if they are there.
    """
    kept.mkdir(parents=True, exist_ok=True)
    folds = fold_of_sites(pages, html)
    models = []
    for fold in sorted(set(folds.values())):
        path = kept / f"fold{fold}.npz"
        if not path.exists():
            part = [page for page in pages if folds.get(page.site) != fold]
            with threadpool_limits(1):
                model = fit_lines(draw_pages(part, clean, folds_of(part), np.random.default_rng(seed)), seed)[0]
            np.savez_compressed(path, **model.arrays())  # type: ignore[arg-type]
        models.append(LineModel.from_arrays(np.load(path)))
    return models


def fold_of_sites(pages: Sequence[Page], html: Sequence[HtmlPage]) -> dict[str, int]:
    """Get the fold of every site of `html`; sizes are those of its labelled pages."""
    ids = {page.id for page in html}
    known = [page for page in pages if page.id in ids]
    return assign_folds([page.site for page in known], [len(page.lines) for page in known])


@dataclass(frozen=True, eq=False)
class Lines:
    """Lines of pages: features, the text's log-odds, labels, and the site and page of each."""

    features: Weights
    text_odds: Weights
    label: NDArray[np.int64]
    site: NDArray[np.str_]
    page: NDArray[np.int64]


def describe(html: Sequence[HtmlPage], models: Sequence[LineModel]) -> Lines:
    """Get the features of pages; `models` has the line model of each."""
    odds = [model.text_odds(page.table) for page, model in zip(html, models, strict=True)]
    features = [
        block_features(page.table.blocks, page.table.lines, page.table.line_bounds, own)
        for page, own in zip(html, odds, strict=True)
        if page.table.blocks is not None
    ]
    sizes = [len(page.label) for page in html]
    return Lines(
        np.concatenate(features).astype(np.float64),
        np.concatenate(odds).astype(np.float64),
        np.concatenate([page.label for page in html]),
        np.repeat([page.site for page in html], sizes),
        np.repeat(np.arange(len(html)), sizes),
    )


def fit_weights(lines: Lines, rows: NDArray[np.bool_]) -> Weights:
    """Fit one weight a feature on some of the lines: (len(FEATURES),)."""
    rows = rows & (lines.label != UNCLEAR)
    features, odds, label = lines.features[rows], lines.text_odds[rows], lines.label[rows]
    target = (label == BOILERPLATE) | (label == UNKNOWN)
    importance = np.where(label == UNKNOWN, UNKNOWN_WEIGHT, 1.0)

    def loss(weights: Weights) -> tuple[float, Weights]:
        sums = odds + features @ weights
        wrong = importance * (1 / (1 + np.exp(-sums)) - target)
        value = (importance * (np.logaddexp(0, sums) - target * sums)).sum() + (weights**2).sum() / (2 * STRENGTH)
        return float(value), features.T @ wrong + weights / STRENGTH

    bounds = [BOUNDS[name] for name in FEATURES]
    start = np.array([low if low == high and low else 0.0 for low, high in bounds])
    fitted = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return np.asarray(fitted.x, dtype=np.float64)


def add_weights(html: Sequence[HtmlPage], lines: Lines, weights: Weights) -> Weights:
    """Get the log-odds of boilerplate of lines, text and build together: (n_lines,)."""
    odds = lines.text_odds.copy()
    for i, page in enumerate(html):
        own, table = lines.page == i, page.table
        if table.blocks is not None:
            text = odds[own].astype(np.float32)
            used = weights.astype(np.float32)
            odds[own] += block_log_odds(table.blocks, table.lines, table.line_bounds, text, used)
    return odds


def cross_odds(html: Sequence[HtmlPage], lines: Lines) -> Weights:
    """Get the log-odds of boilerplate of every line by weights that saw nothing of its site: (n_lines,)."""
    odds = lines.text_odds.copy()
    for site in np.unique(lines.site):
        held = lines.site == site
        odds[held] = add_weights(html, lines, fit_weights(lines, ~held))[held]
    return odds
