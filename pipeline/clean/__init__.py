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

from pipeline.clean.apply import SKIPPABLE, add_count, clean_classes, edit_text, fold_batch
from pipeline.clean.convert import CONVERSIONS, convert, tell_language, tell_script
from pipeline.clean.quotes import QUOTES, choose_quotes
from pipeline.doc import Doc, IntArray, code_points
from pipeline.errors import ConfigError
from pipeline.kernels.chars import CodePoints, find_closing_brackets, to_text
from pipeline.kernels.folding import edits_from_origin, origin_from_edits
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


def _rewrite(points: CodePoints, text: str, script: str, config: CleanConfig, counts: dict[str, int]) -> str | None:
    """Convert the script and the quotation marks of a Chinese text as the config says; None if it stays as it is.

    Its length stays.
    """
    result = text
    if config.convert != "none" and script != "hans":
        converted = convert(points, config.convert)
        add_count(counts, "script", int(np.count_nonzero(converted != points)))
        points, result = converted, to_text(converted)
    if config.quotes != "keep":
        result = choose_quotes(result, config.quotes)
        add_count(counts, "quotes", int(np.count_nonzero(code_points(result) != points)))
    return None if result == text else result


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


def clean_docs(docs: Sequence[Doc], config: CleanConfig = _DEFAULT) -> list[Doc]:
    """Clean a batch in rounds; a document without a visible character has an empty text and no sentence.

    A round repairs the single characters of all texts in one pass. The few texts that this leaves with something to
    edit, or to convert, are changed one by one and go through another round: what was changed may be what a repair
    looks for, such as a reading of the simplified character.
    """
    done = list(docs)
    counts: list[dict[str, int]] = [{} for _ in docs]
    first_facts: dict[int, dict[str, Any]] = {}
    origins: dict[int, IntArray] = {}
    waiting = [(d, doc.source) for d, doc in enumerate(docs)]
    while waiting:
        batch = fold_batch([source for _, source in waiting], config.skip, MAX_GLUED, _GLUED_FIRSTS)
        texts = to_text(batch.points)
        ends, sent_ends, edit_ends = batch.bounds.tolist(), batch.sent_bounds.tolist(), batch.edit_bounds.tolist()
        is_changed, has_bracket, signs = batch.is_changed.tolist(), batch.has_bracket.tolist(), batch.signs.tolist()
        n_of = batch.n_of.tolist()
        rows, columns = batch.repairs.nonzero()
        for i, column, n in zip(rows.tolist(), columns.tolist(), batch.repairs[rows, columns].tolist(), strict=True):
            add_count(counts[waiting[i][0]], CHAR_REPAIRS[column], n)
        again = []
        for i, (d, source) in enumerate(waiting):
            doc, start, end = docs[d], ends[i], ends[i + 1] - 1
            points = batch.points[start:end]
            text = texts[start:end] if is_changed[i] else source
            edits = batch.edits[edit_ends[i] : edit_ends[i + 1]]
            if d in origins and is_changed[i]:
                origins[d] = origins[d][origin_from_edits(edits, len(text))]
            if signs[i]:
                edited, moved = edit_text(text, counts[d], signs[i], config.skip)
                if moved is not None:
                    origins[d] = (origins[d] if d in origins else origin_from_edits(edits, len(text)))[moved]
                    again.append((d, edited))
                    continue
            facts = _facts(n_of[i], text, counts[d])
            if _is_rewritten(facts, config):
                first_facts.setdefault(d, facts)
                rewritten = _rewrite(points, text, facts["script"], config, counts[d])
                if rewritten is not None:
                    origins.setdefault(d, origin_from_edits(edits, len(text)))
                    again.append((d, rewritten))
                    continue
            sents = batch.sents[sent_ends[i] : sent_ends[i + 1]]
            if has_bracket[i]:
                sents = split_glued(points, sents.copy())
            if d in origins:
                edits = edits_from_origin(origins[d])
            meta = {**doc.meta, **first_facts.get(d, facts)}
            done[d] = doc.extend(text=text, points=points, edits=edits, meta=meta, sents=sents)
        waiting = again
    return done


def clean_doc(doc: Doc, config: CleanConfig = _DEFAULT) -> Doc:
    """Clean one document; see `clean_docs`."""
    return clean_docs([doc], config)[0]


@stage("clean", requires=["source"], assigns=["text", "edits", "sents"])
def make_clean(config: CleanConfig) -> Stage:
    """Get the clean stage."""

    def clean(docs: Sequence[Doc]) -> list[Doc]:
        return clean_docs(docs, config)

    return clean
