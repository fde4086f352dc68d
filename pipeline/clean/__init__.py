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

from pipeline.batch import Batch, Layer
from pipeline.clean.apply import SKIPPABLE, add_count, clean_classes, edit_text, fold_batch
from pipeline.clean.convert import CONVERSIONS, convert, tell_language, tell_script
from pipeline.clean.quotes import QUOTES, choose_quotes
from pipeline.doc import Doc, IntArray, code_points
from pipeline.errors import ConfigError
from pipeline.kernels.chars import CodePoints, find_closing_brackets, to_text
from pipeline.kernels.folding import Folded, edits_from_origin, origin_from_edits
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


def _rewrite(points: CodePoints, script: str, config: CleanConfig, counts: dict[str, int]) -> str | None:
    """Convert the script and the quotation marks of a Chinese text as the config says; None if it stays as it is.

    Its length stays.
    """
    original = points
    if config.convert != "none" and script != "hans":
        converted = convert(points, config.convert)
        add_count(counts, "script", int(np.count_nonzero(converted != points)))
        points = converted
    if config.quotes != "keep":
        chosen = code_points(choose_quotes(to_text(points), config.quotes))
        add_count(counts, "quotes", int(np.count_nonzero(chosen != points)))
        points = chosen
    return None if np.array_equal(points, original) else to_text(points)


_DEFAULT = CleanConfig()


def _facts(n_of: Sequence[int], points: CodePoints, counts: dict[str, int]) -> dict[str, Any]:
    """Get what `meta` says of a text: script, language, what was repaired and what was left."""
    han, kana, hangul, latin, traditional, simplified, private = n_of
    script, lang = tell_script(traditional, simplified), tell_language(points, han, kana, hangul, latin)
    return {"script": script, "lang": lang, "repairs": counts, "left": {"private_use": private}}


def _is_rewritten(facts: dict[str, Any], config: CleanConfig) -> bool:
    """Tell whether `_rewrite` may have something to do."""
    converts = config.convert != "none" and facts["script"] != "hans"
    return facts["lang"] == "zh" and (converts or config.quotes != "keep")


class _Rounds:
    """What becomes of the documents of a batch, round after round.

    Attributes
    ----------
    facts : dict of int to dict
        What `_facts` says of each document, by its number, before its script was converted.
    text, edits, sents : dict of int to ndarray
        Of single documents, by their number, what differs from what the first round made of them.
    """

    def __init__(self, n_docs: int, config: CleanConfig) -> None:
        self.facts: dict[int, dict[str, Any]] = {}
        self.text: dict[int, CodePoints] = {}
        self.edits: dict[int, IntArray] = {}
        self.sents: dict[int, IntArray] = {}
        self._counts: list[dict[str, int]] = [{} for _ in range(n_docs)]
        self._origins: dict[int, IntArray] = {}
        self._config = config

    def take_in(self, folded: Folded, numbers: Sequence[int]) -> dict[int, str]:
        """Take in a round of the documents `numbers`; get the texts, by document, that want another one."""
        rows, columns = folded.repairs.nonzero()
        counts = folded.repairs[rows, columns].tolist()
        for i, column, n in zip(rows.tolist(), columns.tolist(), counts, strict=True):
            add_count(self._counts[numbers[i]], CHAR_REPAIRS[column], n)
        waiting = {}
        bounds, n_of, signs, has_bracket = (
            values.tolist() for values in (folded.bounds, folded.n_of, folded.signs, folded.has_bracket)
        )
        for i, d in enumerate(numbers):
            known = _facts(n_of[i], folded.points[bounds[i] : bounds[i + 1] - 1], self._counts[d])
            if not (signs[i] or has_bracket[i] or d in self._origins or _is_rewritten(known, self._config)):
                self.facts[d] = known
            elif (text := self._change(folded, i, d, known)) is not None:
                waiting[d] = text
        return waiting

    def _change(self, folded: Folded, i: int, d: int, known: dict[str, Any]) -> str | None:
        """Edit or convert text `i` of a round, document `d`; None if there is nothing left to do."""
        whole = folded.points[folded.bounds[i] : folded.bounds[i + 1]]
        points, signs = whole[:-1], int(folded.signs[i])
        edits = folded.edits[folded.edit_bounds[i] : folded.edit_bounds[i + 1]]
        if d in self._origins and folded.is_changed[i]:
            self._origins[d] = self._origins[d][origin_from_edits(edits, len(points))]
        if signs:
            edited, moved = edit_text(to_text(points), self._counts[d], signs, self._config.skip)
            if moved is not None:
                self._origins[d] = self._origin(d, edits, points)[moved]
                return edited
        self.facts.setdefault(d, known)
        if _is_rewritten(known, self._config):
            rewritten = _rewrite(points, known["script"], self._config, self._counts[d])
            if rewritten is not None:
                self._origins[d] = self._origin(d, edits, points)
                return rewritten
        sents = folded.sents[folded.sent_bounds[i] : folded.sent_bounds[i + 1]]
        if folded.has_bracket[i]:
            sents = split_glued(points, sents.copy())
        if d in self._origins:
            self.text[d], self.edits[d] = whole, edits_from_origin(self._origins[d])
        if d in self._origins or folded.has_bracket[i]:
            self.sents[d] = sents
        return None

    def _origin(self, d: int, edits: IntArray, points: CodePoints) -> IntArray:
        """Where each character of a document comes from."""
        return self._origins[d] if d in self._origins else origin_from_edits(edits, len(points))


def clean_docs(docs: Sequence[Doc], config: CleanConfig = _DEFAULT) -> Batch:
    """Clean a batch in rounds; a document without a visible character has an empty text and no sentence.

    A round repairs the single characters of all texts in one pass. The few texts that this leaves with something to
    edit, or to convert, are changed one by one and go through another round: what was changed may be what a repair
    looks for, such as a reading of the simplified character.
    """
    batch, rounds = Batch.of(docs), _Rounds(len(docs), config)
    first = _fold(batch.source, config)
    waiting = rounds.take_in(first, range(len(docs)))
    while waiting:
        texts = Batch([Doc.from_text(text) for text in waiting.values()])
        waiting = rounds.take_in(_fold(texts.source, config), list(waiting))
    return batch.extend(
        [{**meta, **rounds.facts[d]} for d, meta in enumerate(batch.metas)],
        source=batch.source,
        text=Layer(first.points, first.bounds).replace(rounds.text),
        edits=Layer(first.edits, first.edit_bounds).replace(rounds.edits),
        sents=Layer(first.sents, first.sent_bounds).replace(rounds.sents),
    )


def _fold(texts: Layer, config: CleanConfig) -> Folded:
    return fold_batch(texts.values, texts.bounds, config.skip, MAX_GLUED, _GLUED_FIRSTS)


def clean_doc(doc: Doc, config: CleanConfig = _DEFAULT) -> Doc:
    """Clean one document; see `clean_docs`."""
    return clean_docs([doc], config)[0]


@stage("clean", requires=["source"], assigns=["text", "edits", "sents"])
def make_clean(config: CleanConfig) -> Stage:
    """Get the clean stage."""

    def clean(docs: Sequence[Doc]) -> Batch:
        return clean_docs(docs, config)

    return clean
