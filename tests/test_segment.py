"""The segment stage, the treebank reader and the segmenter's training."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.doc import Doc
from pipeline.errors import AlignmentError, ConfigError, ModelError
from pipeline.segment import (
    SegmentConfig,
    UserWords,
    cut_out,
    find_addresses,
    load_segmenter,
    load_user_words,
    make_segment,
)
from pipeline.stage import Stage
from pipeline.training import cohesion, latin, plain, segmenter
from pipeline.training.conllu import Sentence, name_spans, read_conllu, read_folder
from tests.conftest import ROOT, read_cases

MODEL = ROOT / "models" / "segmenter"


def with_sents(text: str, sents: list[list[int]] | None = None) -> Doc:
    rows = [[0, len(text)]] if sents is None and text else sents or []
    return replace(Doc.from_text(text), sents=np.array(rows, np.int32).reshape(-1, 2))


def words(doc: Doc) -> list[str]:
    assert doc.tokens is not None
    return [doc.text[start:end] for start, end in doc.tokens.tolist()]


@pytest.fixture(scope="module")
def segment() -> Stage:
    return make_segment(SegmentConfig(MODEL))


@pytest.mark.slow
@pytest.mark.parametrize("case", read_cases("words.jsonl"))
def test_cases(segment: Stage, case: dict[str, Any]) -> None:
    assert words(segment([with_sents(case["text"])])[0]) == case["expected"]


@pytest.mark.slow
@given(
    texts=st.lists(
        st.text(st.sampled_from("我们在公园里1.5%a😀 \u3000\n。，\u200b") | st.characters(), max_size=30), max_size=4
    )
)
def test_tokens_rebuild_the_sentences(segment: Stage, texts: list[str]) -> None:
    docs = segment([with_sents(text) for text in texts])
    assert ["".join(words(doc)) for doc in docs] == ["".join(text.split()) for text in texts]


@pytest.mark.slow
def test_tokens_lie_inside_sentences(segment: Stage) -> None:
    text = "我们去公园。你们回家。"
    doc = segment([with_sents(text, [[0, 3], [6, 11]])])[0]
    assert doc.tokens is not None
    inside = np.zeros(len(text), bool)
    for start, end in doc.tokens.tolist():
        inside[start:end] = True
    assert "".join(np.array(list(text))[inside]) == "我们去你们回家。"


@pytest.mark.slow
def test_the_batch_does_not_matter(segment: Stage) -> None:
    docs = [with_sents(text) for text in ("他来了。", "", "公司今年盈利1.5亿元。", "好")]
    together, alone = segment(docs), [segment([doc])[0] for doc in docs]
    assert [words(doc) for doc in together] == [words(doc) for doc in alone]


@pytest.mark.slow
def test_text_without_sentences_is_refused(segment: Stage) -> None:
    with pytest.raises(AlignmentError, match="no sentences"):
        segment([Doc.from_text("他来了。")])


@pytest.mark.slow
def test_a_very_long_run_is_one_search(segment: Stage) -> None:
    text = "他们在公园里看书" * 4000
    doc = segment([with_sents(text)])[0]
    assert "".join(words(doc)) == text


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no meta\.json"):
        load_segmenter(tmp_path)


# --- reading treebanks ----------------------------------------------------------------------------------------------


def row(number: int | str, word: str, xpos: str = "NN", misc: str = "_") -> str:
    return f"{number}\t{word}\t_\tNOUN\t{xpos}\t_\t_\t_\t_\t{misc}"


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_words_names_and_text_are_read(tmp_path: Path) -> None:
    rows = [row(1, "林", misc="NER=B-PER"), row(2, "小雨", misc="NER=I-PER"), row(3, "来", misc="NER=O")]
    path = write(tmp_path / "a.conllu", "# text = 林 小雨来", *rows)
    (sentence,) = read_conllu(path)
    assert sentence.spans() == [(0, 1), (2, 4), (4, 5)]
    assert sentence.entities() == [(0, 4, "PER")]


def test_text_is_made_from_words_where_missing(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.conllu", row(1, "好", misc="SpaceAfter=No"), row("1-2", "好天"), row(2, "Day"), row(3, "天")
    )
    assert read_conllu(path)[0].text == "好Day 天"


@pytest.mark.parametrize(
    ("line", "message"), [("1\t好", "2: 2 columns"), ("# text = 坏\n" + row(1, "好"), "3: the words give")]
)
def test_bad_rows_are_named_by_file_and_line(tmp_path: Path, line: str, message: str) -> None:
    path = write(tmp_path / "bad.conllu", "# sent_id = 1", line)
    with pytest.raises(ConfigError, match=f"bad.conllu:{message}"):
        read_conllu(path)


def test_folder_without_train_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "x-dev.conllu", row(1, "好"))
    with pytest.raises(ConfigError, match=r"no \*-train\.conllu"):
        read_folder(tmp_path)


def test_every_fifth_sentence_of_a_further_genre_is_held_out(tmp_path: Path) -> None:
    write(tmp_path / "x-train.conllu", row(1, "好"))
    write(tmp_path / "x-dev.conllu", row(1, "好"))
    write(tmp_path / "talk.conllu", *[line for i in range(7) for line in (row(1, f"词{i}"), "")])
    bank = read_folder(tmp_path)
    assert [s.text for s in bank.held_out["talk"]] == ["词0", "词5"]
    assert len(bank.more["talk"]) == 5


def test_iob2_names_join_their_sentence(tmp_path: Path) -> None:
    for part in ("train", "dev"):
        write(tmp_path / f"x-{part}.conllu", row(1, "海城"), row(2, "下雨"))
    write(tmp_path / "names.iob2", "1\t海城\tB-LOC\t-\t-", "2\t下雨\tO\t-\t-")
    assert read_folder(tmp_path).train[0].names == ("B-LOC", "O")


def test_a_stray_inside_tag_opens_a_name() -> None:
    assert name_spans([(0, 1), (1, 2)], ["I-PER", "I-LOC"]) == [(0, 1, "PER"), (1, 2, "LOC")]


# --- training -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("word", "tags"), [("书", [1]), ("读书", [0, 3]), ("图书馆", [0, 4, 3]), ("图书馆里", [0, 4, 2, 3])]
)
def test_word_tags(word: str, tags: list[int]) -> None:
    assert segmenter.word_tags(word) == tags


def test_features_are_pkusegs_in_its_order() -> None:
    lexicon = segmenter.Lexicon([["读", "图书馆", "的", "书"], ["图书", "好"]])
    assert lexicon.features(["图书", "好"])[1] == [
        "$$", "c.书", "c-1.图", "c-1c.图.书", "c1.好", "cc1.书.好", "w-1.图书"
    ]  # fmt: skip


def test_training_learns_a_toy_language(tmp_path: Path) -> None:
    lines = [[row(i + 1, word, misc="SpaceAfter=No") for i, word in enumerate(text)] for text in TOY]
    for part in ("train", "dev"):
        write(tmp_path / f"toy-{part}.conllu", *[line for rows in lines * 5 for line in (*rows, "")])
    figures = segmenter.train_segmenter(tmp_path, tmp_path / "model")
    assert figures["dev"] == 100
    doc = make_segment(SegmentConfig(tmp_path / "model"))([with_sents("小猫吃小鱼")])[0]
    assert words(doc) == ["小猫", "吃", "小鱼"]


TOY = [["小猫", "吃", "小鱼"], ["小狗", "追", "小猫"], ["小鱼", "游"], ["小猫", "睡"], ["小狗", "吃", "饭"]]


def test_plain_text_teaches_further_words(tmp_path: Path) -> None:
    lines = [[row(i + 1, word, misc="SpaceAfter=No") for i, word in enumerate(text)] for text in TOY]
    for part in ("train", "dev"):
        write(tmp_path / f"toy-{part}.conllu", *[line for rows in lines * 5 for line in (*rows, "")])
    with gzip.open(tmp_path / "web.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps({"text": "小猫吃大米。小狗追大米。大米很香，小鱼游。"}) + "\n" for _ in range(9))
    segmenter.train_segmenter(tmp_path, tmp_path / "model", tmp_path)
    meta = json.loads((tmp_path / "model" / "meta.json").read_text(encoding="utf-8"))
    assert "web.jsonl.gz" in meta["data"]
    assert "web.jsonl.gz" in (tmp_path / "model" / "CARD.md").read_text(encoding="utf-8")
    doc = make_segment(SegmentConfig(tmp_path / "model"))([with_sents("小狗吃大米")])[0]
    assert words(doc)[:2] == ["小狗", "吃"]


def test_firm_pairs_are_told_from_chance() -> None:
    texts = ["图书馆的书很多。", "公园的花很香。", "图书馆的花很少。", "公园的书不多。"] * 3
    features = cohesion.Cohesion(texts).features(["图书", "公园"])
    strength = [int(names[1].split(":")[1]) for names in features]
    assert strength[0] > cohesion.UNSEEN - 16
    assert strength[1] == cohesion.UNSEEN  # 书公 never stand together
    assert strength[3] == cohesion.NONE


def test_silver_keeps_the_borders_that_white_space_gives() -> None:
    lexicon = segmenter.Lexicon(TOY)
    index = segmenter.number_features(TOY, lexicon.features)
    sentences = [["小猫", "吃"], ["小狗"]]
    sample = segmenter.pack(sentences, lexicon.features, index)
    model = segmenter.Crf(len(index), 5)
    model.weights_[0, segmenter.INSIDE] = 1
    assert segmenter._label(sentences, sample, model) == [["小猫", "吃"], ["小狗"]]


def test_bad_plain_text_is_named_by_file_and_line(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "bad.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write('{"text": "好"}\n{"txt": 1}\n')
    with pytest.raises(ConfigError, match=r"bad\.jsonl\.gz:2"):
        list(plain.read_texts(plain.plain_files(tmp_path)))


def test_training_repeats_itself() -> None:
    sentences = [*TOY] * 3
    lexicon = segmenter.Lexicon(sentences)
    index = segmenter.number_features(sentences, lexicon.features)
    sample = segmenter.pack(sentences, lexicon.features, index)
    first, second = (segmenter.fit(sample, index, 4, seed=3).weights_ for _ in range(2))
    assert np.array_equal(first, second)


def test_invented_words_replace_one_word() -> None:
    copies = latin.with_latin([["我", "喜欢", "读书"]] * 100, seed=1)
    assert 30 < len(copies) < 70
    assert all(len(copy) == 3 and sum(word.isascii() for word in copy) == 1 for copy in copies)


def test_simplified_keeps_the_length() -> None:
    assert plain.simplified(["圖書館", "里程"]) == ["图书馆", "里程"]


def test_sentence_without_names_has_no_entities() -> None:
    assert Sentence("好", ("好",), ("ADJ",), ("JJ",)).entities() == []


WORDS = UserWords(["云计算", "计算机", "白云", "AI"])


@pytest.mark.parametrize(
    ("text", "tokens", "expected"),
    [
        ("云计算平台", [[0, 1], [1, 3], [3, 5]], [[0, 3], [3, 5]]),
        ("在云计算上", [[0, 2], [2, 5]], [[0, 1], [1, 4], [4, 5]]),
        ("云计算机", [[0, 4]], [[0, 3], [3, 4]]),
        ("白云 AI好", [[0, 1], [1, 2], [3, 4], [4, 6]], [[0, 2], [3, 5], [5, 6]]),
        ("没有", [[0, 2]], [[0, 2]]),
    ],
)
def test_user_words_are_cut_out_whole_and_nothing_else_moves(text: str, tokens: Any, expected: Any) -> None:
    sents = np.array([[0, len(text)]], np.int32)
    assert cut_out(WORDS.find(text), text, np.array(tokens, np.int32), sents).tolist() == expected


def test_a_user_word_does_not_cross_a_sentence() -> None:
    tokens, sents = np.array([[0, 2], [2, 4]], np.int32), np.array([[0, 2], [2, 4]], np.int32)
    assert cut_out([(0, 3)], "好！再来", tokens, sents).tolist() == tokens.tolist()


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        ("见www.a.cn。", ["www.a.cn"]),
        ("（https://a.cn/b?c=1&d=2）", ["https://a.cn/b?c=1&d=2"]),
        ("写到ask+me@mail.a.cn，谢谢", ["ask+me@mail.a.cn"]),
        ("见http://a.cn/，", ["http://a.cn/"]),
        ("见http://a.cn/b.", ["http://a.cn/b"]),
        ("@小明 你好", []),
        ("没有地址", []),
    ],
)
def test_addresses(text: str, addresses: list[str]) -> None:
    assert [text[start:end] for start, end in find_addresses(text)] == addresses


@pytest.mark.slow
def test_whole_can_be_switched_off() -> None:
    text = "打开https://a.lanwan.cn/x?id=3看看。"
    on, off = (make_segment(SegmentConfig(MODEL, whole=whole))([with_sents(text)])[0] for whole in (True, False))
    assert "https://a.lanwan.cn/x?id=3" in words(on)
    assert words(on) != words(off)


def test_user_words_are_read_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("# 说明\n云计算\n\n", encoding="utf-8")
    assert load_user_words(path).find("搞云计算") == [(1, 4)]
    path.write_text("两个 词\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="white space"):
        load_user_words(path)
    with pytest.raises(ConfigError, match="can't be read"):
        load_user_words(tmp_path / "nowhere")
