"""A batch reads as its documents, however it was cut, put together and added to."""

from __future__ import annotations

from dataclasses import fields
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.batch import Batch, Layer, bounds_of
from pipeline.doc import LABELS, Coded, Doc, IntArray


def spans(draw: st.DrawFn, n: int) -> IntArray:
    cuts = sorted(draw(st.sets(st.integers(0, n), max_size=4)))
    return np.array(list(pairwise(cuts)), dtype=np.int32).reshape(-1, 2)


@st.composite
def docs(draw: st.DrawFn, **sizes: int) -> list[Doc]:
    """Documents with sentences, or some without."""
    texts = draw(st.lists(st.text("甲乙😀 \n", max_size=5), **sizes))
    made = []
    for i, text in enumerate(texts):
        doc = Doc.from_text(text, f"d{i}", number=i)
        if draw(st.integers(0, 9)):
            sents = spans(draw, len(text))
            names = draw(st.lists(st.sampled_from([None, *LABELS]), min_size=len(sents), max_size=len(sents)))
            doc = doc.extend(sents=sents, label=Coded.encode(names, LABELS))
        made.append(doc)
    return made


def plain(doc: Doc) -> dict[str, Any]:
    return {
        layer.name: value.tolist() if hasattr(value := getattr(doc, layer.name), "tolist") else value
        for layer in fields(Doc)
    }


def assert_same(batch: Any, expected: list[Doc]) -> None:
    assert [plain(doc) for doc in batch] == [plain(doc) for doc in expected]
    assert len(batch) == len(expected)


def layer_values(made: list[Doc]) -> list[list[int]]:
    return [span for doc in made for span in doc.sents.tolist()]


def numbered(batch: Batch) -> Layer:
    return Layer(np.arange(len(batch), dtype=np.float32).reshape(-1, 1).repeat(3, 1), np.arange(len(batch) + 1))


@given(docs(max_size=6), st.data())
def test_parts_of_a_batch_are_parts_of_its_documents(made: list[Doc], data: st.DataObject) -> None:
    first, last = data.draw(st.integers(-7, 7)), data.draw(st.integers(-7, 7))
    step = data.draw(st.sampled_from([None, 1, 2, -1]))
    batch = Batch.of(made)
    for name in ("text", "sents", "label", "tokens"):
        batch.layer(name)  # what is gathered for kernels must not change what documents say
    assert_same(batch, made)
    assert_same(batch[first:last:step], made[first:last:step])
    with pytest.raises(IndexError):
        batch[len(made)]
    if made:
        assert plain(batch[-1]) == plain(made[-1])


@given(docs(max_size=6), st.data())
def test_what_is_added_is_what_documents_have(made: list[Doc], data: st.DataObject) -> None:
    metas = [{"seen": i} for i in range(len(made))]
    batch = Batch.of(made).extend(metas, probs=numbered(Batch.of(made)))
    expected = [doc.extend(meta={"seen": i}, probs=np.full((1, 3), i, dtype=np.float32)) for i, doc in enumerate(made)]
    assert_same(batch, expected)
    at = data.draw(st.integers(0, len(made)))
    assert_same(Batch.join([batch[:at], batch[at:]]), expected)
    assert_same(Batch.join([Batch.of(made[:at]), batch[at:]]), [*made[:at], *expected[at:]])


def test_a_batch_keeps_its_documents() -> None:
    given_list = [Doc.from_text("甲", "a"), Doc.from_text("乙", "b")]
    batch = Batch.of(given_list)
    given_list.reverse()
    assert [doc.id for doc in batch] == ["a", "b"]
    assert batch[np.int64(1)].id == "b"


@given(docs(max_size=5))
def test_layers_are_those_of_all_documents(made: list[Doc]) -> None:
    batch = Batch.of(made)
    for name in ("sents", "label"):
        layer = batch.layer(name)
        if not made or any(doc.sents is None for doc in made):
            assert layer is None
            return
        assert [layer.of(d).tolist() for d in range(len(made))] == [getattr(doc, name).tolist() for doc in made]
    joined = "".join(doc.text + "\n" for doc in made)
    texts = [text for doc in made for text in doc.sentence_texts()]
    assert [joined[start:end] for start, end in batch.join_spans(batch.spans("sents")).values.tolist()] == texts
    assert batch.split_spans(batch.join_spans(batch.spans("sents")).values).values.tolist() == layer_values(made)
    assert [batch.text_of(d) for d in range(len(made))] == [doc.text for doc in made]


@given(st.lists(st.lists(st.integers(0, 9), max_size=3), max_size=5), st.data())
def test_parts_of_a_layer_are_replaced(parts: list[list[int]], data: st.DataObject) -> None:
    layer = Layer(
        np.array([n for part in parts for n in part], dtype=np.int32), bounds_of([len(part) for part in parts])
    )
    new = data.draw(st.dictionaries(st.integers(0, 4), st.lists(st.integers(0, 9), max_size=3)))
    new = {d: part for d, part in new.items() if d < len(parts)}
    replaced = layer.replace({d: np.array(part, dtype=np.int32) for d, part in new.items()})
    assert [replaced.of(d).tolist() for d in range(len(parts))] == [new.get(d, part) for d, part in enumerate(parts)]


def test_names_of_two_inventories_are_one_inventory() -> None:
    made = [
        Doc.from_text("甲").extend(upos=Coded.encode(names, inventory))
        for names, inventory in ((["A", None], ["A", "B"]), (["C", "B"], ["B", "C"]))
    ]
    layer = Batch.of(made).layer("upos")
    assert layer is not None
    assert layer.values.tolist() == ["A", None, "C", "B"]
    assert layer.values.names == ("A", "B", "C")
