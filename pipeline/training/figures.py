"""The report on a training: figures by class and publisher, confusion, calibration, learning curve, doubtful labels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from pipeline.training.fit import Folds, Mask, fit_linear, splits
from pipeline.training.score import N_BINS, Figures, calibration_error, rates

FIGURES, DOUBTFUL = "figures.json", "doubtful.jsonl"
N_DOUBTFUL = 100
CURVE_SHARES = (0.125, 0.25, 0.5, 1.0)
MAX_ACROSS, N_PUBLISHERS = 10, 5
"""How wide a confusion matrix, and how many publishers, a person is shown; everything stands in `figures.json`."""

Codes = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Judged:
    """Labels beside what a model that did not learn from them says.

    Parameters
    ----------
    names : tuple of str
        The classes.
    gold, predicted : ndarray of int64, shape (n,)
        Codes into `names`; a predicted -1 is no label.
    probs : ndarray of float64, shape (n, n_names), or None
        NaN where the model gives no label.
    publishers, texts, where : sequence of str
        Parallel to `gold`.
    """

    names: tuple[str, ...]
    gold: Codes
    predicted: Codes
    probs: NDArray[np.float64] | None
    publishers: Sequence[str]
    texts: Sequence[str] = ()
    where: Sequence[str] = ()


def mean_f1(gold: Codes, predicted: Codes, n_names: int) -> float:
    """Mean F1 of the classes that occur among the labels.

    Examples
    --------
    >>> mean_f1(np.array([0, 0, 1]), np.array([0, 1, 1]), 3)
    0.6667
    """
    each = [rates(gold == code, predicted == code)["f1"] for code in range(n_names) if (gold == code).any()]
    return round(float(np.mean(each)), 4) if each else 0.0


def figures_of(judged: Judged) -> Figures:
    """Get all figures of a comparison.

    Returns
    -------
    dict
        n, accuracy, macro_f1, classes (P, R, F1 by name), publishers, confusion (names, and a row for each gold
        class), and where there are probabilities calibration_error with its bins.
    """
    gold, predicted, n_names = judged.gold, judged.predicted, len(judged.names)
    has_none = bool((predicted < 0).any())
    counts = np.zeros((n_names, n_names + 1), dtype=np.int64)
    np.add.at(counts, (gold, predicted), 1)
    return {
        "n": len(gold),
        "accuracy": round(float((gold == predicted).mean()) if len(gold) else 0.0, 4),
        "macro_f1": mean_f1(gold, predicted, n_names),
        "classes": {name: rates(gold == code, predicted == code) for code, name in enumerate(judged.names)},
        "publishers": _by_publisher(judged),
        "confusion": {
            "names": [*judged.names, *(["none"] if has_none else [])],
            "rows": counts[:, : n_names + has_none].tolist(),
        },
        **(_calibration(judged) if judged.probs is not None else {}),
    }


def _by_publisher(judged: Judged) -> Figures:
    """Size, accuracy and macro-F1 by publisher, the largest first."""
    rows: dict[str, list[int]] = {}
    for i, publisher in enumerate(judged.publishers):
        rows.setdefault(publisher, []).append(i)
    table = {}
    for publisher, index in sorted(rows.items(), key=lambda item: (-len(item[1]), item[0])):
        gold, predicted = judged.gold[index], judged.predicted[index]
        accuracy = round(float((gold == predicted).mean()), 4)
        table[publisher or "(none named)"] = {
            "n": len(index),
            "accuracy": accuracy,
            "macro_f1": mean_f1(gold, predicted, len(judged.names)),
        }
    return table


def _calibration(judged: Judged) -> Figures:
    """The calibration error and what it sums up: confidence and share of right labels by bin."""
    probs = np.zeros((0, 1)) if judged.probs is None else judged.probs
    has = ~np.isnan(probs).any(axis=1)
    confidence, right = probs[has].max(axis=1, initial=0.0), (judged.gold == judged.predicted)[has]
    bins = np.minimum((confidence * N_BINS).astype(int), N_BINS - 1)
    table = [
        {
            "from": b / N_BINS,
            "n": int((bins == b).sum()),
            "confidence": round(float(confidence[bins == b].mean()), 4),
            "right": round(float(right[bins == b].mean()), 4),
        }
        for b in range(N_BINS)
        if (bins == b).any()
    ]
    return {"calibration_error": round(calibration_error(right, confidence), 4), "bins": table}


def find_doubtful(parts: Sequence[Judged], n: int = N_DOUBTFUL) -> list[dict[str, object]]:
    """Get the labels that a model taught without them believes least: likely mistakes of labelling.

    Parameters
    ----------
    parts : sequence of Judged
        Of cross-validation, with probabilities.
    n : int

    Returns
    -------
    list of dict
        where, text, gold, predicted, p_gold, publisher; the most doubtful first.
    """
    rows = []
    for part in parts:
        given = np.zeros(0) if part.probs is None else part.probs[np.arange(len(part.gold)), part.gold]
        for i in np.argsort(given, kind="stable")[:n].tolist():
            if math.isnan(given[i]) or part.gold[i] == part.predicted[i]:
                continue
            rows.append(
                {
                    "where": Path(part.where[i]).name,
                    "text": part.texts[i],
                    "gold": part.names[part.gold[i]],
                    "predicted": part.names[part.predicted[i]],
                    "p_gold": round(float(given[i]), 4),
                    "publisher": part.publishers[i],
                }
            )
    return sorted(rows, key=lambda row: float(str(row["p_gold"])))[:n]


def learning_curve(
    features: csr_matrix, gold: Codes, n_names: int, fold: Folds, groups: Sequence[str], cost: float, seed: int
) -> list[dict[str, float]]:
    """Get how well n-grams alone do when fitted on a part of the publishers, cross-validated.

    Parameters
    ----------
    features : sparse matrix, shape (n_rows, n_columns)
    gold : ndarray of int64, shape (n_rows,)
    n_names : int
        How many classes there are.
    fold : ndarray of int64, shape (n_rows,)
    groups : sequence of str
        The publisher of every row; the order in which they are added is drawn once.
    cost, seed : float, int

    Returns
    -------
    list of dict
        share, n_publishers and macro_f1, the smallest share first.
    """
    names = sorted(set(groups))
    order = dict(zip(np.random.default_rng(seed).permutation(names).tolist(), range(len(names)), strict=True))
    rank = np.array([order[group] for group in groups])
    curve = []
    for share in CURVE_SHARES:
        n_used = math.ceil(share * len(names))
        predicted = np.zeros(len(gold), dtype=np.int64)
        for fit, held in splits(fold):
            predicted[held] = _guess(features, gold, n_names, fit[rank[fit] < n_used], held, cost)
        macro = mean_f1(gold, predicted, n_names)
        curve.append({"share": share, "n_publishers": n_used, "macro_f1": macro})
    return curve


def _guess(features: csr_matrix, gold: Codes, n_names: int, fit: Codes, held: Codes, cost: float) -> Codes:
    """The classes that n-gram models fitted on the rows `fit` give the rows `held`."""
    if not len(fit):
        return np.zeros(len(held), dtype=np.int64)
    targets = one_hot(gold[fit], n_names)
    if n_names == 2:
        weights, bias = fit_linear(features[fit], targets[:, 1:], cost)
        return np.asarray(features[held] @ weights + bias > 0)[:, 0].astype(np.int64)
    weights, bias = fit_linear(features[fit], targets, cost)
    best: Codes = np.asarray(features[held] @ weights + bias).argmax(axis=1)
    return best


def one_hot(gold: Codes, n_names: int) -> Mask:
    """One column a class: (n_rows, n_names)."""
    return np.asarray(gold[:, None] == np.arange(n_names), dtype=bool)


def write_report(out: Path, report: Figures, doubtful: Sequence[Mapping[str, object]]) -> None:
    """Write `figures.json` and `doubtful.jsonl` into a model folder."""
    (out / FIGURES).write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2) + b"\n")
    (out / DOUBTFUL).write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in doubtful))


def drop_report(out: Path) -> None:
    """Delete an earlier report, so that no checksum of it goes into the model's `meta.json`."""
    for name in (FIGURES, DOUBTFUL):
        (out / name).unlink(missing_ok=True)


def summary_of(report: Figures) -> Figures:
    """What `meta.json` keeps of a report: the notes, and of each part all but publishers, confusion and bins."""
    kept = ("how", "n", "accuracy", "macro_f1", "classes", "calibration_error", "curve")
    parts = {name: {key: part[key] for key in kept if key in part} for name, part in report["parts"].items()}
    return {"notes": report["notes"], "parts": parts}


def format_report(report: Figures, *, names_publishers: bool = True) -> str:
    """A report in Markdown: what the terminal shows, and, without the names of publishers, the card keeps."""
    lines = [*(f"- {note}" for note in report["notes"]), ""] if report["notes"] else []
    for name, part in report["parts"].items():
        lines += [f"### {name}", "", _headline(part), "", *_class_table(part), ""]
        lines += [*_confusion_table(part), *(_publisher_table(part) if names_publishers else ()), *_curve_lines(part)]
    if "n_doubtful" in report:
        lines.append(f"{report['n_doubtful']} doubtful labels to look at: `{DOUBTFUL}`. All figures: `{FIGURES}`.")
    return "\n".join(lines).rstrip()


def _headline(part: Figures) -> str:
    error = f", calibration error {part['calibration_error']:.3f}" if "calibration_error" in part else ""
    return (
        f"{part['how']}: {part['n']} labels, accuracy {part['accuracy']:.3f}, macro-F1 {part['macro_f1']:.3f}{error}."
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """A Markdown table that reads well as plain text, too: the first column left, the others right."""
    cells = [[f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(_width(row[k]) for row in cells) for k in range(len(head))]
    lines = []
    for row in cells:
        padded = [" " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)]
        pairs = list(zip(row, padded, strict=True))
        lines.append("| " + " | ".join([pairs[0][0] + pairs[0][1], *(pad + cell for cell, pad in pairs[1:])]) + " |")
    rule = "|".join("-" * (width + 1) + ("-" if k == 0 else ":") for k, width in enumerate(widths))
    return [lines[0], f"|{rule}|", *lines[1:]]


def _width(text: str) -> int:
    """Columns in a terminal: Hanzi take two."""
    return sum(1 + (ord(char) > 0x2E7F) for char in text)


def _class_table(part: Figures) -> list[str]:
    rows = [(name, row["p"], row["r"], row["f1"], row["n"]) for name, row in part["classes"].items()]
    return _table(("class", "P", "R", "F1", "n"), [row for row in rows if row[-1] or row[1]])


def _confusion_table(part: Figures) -> list[str]:
    names = part["confusion"]["names"]
    if len(names) > MAX_ACROSS:
        return []
    rows = [(name, *counts) for name, counts in zip(names, part["confusion"]["rows"], strict=False) if any(counts)]
    return [*_table(("gold, then predicted as", *names), rows), ""]


def _publisher_table(part: Figures) -> list[str]:
    """The publishers with the most mistakes."""
    ranked = sorted(part["publishers"].items(), key=lambda item: (item[1]["n"] * (item[1]["accuracy"] - 1), item[0]))
    if len(ranked) < 2:
        return []
    rows = [(name, row["accuracy"], row["macro_f1"], row["n"]) for name, row in ranked[:N_PUBLISHERS]]
    head = f"publisher (of {len(ranked)}, those with the most mistakes)"
    return [*_table((head, "accuracy", "macro-F1", "n"), rows), ""]


def _curve_lines(part: Figures) -> list[str]:
    if not part.get("curve"):
        return []
    steps = ", ".join(f"{row['n_publishers']}: {row['macro_f1']:.3f}" for row in part["curve"])
    return [f"Learning curve (n-grams alone; {part['unit']}: macro-F1): {steps}.", ""]
