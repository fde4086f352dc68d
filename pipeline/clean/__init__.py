"""Clean stage: text worth annotating, and its sentences.

Reads ``source``; assigns ``text``, ``edits``, ``sents`` and, in ``meta``, script, lang and the count of each repair.
The source is left as it was; offsets of the text map back to it through the edits.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pipeline.clean.convert import CONVERSIONS, convert, script_classes, tell_language, tell_script
from pipeline.clean.repairs import REPAIRS, apply_edits
from pipeline.doc import Doc, IntArray, no_edits
from pipeline.errors import ConfigError
from pipeline.kernels.chars import (
    CodePoints,
    code_points,
    count_classes,
    cut_sentences,
    edits_from_origin,
    find_closing_brackets,
    fold,
    to_text,
)
from pipeline.stage import Stage, stage
from pipeline.tables import HAN, HANGUL, KANA, LATIN, SIMPLIFIED, TRADITIONAL, char_folds, read_rows
from pipeline.tables import REPAIRS as CHAR_REPAIRS

MAX_GLUED = 60
"""Code points of the longest bracket at a line's end that may be a glued footer."""


@dataclass(frozen=True)
class CleanConfig:
    """How text is cleaned.

    Parameters
    ----------
    convert : str
        ``none``, ``t2s`` or ``tw2s``: the conversion of documents in traditional or mixed script.
    """

    convert: str = "t2s"

    def __post_init__(self) -> None:
        if self.convert not in CONVERSIONS:
            raise ConfigError(f"clean.convert is {self.convert!r}; known: {', '.join(CONVERSIONS)}")


def repair(source: str) -> tuple[CodePoints, IntArray, dict[str, int]]:
    """Repair a text until nothing is left to repair.

    Returns
    -------
    points : ndarray of uint32, shape (n,)
        The repaired text.
    edits : ndarray of int32, shape (n_edits, 4)
        As `Doc.edits` has them.
    counts : dict of str to int
        How often each repair was made.
    """
    counts: dict[str, int] = {}
    text, origin, points = source, None, code_points(source)
    while True:
        n_edits = 0
        for name, (trigger, find) in REPAIRS.items():
            if trigger in text:
                known = np.arange(len(text) + 1, dtype=np.int32) if origin is None else origin
                text, origin, n = apply_edits(text, known, find(text))
                counts[name] = counts.get(name, 0) + n
                n_edits += n
        folded, folded_origin, folded_counts = fold(
            code_points(text) if n_edits else points, *char_folds(), script_classes(), len(CHAR_REPAIRS)
        )
        for name, n in zip(CHAR_REPAIRS, folded_counts.tolist(), strict=True):
            counts[name] = counts.get(name, 0) + n
        origin = folded_origin if origin is None else origin[folded_origin]
        # folding may have joined what only now is an entity
        if not n_edits and (len(folded) == len(points) or "&" not in text):
            break
        text, points = to_text(folded), folded
    edits = edits_from_origin(origin) if len(folded) else no_edits()
    return folded, edits, {name: n for name, n in counts.items() if n}


_GLUED = re.compile("[（(【\\[]\\s*(?:" + "|".join(row[0] for row in read_rows("glued.tsv")) + ")")


def split_glued(points: CodePoints, sents: IntArray) -> IntArray:
    """Cut a footer in brackets from the end of the line that it is glued to.

    Examples
    --------
    >>> points = code_points("会议当天结束（责任编辑：某某）")
    >>> split_glued(points, np.array([[0, 15]], dtype=np.int32)).tolist()
    [[0, 6], [6, 15]]

    Other brackets stay:

    >>> split_glued(code_points("增长（同比）"), np.array([[0, 6]], dtype=np.int32)).tolist()
    [[0, 6]]
    """
    extra = []
    for row, opener in find_closing_brackets(points, sents, script_classes(), MAX_GLUED).tolist():
        start, end = sents[row].tolist()
        if _GLUED.match(to_text(points[opener:end])):
            body_end = opener - 1 if points[opener - 1] == ord(" ") else opener
            extra.append((row, start, body_end, opener, end))
    if not extra:
        return sents
    pieces = [sents]
    for row, start, body_end, opener, end in extra:
        sents[row] = (start, body_end)
        pieces.append(np.array([[opener, end]], dtype=np.int32))
    sents = np.concatenate(pieces)
    return sents[np.argsort(sents[:, 0], kind="stable")]


def clean_doc(doc: Doc, conversion: str = "t2s") -> Doc:
    """Clean one document; one without a visible character has an empty text and no sentence."""
    points, edits, counts = repair(doc.source)
    classes = count_classes(points, script_classes())
    n_of = {bit: int(classes[bit.bit_length() - 1]) for bit in (HAN, KANA, HANGUL, LATIN, TRADITIONAL, SIMPLIFIED)}
    script = tell_script(n_of[TRADITIONAL], n_of[SIMPLIFIED])
    lang = tell_language(to_text(points), n_of[HAN], n_of[KANA], n_of[HANGUL], n_of[LATIN])
    if conversion != "none" and script != "hans" and lang == "zh":
        converted = convert(points, conversion)
        counts["script"] = int(np.count_nonzero(converted != points))
        points = converted
    text = to_text(points)
    meta = {
        **doc.meta,
        "script": script,
        "lang": lang,
        "repairs": counts,
    }
    sents = split_glued(points, cut_sentences(points, script_classes()))
    return replace(doc, text=text, edits=edits, meta=meta, sents=sents)


@stage("clean", requires=["source"], assigns=["text", "edits", "sents"])
def make_clean(config: CleanConfig) -> Stage:
    """Get the clean stage."""

    def clean(docs: Sequence[Doc]) -> list[Doc]:
        return [clean_doc(doc, config.convert) for doc in docs]

    return clean
