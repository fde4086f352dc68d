"""Repair a text until nothing is left to repair: single characters in one pass, then what their signs ask for."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.clean.convert import script_classes
from pipeline.clean.disguise import split_chars
from pipeline.clean.edits import apply_edits
from pipeline.clean.repairs import REPAIRS, latin_twins
from pipeline.doc import IntArray, code_points
from pipeline.kernels.chars import Batch, CodePoints, clean_batch, fold, survey, to_text
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
) -> Batch:
    """Repair single characters in the texts of a batch, and cut their sentences; see `clean_batch`."""
    tables = (*_folds(skip), clean_classes(), _pairs())
    batch: Batch = clean_batch(points, starts, *tables, len(CHAR_REPAIRS), max_bracket, firsts)
    return batch


class Repaired(NamedTuple):
    """A repaired text.

    Parameters
    ----------
    points : ndarray of uint32, shape (n,)
    origin : ndarray of int32, shape (n + 1,)
        Where each character starts in the source; the last is the source's length. None: nothing moved.
    n_of : list of int
        Characters in each class, as `survey` counts them.
    """

    points: CodePoints
    origin: IntArray | None
    n_of: list[int]


def repair(points: CodePoints, origin: IntArray | None, counts: dict[str, int], skip: tuple[str, ...] = ()) -> Repaired:
    """Repair a text until nothing is left to repair.

    Parameters
    ----------
    points : ndarray of uint32, shape (n,)
    origin : ndarray of int32, shape (n + 1,)
        As `Repaired` has it.
    counts : dict of str to int
        How often each repair was made; added to.
    skip : tuple of str
        Repairs to leave out.
    """
    while True:
        n_before = len(points)
        points, folded_origin, folded_counts = fold(points, *_folds(skip), clean_classes(), len(CHAR_REPAIRS))
        if folded_counts.any():
            add_counts(counts, zip(CHAR_REPAIRS, folded_counts.tolist(), strict=True))
        if len(points) != n_before:
            origin = folded_origin if origin is None else origin[folded_origin]
        n_of, signs = survey(points, clean_classes(), _pairs())
        edited = _edit(points, origin, counts, signs, skip) if signs else None
        if edited is None:
            return Repaired(points, origin, n_of.tolist())
        points, origin = edited


def _edit(
    points: CodePoints, origin: IntArray | None, counts: dict[str, int], signs: int, skip: tuple[str, ...]
) -> tuple[CodePoints, IntArray] | None:
    """Apply the repairs whose signs are there, one after the other; None if they leave the text as it is."""
    text, n_before = to_text(points), sum(counts.values())
    known = np.arange(len(points) + 1, dtype=np.int32) if origin is None else origin
    for name, (sign, find) in REPAIRS.items():
        if signs & sign and name not in skip:
            text, known, n_edits = apply_edits(text, known, find(text))
            add_counts(counts, [(name, n_edits)])
    return (code_points(text), known) if sum(counts.values()) > n_before else None


def add_counts(counts: dict[str, int], more: Iterable[tuple[str, int]]) -> None:
    """Add what is not zero to the counts."""
    for name, n in more:
        if n:
            counts[name] = counts.get(name, 0) + n
