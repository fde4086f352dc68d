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

from pipeline.clean import CleanConfig, clean_doc, clean_docs
from pipeline.clean.apply import SKIPPABLE, clean_classes
from pipeline.clean.convert import convert, load_conversion
from pipeline.doc import Doc, code_points
from pipeline.errors import ConfigError
from pipeline.kernels.chars import cut_sentences, to_text
from pipeline.tables import CLOSER, HAN, INVISIBLE, LATIN, MARK, PART_LEFT, PART_RIGHT, TWIN, char_classes
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
PIECES += [
    "注 意 事 项",
    " 意",
    " ，未 ",
    "（wēi）",
    "(nèi)",
    "[rong]",
    "内(nèi)容",
    "內",
    "信",
    "弓虽",
    "女干",
    "行弓 ",
    "办讠",
    "正",
]
PIECES += [
    "！！！！",
    "。。",
    "……",
    "~~~",
    "·" * 8,
    "Аp",
    "раy",
    "μ",
    "\ue81e",
    "\uf0b7",
    "\ue600",
    "\ue5e5",
    "𝟙𝐀",
    "﹐",
    "「",
    '"',
]
messy = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=30).map("".join)
PROSE = st.sampled_from(
    [
        "他走到门口，",
        "又回过头来看了一眼。",
        "Linux 与 kernel ",
        "（说明）",
        "“好！”",
        "天色渐晚、风也大了",
        "注 意 事 项",
        "弓虽大",
    ]
)


def wrap(pieces: list[str], width: int) -> str:
    text = "".join(pieces)
    return "\n".join(text[i : i + width] for i in range(0, len(text), width))


wrapped = st.builds(wrap, st.lists(PROSE, min_size=20, max_size=60), st.integers(18, 40))
messy_text = messy | st.tuples(wrapped, messy).map("".join) | st.lists(messy | wrapped, max_size=3).map("\n".join)
CONFIGS = st.sampled_from(
    [CleanConfig(), CleanConfig("none", "curly"), CleanConfig("tw2s", "corner", ("pinyin", "look_alike"))]
)


@pytest.mark.parametrize("case", read_cases("clean.jsonl"))
def test_case(case: dict[str, Any]) -> None:
    assert cleaned(case["source"]).text == case["text"]


@pytest.mark.parametrize("name", SKIPPABLE)
def test_every_repair_is_shown_by_a_case_and_can_be_skipped(name: str) -> None:
    sources = [case.values[0]["source"] for case in read_cases("clean.jsonl") if not case.marks]
    repaired = [source for source in sources if name in cleaned(source).meta["repairs"]]
    assert repaired
    for source in repaired:
        assert name not in clean_doc(Doc.from_text(source), CleanConfig(skip=(name,))).meta["repairs"]


@pytest.mark.parametrize(
    "settings", [{"skip": ["spaced"]}, {"skip": ["space"]}, {"skip": [1]}, {"quotes": "round"}, {"convert": "x"}]
)
def test_unknown_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="known: "):
        CleanConfig(**settings)


def test_private_use_characters_without_a_known_meaning_stay_and_are_counted() -> None:
    doc = cleaned("甲\ue600乙\uf0b7丙")
    assert doc.text == "甲\ue600乙•丙"
    assert doc.meta["repairs"] == {"private_use": 1}
    assert doc.meta["left"] == {"private_use": 1}


@pytest.mark.parametrize(
    ("style", "text"),
    [
        ("keep", "他说：“走。”「好」"),
        ("curly", "他说：“走。”“好”"),
        ("corner", "他说：「走。」「好」"),
    ],
)
def test_quotation_marks_by_choice(style: str, text: str) -> None:
    doc = clean_doc(Doc.from_text("他说：“走。”「好」"), CleanConfig(quotes=style))
    assert (doc.text, len(doc.edits)) == (text, 0)


@pytest.mark.parametrize("case", read_cases("sentences.jsonl"))
def test_sentences(case: dict[str, Any]) -> None:
    assert cleaned(case["text"]).sentence_texts() == case["expected"]


@settings(max_examples=300)
@given(messy_text, CONFIGS)
def test_clean_is_idempotent(source: str, config: CleanConfig) -> None:
    once = clean_doc(Doc.from_text(source), config)
    twice = clean_doc(Doc.from_text(once.text), config)
    assert twice.text == once.text
    assert len(twice.edits) == 0
    np.testing.assert_array_equal(twice.sents, once.sents)


@settings(max_examples=300)
@given(st.lists(messy_text, max_size=5), CONFIGS)
def test_a_batch_is_cleaned_as_each_document_alone(sources: list[str], config: CleanConfig) -> None:
    docs = [Doc.from_text(source, origin="a") for source in sources]
    for doc, alone in zip(clean_docs(docs, config), [clean_doc(doc, config) for doc in docs], strict=True):
        assert (doc.text, doc.meta, doc.source) == (alone.text, alone.meta, alone.source)
        np.testing.assert_array_equal(doc.sents, alone.sents)
        np.testing.assert_array_equal(doc.edits, alone.edits)


def visible(text: str) -> np.ndarray:
    return char_classes()[code_points(text)] & INVISIBLE == 0


@settings(max_examples=300)
@given(messy_text, CONFIGS)
def test_every_visible_character_of_the_source_lies_in_one_sentence(source: str, config: CleanConfig) -> None:
    doc = clean_doc(Doc.from_text(source), config)
    covered = np.zeros(len(source), dtype=int)
    for start, end in source_spans([doc]).tolist():
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


@pytest.mark.parametrize("n_times", [1, 2, 3, 4, 1000])
def test_text_in_the_shortest_of_sentences_is_cut_whole(n_times: int) -> None:
    docs = clean_docs([Doc.from_text("。甲\n" * n_times) for _ in range(3)])
    for doc in docs:
        assert doc.sents.tolist() == [[i, i + 1] for i in range(3 * n_times) if i % 3 < 2]
    points = code_points("。甲\n。甲")
    assert len(cut_sentences(points, clean_classes()[points])) == 4


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
        texts = [json.loads(line)["text"] for line, _ in zip(file, range(60), strict=False)]
    texts += [OpenCC("s2t").convert(text) for text in texts]  # the file is in simplified script
    for name in ("pud", "hk"):
        lines = (shared / f"data/ud/{name}.conllu").read_text(encoding="utf-8").splitlines()
        texts += [line[9:] for line in lines if line.startswith("# text = ")]
    for text in texts:
        assert to_text(convert(code_points(text), "t2s")) == reference.convert(text)


@pytest.mark.parametrize(
    ("text", "script", "lang"),
    [
        ("这是简体中文，还有一些英文 words。", "hans", "zh"),
        ("這是繁體中文，還有一些說明。", "hant", "zh"),
        ("这边简体说话，那邊繁體說話。", "mixed", "zh"),
        ("这部电影讲的是一个老人与他的几条渔船，片尾字幕写着「敬請期待」，观众笑了很长时间。", "hans", "zh"),
        ("這部電影講的是一個老人與他的幾條漁船，片尾寫著“期待”，觀眾們笑了很長時間，後來還說起來。", "hant", "zh"),
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
    assert [doc.source[start:end] for start, end in source_spans([doc]).tolist()] == ["甲&amp;乙。", "丙。"]


def test_the_survey_may_shift_classes_into_each_other() -> None:
    assert (PART_RIGHT, LATIN, HAN) == (PART_LEFT << 1, CLOSER << 5, INVISIBLE << 4)
    classes = clean_classes()
    assert not (classes[(classes & HAN) > 0] & (MARK | CLOSER | TWIN)).any()
