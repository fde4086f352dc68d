"""Documents side by side, their layers one after another: what stages hand to kernels, and to each other.

A batch reads as the sequence of its documents. Each is made when it is asked for; a run that asks for none does nothing
a document but what its reader did.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self, overload

import numpy as np
from numpy.typing import NDArray

from pipeline.doc import Coded, Doc, IntArray, code_points
from pipeline.errors import AlignmentError
from pipeline.kernels.chars import to_text

Bounds = NDArray[np.int64]
Meta = Mapping[str, Any]

_STRINGS = {"text": "\n", "source": ""}
"""What is a string in a document, and code points in a batch; with what stands behind each."""

_MADE_BY = {"sents": ("sentences", "clean"), "tokens": ("words", "segment")}


def bounds_of(lengths: Sequence[int] | NDArray[Any]) -> Bounds:
    """Get where each of several parts begins when they are joined, and the length of all.

    Examples
    --------
    >>> bounds_of([2, 0, 3]).tolist()
    [0, 2, 2, 5]
    """
    bounds = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=bounds[1:])
    return bounds


def _cut(values: Any, first: int, last: int) -> Any:
    return Coded(values.codes[first:last], values.names) if isinstance(values, Coded) else values[first:last]


def _concatenate(parts: Sequence[Any]) -> Any:
    if not isinstance(parts[0], Coded):
        return np.concatenate(parts)
    names = parts[0].names
    if all(part.names == names for part in parts):
        return Coded(np.concatenate([part.codes for part in parts]), names)
    known = dict.fromkeys(name for part in parts for name in part.names)
    return Coded.encode([name for part in parts for name in part], tuple(known))


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A layer of several documents.

    Parameters
    ----------
    values : ndarray or Coded
        What each document has, one after another; offsets count from the start of each text.
    bounds : ndarray of int64, shape (n_docs + 1,)
        Of document d: from ``bounds[d]`` to ``bounds[d + 1]``.
    """

    values: Any
    bounds: Bounds

    def of(self, d: int) -> Any:
        """Get what one document has."""
        return _cut(self.values, self.bounds[d], self.bounds[d + 1])

    def cut(self, first: int, last: int) -> Layer:
        """Get the layer of a range of documents."""
        bounds = self.bounds[first : last + 1]
        return Layer(_cut(self.values, bounds[0], bounds[-1]), bounds - bounds[0])

    def replace(self, parts: Mapping[int, Any]) -> Layer:
        """Get the layer in which some documents, by their number, have something else."""
        if not parts:
            return self
        pieces, lengths, at = [], np.diff(self.bounds), 0
        for d, part in sorted(parts.items()):
            pieces += [_cut(self.values, self.bounds[at], self.bounds[d]), part]
            lengths[d] = len(part)
            at = d + 1
        return Layer(_concatenate([*pieces, _cut(self.values, self.bounds[at], self.bounds[-1])]), bounds_of(lengths))

    @staticmethod
    def join(layers: Sequence[Layer]) -> Layer:
        """Get the layer of the documents of several, in order."""
        lengths = np.concatenate([np.diff(layer.bounds) for layer in layers])
        return Layer(_concatenate([layer.values for layer in layers]), bounds_of(lengths))


def _collect(docs: Sequence[Doc], name: str) -> Layer | None:
    """Get a layer from documents; None unless each has it."""
    parts = [part for doc in docs if (part := getattr(doc, name)) is not None]
    return Layer(_concatenate(parts), bounds_of([len(part) for part in parts])) if 0 < len(docs) == len(parts) else None


class Batch(Sequence[Doc]):
    """Documents as a reader gave them, and what stages have added since.

    Parameters
    ----------
    docs : sequence of Doc
    metas : sequence of mapping, or None
        What is known of each, where that is more than the document says.
    layers : mapping of str to Layer
        By their names in `Doc`; they stand for the documents' own. The values of ``text`` are code points, with a
        newline behind each text, those of ``source`` code points.

    Examples
    --------
    >>> batch = Batch.of([Doc.from_text("甲"), Doc.from_text("乙丙")])
    >>> batch.text.values.tolist(), batch.text.bounds.tolist()
    ([30002, 10, 20057, 19993, 10], [0, 2, 5])
    >>> batch.extend(sents=Layer(np.array([[0, 1], [0, 2]], np.int32), np.array([0, 1, 2])))[1].sents.tolist()
    [[0, 2]]
    """

    def __init__(
        self, docs: Sequence[Doc], metas: Sequence[Meta] | None = None, layers: Mapping[str, Layer] | None = None
    ) -> None:
        self.docs = list(docs)
        self.metas = [doc.meta for doc in docs] if metas is None else list(metas)
        self._layers = layers or {}
        self._collected: dict[str, Layer | None] = {}

    @classmethod
    def of(cls, docs: Sequence[Doc]) -> Self:
        """Get documents as a batch, if they are none yet."""
        return docs if isinstance(docs, cls) else cls(docs)

    @classmethod
    def join(cls, batches: Sequence[Batch]) -> Batch:
        """Get the documents of several batches, in order, as one."""
        if len(batches) == 1:
            return batches[0]
        layers = {}
        for name in dict.fromkeys(name for batch in batches for name in batch._layers):
            parts = [layer for batch in batches if (layer := batch.layer(name)) is not None]
            if len(parts) < len(batches):
                return cls([doc for batch in batches for doc in batch])
            layers[name] = Layer.join(parts)
        docs = [doc for batch in batches for doc in batch.docs]
        return cls(docs, [meta for batch in batches for meta in batch.metas], layers)

    def extend(self, metas: Sequence[Meta] | None = None, **layers: Layer) -> Batch:
        """Get the batch with other layers."""
        batch = Batch(self.docs, self.metas if metas is None else metas, {**self._layers, **layers})
        batch._collected = self._collected
        return batch

    def __len__(self) -> int:
        return len(self.docs)

    @overload
    def __getitem__(self, item: int) -> Doc: ...

    @overload
    def __getitem__(self, item: slice) -> Batch: ...

    def __getitem__(self, item: int | slice) -> Doc | Batch:
        if not isinstance(item, slice):
            return self._make(range(len(self))[item])
        first, last, step = item.indices(len(self))
        if step != 1:
            return Batch([self._make(d) for d in range(first, last, step)])
        last = max(first, last)
        layers = {name: layer.cut(first, last) for name, layer in self._layers.items()}
        return Batch(self.docs[first:last], self.metas[first:last], layers)

    def __iter__(self) -> Iterator[Doc]:
        return map(self._make, range(len(self)))

    def _make(self, d: int) -> Doc:
        layers = {name: layer.of(d) for name, layer in self._layers.items() if name != "source"}
        if "text" in layers:
            layers["text"] = to_text(layers["text"][:-1])
        return self.docs[d].extend(meta=self.metas[d], **layers)

    def layer(self, name: str) -> Layer | None:
        """Get a layer of all documents; None unless each has it."""
        if name in _STRINGS:
            return self._points(name)
        if name not in self._layers and name not in self._collected:
            self._collected[name] = _collect(self.docs, name)
        return self._layers.get(name) or self._collected[name]

    def spans(self, name: str) -> Layer:
        """Get the layer ``sents`` or ``tokens``.

        Raises
        ------
        AlignmentError
            If a document does not have it.
        """
        layer = self.layer(name)
        if layer is not None:
            return layer
        for doc in self.docs:
            if getattr(doc, name) is None:
                what, stage = _MADE_BY[name]
                raise AlignmentError(f"document {doc.id!r} has no {what}; run the {stage} stage first")
        return Layer(np.zeros((0, 2), dtype=np.int32), np.zeros(1, dtype=np.int64))

    @property
    def text(self) -> Layer:
        """The code points of the texts, with a newline behind each."""
        return self._points("text")

    @property
    def source(self) -> Layer:
        """The code points of the sources."""
        return self._points("source")

    def _points(self, name: str) -> Layer:
        layer = self._layers.get(name) or self._collected.get(name)
        if layer is None:
            strings = [getattr(doc, name) + _STRINGS[name] for doc in self.docs]
            layer = self._collected[name] = Layer(code_points("".join(strings)), bounds_of([*map(len, strings)]))
        return layer

    def text_of(self, d: int) -> str:
        """The text of one document."""
        return to_text(self.text.of(d)[:-1])

    def join_spans(self, layer: Layer) -> Layer:
        """Get spans whose offsets count from the start of the first text."""
        shifts = np.repeat(self.text.bounds[:-1], np.diff(layer.bounds))[:, None]
        return Layer(np.add(layer.values, shifts, dtype=np.int32), layer.bounds)

    def split_spans(self, spans: IntArray) -> Layer:
        """Get a layer of spans whose offsets count from the start of the first text: the inverse of `join_spans`."""
        bounds = np.searchsorted(spans[:, 0], self.text.bounds).astype(np.int64)
        shifts = np.repeat(self.text.bounds[:-1], np.diff(bounds))[:, None]
        return Layer(np.subtract(spans, shifts, dtype=np.int32), bounds)
