"""The one record: a document and its layers of annotation.

Layers are standoff and parallel arrays; `None` means *not run*, an empty layer means *ran, found none*.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int32]
FloatArray = NDArray[np.float32]

ROLES = ("title", "heading", "body", "caption", "code", "boilerplate")
LABELS = ("claim", "opinion", "boilerplate")
KINDS = (
    "credit",
    "author_bio",
    "follow_cta",
    "repost_terms",
    "copyright",
    "disclaimer",
    "nav_prev_next",
    "related",
    "share_nav",
    "tags",
    "ad",
    "comment_ui",
    "other",
)


def code_points(text: str) -> NDArray[np.uint32]:
    """Get a text, of less than 2 ** 29 characters, as an array of its code points, (n_chars,); lone surrogates pass.

    Examples
    --------
    >>> code_points("中a").tolist()
    [20013, 97]
    """
    # NumPy copies a text faster than it is encoded; without the length, an empty one would be a NUL
    return np.frombuffer(np.array(text), np.uint32, len(text))


class Span(NamedTuple):
    """A half-open range of code points."""

    start: int
    end: int


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """A layer of names, one an item, stored as codes into a fixed tuple.

    Parameters
    ----------
    codes : ndarray of int16, shape (n,)
        Index into `names`; -1 stands for null.
    names : tuple of str
        The inventory, such as `ROLES` or a tagset.

    Examples
    --------
    >>> Coded.encode(["body", None], ROLES).tolist()
    ['body', None]
    """

    codes: NDArray[np.int16]
    names: tuple[str, ...]

    @classmethod
    def encode(cls, values: Iterable[str | None], names: Sequence[str]) -> Self:
        """Get the layer that says `values`; an unknown name is a KeyError."""
        index: dict[str | None, int] = {name: i for i, name in enumerate(names)}
        index[None] = -1
        return cls(np.array([index[value] for value in values], dtype=np.int16), tuple(names))

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, item: int) -> str | None:
        code = int(self.codes[item])
        return None if code < 0 else self.names[code]

    def __iter__(self) -> Iterator[str | None]:
        return iter(self.tolist())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Coded) and self.tolist() == other.tolist()

    __hash__ = None  # type: ignore[assignment]  # holds an array

    def tolist(self) -> list[str | None]:
        """The names, null as None."""
        names: tuple[str | None, ...] = (*self.names, None)
        return [names[code] for code in self.codes.tolist()]


def no_edits() -> IntArray:
    """The edits of a text that equals its source: shape (0, 4)."""
    return np.zeros((0, 4), dtype=np.int32)


@dataclass(frozen=True, eq=False)
class Doc:
    """A document: the source, the cleaned text, and what each stage said of it.

    Parameters
    ----------
    id : str
        Unique within a run.
    source : str
        The decoded characters as the reader gave them; never altered.
    text : str
        The text after clean; equal to `source` before it.
    edits : ndarray of int32, shape (n_edits, 4)
        Where lengths differ: rows of text start, text end, source start, source end, half-open, ascending.
        Between two rows offsets run in step.
    meta : mapping
        publisher, title, url, published, origin, encoding, script, lang, and what else the input said;
        `blocks` is what an HTML reader saw of each block (tag, link share).
    sents, tokens : ndarray of int32, shape (n, 2)
        Half-open code-point offsets into `text`.
    upos, xpos : Coded
        Parallel to `tokens`; xpos is the tagset of the training data (GSD's).
    ents : ndarray of int32, shape (n, 2)
        Half-open code-point offsets into `text`, on token borders.
    ent_labels : Coded
        Parallel to `ents`.
    role, label, kind : Coded
        Parallel to `sents`; label and kind are null where they do not apply.
    probs : ndarray of float32, shape (n_sents, 3)
        In the order claim, opinion, boilerplate; NaN where a sentence has no label.
    pii : ndarray of int32, shape (n, 2)
        Private data: half-open code-point offsets into `text`, each within one sentence.
    pii_types : Coded
        Parallel to `pii`.
    """

    id: str
    source: str
    text: str
    edits: IntArray = field(default_factory=no_edits)
    meta: Mapping[str, Any] = field(default_factory=dict)
    sents: IntArray | None = None
    tokens: IntArray | None = None
    upos: Coded | None = None
    xpos: Coded | None = None
    ents: IntArray | None = None
    ent_labels: Coded | None = None
    role: Coded | None = None
    label: Coded | None = None
    probs: FloatArray | None = None
    kind: Coded | None = None
    pii: IntArray | None = None
    pii_types: Coded | None = None

    @staticmethod
    def from_text(text: str, doc_id: str = "doc", **meta: Any) -> Doc:
        """Get a document that no stage has seen."""
        return _BLANK.extend(id=doc_id, source=text, text=text, meta=meta)

    def extend(self, **layers: Any) -> Self:
        """Get the document with other layers; ten times as fast as ``dataclasses.replace``."""
        if not _LAYERS.issuperset(layers):
            raise TypeError(f"a document has no layer {', '.join(sorted(layers.keys() - _LAYERS))}")
        fresh = object.__new__(type(self))
        object.__setattr__(fresh, "__dict__", self.__dict__ | layers)
        return fresh

    def to_source(self, offsets: IntArray) -> IntArray:
        """Map offsets in `text` to offsets in `source`.

        Parameters
        ----------
        offsets : ndarray of int32, any shape
            Code points of `text`, from 0 to its length inclusive.

        Returns
        -------
        ndarray of int32, same shape
        """
        return _map_offsets(offsets, self.edits[:, :2], self.edits[:, 2:])

    def from_source(self, offsets: IntArray) -> IntArray:
        """Map offsets in `source` to offsets in `text`; the inverse of `to_source` outside of edits."""
        return _map_offsets(offsets, self.edits[:, 2:], self.edits[:, :2])

    def sentence_texts(self) -> list[str]:
        """The cleaned text of every sentence, in order."""
        return [] if self.sents is None else [self.text[start:end] for start, end in self.sents.tolist()]


_BLANK = Doc("", "", "")
_LAYERS = frozenset(layer.name for layer in fields(Doc))


def _map_offsets(offsets: IntArray, here: IntArray, there: IntArray) -> IntArray:
    """Carry offsets over the edits: in step between them, clamped within them."""
    offsets = np.asarray(offsets, dtype=np.int32)
    if not len(here):
        return offsets
    row = np.searchsorted(here[:, 0], offsets, side="right") - 1
    known = np.maximum(row, 0)
    inside = offsets < here[known, 1]
    in_edit = np.minimum(there[known, 0] + offsets - here[known, 0], there[known, 1])
    after = there[known, 1] + offsets - here[known, 1]
    mapped = np.where(inside, in_edit, after)
    return np.where(row < 0, offsets, mapped).astype(np.int32)
