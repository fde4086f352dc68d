from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import cleaned, read_cases
from hypothesis import given, settings
from hypothesis import strategies as st
from opencc import OpenCC

from pipeline.clean.convert import convert, load_conversion
from pipeline.doc import Doc
from pipeline.kernels.chars import code_points, to_text
from pipeline.tables import INVISIBLE, char_classes
from pipeline.writers.columns import source_spans

PIECES = (
    "甲 乙文 瞭 著 乾隆 後 后 說 “ ” 。 ！ ； … （ ） ( 责任编辑：某 [ ] Ａ ９ &amp; & amp; lt; "
    "&nbsp; &#8203; &#x6c49; ⼀ ａｂ x 1.5 𠀀 👩"
).split(" ")
PIECES += [
    " ",
    "　",
    "\n",
    "\r\n",
    "\t",
    "\u200b",
    "\ufeff",
    "\u200d",
    "❤\ufe0f",
    "\x00",
    "\x85",
    "\u2028",
    "\ud800",
    "\uf967",
]
messy_text = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=30).map("".join)


@pytest.mark.parametrize("case", read_cases("clean.jsonl"))
def test_case(case: dict[str, Any]) -> None:
    assert cleaned(case["source"]).text == case["text"]


@pytest.mark.parametrize("case", read_cases("sentences.jsonl"))
def test_sentences(case: dict[str, Any]) -> None:
    assert cleaned(case["text"]).sentence_texts() == case["expected"]


@settings(max_examples=300)
@given(messy_text)
def test_clean_is_idempotent(source: str) -> None:
    once = cleaned(source)
    twice = cleaned(once.text)
    assert twice.text == once.text
    assert len(twice.edits) == 0
    np.testing.assert_array_equal(twice.sents, once.sents)


def visible(text: str) -> np.ndarray:
    return char_classes()[code_points(text)] & INVISIBLE == 0


@settings(max_examples=300)
@given(messy_text)
def test_every_visible_character_of_the_source_lies_in_one_sentence(source: str) -> None:
    doc = cleaned(source)
    covered = np.zeros(len(source), dtype=int)
    for start, end in source_spans(doc).tolist():
        assert start < end
        covered[start:end] += 1
    if len(doc.sents):
        np.testing.assert_array_equal(covered[visible(source)], 1)
    else:
        assert not doc.text


@settings(max_examples=300)
@given(messy_text)
def test_offsets_map_there_and_back(source: str) -> None:
    doc = cleaned(source)
    offsets = np.arange(len(doc.text), dtype=np.int32)
    there = doc.to_source(offsets)
    assert (np.diff(there) >= 0).all()
    outside = np.ones(len(offsets), dtype=bool)
    for start, end, *_ in doc.edits.tolist():
        outside[start:end] = False
    np.testing.assert_array_equal(doc.from_source(there)[outside], offsets[outside])


@settings(max_examples=200)
@given(messy_text)
def test_sentences_hold_all_of_the_text_but_white_space(source: str) -> None:
    doc = cleaned(source)
    inside = np.zeros(len(doc.text), dtype=bool)
    for start, end in doc.sents.tolist():
        assert not inside[start:end].any()
        inside[start:end] = True
    assert not "".join(char for char, is_in in zip(doc.text, inside, strict=True) if not is_in).strip()


@pytest.mark.parametrize("name", ["t2s", "tw2s"])
def test_conversion_equals_opencc_on_all_its_keys(name: str) -> None:
    reference = OpenCC(name)
    keys = [key for group in reference._dict_chain_data for _, _, entries in group for key in entries]
    assert len(keys) > 4000
    for sep in ("", "，"):
        text = sep.join(keys)
        assert to_text(convert(code_points(text), name)) == reference.convert(text)


@settings(max_examples=200)
@given(st.lists(st.sampled_from([*load_conversion("t2s")[0][0].phrases, "，", " ", "了", "幹", "於"]), max_size=12))
def test_conversion_equals_opencc_where_phrases_meet(parts: list[str]) -> None:
    text = "".join(parts)
    for cut in (text, text[1:], text[:-1]):
        assert to_text(convert(code_points(cut), "t2s")) == OpenCC("t2s").convert(cut)


def test_conversion_equals_opencc_on_traditional_text(shared: Path) -> None:
    reference = OpenCC("t2s")
    with gzip.open(shared / "data/text/drcd.jsonl.gz", "rt", encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for line, _ in zip(file, range(150), strict=False)]
    for text in texts:
        assert to_text(convert(code_points(text), "t2s")) == reference.convert(text)


@pytest.mark.parametrize(
    ("text", "script", "lang"),
    [
        ("这是简体中文，还有一些英文 words。", "hans", "zh"),
        ("這是繁體中文，還有一些說明。", "hant", "zh"),
        ("这边简体说话，那邊繁體說話。", "mixed", "zh"),
        ("これは日本語の文章です。", "hant", "ja"),
        ("이것은 한국어 문장입니다.", "hans", "ko"),
        ("This is the first line of the text.", "hans", "en"),
        ("12345 67890", "hans", "und"),
    ],
)
def test_script_and_language(text: str, script: str, lang: str) -> None:
    meta = cleaned(text).meta
    assert (meta["script"], meta["lang"]) == (script, lang)


def test_japanese_is_not_converted() -> None:
    text = "これは日本語で書かれた記事です。東京の図書館に関する説明。"
    assert cleaned(text).text == text


def test_source_is_left_as_it_was() -> None:
    source = "\ufeff　甲&nbsp;乙\r\n"
    doc = cleaned(source)
    assert doc.source == source
    assert doc.meta["repairs"] == {"html_entity": 1, "line_break": 1, "space": 2, "zero_width": 1}


def test_repairs_are_counted_only_when_made() -> None:
    assert cleaned("甲，乙。").meta["repairs"] == {}


def test_a_text_without_visible_characters_has_no_sentence() -> None:
    doc = cleaned(" \u200b\n")
    assert (doc.text, doc.sents.shape) == ("", (0, 2))


def test_offsets_of_an_edited_text_point_into_the_source() -> None:
    doc = Doc.from_text("甲&amp;乙。　　丙。")
    doc = cleaned(doc.source)
    assert [doc.source[start:end] for start, end in source_spans(doc).tolist()] == ["甲&amp;乙。", "丙。"]
