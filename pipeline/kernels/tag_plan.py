"""Plan how words are tagged: sort a tagger's templates by the way they are looked up, and lay out what that needs."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from pipeline.kernels.decode import Ints
from pipeline.kernels.features import COARSE, EDGE, N_CLASSES, OUTSIDE, Hashes, Lexicon, mix
from pipeline.kernels.perfect import Places, find

Rows = NDArray[np.int8]
Sums = NDArray[np.int16]

N_COLUMNS = 64  # of weights: a cache line of bytes
MAX_DENSE = 256  # classes, of which pairs have a row each
MAX_TRIPLE = 48  # classes, of which triples do
N_EDGES = 2 * EDGE  # words that stand for what lies before and behind a sentence


class Tables(NamedTuple):
    """A tagger as flat arrays.

    Parameters
    ----------
    templates : ndarray of int32, shape (n_templates, 8)
        See `features.compile_templates`.
    shifts, marks : ndarray
        Where features have their slots; see `perfect.Places`.
    weights : ndarray of int8, shape (n_features, N_COLUMNS)
        In the order of the slots that are not empty: for the tags, then for the name tags, then nothing.
    tag_edges : ndarray of int32, shape (n_tags, n_tags)
        From the earlier tag (row) to the later (column).
    name_edges : ndarray of int32, shape (n_name_tags, n_name_tags)
        The same for O, then B- and I- of each label.
    """

    templates: NDArray[np.int32]
    shifts: NDArray[np.uint16]
    marks: NDArray[np.uint32]
    weights: Rows
    tag_edges: NDArray[np.int32]
    name_edges: NDArray[np.int32]


class Plan(NamedTuple):
    """How a word is scored: the templates by the way they are looked up, and what they need.

    Parameters
    ----------
    single : ndarray of int32, shape (n, 8)
        Templates that look at one place, as compiled.
    hashed : ndarray of int32, shape (n, 8)
        Those that have to be hashed for every word.
    dense : ndarray of int32, shape (n, 6)
        Those of two classes: which class; two places; first row; what a step of either class adds to it.
    triple : ndarray of int32, shape (2,)
        Which class has sums for three neighbours, and how many there are; -1 for none.
    triples : ndarray of int16, shape (n, n, n, N_COLUMNS)
        The sums of all templates over that class of the word before, the word, and the word behind.
    numbers : ndarray of int32, shape (N_CLASSES, n_values)
        The number of each value of a class; dense rows are in their order, the edges last.
    n_numbers : ndarray of int32, shape (N_CLASSES,)
        How many there are, without edges.
    shifts, marks, rows
        As in `Tables`, but with a row for each slot, behind them those of `dense`, and an empty one at the end.
    tag_edges, tag_reach, name_edges, name_reach : ndarray of int32
        As in `Tables`, and `reach_of` them.
    """

    single: Ints
    hashed: Ints
    dense: Ints
    triple: Ints
    triples: Sums
    numbers: Ints
    n_numbers: Ints
    shifts: NDArray[np.uint16]
    marks: NDArray[np.uint32]
    rows: Rows
    tag_edges: Ints
    tag_reach: Ints
    name_edges: Ints
    name_reach: Ints


def make_plan(lexicon: Lexicon, tables: Tables) -> Plan:
    """Sort the templates by the way they are looked up, and lay out what that needs."""
    places = Places(tables.shifts, tables.marks)
    slots = np.zeros((len(tables.marks), N_COLUMNS), np.int8)
    slots[tables.marks > 0] = tables.weights
    values = [np.unique(np.append(column, 0)).astype(np.uint64) for column in lexicon.classes.T]
    numbers = np.zeros((N_CLASSES, 1 + int(max(column[-1] for column in values))), np.int32)
    for k, column in enumerate(values):
        numbers[k, column.astype(np.int64)] = np.arange(len(column))
    seen = [np.append(column, OUTSIDE + np.arange(N_EDGES, dtype=np.uint64)) for column in values]
    single, hashed, by_class = _sort_templates(tables.templates, [len(column) for column in values])
    triple = next((k for k, part in by_class.items() if any(row[1] == 3 for row in part)), -1)
    triples = np.zeros((1, 1, 1, N_COLUMNS), np.int16)
    if triple >= 0:
        triples = np.zeros((len(seen[triple]),) * 3 + (N_COLUMNS,), np.int16)
        _sum_triples(by_class.pop(triple), seen[triple], *places, slots, triples)
    dense, parts = [], [slots]
    for k, part in by_class.items():
        n = len(seen[k])
        block = np.zeros((n, n, len(part), N_COLUMNS), np.int8)
        for i, row in enumerate(part):
            _copy_pairs(row, seen[k], *places, slots, block[:, :, i])
            dense.append([k, row[3], row[5], sum(map(len, parts)) + i, n * len(part), len(part)])
        parts.append(block.reshape(-1, N_COLUMNS))
    return Plan(
        _matrix(single, 8), _matrix(hashed, 8), _matrix(dense, 6),
        np.array([triple, triples.shape[0]], np.int32), triples,
        numbers, np.array([len(column) for column in values], np.int32),
        tables.shifts, tables.marks, np.concatenate([*parts, np.zeros((1, N_COLUMNS), np.int8)]),
        tables.tag_edges, reach_of(tables.tag_edges), tables.name_edges, reach_of(tables.name_edges),
    )  # fmt: skip


def _matrix(rows: list[Any], width: int) -> Ints:
    return np.array(rows, np.int32).reshape(-1, width)


def _sort_templates(templates: Ints, n_values: list[int]) -> tuple[list[Ints], list[Ints], dict[int, list[Ints]]]:
    """Get the templates of one place, those to hash, and those over one class by the class."""
    single: list[Ints] = []
    hashed: list[Ints] = []
    by_class: dict[int, list[Ints]] = {}
    for row in templates:
        views, places = row[2 : 2 + 2 * row[1] : 2], row[3 : 3 + 2 * row[1] : 2]
        k = int(views[0]) - COARSE if len(set(views.tolist())) == 1 else -1
        if len(set(places.tolist())) <= 1:
            single.append(row)
        elif k >= 0 and n_values[k] <= MAX_DENSE:
            by_class.setdefault(k, []).append(row)
        else:
            hashed.append(row)
    for k, part in list(by_class.items()):
        # three neighbours at once, if they are few; a template of three that is not so has to be hashed
        if any(row[1] == 3 for row in part) and not (
            n_values[k] <= MAX_TRIPLE and all(abs(row[3 : 3 + 2 * row[1] : 2]).max() <= 1 for row in part)
        ):
            hashed += by_class.pop(k)
    return single, hashed, by_class


def reach_of(edges: Ints) -> Ints:
    """Get how far a tag (column) may lie behind another (row) and still be the better one to come from.

    Examples
    --------
    >>> reach_of(np.array([[3, 0], [1, 1]], np.int32)).tolist()
    [[0, -1], [-2, 0]]
    """
    reach: Ints = (edges[:, None, :] - edges[None, :, :]).min(axis=2).astype(np.int32)
    return reach


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _copy_pairs(
    template: Ints, values: Hashes, shifts: NDArray[np.uint16], marks: NDArray[np.uint32], rows: Rows, block: Rows
) -> None:
    """Copy the rows of a template of two classes to where the classes say."""
    for a in range(len(values)):
        for b in range(len(values)):
            slot = find(mix(mix(np.uint64(template[0]), values[a]), values[b]), shifts, marks)
            if slot >= 0:
                block[a, b] = rows[slot]


def _sum_triples(
    templates: list[Ints], values: Hashes, shifts: NDArray[np.uint16], marks: NDArray[np.uint32], rows: Rows, sums: Sums
) -> None:
    """Sum the rows of templates over the classes of a word and its neighbours."""
    for template in templates:
        _add_triples(template, values, shifts, marks, rows, sums)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def _add_triples(
    template: Ints, values: Hashes, shifts: NDArray[np.uint16], marks: NDArray[np.uint32], rows: Rows, sums: Sums
) -> None:
    n = len(values)
    at = np.zeros(3, np.int64)
    for a in range(n):
        for b in range(n):
            for c in range(n):
                at[0], at[1], at[2] = a, b, c
                key = np.uint64(template[0])
                for p in range(template[1]):
                    key = mix(key, values[at[1 + template[3 + 2 * p]]])
                slot = find(key, shifts, marks)
                if slot >= 0:
                    for k in range(N_COLUMNS):
                        sums[a, b, c, k] += np.int16(rows[slot, k])
