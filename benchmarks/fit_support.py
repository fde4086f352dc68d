"""Fit what support adds to a line's log-odds of boilerplate; prints the constants of `pipeline/kernels/support.py`.

    python benchmarks/fit_support.py [--data FILE]...

Frames and articles are those of the labelled train pages and of the train pages of `--data`, by the rules of
`publishers.py`, sizes mixed in one corpus. The log-odds come from two classifiers, each of which saw only the other
half of the sites. Three logistic regressions on top of them, their weights bounded so that support speaks for
boilerplate only: lines with a template of their publisher, with one of the corpus alone, and without any. Every size of
publisher counts the same. What is added is capped as `support_log_odds` caps it.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from publishers import prepare, simulate
from scipy.optimize import minimize

from pipeline.classify import Classifier
from pipeline.classify.table import make_table
from pipeline.clean import CleanConfig, make_clean
from pipeline.doc import ROLES
from pipeline.kernels.support import (
    MAX_LOG_PAGES,
    MAX_LONE,
    MIDDLE,
    MIN_EXTRA,
    SUPPORT_COLUMNS,
    most_extra,
)
from pipeline.passes.templates import add_support
from pipeline.training.classifier import fit_classifier
from pipeline.training.labelled import Page, align, read_pages

ROOT = Path(__file__).parent.parent
LABELLED = ROOT / "corpus" / "labelled" / "documents.jsonl"
BOILERPLATE = ROLES.index("boilerplate")
SIZES = (1, 2, 3, 4, 6, 12, 30)
BODY_WEIGHT, LONE_BODY_WEIGHT, LONE_TITLE_WEIGHT = 2.0, 0.35, 2.0
"""What a line that is no boilerplate counts, beside one that is: more where a template could cost it; less without,
where the text has mostly spoken already and a footer that varies must not be given up."""
FREE, UP, DOWN = (None, None), (0, None), (None, 0)

Array = NDArray[np.float64]
Weights = Mapping[str, tuple[float, tuple[float | None, float | None]]]
"""By name: where the search begins (what is capped there has no slope), and the bounds."""

OWN: Weights = {
    "base": (-4, FREE),
    "share": (4, UP),
    "log_documents": (3, UP),
    "log_pages": (-2, FREE),
    "near": (-1, DOWN),
    "enclosed": (1, UP),
}
EVERYWHERE: Weights = {"base": (-1, FREE), "log_documents": (0.5, UP)}
LONE: Weights = {"base": (-1, FREE), "company": (0.5, UP), "log_pages": (-0.3, DOWN)}


@dataclass(frozen=True, eq=False)
class Observed:
    """Lines of simulated publishers, all of shape (n_lines,) or (n_lines, n_columns).

    Parameters
    ----------
    support : ndarray of float32
    odds : ndarray of float64
        Log-odds of boilerplate by a model that has not seen the page.
    role, size : ndarray of int64
        What the line is, and how many pages its publisher has.
    """

    support: NDArray[np.float32]
    odds: Array
    role: NDArray[np.int64]
    size: NDArray[np.int64]

    def columns(self) -> dict[str, Array]:
        """What the weights stand for, by name."""
        known = dict(zip(SUPPORT_COLUMNS, self.support.T.astype(np.float64), strict=True))
        known["base"] = np.ones(len(self.odds))
        known["log_pages"] = np.minimum(known["log_pages"], MAX_LOG_PAGES)
        return known


def observe(sources: Sequence[Sequence[Page]], classifier: Classifier, seed: int) -> Observed:
    """What is known of the lines of simulated publishers, each frame used with each size."""
    parts = []
    for turn in range(len(SIZES)):
        pages = list(simulate(sources, SIZES, turn, np.random.default_rng([seed, turn])))
        table, docs = prepare(pages)
        for page, doc, supported in zip(pages, docs, add_support(table, docs), strict=True):
            lines = make_table([doc])
            role = align(page, doc).role[lines.first_sents[:-1]]
            odds = classifier.lines.decide(lines).log_odds.astype(np.float64)
            size = np.full(len(role), int(page.genre))
            parts.append(Observed(supported.meta["templates"], odds, role.astype(np.int64), size))
    return join(parts)


def join(parts: Sequence[Observed]) -> Observed:
    """All lines together."""
    names = ("support", "odds", "role", "size")
    return Observed(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


@dataclass(frozen=True, eq=False)
class Problem:
    """Weights of `features` to be fitted, on top of the log-odds that are there.

    Parameters
    ----------
    features : ndarray of float64, shape (n_lines, n_features)
    odds, truth, weight : ndarray of float64, shape (n_lines,)
        The log-odds, whether a line is boilerplate, and what it counts.
    fixed : ndarray of float64, shape (n_lines,)
        What is added beside the features.
    low, high : ndarray of float64, shape (n_lines,)
        Between which all that is added lies.
    """

    features: Array
    odds: Array
    truth: Array
    weight: Array
    fixed: Array
    low: Array
    high: Array

    def loss(self, p: Array) -> tuple[float, Array]:
        """The weighted log loss, and its gradient."""
        raw = self.fixed + self.features @ p
        z = self.odds + np.clip(raw, self.low, self.high)
        slope = self.weight * (1 / (1 + np.exp(-z)) - self.truth) * ((raw > self.low) & (raw < self.high))
        total = (self.weight * (np.logaddexp(0, z) - self.truth * z)).sum() + p @ p
        return total, self.features.T @ slope + 2 * p

    def solve(self, weights: Weights) -> Array:
        """The best weights."""
        start, bounds = zip(*weights.values(), strict=True)
        return minimize(self.loss, np.array(start), jac=True, bounds=bounds, method="L-BFGS-B").x


def fit(seen: Observed, part: NDArray[np.bool_], weights: Weights, weight: Array, name: str) -> None:
    """Fit and print the weights of one kind of lines."""
    columns = seen.columns()
    most = most_extra(seen.support).astype(np.float64)
    is_lone, is_own = weights is LONE, weights is OWN
    low = np.full(len(most), MIN_EXTRA if is_lone else 0.0)
    high = most * 0 if is_lone else most if is_own else np.minimum(most, MAX_LONE)
    problem = Problem(
        features=np.column_stack([columns[key] for key in weights])[part],
        odds=seen.odds[part],
        truth=(seen.role[part] == BOILERPLATE).astype(np.float64),
        weight=weight[part],
        fixed=(columns["middle"] * (0 if is_lone else MIDDLE))[part],
        low=low[part],
        high=high[part],
    )
    found = problem.solve(weights)
    print(name, {key: round(float(value), 2) for key, value in zip(weights, found, strict=True)})
    z = problem.odds + np.clip(problem.fixed + problem.features @ found, problem.low, problem.high)
    for what, odds in (("off", problem.odds), ("on", z)):
        missed, lost = (problem.truth > 0) & (odds <= 0), (problem.truth == 0) & (odds > 0)
        print(f"  {what}: of {len(z)} lines {int(missed.sum())} missed, {int(lost.sum())} lost")


def fit_all(seen: Observed) -> None:
    """Fit and print the weights of all lines."""
    count = {size: int((seen.size == size).sum()) for size in SIZES}
    even = np.array([len(seen.size) / len(SIZES) / count[size] for size in seen.size.tolist()])
    support = dict(zip(SUPPORT_COLUMNS, seen.support.T, strict=True))
    has, known = support["share"] > 0, support["log_pages"] > 0
    is_footer, is_title = seen.role == BOILERPLATE, seen.role == ROLES.index("title")
    lone = np.where(is_footer, 1.0, np.where(is_title, LONE_TITLE_WEIGHT, LONE_BODY_WEIGHT))
    fit(seen, has & known, OWN, even * np.where(is_footer, 1, BODY_WEIGHT), "own template")
    fit(seen, has & ~known, EVERYWHERE, np.ones(len(has)), "template of the corpus")
    fit(seen, ~has & known, LONE, even * lone, "no template")


def halves(pages: Sequence[Page]) -> list[tuple[list[Page], list[Page]]]:
    """Pages to fit on and pages to observe, twice; a site's pages stay together."""
    sites = sorted({page.site for page in pages})
    half = dict(zip(sites, np.random.default_rng(0).permutation(len(sites)) % 2, strict=True))
    return [tuple([page for page in pages if (half[page.site] == h) == seen] for seen in (False, True)) for h in (0, 1)]


def main() -> None:
    """Print the constants."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", default=[], metavar="FILE")
    sources = [read_pages([path], "train") for path in (LABELLED, *parser.parse_args().data)]
    parts = []
    for h, (fitted, held) in enumerate(halves([page for pages in sources for page in pages])):
        kept = {id(page) for page in held}
        classifier = fit_classifier(fitted, make_clean(CleanConfig()), 0)
        parts.append(observe([[page for page in pages if id(page) in kept] for pages in sources], classifier, h))
    fit_all(join(parts))


if __name__ == "__main__":
    main()
