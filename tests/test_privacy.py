from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import cleaned, read_cases
from hypothesis import given
from hypothesis import strategies as st

from pipeline.privacy import TYPES, Private, clip_to_sentences, find_private, mark_private
from pipeline.writers.columns import make_tables

PIECES = [
    *"QQ： 微信号： 加V： 13800000000 138-0000-0000 10000000 @ qs.cn hu".split(),
    *"＠ ．com a1b2c3 62000000000000 05 X 壹叁捌 。 - ❤ 1 号 vx".split(),
    " ",
    "\n",
    "110101190001010022",
    "➊➌➑",
    "1\ufe0f\u20e3",
]
texts = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=25).map("".join)


@pytest.mark.parametrize("case", read_cases("privacy.jsonl"))
def test_case(case: dict[str, Any]) -> None:
    text = case["text"]
    found = [[span.type, text[span.start : span.end]] for span in find_private(text)]
    assert found == case["expected"]


def test_every_type_has_cases() -> None:
    types = [name for case in read_cases("privacy.jsonl") for name, _ in case.values[0]["expected"]]
    assert set(types) == set(TYPES)


@pytest.mark.parametrize("text", ["微信号a1b2c3@qq．com", "abc＠qq．comabc＠qq．com"])
def test_an_address_holds_what_else_it_could_be(text: str) -> None:
    start = text.index("a")
    assert find_private(text) == [Private(start, len(text), "email")]


@given(texts)
def test_spans_are_disjoint_and_inside_the_text(text: str) -> None:
    end = 0
    for span in find_private(text):
        assert end <= span.start < span.end <= len(text)
        assert span.type in TYPES
        end = span.end


@given(texts)
def test_sentences_hold_the_spans_of_the_text(text: str) -> None:
    doc = cleaned(text)
    found = find_private(doc.text)
    spans = clip_to_sentences(found, doc.sents)
    assert [span.start for span in spans] == [span.start for span in found]
    for span in spans:
        assert any(start <= span.start < span.end <= end for start, end in doc.sents.tolist())


def test_a_span_ends_with_its_sentence() -> None:
    spans = [Private(0, 2, "qq"), Private(3, 9, "qq"), Private(9, 10, "qq")]
    assert clip_to_sentences(spans, np.array([[2, 5], [8, 10]], dtype=np.int32)) == [(3, 5, "qq"), (9, 10, "qq")]
    assert clip_to_sentences(spans, np.zeros((0, 2), dtype=np.int32)) == []


def annotated_rows(mode: str) -> dict[str, Any]:
    """The row of the second sentence of a document with a number in it."""
    doc = cleaned("第一句。请致电 13800138000 找老王。")
    return make_tables(mark_private([doc], mode)).sentences.to_pylist()[1]


def test_spans_are_written_as_code_points_of_the_sentence() -> None:
    row = annotated_rows("mark")
    (span,) = row["pii"]
    assert (row["text"][span["start"] : span["end"]], span["type"]) == ("13800138000", "mobile")


def test_masked_characters_are_hidden_and_the_spans_stay() -> None:
    row = annotated_rows("mask")
    assert row["text"] == "请致电 *********** 找老王。"
    assert row["pii"] == annotated_rows("mark")["pii"]
    assert (row["start"], row["end"]) == (annotated_rows("mark")["start"], annotated_rows("mark")["end"])


def test_what_is_masked_does_not_hang_on_other_documents() -> None:
    (masked,) = mark_private([cleaned("请致电 13800138000 找老王。")], "mask")
    first, second = make_tables([masked, cleaned("没有找过。")]).sentences.to_pylist()
    assert (first["text"], second["text"]) == ("请致电 *********** 找老王。", "没有找过。")


def test_a_document_without_hits_has_an_empty_list() -> None:
    assert make_tables(mark_private([cleaned("没有号码。")], "mark")).sentences.to_pylist()[0]["pii"] == []


@given(st.lists(texts, max_size=5))
def test_a_batch_is_searched_as_each_document_alone(batch: list[str]) -> None:
    docs = [cleaned(text) for text in batch]
    for doc in mark_private(docs, "mark"):
        found = clip_to_sentences(find_private(doc.text), doc.sents)
        assert [*zip(*doc.pii.T.tolist(), doc.pii_types, strict=True)] == found
