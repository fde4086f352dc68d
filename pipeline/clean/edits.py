"""Edits: what a repair would replace, and the one place where they are applied."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from pipeline.doc import IntArray


class Edit(NamedTuple):
    """Replace ``text[start:end]``, half-open code points, by `replacement`, which is no longer."""

    start: int
    end: int
    replacement: str


def apply_edits(text: str, origin: IntArray, edits: Iterable[Edit]) -> tuple[str, IntArray]:
    """Apply ascending, disjoint edits, and carry the origin of every character along.

    Parameters
    ----------
    text : str
    origin : ndarray of int32, shape (len(text) + 1,)
        Where each character starts in the source; the last is the source's length.
    edits : iterable of Edit

    Returns
    -------
    text : str
    origin : ndarray of int32, shape (len(text) + 1,)

    Examples
    --------
    >>> text, origin = apply_edits("a&lt;b", np.arange(7, dtype=np.int32), [Edit(1, 5, "<")])
    >>> text, origin.tolist()
    ('a<b', [0, 1, 5, 6])
    """
    pieces, origins, at = [], [], 0
    for start, end, replacement in edits:
        pieces += [text[at:start], replacement]
        origins.append(origin[at:start])
        if replacement:
            origins.append(origin[start + np.minimum(np.arange(len(replacement)), end - start)])
        at = end
    pieces.append(text[at:])
    origins.append(origin[at:])
    return "".join(pieces), np.concatenate(origins).astype(np.int32)
