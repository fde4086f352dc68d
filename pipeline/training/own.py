"""Labels of the user's own: fit a model of sentences (or lines) with any names, load it, let it label.

A text's hashed character n-grams give one score a label, each a logistic regression; a second, small regression turns
the scores into probabilities. It is fitted on scores that cross-validation gave, for those of texts a model has learnt
from are too sure of themselves.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from pipeline.clean import CleanConfig, make_clean
from pipeline.config import Config
from pipeline.doc import Doc, FloatArray, IntArray, code_points
from pipeline.errors import ConfigError, ModelError
from pipeline.kernels.ngrams import Linear, Points, fold_points
from pipeline.pipe import Pipeline, batches
from pipeline.readers import READERS, read_piece
from pipeline.readers.sources import list_input
from pipeline.training.dataset import Example, Labelled, read_labelled
from pipeline.training.figures import (
    Codes,
    Judged,
    drop_report,
    figures_of,
    find_doubtful,
    format_report,
    learning_curve,
    one_hot,
    summary_of,
    write_report,
)
from pipeline.training.fit import Folds, assign_folds, fit_ngrams, ngram_matrix, splits
from pipeline.training.labelled import Faults, LabelledDataError
from pipeline.training.score import Figures
from pipeline.weights import checksum, load_arrays, load_meta, save_meta

KIND, VERSION, ARRAYS = "labels", 3, "labels.npz"
BITS, REACH, ORDER = 17, 160, 4
COST = 10.0
MIN_EXAMPLES = 2
"""Fewer can't be told apart from a slip of the pen, nor measured."""

Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class OwnModel:
    """A model of labels of the user's own.

    Parameters
    ----------
    names : tuple of str
        The labels.
    ngrams : Linear
        A score for each of the names.
    mix : ndarray of float64, shape (n_names + 1, n_names)
        What the scores, and a last constant, count for each label's log-odds.
    """

    names: tuple[str, ...]
    ngrams: Linear
    mix: Matrix

    def probabilities(self, folded: Points, spans: IntArray) -> Matrix:
        """Probabilities of the labels of spans of cleaned, folded text: (n_spans, n_names)."""
        return _soften(self.ngrams.score(folded, spans, REACH), self.mix)

    def predict(self, texts: Sequence[str]) -> tuple[list[str], Matrix]:
        """Label texts.

        Parameters
        ----------
        texts : sequence of str
            Sentences or lines; they are cleaned as those that the model learnt from were.

        Returns
        -------
        labels : list of str
        probabilities : ndarray of float64, shape (n_texts, n_names)
            In the order of `names`.
        """
        probs = self.probabilities(*_spans_of(texts))
        return [self.names[code] for code in probs.argmax(axis=1).tolist()], probs


def _spans_of(texts: Sequence[str]) -> tuple[Points, IntArray]:
    """Texts, cleaned, as the folded code points of one and the span of each."""
    docs = make_clean(CleanConfig())([Doc.from_text(text, str(i)) for i, text in enumerate(texts)])
    cleaned = [doc.text.strip() for doc in docs]
    ends = np.cumsum([len(text) + 1 for text in cleaned])
    starts = ends - [len(text) + 1 for text in cleaned]
    spans = np.stack([starts, ends - 1], axis=1).astype(np.int32).reshape(-1, 2)
    return fold_points(code_points("\n".join(cleaned))), spans


def _soften(scores: FloatArray, mix: Matrix) -> Matrix:
    """Probabilities from scores: each row sums up to one."""
    odds = scores.astype(np.float64) @ mix[:-1] + mix[-1]
    raised = np.exp(odds - odds.max(axis=1, keepdims=True))
    probs: Matrix = raised / raised.sum(axis=1, keepdims=True)
    return probs


def _fit_mix(scores: FloatArray, gold: Codes, n_names: int) -> Matrix:
    """Fit what turns scores into log-odds; a label that is not among `gold` gets next to none."""
    mix = np.zeros((n_names + 1, n_names))
    mix[-1] = -20.0
    seen = np.unique(gold)
    if len(seen) < 2:
        mix[-1, seen] = 0.0
        return mix
    model = LogisticRegression(C=1.0, solver="newton-cg", max_iter=200).fit(scores, gold)
    # of two classes scikit-learn keeps the second one's log-odds alone
    columns = seen if len(seen) > 2 else seen[1:]
    mix[-1, seen] = 0.0
    mix[:-1, columns], mix[-1, columns] = model.coef_.T, model.intercept_
    return mix


def fit_own(examples: Sequence[Example], seed: int, *, curve: bool = True) -> tuple[OwnModel, Judged, Figures]:
    """Fit a model on examples.

    Parameters
    ----------
    examples : sequence of Example
    seed : int
        Of the learning curve's draw; the model itself needs none.
    curve : bool
        Whether to measure it.

    Returns
    -------
    model : OwnModel
    judged : Judged
        What models that saw nothing of an example's fold say of it.
    figures : dict
        Of `judged`, and the learning curve.
    """
    names = tuple(sorted({example.label for example in examples}))
    gold = np.array([names.index(example.label) for example in examples], dtype=np.int64)
    groups, unit = _groups_of(examples)
    folds = assign_folds(groups, [1] * len(groups))
    fold = np.array([folds[group] for group in groups], dtype=np.int64)
    folded, spans = _spans_of([example.text for example in examples])
    features = ngram_matrix(folded, spans, BITS, REACH, ORDER)
    targets = one_hot(gold, len(names))
    scores = np.zeros(targets.shape, dtype=np.float32)
    for fit, held in splits(fold):
        scores[held] = fit_ngrams(features[fit], ORDER, targets[fit], COST).score(folded, spans[held], REACH)
    linear = fit_ngrams(features, ORDER, targets, COST)
    model = OwnModel(names, linear, _fit_mix(scores, gold, len(names)))
    judged = _judge(examples, names, _cross_mix(scores, gold, fold, len(names)))
    figures: Figures = {"how": f"cross-validation, {len(set(folds.values()))} folds of {unit}", "unit": unit}
    figures |= figures_of(judged)
    if curve:
        figures["curve"] = learning_curve(features, gold, len(names), fold, groups, COST, seed)
    return model, judged, figures


def _groups_of(examples: Sequence[Example]) -> tuple[list[str], str]:
    """What must not be split between folds: the publisher, or else the document; and what to call it."""
    groups = [example.publisher or example.doc for example in examples]
    n_named = sum(bool(example.publisher) for example in examples)
    if n_named and len(set(groups)) > 1:
        return groups, "publishers" if n_named == len(examples) else "publishers or documents"
    groups = [example.doc for example in examples]
    return (groups, "documents") if len(set(groups)) > 1 else ([example.text for example in examples], "texts")


def _cross_mix(scores: FloatArray, gold: Codes, fold: Folds, n_names: int) -> Matrix:
    """Probabilities by regressions that saw nothing of a row's fold."""
    probs = np.zeros(scores.shape)
    for fit, held in splits(fold):
        probs[held] = _soften(scores[held], _fit_mix(scores[fit], gold[fit], n_names))
    return probs


def _judge(examples: Sequence[Example], names: tuple[str, ...], probs: Matrix) -> Judged:
    return Judged(
        names=names,
        gold=np.array([names.index(example.label) for example in examples], dtype=np.int64),
        predicted=probs.argmax(axis=1).astype(np.int64),
        probs=probs,
        publishers=[example.publisher for example in examples],
        texts=[example.text for example in examples],
        where=[example.where for example in examples],
    )


def check_examples(examples: Sequence[Example]) -> None:
    """Raise if the train split is no set that labels can be learnt from, or a held-out one has other labels.

    Raises
    ------
    LabelledDataError
    """
    faults = Faults()
    fitted = [example for example in examples if example.split == "train"]
    counts = Counter(example.label for example in fitted)
    if not fitted:
        raise LabelledDataError("no row has the split 'train'; name the rows to learn from so")
    if len(counts) < 2:
        faults.found.append(f"{fitted[0].where}: {fitted[0].label!r} is the only label; a second one is needed")
    for example in examples:
        if 0 < counts[example.label] < MIN_EXAMPLES:
            found = f"label {example.label!r} occurs {counts[example.label]} times in train"
            faults.found.append(f"{example.where}: {found}, at least {MIN_EXAMPLES} are needed; is it a slip?")
        elif not counts[example.label]:
            known = ", ".join(sorted(counts))
            faults.found.append(f"{example.where}: unknown label {example.label!r}; those of train: {known}")
    faults.raise_any()


def train_own(data: Labelled, out: Path, seed: int = 0, *, curve: bool = True) -> Figures:
    """Fit a model on the train split, measure it, write its folder; get what `meta.json` says."""
    check_examples(data.examples)
    fitted = [example for example in data.examples if example.split == "train"]
    with threadpool_limits(1):
        model, judged, crossed = fit_own(fitted, seed, curve=curve)
    parts: Figures = {}
    for split in sorted({example.split for example in data.examples} - {"train"}):
        held = [example for example in data.examples if example.split == split]
        parts[f"labels, {split}"] = judge_own(model, held, f"held-out split {split}")
    parts["labels, cross-validated"] = crossed
    doubtful = find_doubtful([judged])
    report = {"notes": data.notes, "parts": parts, "n_doubtful": len(doubtful)}
    sources = {path.name: checksum(path) for path in data.files}
    meta = save_own(model, out, {"data": sources, "n_texts": len(fitted), "seed": seed, "report": summary_of(report)})
    (out / "CARD.md").write_text(_CARD.format(**_card_fields(meta, report)), encoding="utf-8")
    write_report(out, report, doubtful)
    return report


def judge_own(model: OwnModel, examples: Sequence[Example], how: str) -> Figures:
    """Figures of a model on examples that it has not seen."""
    probs = model.predict([example.text for example in examples])[1]
    return {"how": how, "unit": "publishers", **figures_of(_judge(examples, model.names, probs))}


def save_own(model: OwnModel, out: Path, about: Figures) -> Figures:
    """Write a model folder; `about` goes into `meta.json`."""
    out.mkdir(parents=True, exist_ok=True)
    drop_report(out)
    arrays: dict[str, Any] = {**model.ngrams.arrays("ngrams"), "mix": model.mix}
    np.savez_compressed(out / ARRAYS, **arrays)
    meta = {"version": VERSION, "labels": list(model.names), **about}
    save_meta(out, KIND, meta)
    return meta


def load_own(folder: Path | str) -> OwnModel:
    """Get the model of a folder that `zhcorpus train classifier` wrote for labels of the user's own."""
    folder = Path(folder)
    meta = load_meta(folder, KIND)
    if meta.get("version") != VERSION:
        raise ModelError(f"{folder} has version {meta.get('version')}, expected {VERSION}; train it anew")
    arrays: dict[str, Any] = load_arrays(folder / ARRAYS)
    return OwnModel(tuple(meta["labels"]), Linear.from_arrays(arrays, "ngrams"), arrays["mix"])


_CARD = """# Labels: {labels}

Gives every sentence or line one of {n_labels} labels, with probabilities. Logistic regressions over hashed character
n-grams (orders 1 to {order}, 2^{bits} rows, int16), then a small regression that calibrates them. Plain arrays
(`labels.npz`), no pickle, no vocabulary in clear; `doubtful.jsonl` quotes the training data: leave it out when
passing the model on.

**Saw.** The train split of {sources}: {n_texts} texts.

## Report

{report}
"""


def _card_fields(meta: Figures, report: Figures) -> Figures:
    return {
        "labels": ", ".join(meta["labels"]),
        "n_labels": len(meta["labels"]),
        "bits": BITS,
        "order": ORDER,
        "sources": ", ".join(f"`{name}`" for name in meta["data"]),
        "n_texts": meta["n_texts"],
        "report": format_report(report),
    }


def label_file(folder: Path, source: str, target: Path, config: Config) -> int:
    """Label every sentence of what `zhcorpus run` reads.

    Parameters
    ----------
    folder : Path
        Of the model.
    source : str
        A file, folder or glob.
    target : Path
        Gets one JSON object a sentence: doc_id and sent as in a corpus of the same input, start and end (code points
        of the source), text, user_label, p_user_label.
    config : Config
        How the text is cleaned and its sentences cut.

    Returns
    -------
    int
        How many documents were set aside.
    """
    model, clean = load_own(folder), Pipeline(replace(config, stages=("clean",)))
    rejected: list[object] = []
    draft = target.with_name(target.name + ".tmp")
    with draft.open("wb") as file:
        for batch in batches(_read_docs(source, rejected)):
            for doc in clean.annotate_each(batch, lambda _, error: rejected.append(error)):
                file.writelines(orjson.dumps(row) + b"\n" for row in _label_rows(model, doc))
    draft.replace(target)
    return len(rejected)


def _read_docs(source: str, rejected: list[object]) -> Iterator[Doc]:
    for piece in list_input([source], tuple(READERS)).files:
        for item in read_piece(piece):
            if isinstance(item, Doc):
                yield item
            else:
                rejected.append(item)


def _label_rows(model: OwnModel, doc: Doc) -> Iterator[Figures]:
    """The labelled sentences of a cleaned document."""
    sents = np.zeros((0, 2), np.int32) if doc.sents is None else doc.sents
    probs = model.probabilities(fold_points(code_points(doc.text)), np.ascontiguousarray(sents))
    spans = zip(sents.tolist(), doc.to_source(sents).tolist(), probs.argmax(axis=1).tolist(), strict=True)
    for number, ((start, end), (first, last), code) in enumerate(spans):
        row = {"doc_id": doc.id, "sent": number, "start": first, "end": last, "text": doc.text[start:end]}
        yield {**row, "user_label": model.names[code], "p_user_label": round(float(probs[number, code]), 4)}


def score_own(folder: Path, data: Path, split: str | None, *, as_json: bool) -> None:
    """Score a model of the user's own labels on labelled texts; writes the figures."""
    model = load_own(folder)
    examples = read_labelled([data], ",".join(model.names)).examples
    held = [example for example in examples if split in (None, example.split)]
    if not held:
        raise ConfigError("there is no text to score; look at --data and --split")
    part = judge_own(model, held, f"split {split}" if split else "all splits")
    as_text = format_report({"notes": [], "parts": {"labels": part}})
    shown = orjson.dumps(part, option=orjson.OPT_INDENT_2).decode() if as_json else as_text
    sys.stdout.write(shown + "\n")
