"""Text that was decoded wrongly and saved so: undone where that gives Chinese text, set aside where too much is lost.

A text is touched only if it looks wrong, what comes out looks like Chinese, and both clearly. Lines are judged one by
one, for a page may hold both; what is not in question stays as it is.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pipeline.errors import InputRejectedError
from pipeline.readers.encoding import MAX_UNDECODABLE
from pipeline.readers.frequent import (
    ASCII,
    CP1252,
    FREQUENT,
    LATIN,
    LOST,
    RARE_HAN,
    chinese_share,
    count_kinds,
)

MAX_SUSPECT = 0.3
"""A line is suspect if less than this share of its characters beyond ASCII is frequent in Chinese.

Chinese text has 0.4 or more from 20 characters up; text decoded wrongly 0.2 or less.
"""

MIN_REPAIRED = 0.4
"""Share of frequent characters that a text has to have once it is undone."""

SURE = 0.6
"""A way of undoing that gives this share needs no comparison; the most usual ways come first."""

MIN_GAIN = 0.3
"""By how much that share has to grow."""

MIN_EVIDENCE = 6
"""So many characters beyond ASCII are needed to say that a text was decoded wrongly."""

MIN_LOST_EVIDENCE = 20
"""So many for setting a text aside because of what is lost."""

MAX_LOST = 0.2
"""A text of whose characters beyond ASCII a greater share is U+FFFD was decoded wrongly, by whatever."""

MAX_GAPS = 0.5
"""A way of undoing that loses more than this share is none."""

LOST_WEIGHT = 0.3
"""What lost characters weigh against frequent ones when ways of undoing are compared."""

_SAMPLE = 2000
"""Characters of suspect lines on which the ways of undoing are compared."""

LOST_FOR_GOOD = "锟斤拷"
"""U+FFFD twice, saved as UTF-8 and read as GBK: nothing is left of the text."""


class Repaired(NamedTuple):
    """A text with its mojibake undone, and how it had come about; None if there was none."""

    text: str
    mojibake: str | None
    n_undecodable: int


def _byte_of(error: UnicodeError) -> tuple[bytes, int]:
    """Encode what a codec can't: a C1 control or private character stands for its bytes, others for an invalid one."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    pieces = []
    for char in error.object[error.start : error.end]:
        data = char.encode("latin-1") if "\x80" <= char <= "\xff" else char.encode("gb18030", "replace")
        pieces.append(data if error.encoding != "latin-1" and len(data) <= 2 and data != b"?" else b"\xff")
    return b"".join(pieces), error.end


codecs.register_error("zhcorpus-mojibake", _byte_of)

_TO_LATIN = {ord(char): byte for char, byte in zip(CP1252, CP1252.encode("cp1252"), strict=True)}


class _Misreading(NamedTuple):
    """Bytes of encoding `right` were decoded as `wrong`."""

    right: str
    wrong: str

    def undo(self, text: str) -> str:
        """Get what the bytes meant; U+FFFD where they mean nothing."""
        if self.wrong == "cp1252":
            if any(char in text for char in CP1252):
                text = text.translate(_TO_LATIN)
            return text.encode("latin-1", "zhcorpus-mojibake").decode(self.right, "replace")
        # Windows shows a lone byte 80 of GBK as the euro sign
        text = text.replace("€", "\x80") if self.wrong == "gbk" else text
        return text.encode(self.wrong, "zhcorpus-mojibake").decode(self.right, "replace")


_LATIN_READINGS = [
    (_Misreading("utf-8", "cp1252"),),
    (_Misreading("gb18030", "cp1252"),),
    (_Misreading("big5hkscs", "cp1252"),),
    (_Misreading("utf-8", "cp1252"),) * 2,
    (_Misreading("utf-8", "cp1252"), _Misreading("gb18030", "cp1252")),
    (_Misreading("utf-8", "cp1252"),) * 3,
]
"""Undone from left to right."""

_HAN_READINGS = [
    (_Misreading("utf-8", "gbk"),),
    (_Misreading("utf-8", "big5hkscs"),),
    (_Misreading("big5hkscs", "gbk"),),
    (_Misreading("gbk", "big5hkscs"),),
    (_Misreading("utf-8", "gbk"),) * 2,
]

_Reading = tuple[_Misreading, ...]

_SURE_MISREADINGS = frozenset({_Misreading("utf-8", "cp1252")})
"""Right text in Latin-1 or Chinese is not undone without loss by these."""


def _undo(text: str, reading: _Reading) -> str:
    for misreading in reading:
        text = misreading.undo(text)
    return text


def _name(text: str, reading: _Reading) -> str:
    """Say in words how the text came about, the first misreading first."""
    names = {"big5hkscs": "big5"}
    steps = []
    for right, wrong in reversed(reading):
        shown = "latin-1" if wrong == "cp1252" and not any(char in text for char in CP1252) else names.get(wrong, wrong)
        steps.append(f"{names.get(right, right)} read as {shown}")
    return ", then ".join(steps)


def _is_suspect(counts: Sequence[int]) -> bool:
    return sum(counts) - counts[ASCII] >= MIN_EVIDENCE and chinese_share(counts) < MAX_SUSPECT


def _plausibility(counts: Sequence[int]) -> float:
    """Say how Chinese a text is of which some is lost; what is left decides, as long as it is most of it."""
    n_beyond = sum(counts) - counts[ASCII]
    share_lost = counts[LOST] / max(n_beyond, 1)
    return counts[FREQUENT] / max(n_beyond - counts[LOST], 1) - LOST_WEIGHT * share_lost if share_lost < MAX_GAPS else 0


def _best_reading(sample: str) -> _Reading | None:
    """Get the way of undoing that gives the most Chinese text, if any does."""
    counts = count_kinds(sample)
    best, best_score = None, max(MIN_REPAIRED, chinese_share(counts) + MIN_GAIN)
    for reading in _LATIN_READINGS if counts[LATIN] > counts[RARE_HAN] else _HAN_READINGS:
        score = _plausibility(count_kinds(_undo(sample, reading)))
        if score > best_score:
            best, best_score = reading, score
        if score > SURE:
            break
    return best


def _sample(lines: Iterable[str]) -> str:
    """Take suspect lines until there are enough of them to judge by."""
    taken, n = [], 0
    for line in lines:
        if n >= _SAMPLE:
            break
        if not line.isascii() and _is_suspect(count_kinds(line)):
            taken.append(line[:_SAMPLE])
            n += len(taken[-1])
    return "\n".join(taken)


def _undo_line(line: str, reading: _Reading) -> tuple[str, int]:
    """Undo one line if that makes it more Chinese, or loses nothing of it; get how many characters are lost, too."""
    if line.isascii():
        return line, 0
    undone = _undo(line, reading)
    before, after = list(count_kinds(line)), count_kinds(undone)
    if reading in _LATIN_READINGS:  # the dot of names stands in Latin-1, too
        n_dots = line.count("·")
        before[FREQUENT], before[LATIN] = before[FREQUENT] - n_dots, before[LATIN] + n_dots
    gain = chinese_share(after) - chinese_share(before)
    # bytes that are UTF-8 throughout prove themselves, even where the line holds none but rare characters
    needed = MIN_GAIN if after[LOST] else -1 if _SURE_MISREADINGS.issuperset(reading) else 0
    if undone != line and gain >= needed:
        return undone, after[LOST]
    is_beyond_repair = _is_suspect(before) and _plausibility(after) - chinese_share(before) >= MIN_GAIN
    return line, len(line) - before[ASCII] if is_beyond_repair else 0


def _check_lost(text: str, counts: Sequence[int]) -> None:
    """Set a text aside of which too little is left."""
    n_beyond = len(text) - counts[ASCII]
    if n_beyond < MIN_EVIDENCE or counts[LOST] + counts[RARE_HAN] <= MAX_LOST * n_beyond:
        return  # need not look for what is lost for good
    n_lost = counts[LOST]
    if LOST_FOR_GOOD[0] in text:  # one character is found three times as fast
        n_lost += len(LOST_FOR_GOOD) * text.count(LOST_FOR_GOOD)
    if n_lost > MAX_LOST * n_beyond:
        raise InputRejectedError(
            "mojibake", f"{n_lost} of {n_beyond} characters beyond ASCII were lost when it was decoded wrongly"
        )


def undo_mojibake(text: str) -> Repaired:
    """Undo mojibake.

    Parameters
    ----------
    text : str

    Returns
    -------
    Repaired
        The text itself if nothing is wrong with it.

    Raises
    ------
    InputRejectedError
        With code ``mojibake`` if the text was decoded wrongly and more than `MAX_UNDECODABLE` of it is lost.

    Examples
    --------
    >>> undo_mojibake("今天的新闻".encode().decode("latin-1"))
    Repaired(text='今天的新闻', mojibake='utf-8 read as latin-1', n_undecodable=0)
    >>> undo_mojibake("Où êtes-vous, élève de la forêt enchantée ?").mojibake is None
    True
    """
    if text.isascii():
        return Repaired(text, None, 0)
    counts = count_kinds(text)
    _check_lost(text, counts)
    if counts[FREQUENT] > 2 * (counts[LATIN] + counts[RARE_HAN]):  # no more than a third of it may be wrong
        return Repaired(text, None, 0)
    sample = _sample(text.split("\n"))
    reading = _best_reading(sample) if sample else None
    return Repaired(text, None, 0) if reading is None else _apply(text, counts, sample, reading)


def _apply(text: str, counts: Sequence[int], sample: str, reading: _Reading) -> Repaired:
    name = _name(sample, reading)
    lines = [_undo_line(line, reading) for line in text.split("\n")]
    undone, n_lost = "\n".join(line for line, _ in lines), sum(n for _, n in lines)
    if n_lost <= MAX_UNDECODABLE * len(undone):
        return Repaired(undone, name, n_lost)
    if len(text) - counts[ASCII] < MIN_LOST_EVIDENCE:
        return Repaired(text, None, 0)
    raise InputRejectedError(
        "mojibake", f"it is {name}, and {n_lost} of {len(undone)} characters can't be brought back"
    )
