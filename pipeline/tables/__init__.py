"""Facts about characters, as code-point ranges in TSV files; the source stands on each file's first line."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

N_CODE_POINTS = 0x110000

INVISIBLE = 1
END = 2
CLOSER = 4
OPENER = 8
HAN = 16
KANA = 32
HANGUL = 64
LATIN = 128
EMOJI = 256
TRADITIONAL = 512
SIMPLIFIED = 1024
MARK = 2048
TWIN = 4096
PRIVATE = 8192
PART_LEFT = 16384
PART_RIGHT = 32768

_CLASS_BITS = {
    "invisible": INVISIBLE,
    "end": END,
    "closer": CLOSER,
    "opener": OPENER,
    "han": HAN,
    "kana": KANA,
    "hangul": HANGUL,
    "latin": LATIN,
    "emoji": EMOJI,
    "mark": MARK,
    "private": PRIVATE,
}

DELETE = -1
REPAIRS = ("line_break", "space", "control", "zero_width", "full_width", "look_alike", "surrogate", "private_use")


def read_rows(name: str) -> Iterator[list[str]]:
    """Yield the rows of a TSV file of this folder; lines that begin with # are comments."""
    for line in files(__package__).joinpath(name).read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            yield line.split("\t")


@cache
def char_classes() -> NDArray[np.uint16]:
    """Get the class bits of every code point, shape (0x110000,).

    Examples
    --------
    >>> classes = char_classes()
    >>> [bool(classes[ord(char)] & END) for char in "。，"]
    [True, False]
    """
    classes = np.zeros(N_CODE_POINTS, dtype=np.uint16)
    for name, first, last in read_rows("classes.tsv"):
        classes[int(first, 16) : int(last, 16) + 1] |= _CLASS_BITS[name]
    return classes


@cache
def char_folds() -> tuple[NDArray[np.int32], NDArray[np.int8]]:
    """Get what the character repairs make of every code point, and which repair it is.

    Returns
    -------
    target : ndarray of int32, shape (0x110000,)
        The code point itself, its replacement, or `DELETE`.
    repair : ndarray of int8, shape (0x110000,)
        Index into `REPAIRS`; -1 where nothing is repaired.
    """
    target = np.arange(N_CODE_POINTS, dtype=np.int32)
    repair = np.full(N_CODE_POINTS, -1, dtype=np.int8)
    for name, first, last, goal in read_rows("folds.tsv"):
        lo, hi = int(first, 16), int(last, 16) + 1
        if goal == "-":
            target[lo:hi] = DELETE
        elif name in ("space", "line_break", "surrogate"):
            target[lo:hi] = int(goal, 16)
        else:
            target[lo:hi] = np.arange(hi - lo) + int(goal, 16)
        repair[lo:hi] = REPAIRS.index(name)
    repair[ord(" ")] = repair[ord("\n")] = -1  # as they should be
    return target, repair
