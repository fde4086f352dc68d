"""Score predicted labels against labelled pages.

Lines: titles are left out; a gold line counts as boilerplate when most of its visible characters lie in predicted
boilerplate sentences, else as body. Sentences: gold ones are matched by offset, unsure ones skipped; a null or
boilerplate label on a gold claim or opinion is an error. A null label has no probability: it ranks last when the most
confident are taken, and stays out of the calibration error.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from pipeline.doc import KINDS, LABELS, ROLES, Doc
from pipeline.errors import ConfigError
from pipeline.training.dataset import OURS, read_labelled
from pipeline.training.labelled import Page
from pipeline.weights import checksum

Figures = dict[str, Any]
Annotate = Callable[[Sequence[Doc]], Sequence[Doc]]

CONFIDENT_SHARE = 0.8
N_BINS = 10
N_RESAMPLES = 1000
_BOILERPLATE, _TITLE = ROLES.index("boilerplate"), ROLES.index("title")
_CLAIM, _OPINION = LABELS.index("claim"), LABELS.index("opinion")


@dataclass(frozen=True, eq=False)
class Compared:
    """One page's gold and predicted labels.

    Parameters
    ----------
    gold_role, role, gold_kind, kind : ndarray of int64, shape (n_lines,)
        Codes; -1 for none. A predicted role is that of most of the line's visible characters.
    n_chars, n_lost : ndarray of int64, shape (n_lines,)
        Visible characters, and how many of them lie in predicted boilerplate but not in a gold glued piece.
    gold_label, label : ndarray of int64, shape (n_sents,)
        Of the gold claims and opinions.
    probs : ndarray of float64, shape (n_sents, 3)
    """

    gold_role: NDArray[np.int64]
    role: NDArray[np.int64]
    gold_kind: NDArray[np.int64]
    kind: NDArray[np.int64]
    n_chars: NDArray[np.int64]
    n_lost: NDArray[np.int64]
    gold_label: NDArray[np.int64]
    label: NDArray[np.int64]
    probs: NDArray[np.float64]


def visible_mask(text: str) -> NDArray[np.bool_]:
    """Which characters are neither white space nor control nor format characters.

    Examples
    --------
    >>> visible_mask("中 a").tolist()
    [True, False, True]
    """
    seen = {char: not char.isspace() and unicodedata.category(char) not in ("Cc", "Cf") for char in set(text)}
    return np.array([seen[char] for char in text], dtype=bool)


def _most(ids: NDArray[np.int64], codes: NDArray[np.int64]) -> int:
    """The code that most characters bear, given each one's sentence; -1 without any."""
    held = codes[ids[ids >= 0]] + 1
    return int(np.bincount(held).argmax()) - 1 if len(held) else -1


def compare(page: Page, doc: Doc) -> Compared:
    """Line up a page's gold labels with its annotated document."""
    if doc.sents is None or doc.role is None or doc.label is None or doc.kind is None or doc.probs is None:
        raise ConfigError(f"document {doc.id!r} is not classified; the config needs the stages clean and classify")
    visible = visible_mask(page.source)
    sent_of = np.full(len(page.source), -1, dtype=np.int64)
    for s, (start, end) in enumerate(doc.to_source(doc.sents).tolist()):
        sent_of[start:end] = s
    sent_of[~visible] = -1
    role, kind, label = (layer.codes.astype(np.int64) for layer in (doc.role, doc.kind, doc.label))
    footer = np.append(role == _BOILERPLATE, False)[sent_of]
    glued = np.zeros(len(page.source), dtype=bool)
    sents = [sent for line in page.lines for sent in line.sents]
    for sent in sents:
        glued[sent.start : sent.end] |= sent.label == "boilerplate"
    roles, kinds, n_chars, n_lost = [], [], [], []
    for line in page.lines:
        span = slice(line.start, line.end)
        ids, total = sent_of[span], int(visible[span].sum())
        is_footer = 2 * int(footer[span].sum()) > total
        others = ids[~footer[span]]
        roles.append(_BOILERPLATE if is_footer else _most(others, role))
        kinds.append(_most(ids[footer[span]], kind) if is_footer else -1)
        n_chars.append(total)
        n_lost.append(int((footer[span] & ~glued[span]).sum()))
    decided = [sent for sent in sents if sent.label in ("claim", "opinion")]
    index = np.arange(len(role))
    matched = np.array([_most(sent_of[sent.start : sent.end], index) for sent in decided], dtype=np.int64)
    return Compared(
        gold_role=np.array([ROLES.index(line.role) for line in page.lines]),
        role=np.array(roles),
        gold_kind=np.array([KINDS.index(line.kind) if line.kind else -1 for line in page.lines]),
        kind=np.array(kinds),
        n_chars=np.array(n_chars),
        n_lost=np.array(n_lost),
        gold_label=np.array([LABELS.index(sent.label) for sent in decided], dtype=np.int64),
        label=np.append(label, -1)[matched],
        probs=np.concatenate([doc.probs.astype(np.float64), np.full((1, 3), np.nan)])[matched].reshape(-1, 3),
    )


def rates(gold: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> Figures:
    """Precision, recall, F1 and how many there are; 0 where undefined.

    Examples
    --------
    >>> rates(np.array([True, True, False]), np.array([True, False, False]))
    {'p': 1.0, 'r': 0.5, 'f1': 0.6667, 'n': 2}
    """
    hits, n_gold, n_predicted = int((gold & predicted).sum()), int(gold.sum()), int(predicted.sum())
    return {
        "p": round(hits / n_predicted, 4) if n_predicted else 0.0,
        "r": round(hits / n_gold, 4) if n_gold else 0.0,
        "f1": round(2 * hits / (n_gold + n_predicted), 4) if n_gold + n_predicted else 0.0,
        "n": n_gold,
    }


def _f1(gold: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> float:
    total = int(gold.sum()) + int(predicted.sum())
    return 2 * int((gold & predicted).sum()) / total if total else 0.0


def macro_f1(gold: NDArray[np.int64], label: NDArray[np.int64]) -> float:
    """Mean F1 of claim and opinion."""
    return (_f1(gold == _CLAIM, label == _CLAIM) + _f1(gold == _OPINION, label == _OPINION)) / 2


def calibration_error(right: NDArray[np.bool_], confidence: NDArray[np.float64]) -> float:
    """Mean distance between confidence and share of right labels, over equal-width bins weighted by size."""
    if not len(right):
        return 0.0
    bins = np.minimum((confidence * N_BINS).astype(int), N_BINS - 1)
    gaps = [abs(float(right[bins == b].sum() - confidence[bins == b].sum())) for b in range(N_BINS)]
    return sum(gaps) / len(right)


def _joined(pages: Sequence[Compared], name: str) -> NDArray[Any]:
    return np.concatenate([getattr(page, name) for page in pages])


def _line_figures(pages: Sequence[Compared]) -> Figures:
    """Figures of lines; titles are left out of body against boilerplate."""
    gold, role = _joined(pages, "gold_role"), _joined(pages, "role")
    gold_kind, kind = _joined(pages, "gold_kind"), _joined(pages, "kind")
    counted = gold != _TITLE
    is_footer, as_footer = gold[counted] == _BOILERPLATE, role[counted] == _BOILERPLATE
    body = counted & (gold != _BOILERPLATE)
    both = (gold == _BOILERPLATE) & (role == _BOILERPLATE)
    n_chars, n_lost = int(_joined(pages, "n_chars")[body].sum()), int(_joined(pages, "n_lost")[body].sum())
    return {
        "body": rates(~is_footer, ~as_footer),
        "boilerplate": rates(is_footer, as_footer),
        "roles": {name: rates(gold == code, role == code) for code, name in enumerate(ROLES)},
        "kinds": {name: rates(gold_kind == code, kind == code) for code, name in enumerate(KINDS)},
        "kind_accuracy": round(float((gold_kind[both] == kind[both]).mean()) if both.any() else 0.0, 4),
        "lost_body_chars": round(n_lost / n_chars if n_chars else 0.0, 4),
    }


def page_body_f1(page: Compared) -> float | None:
    """Body F1 of one page's lines; None if it has no body."""
    counted = page.gold_role != _TITLE
    gold = page.gold_role[counted] != _BOILERPLATE
    return _f1(gold, page.role[counted] != _BOILERPLATE) if gold.any() else None


def _page_figures(pages: Sequence[Compared]) -> Figures:
    """Body F1 over pages."""
    each = [value for page in pages if (value := page_body_f1(page)) is not None]
    return {
        "macro_body_f1": round(float(np.mean(each)) if each else 0.0, 4),
        "min_body_f1": round(min(each, default=0.0), 4),
        "under_half": sum(value < 0.5 for value in each),
    }


def _sent_figures(pages: Sequence[Compared]) -> Figures:
    """Figures of claims and opinions."""
    gold, label, probs = (_joined(pages, name) for name in ("gold_label", "label", "probs"))
    confidence = np.where(np.isnan(probs).any(axis=1), 0.0, np.nan_to_num(probs).max(axis=1))
    order = np.argsort(-confidence, kind="stable")[: round(CONFIDENT_SHARE * len(gold))]
    has = confidence > 0
    return {
        "claim": rates(gold == _CLAIM, label == _CLAIM),
        "opinion": rates(gold == _OPINION, label == _OPINION),
        "macro_f1": round(macro_f1(gold, label), 4),
        "confident_macro_f1": round(macro_f1(gold[order], label[order]), 4),
        "calibration_error": round(calibration_error((gold == label)[has], confidence[has]), 4),
        "null": int((label < 0).sum()),
        "boilerplate": int((label == _BOILERPLATE_LABEL).sum()),
    }


_BOILERPLATE_LABEL = LABELS.index("boilerplate")


def _intervals(pages: Sequence[Compared], seed: int) -> Figures:
    """95 % intervals of the main figures, by resampling whole pages."""
    counted = [page.gold_role != _TITLE for page in pages]
    footers = [page.gold_role[mask] == _BOILERPLATE for page, mask in zip(pages, counted, strict=True)]
    guesses = [page.role[mask] == _BOILERPLATE for page, mask in zip(pages, counted, strict=True)]
    tallies = np.array(
        [
            [(g & p).sum(), (~g & ~p).sum(), (g != p).sum(), *_stance_tally(page)]
            for page, g, p in zip(pages, footers, guesses, strict=True)
        ],
        dtype=np.float64,
    )
    each = np.array([np.nan if (value := page_body_f1(page)) is None else value for page in pages])
    drawn = np.random.default_rng(seed).integers(len(pages), size=(N_RESAMPLES, len(pages)))
    sums = tallies[drawn].sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        series = {
            "body.f1": 2 * sums[:, 1] / (2 * sums[:, 1] + sums[:, 2]),
            "boilerplate.f1": 2 * sums[:, 0] / (2 * sums[:, 0] + sums[:, 2]),
            "pages.macro_body_f1": np.nanmean(each[drawn], axis=1) if not np.isnan(each).all() else np.zeros(1),
            "sents.macro_f1": (2 * sums[:, 3] / sums[:, 5] + 2 * sums[:, 4] / sums[:, 6]) / 2,
        }
    return {name: [round(float(q), 4) for q in np.nanquantile(v, [0.025, 0.975])] for name, v in series.items()}


def _stance_tally(page: Compared) -> list[int]:
    """Hits of claim and opinion, then gold plus predicted of each."""
    gold, label = page.gold_label, page.label
    hits = [int(((gold == code) & (label == code)).sum()) for code in (_CLAIM, _OPINION)]
    totals = [int((gold == code).sum() + (label == code).sum()) for code in (_CLAIM, _OPINION)]
    return [*hits, *totals]


def score_docs(pages: Sequence[Page], docs: Sequence[Doc], seed: int = 0) -> Figures:
    """Compare annotated documents with their labelled pages.

    Parameters
    ----------
    pages : sequence of Page
    docs : sequence of Doc
        Parallel to `pages`, classified.
    seed : int
        Of the resampling behind the intervals.

    Returns
    -------
    dict
        Nested figures: body, boilerplate, roles, kinds, kind_accuracy, lost_body_chars, pages, sents, intervals.
    """
    if not pages:
        raise ConfigError("there is no page to score; look at --data and --split")
    compared = [compare(page, doc) for page, doc in zip(pages, docs, strict=True)]
    figures = {"n_pages": len(pages), **_line_figures(compared)}
    figures["pages"] = _page_figures(compared)
    figures["sents"] = _sent_figures(compared)
    figures["intervals"] = _intervals(compared, seed)
    return figures


def score(pages: Sequence[Page], annotate: Annotate, seed: int = 0) -> Figures:
    """Annotate the pages' texts and compare.

    Parameters
    ----------
    pages : sequence of Page
    annotate : callable
        Documents that no stage has seen in, classified ones out, in order.
    seed : int
    """
    return score_docs(pages, annotate([page.doc() for page in pages]), seed)


def figure_at(figures: Mapping[str, Any], name: str) -> float:
    """The figure at a dotted name such as ``sents.macro_f1``."""
    value: Any = figures
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise ConfigError(f"there is no figure {name!r}; known at {part!r}: {', '.join(value)}")
        value = value[part]
    return float(value)


SINGLE_FIGURES = (
    "body.f1",
    "boilerplate.f1",
    "pages.macro_body_f1",
    "pages.min_body_f1",
    "pages.under_half",
    "lost_body_chars",
    "kind_accuracy",
    "sents.macro_f1",
    "sents.confident_macro_f1",
    "sents.calibration_error",
)
"""The main figures, by dotted name."""


def format_table(figures: Mapping[str, Any]) -> str:
    """The figures as lines of text."""
    rows = [f"{'':16}{'P':>7}{'R':>7}{'F1':>7}{'n':>7}"]
    blocks = [
        ("body", figures["body"]),
        ("boilerplate", figures["boilerplate"]),
        *((f"  {name}", row) for name, row in figures["roles"].items() if row["n"] and name != "boilerplate"),
        *((f"  {name}", row) for name, row in figures["kinds"].items() if row["n"]),
        ("claim", figures["sents"]["claim"]),
        ("opinion", figures["sents"]["opinion"]),
    ]
    rows += [f"{name:16}{row['p']:7.3f}{row['r']:7.3f}{row['f1']:7.3f}{row['n']:7d}" for name, row in blocks]
    for name in SINGLE_FIGURES[2:]:
        interval = figures["intervals"].get(name)
        tail = f"   95 %: {interval[0]:.3f} to {interval[1]:.3f}" if interval else ""
        rows.append(f"{name:28}{figure_at(figures, name):9.4f}{tail}")
    return "\n".join(rows)


def missed_floors(figures: Mapping[str, Any], floors: Mapping[str, Any]) -> list[str]:
    """What falls short, one sentence each.

    Parameters
    ----------
    figures : mapping
        As `score_docs` gives them.
    floors : mapping
        ``least`` and ``most``: a bound for each dotted name.
    """
    missed = []
    for name, bound in floors.get("least", {}).items():
        if (value := figure_at(figures, name)) < bound:
            missed.append(f"{name} is {value:.4f}, the floor is {bound}")
    for name, bound in floors.get("most", {}).items():
        if (value := figure_at(figures, name)) > bound:
            missed.append(f"{name} is {value:.4f}, at most {bound} is allowed")
    return missed


def data_digest(data: Path) -> str:
    """A checksum of the labelled pages: a floor holds for these data and no others."""
    files = sorted(data.glob("*.jsonl")) if data.is_dir() else [data]
    return " ".join(f"{path.name}:{checksum(path)[:16]}" for path in files)


def find_floors(path: Path, data: Path, split: str | None) -> Mapping[str, Any]:
    """The floors of these data and this split: the entry ``<folder or file stem>:<split>`` of a JSON file.

    Raises
    ------
    ConfigError
        If there is none, or it was set on other data.
    """
    known: Mapping[str, Any] = orjson.loads(path.read_bytes())
    key = f"{data.stem}:{split or 'all'}"
    if key not in known:
        raise ConfigError(f"{path} has no floors for {key!r}; known: {', '.join(known)}")
    entry: Mapping[str, Any] = known[key]
    if entry.get("data") not in (None, data_digest(data)):
        raise ConfigError(f"{path}: the floors of {key!r} were set on other data; score anew and set them again")
    return entry


def score_command(data: Path, split: str | None, config: str, floors: Path | None, *, as_json: bool) -> bool:
    """Score a config's pipeline on labelled pages; writes the figures and tells whether the floors are held."""
    from pipeline import load  # noqa: PLC0415 - the pipeline loads models; reading figures needs none

    pages = [page for page in read_labelled([data], OURS).pages if split in (None, page.split)]
    pipeline = load(config)
    figures = score(pages, lambda docs: list(pipeline.pipe(docs)))
    missed = missed_floors(figures, find_floors(floors, data, split)) if floors else []
    shown = orjson.dumps({**figures, "missed": missed}, option=orjson.OPT_INDENT_2).decode() if as_json else None
    sys.stdout.write((shown or format_table(figures)) + "\n")
    for sentence in missed:
        sys.stderr.write(f"below its floor: {sentence}\n")
    return not missed
