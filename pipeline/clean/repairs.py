"""Repairs that look at more than one character; each yields edits and changes nothing itself.

Repairs of single characters (controls, zero-width, full-width Latin and digits, look-alikes, white space) are rows
of ``tables/folds.tsv``. Chinese punctuation and quotation marks stay as they are; NFKC is never applied.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from pipeline.doc import IntArray


class Edit(NamedTuple):
    """Replace ``text[start:end]``, half-open code points, by `replacement`."""

    start: int
    end: int
    replacement: str


_ENTITY = re.compile(r"&(?:amp;)*(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")


def unescape_entities(text: str) -> Iterator[Edit]:
    r"""Decode the HTML entities that a scraper left in the text.

    Examples
    --------
    >>> [edit.replacement for edit in unescape_entities("A&amp;B&nbsp;&#20013;")]
    ['&', '\xa0', '中']

    Doubly escaped ones become what they meant; what is no entity stays:

    >>> [edit.replacement for edit in unescape_entities("&amp;lt; R&D; AT&T")]
    ['<']
    """
    for match in _ENTITY.finditer(text):
        entity = re.sub(r"^&(?:amp;)+(?!$)", "&", match.group())
        replacement = html.unescape(entity)
        if replacement != match.group() and "&" not in replacement[:-1]:
            yield Edit(match.start(), match.end(), replacement)


REPAIRS: dict[str, tuple[str, Callable[[str], Iterator[Edit]]]] = {
    "html_entity": ("&", unescape_entities),
}
"""Name -> (a string without which the repair has nothing to do, the repair)."""


def apply_edits(text: str, origin: IntArray, edits: Iterable[Edit]) -> tuple[str, IntArray, int]:
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
    n_edits : int

    Examples
    --------
    >>> text, origin, n = apply_edits("a&lt;b", np.arange(7, dtype=np.int32), [Edit(1, 5, "<")])
    >>> text, origin.tolist(), n
    ('a<b', [0, 1, 5, 6], 1)
    """
    pieces, origins, at, n_edits = [], [], 0, 0
    for start, end, replacement in edits:
        pieces += [text[at:start], replacement]
        steps = np.minimum(np.arange(len(replacement)), end - start)
        origins += [origin[at:start], origin[start + steps]]
        at = end
        n_edits += 1
    if not n_edits:
        return text, origin, 0
    pieces.append(text[at:])
    origins.append(origin[at:])
    return "".join(pieces), np.concatenate(origins).astype(np.int32), n_edits
