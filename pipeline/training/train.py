"""Train a classifier as a user does it: labelled data in, a model folder and a report on it out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from pipeline.classify import BODY, Classifier, annotate
from pipeline.classify.lines import BOILERPLATE
from pipeline.classify.table import Table, make_table
from pipeline.clean import CleanConfig, make_clean
from pipeline.config import HOME
from pipeline.doc import LABELS, ROLES, Doc, FloatArray, IntArray
from pipeline.training.cards import SOURCES
from pipeline.training.classifier import (
    LINE_COST,
    SECOND_TREES,
    Fitted,
    fit_all,
    folds_of,
    line_matrix,
    save_classifier,
    sent_matrix,
)
from pipeline.training.dataset import Labelled, read_labelled
from pipeline.training.figures import (
    Codes,
    Judged,
    drop_report,
    figures_of,
    find_doubtful,
    format_report,
    learning_curve,
    summary_of,
    write_report,
)
from pipeline.training.fit import cross_trees
from pipeline.training.imports import labelled_files
from pipeline.training.labelled import LabelledDataError, Page, align
from pipeline.training.own import train_own
from pipeline.training.score import SINGLE_FIGURES, Compared, Figures, compare, figure_at, score_docs
from pipeline.training.stance import COST as SENT_COST
from pipeline.training.vectors import load_vectors
from pipeline.weights import checksum

VECTORS = HOME / "models" / "vectors"
STANCES = ("claim", "opinion")
CLAIM, OPINION = (LABELS.index(name) for name in STANCES)
UNMEASURED = (
    "no held-out split: the figures are cross-validated over publishers; of roles, boilerplate alone is measured so, "
    "and kinds are not"
)


def train_classifier(
    data: Sequence[Path],
    out: Path,
    seed: int = 0,
    vectors: Path | None = VECTORS,
    *,
    labels: str = "",
    curve: bool = True,
) -> Figures:
    """Fit a classifier on the train split of labelled data and write its model folder.

    Parameters
    ----------
    data : sequence of Path
        Files or folders of labelled data.
    out : Path
        The model folder; made if need be.
    seed : int
    vectors : Path or None
        Folder of n-gram vectors; None does without.
    labels : str
        Whose labels the data bear, as `read_labelled` takes it.
    curve : bool
        Whether to measure a learning curve.

    Returns
    -------
    dict
        The report, as `format_report` takes it.
    """
    found = read_labelled(data, labels)
    if found.examples:
        return train_own(found, out, seed, curve=curve)
    pages = [page for page in found.pages if page.split == "train"]
    sentences = [page for page in found.sentences if page.split == "train"]
    check_pages(pages, sentences, found.notes)
    known = load_vectors(vectors) if vectors is not None else None
    fitted = fit_all(pages, make_clean(CleanConfig()), seed, known, sentences)
    figures, parts = measure(fitted.classifier, data, found)
    notes = [*found.notes, *([] if parts else [UNMEASURED])]
    crossed = {"lines": cross_lines(fitted, pages, seed), "sentences": cross_sents(fitted, [*pages, *sentences])}
    curves = _curves(fitted, pages, [*pages, *sentences], seed) if curve else {}
    n_folds = len(np.unique(fitted.sents.page_fold))
    for name, judged in crossed.items():
        how = {"how": f"cross-validation, {n_folds} folds of publishers", "unit": "publishers"}
        parts[f"{name}, cross-validated"] = {**how, **figures_of(judged), **curves.get(name, {})}
    doubtful = find_doubtful(list(crossed.values()))
    report = {"notes": notes, "parts": parts, "n_doubtful": len(doubtful)}
    sources = {path.name: checksum(path) for path in found.files}
    n_loose = sum(len(line.sents) for page in sentences for line in page.lines)
    about = {"data": sources, "n_pages": len(pages), "n_loose": n_loose, "seed": seed}
    about |= {"figures": figures, "report": summary_of(report)}
    drop_report(out)
    meta = save_classifier(fitted.classifier, out, about)
    card = f"{write_card(meta)}\n## Report\n\n{format_report(report, names_publishers=False)}\n"
    (out / "CARD.md").write_text(card, encoding="utf-8")
    write_report(out, report, doubtful)
    return report


def check_pages(pages: Sequence[Page], sentences: Sequence[Page], notes: Sequence[str] = ()) -> None:
    """Raise if the train split lacks one of what has to be told apart, or has it in one fold of publishers alone.

    Raises
    ------
    LabelledDataError
    """
    every = [*pages, *sentences]
    found = {(line.role, page.site) for page in pages for line in page.lines}
    decided = {(sent.label, page.site) for page in every for line in page.lines for sent in line.sents}
    faults = []
    for names, labelled, where in ((("body", "boilerplate"), found, pages), (STANCES, decided, every)):
        folds = folds_of(where) if len({page.site for page in where}) > 1 else {}
        for name in names:
            sites = {site for label, site in labelled if label == name}
            if len({folds.get(site, 0) for site in sites}) < 2:
                known = f"{len(sites)} publishers have {name!r} in the split train"
                faults.append(f"{known}; more are needed, for each fold is judged by what the others taught")
    if faults:
        way = "label more, or add pages that have it (--also corpus/labelled)"
        raise LabelledDataError(*faults, *notes, f"{way}; sentences alone are learnt with --labels own")


def measure(
    classifier: Classifier, data: Sequence[Path], found: Labelled
) -> tuple[dict[str, dict[str, float]], dict[str, Figures]]:
    """Get the figures on every split that was not fitted on: the main ones, by folder or file and split, and all."""
    clean = make_clean(CleanConfig())
    figures, parts = {}, {}
    for item in data:
        pages = _pages_in(found.pages, item)
        for split in sorted({page.split for page in pages} - {"train"}):
            held = [page for page in pages if page.split == split]
            docs = annotate(classifier, clean([page.doc() for page in held]))
            name = f"{item.stem}, {split}"
            scored = score_docs(held, docs)
            figures[name] = {figure: figure_at(scored, figure) for figure in SINGLE_FIGURES}
            compared = [compare(page, doc) for page, doc in zip(held, docs, strict=True)]
            for what, judged in (("lines", _judge_lines(held, compared)), ("sentences", _judge_sents(held, compared))):
                parts[f"{what}, {name}"] = {"how": f"held-out split {split}", **figures_of(judged)}
    for split in sorted({page.split for page in found.sentences} - {"train"}):
        held = [page for page in found.sentences if page.split == split]
        part = figures_of(_judge_alone(classifier, held, clean([page.doc() for page in held])))
        parts[f"sentences without a page, {split}"] = {"how": f"held-out split {split}", **part}
    return figures, parts


def _pages_in(pages: Sequence[Page], item: Path) -> list[Page]:
    """The pages that a file, or a folder's files, hold."""
    starts = tuple(f"{file}{mark}" for file in labelled_files(item) for mark in ":,")
    return [page for page in pages if page.where[0].startswith(starts)]


def _joined(compared: Sequence[Compared], name: str) -> Any:
    return np.concatenate([getattr(page, name) for page in compared])


def _judge_lines(pages: Sequence[Page], compared: Sequence[Compared]) -> Judged:
    """The roles of held-out pages' lines."""
    publishers = [page.publisher for page in pages for _ in page.lines]
    return Judged(ROLES, _joined(compared, "gold_role"), _joined(compared, "role"), None, publishers)


def _judge_sents(pages: Sequence[Page], compared: Sequence[Compared]) -> Judged:
    """Claims and opinions of held-out pages."""
    sizes = [len(page.gold_label) for page in compared]
    publishers = [page.publisher for page, n in zip(pages, sizes, strict=True) for _ in range(n)]
    gold, label, probs = (_joined(compared, name) for name in ("gold_label", "label", "probs"))
    return Judged(LABELS, gold, label, probs, publishers)


def _judge_alone(classifier: Classifier, pages: Sequence[Page], docs: Sequence[Doc]) -> Judged:
    """Claims and opinions of which nothing says whether they are text: they are taken for it."""
    table = make_table(docs)
    rows = np.arange(len(table.sents), dtype=np.int64)
    odds = classifier.sents.opinion_odds(table, rows, classifier.sents.score(table))
    label = np.concatenate([align(page, doc).label for page, doc in zip(pages, docs, strict=True)])
    decided = np.flatnonzero(np.isin(label, (CLAIM, OPINION)))
    publishers = [pages[d].publisher for d in _owners(table.sent_bounds, decided)]
    return _by_odds(STANCES, label[decided] == OPINION, odds[decided], publishers)


def _by_odds(
    names: tuple[str, str],
    gold: NDArray[np.bool_],
    odds: FloatArray,
    publishers: Sequence[str],
    texts: Sequence[str] = (),
    where: Sequence[str] = (),
) -> Judged:
    """Two classes judged by the log-odds of the second."""
    second = 1 / (1 + np.exp(-odds.astype(np.float64)))
    probs = np.stack([1 - second, second], axis=1)
    return Judged(names, gold.astype(np.int64), (odds > 0).astype(np.int64), probs, publishers, texts, where)


def _owners(bounds: NDArray[np.int64], rows: NDArray[np.int64]) -> list[int]:
    """The document that each row belongs to."""
    owners: list[int] = (np.searchsorted(bounds, rows, side="right") - 1).tolist()
    return owners


def _texts(table: Table, spans: IntArray) -> list[str]:
    """The text of spans."""
    return [table.points[start:end].tobytes().decode("utf-32-le", "replace") for start, end in spans.tolist()]


def cross_lines(fitted: Fitted, pages: Sequence[Page], seed: int) -> Judged:
    """Boilerplate or not, of every line of `pages` but titles, by models that saw nothing of its publisher."""
    gold = fitted.lines
    is_footer = gold.line_role == BOILERPLATE
    every = np.ones(len(is_footer), dtype=bool)
    with threadpool_limits(1):
        odds = cross_trees(fitted.around, is_footer, gold.line_fold, every, seed, **SECOND_TREES)[:, 0]
    rows = _lines_of(fitted, pages)
    owners = _owners(gold.table.line_bounds, rows)
    numbers = gold.sent_line[gold.table.first_sents[rows]].tolist()
    return _by_odds(
        ("body", "boilerplate"),
        is_footer[rows],
        odds[rows],
        [pages[d].publisher for d in owners],
        _texts(gold.table, gold.table.lines[rows]),
        [pages[d].where[number] for d, number in zip(owners, numbers, strict=True)],
    )


def _lines_of(fitted: Fitted, pages: Sequence[Page]) -> NDArray[np.int64]:
    """The rows of the pages' own lines, titles left out; copies stand behind them."""
    n_lines = int(fitted.lines.table.line_bounds[len(pages)])
    return np.flatnonzero(fitted.lines.line_role[:n_lines] != ROLES.index("title"))


def cross_sents(fitted: Fitted, pages: Sequence[Page]) -> Judged:
    """Claim or opinion, of every decided sentence, by models that saw nothing of its publisher."""
    gold = fitted.sents
    body = np.flatnonzero(gold.sent_role == BODY)
    decided = np.isin(gold.sent_label[body], (CLAIM, OPINION))
    rows = body[decided]
    owners = _owners(gold.table.sent_bounds, rows)
    numbers = gold.sent_line[rows].tolist()
    return _by_odds(
        STANCES,
        gold.sent_label[rows] == OPINION,
        fitted.opinion_odds[decided],
        [pages[d].publisher for d in owners],
        _texts(gold.table, gold.table.sents[rows]),
        [pages[d].where[number] for d, number in zip(owners, numbers, strict=True)],
    )


def _curves(fitted: Fitted, pages: Sequence[Page], every: Sequence[Page], seed: int) -> dict[str, Figures]:
    """Learning curves of n-grams alone: of lines, and of sentences."""
    lines, sents = fitted.lines, fitted.sents
    line_rows = _lines_of(fitted, pages)
    sent_rows = np.flatnonzero((sents.sent_role == BODY) & np.isin(sents.sent_label, (CLAIM, OPINION)))
    line_features = line_matrix(lines.table, lines.table.lines[line_rows])
    sent_features = sent_matrix(sents.table, sents.table.sents[sent_rows])
    line_gold: Codes = (lines.line_role[line_rows] == BOILERPLATE).astype(np.int64)
    sent_gold: Codes = (sents.sent_label[sent_rows] == OPINION).astype(np.int64)
    line_sites = [pages[d].site for d in _owners(lines.table.line_bounds, line_rows)]
    sent_sites = [every[d].site for d in _owners(sents.table.sent_bounds, sent_rows)]
    line_fold, sent_fold = lines.line_fold[line_rows], sents.sent_fold[sent_rows]
    return {
        "lines": {"curve": learning_curve(line_features, line_gold, 2, line_fold, line_sites, LINE_COST, seed)},
        "sentences": {"curve": learning_curve(sent_features, sent_gold, 2, sent_fold, sent_sites, SENT_COST, seed)},
    }


_CARD = """# Classifier: roles of lines, claims and opinions

Tells for every line whether it is title, heading, body, caption, code or boilerplate (and of which kind), and for every
sentence of the body whether it is a claim or an opinion, from the text alone.

**How.** Lines: logistic regressions over hashed character n-grams of one to four code points, then two rounds of
boosted trees over shape, place, repetition and neighbours, then a Viterbi pass over the page; a forest for the kind.
Sentences: scores of n-grams of up to three code points alone, by vectors and with context, and by where they arise;
then four small nets, which see cue words, place and neighbours, too; log-odds calibrated. What is plain is asked
little: only what is not plainly running text by its score for boilerplate gets all scores.

Features of trees have eight bits. Plain arrays (`classifier.npz`), no pickle, no vocabulary in clear. Trained on copies
of the pages too: reworded at random, laid out in short lines, cut short, without their head, with their foot above,
footers glued on.

**Saw.** The train split of {sources}: {n_pages} pages and {n_loose} sentences of other texts. Labelled pages that are
not part of the project are those of real publishers, labelled for development. `models/vectors` is used in training
only.

{attribution}

**Figures** on splits of other publishers (`zhcorpus score`)

| data | {names} |
|{rule}
{rows}

**Weak at.** Advertisements that read like the article, captions, tags, bios; how-to steps without a modal verb (taken
for claims), statements of mechanism with 如果 or 可以 (taken for opinions), reported speech whose verb is far from its
speaker.
"""


def _attribution(names: Iterable[str]) -> str:
    """Whose texts those files of labelled data are that are other people's, and their licences."""
    known = {name: source for name in names for start, source in SOURCES.items() if name.startswith(start)}
    told = [f"`{name}`: {source}" for name, source in known.items()]
    return f"Texts: {'; '.join(told)}. Licence of the weights: CC BY-SA 4.0." if told else ""


def write_card(meta: Mapping[str, Any]) -> str:
    """Get the model card of what `save_classifier` saved."""
    rows = [
        f"| {name} | " + " | ".join(f"{values[figure]:.3f}" for figure in SINGLE_FIGURES) + " |"
        for name, values in meta["figures"].items()
    ]
    return _CARD.format(
        sources=", ".join(f"`{name}`" for name in meta["data"]),
        n_pages=meta["n_pages"],
        n_loose=meta["n_loose"],
        attribution=_attribution(meta["data"]),
        names=" | ".join(SINGLE_FIGURES),
        rule="---|" * (len(SINGLE_FIGURES) + 1),
        rows="\n".join(rows),
    )
