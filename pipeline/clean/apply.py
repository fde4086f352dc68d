"""Repairs applied: single characters in one pass over a batch, then to each text what its signs ask for."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from pipeline.clean.convert import script_classes
from pipeline.clean.disguise import split_chars
from pipeline.clean.edits import apply_edits
from pipeline.clean.repairs import REPAIRS, latin_twins
from pipeline.doc import IntArray, code_points
from pipeline.kernels.chars import CodePoints
from pipeline.kernels.folding import Folded, clean_batch
from pipeline.tables import N_CODE_POINTS, PART_LEFT, PART_RIGHT, TWIN, char_folds
from pipeline.tables import REPAIRS as CHAR_REPAIRS

SKIPPABLE = ("full_width", "look_alike", "private_use", *REPAIRS)
"""The repairs that a config may leave out; the others (white space, controls, zero-width) every stage relies on."""


@cache
def clean_classes() -> NDArray[np.uint16]:
    """Get `script_classes` with the bits TWIN, PART_LEFT and PART_RIGHT, of what repairs look for."""
    classes = script_classes().copy()
    classes[[ord(letter) for letter in latin_twins()]] |= TWIN
    for halves in split_chars().values():
        classes[ord(halves[0])] |= PART_LEFT
        classes[ord(halves[1])] |= PART_RIGHT
    return classes


@cache
def _pairs() -> CodePoints:
    """Get the halves of split characters, shape (n_pairs, 2)."""
    return code_points("".join(split_chars().values())).reshape(-1, 2)


@cache
def _folds(skip: tuple[str, ...]) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
    """Get `char_folds` without the repairs to skip."""
    target, repair = char_folds()
    target, repair = target.copy(), repair.copy()
    for name in set(skip).intersection(CHAR_REPAIRS):
        skipped = repair == CHAR_REPAIRS.index(name)
        target[skipped] = np.arange(N_CODE_POINTS)[skipped]
        repair[skipped] = -1
    return target, repair


def fold_batch(
    points: CodePoints, starts: NDArray[np.int64], skip: tuple[str, ...], max_bracket: int, firsts: CodePoints
) -> Folded:
    """Repair single characters in the texts of a batch, and cut their sentences; see `clean_batch`."""
    tables = (*_folds(skip), clean_classes(), _pairs())
    folded: Folded = clean_batch(points, starts, *tables, len(CHAR_REPAIRS), max_bracket, firsts)
    return folded


def edit_text(text: str, counts: dict[str, int], signs: int, skip: tuple[str, ...]) -> tuple[str, IntArray | None]:
    """Apply the repairs whose signs are there, one after the other.

    Parameters
    ----------
    text : str
        Folded text.
    counts : dict of str to int
        How often each repair was made; added to.
    signs : int
        As `survey` gives them.
    skip : tuple of str
        Repairs to leave out.

    Returns
    -------
    text : str
    origin : ndarray of int32, shape (n + 1,)
        Where each character came from in `text`; the last is its length. None: there was nothing to repair.
    """
    origin = None
    for name, (sign, find) in REPAIRS.items():
        edits = list(find(text)) if signs & sign and name not in skip else []
        if edits:
            known = np.arange(len(text) + 1, dtype=np.int32) if origin is None else origin
            text, origin = apply_edits(text, known, edits)
            add_count(counts, name, len(edits))
    return text, origin


def add_count(counts: dict[str, int], name: str, n: int) -> None:
    """Add to a count, if there is anything to add."""
    if n:
        counts[name] = counts.get(name, 0) + n
