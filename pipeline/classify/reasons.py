"""Why a line is boilerplate, and whose claim a claim is: evidence a reader can check.

The trees weigh many numbers at once; what is told here is what speaks loudest among those a person can see: the
line's own n-grams, its place, and what stands around it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.classify import Classifier
from pipeline.classify.lines import BOILERPLATE, ORDER, REACH, LineVerdict
from pipeline.classify.table import Table, make_table
from pipeline.doc import ROLES, Doc, Span
from pipeline.kernels.ngrams import hash_ngrams

N_SHOWN = 3


@dataclass(frozen=True)
class Reason:
    """Why one line is boilerplate.

    Parameters
    ----------
    line : Span
        Half-open offsets into the document's text.
    log_odds : float
        Of boilerplate, by the line and its neighbourhood.
    ngrams : tuple of (str, float)
        Pieces of the line with the largest weight for boilerplate, the largest first; ``^`` and ``$`` are its edges.
    place : str
        Where it stands, such as ``line 46 of 52, after the last running text``.
    neighbours : str
        What the lines directly before and after are, such as ``body above, boilerplate below``.
    """

    line: Span
    log_odds: float
    ngrams: tuple[tuple[str, float], ...]
    place: str
    neighbours: str


def explain(classifier: Classifier, doc: Doc) -> list[Reason]:
    """Get the reasons for every line of a document that is boilerplate, in order.

    Parameters
    ----------
    classifier : Classifier
    doc : Doc
        Cleaned; its sentences are cut.
    """
    table = make_table([doc])
    verdict = classifier.lines.decide(table)
    rows = np.flatnonzero(verdict.role == BOILERPLATE).tolist()
    return [_reason(classifier, table, verdict, row) for row in rows]


def _reason(classifier: Classifier, table: Table, verdict: LineVerdict, row: int) -> Reason:
    start, end = table.lines[row].tolist()
    return Reason(
        line=Span(start, end),
        log_odds=round(float(verdict.log_odds[row]), 2),
        ngrams=weigh_ngrams(classifier, table, row),
        place=_place(verdict, row),
        neighbours=_neighbours(verdict, row),
    )


def weigh_ngrams(classifier: Classifier, table: Table, row: int) -> tuple[tuple[str, float], ...]:
    """The pieces of line `row` that speak loudest for boilerplate; none overlaps or repeats a louder one."""
    lead = classifier.lines.ngrams.lead
    span = np.ascontiguousarray(table.lines[row : row + 1])
    bits = len(lead.table).bit_length() - 1
    _, columns, values = hash_ngrams(table.folded, span, bits, REACH, ORDER)
    weights = lead.table[columns, 0] * float(lead.scale[0]) * values
    places = _places(int(span[0, 1] - span[0, 0]))
    text = "^" + "".join(map(chr, table.points[span[0, 0] : span[0, 1]].tolist())) + "$"
    chosen: list[tuple[int, int, float]] = []
    for i in np.argsort(-weights, kind="stable").tolist():
        first, last = places[i]
        if weights[i] <= 0 or len(chosen) == N_SHOWN:
            break
        is_new = all(text[first:last] != text[a:b] for a, b, _ in chosen)
        if is_new and all(last <= a or b <= first for a, b, _ in chosen):
            chosen.append((first, last, round(float(weights[i]), 3)))
    return tuple((text[first:last], weight) for first, last, weight in chosen)


def _places(length: int) -> list[tuple[int, int]]:
    """Where each n-gram of `hash_ngrams` stands in the line with its edge marks."""
    places = []
    for i in range(-1, length + 1):
        if REACH <= i < length - REACH:
            continue
        for n in range(min(ORDER, length + 1 - i)):
            if n or 0 <= i < length:
                places.append((i + 1, i + 2 + n))
    return places


def _place(verdict: LineVerdict, row: int) -> str:
    body = np.flatnonzero(verdict.role == ROLES.index("body"))
    if not len(body):
        where = "on a page without running text"
    elif row > body[-1]:
        where = "after the last running text"
    elif row < body[0]:
        where = "before the first running text"
    else:
        where = "between running text"
    return f"line {row + 1} of {len(verdict.role)}, {where}"


def _neighbours(verdict: LineVerdict, row: int) -> str:
    above = ROLES[verdict.role[row - 1]] if row else "nothing"
    below = ROLES[verdict.role[row + 1]] if row + 1 < len(verdict.role) else "nothing"
    return f"{above} above, {below} below"


def describe(reason: Reason) -> str:
    """Get a reason as one line for a person."""
    pieces = " ".join(f"“{text}” {weight:+.2f}" for text, weight in reason.ngrams)
    evidence = [pieces, reason.place, reason.neighbours, f"log-odds {reason.log_odds:+.1f}"]
    return "; ".join(part for part in evidence if part)


_REPORT = "表示|认为|指出|称|说|透露|坦言|介绍|强调|回应|预计|预测|估算|测算|显示|披露|报道|提到|写道|告诉|公布|统计"
_BY_SOURCE = re.compile(rf"(?:根据|按照|据)([^，,。；！？、：]{{2,24}}?)(?:此前|近日|日前|最新)?(?:的?(?:{_REPORT}))")
_SPEAKER = re.compile(
    rf"(?:^|[，,。；”」])\s*([^，,。；！？：“”「」]{{2,24}}?)(?:此前|近日|日前|曾|则|还|也|对此)*(?:{_REPORT})(?:道|说|称)?[，,：:]"
)


def attribution(sentence: str) -> Span | None:
    """The span of whoever a sentence attributes its claim to; None without one.

    Parameters
    ----------
    sentence : str

    Returns
    -------
    Span or None
        Half-open code points of `sentence`.

    Examples
    --------
    >>> attribution("据江湾证券估算，这个市场约有三百亿元。")
    Span(start=1, end=5)
    >>> attribution("今天下雨了。")
    """
    match = _BY_SOURCE.search(sentence) or _SPEAKER.search(sentence)
    return Span(*match.span(1)) if match else None


def add_evidence(classifier: Classifier, doc: Doc) -> Doc:
    """Get a classified document with ``evidence`` in its meta, one entry a sentence.

    An entry is None, or an object with ``reason``, of the first sentence of a boilerplate line, or ``attributed_to``,
    of a claim: half-open code points of the sentence.
    """
    if doc.sents is None or doc.label is None:
        return doc
    reasons = {reason.line.start: describe(reason) for reason in explain(classifier, doc)}
    evidence: list[dict[str, Any] | None] = []
    for (start, end), label in zip(doc.sents.tolist(), doc.label, strict=True):
        source = attribution(doc.text[start:end]) if label == "claim" else None
        if start in reasons and label == "boilerplate":
            evidence.append({"reason": reasons[start]})
        else:
            evidence.append(None if source is None else {"attributed_to": list(source)})
    return doc.extend(meta={**doc.meta, "evidence": evidence})
