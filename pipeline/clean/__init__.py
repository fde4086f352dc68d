"""Clean stage: text worth annotating, and its sentences.

Reads ``source``; assigns ``text``, ``edits``, ``sents`` and, in ``meta``, script, lang and the count of each repair.
The source is left as it was; offsets of the text map back to it through the edits.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.clean.apply import SKIPPABLE, add_counts, clean_classes, fold_batch, repair
from pipeline.clean.convert import CONVERSIONS, convert, tell_language, tell_script
from pipeline.clean.quotes import QUOTES, choose_quotes
from pipeline.doc import Doc, IntArray, code_points, no_edits
from pipeline.errors import ConfigError
from pipeline.kernels.chars import CodePoints, cut_sentences, edits_from_origin, find_closing_brackets, to_text
from pipeline.stage import Stage, stage
from pipeline.tables import REPAIRS as CHAR_REPAIRS
from pipeline.tables import read_rows

MAX_GLUED = 60
"""Code points of the longest bracket at a line's end that may be a glued footer."""


@dataclass(frozen=True)
class CleanConfig:
    """How text is cleaned.

    Parameters
    ----------
    convert : str
        ``none``, ``t2s`` or ``tw2s``: the conversion of documents in traditional or mixed script.
    quotes : str
        ``keep``, ``curly`` or ``corner``: the quotation marks of Chinese documents.
    skip : tuple of str
        Repairs to leave out, of `SKIPPABLE`.
    """

    convert: str = "t2s"
    quotes: str = "keep"
    skip: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.convert not in CONVERSIONS:
            raise ConfigError(f"clean.convert is {self.convert!r}; known: {', '.join(CONVERSIONS)}")
        if self.quotes not in QUOTES:
            raise ConfigError(f"clean.quotes is {self.quotes!r}; known: {', '.join(QUOTES)}")
        for name in self.skip:
            if name not in SKIPPABLE:
                raise ConfigError(f"clean.skip has {name!r}; known: {', '.join(SKIPPABLE)}")


_GLUED_FOOTERS = [row[0] for row in read_rows("glued.tsv")]
_GLUED = re.compile("[（(【\\[]\\s*(?:" + "|".join(_GLUED_FOOTERS) + ")")
_GLUED_FIRSTS = code_points("".join(sorted({pattern[0] for pattern in _GLUED_FOOTERS})))


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
    for row, opener in find_closing_brackets(points, sents, clean_classes(), MAX_GLUED, _GLUED_FIRSTS).tolist():
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


def _rewrite(
    points: CodePoints, text: str, script: str, config: CleanConfig, counts: dict[str, int]
) -> tuple[CodePoints, str]:
    """Convert the script and the quotation marks of a Chinese text as the config says; its length stays."""
    result = points
    if config.convert != "none" and script != "hans":
        result = convert(points, config.convert)
        add_counts(counts, [("script", int(np.count_nonzero(result != points)))])
    if config.quotes != "keep":
        before = result
        result = code_points(choose_quotes(to_text(before), config.quotes))
        add_counts(counts, [("quotes", int(np.count_nonzero(result != before)))])
    return (points, text) if result is points or np.array_equal(result, points) else (result, to_text(result))


_DEFAULT = CleanConfig()


def _facts(n_of: Sequence[int], text: str, counts: dict[str, int]) -> dict[str, Any]:
    """Get what `meta` says of a text: script, language, what was repaired and what was left."""
    han, kana, hangul, latin, traditional, simplified, private = n_of
    script, lang = tell_script(traditional, simplified), tell_language(text, han, kana, hangul, latin)
    return {"script": script, "lang": lang, "repairs": counts, "left": {"private_use": private}}


def _is_rewritten(facts: dict[str, Any], config: CleanConfig) -> bool:
    """Tell whether `_rewrite` may have something to do."""
    converts = config.convert != "none" and facts["script"] != "hans"
    return facts["lang"] == "zh" and (converts or config.quotes != "keep")


def clean_doc(doc: Doc, config: CleanConfig = _DEFAULT) -> Doc:
    """Clean one document; one without a visible character has an empty text and no sentence."""
    counts: dict[str, int] = {}
    facts: dict[str, Any] = {}
    points, origin, n_of = repair(code_points(doc.source), None, counts, config.skip)
    while True:
        text = to_text(points) if counts or origin is not None else doc.source
        current = _facts(n_of, text, counts)
        facts = facts or current
        if not _is_rewritten(current, config):
            break
        rewritten, text = _rewrite(points, text, current["script"], config, counts)
        if rewritten is points:
            break
        # what was converted may be what a repair looks for, such as a reading of the simplified character
        points, origin, n_of = repair(rewritten, origin, counts, config.skip)
    edits = no_edits() if origin is None or not len(points) else edits_from_origin(origin)
    sents = split_glued(points, cut_sentences(points, clean_classes()))
    return doc.extend(text=text, points=points, edits=edits, meta={**doc.meta, **facts}, sents=sents)


def clean_docs(docs: Sequence[Doc], config: CleanConfig = _DEFAULT) -> list[Doc]:
    """Clean a batch: what single characters need in one pass over all of it, the rest document by document."""
    starts = np.cumsum([0] + [len(doc.source) for doc in docs], dtype=np.int64)
    batch = fold_batch(
        code_points("".join([doc.source for doc in docs])), starts, config.skip, MAX_GLUED, _GLUED_FIRSTS
    )
    repaired = np.any(batch.repairs, axis=1)
    done = []
    for d, (doc, n_of) in enumerate(zip(docs, batch.n_of.tolist(), strict=True)):
        counts: dict[str, int] = {}
        if repaired[d]:
            add_counts(counts, zip(CHAR_REPAIRS, batch.repairs[d].tolist(), strict=True))
        points = batch.points[batch.bounds[d] : batch.bounds[d + 1] - 1]
        text = to_text(points) if batch.is_changed[d] else doc.source
        facts = _facts(n_of, text, counts)
        if batch.signs[d] or _is_rewritten(facts, config):
            done.append(clean_doc(doc, config))
            continue
        sents = batch.sents[batch.sent_bounds[d] : batch.sent_bounds[d + 1]]
        if batch.has_bracket[d]:
            sents = split_glued(points, sents.copy())
        edits = batch.edits[batch.edit_bounds[d] : batch.edit_bounds[d + 1]]
        done.append(doc.extend(text=text, points=points, edits=edits, meta={**doc.meta, **facts}, sents=sents))
    return done


@stage("clean", requires=["source"], assigns=["text", "edits", "sents"])
def make_clean(config: CleanConfig) -> Stage:
    """Get the clean stage."""

    def clean(docs: Sequence[Doc]) -> list[Doc]:
        return clean_docs(docs, config)

    return clean
