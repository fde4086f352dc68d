"""The word decoder: pkuseg's words, by a small model made here and by the shipped one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.kernels import decode, decode_tags
from pipeline.segment import load_segmenter
from pipeline.training.segmenter import Lexicon, number_features
from tests.conftest import ROOT

SENTENCES = [
    ["春天", "来", "了", "，", "公园", "里", "开", "满", "了", "花", "。"],
    ["他", "在", "公园", "里", "读", "了", "20", "页", "书", "。"],
    ["气象站", "说", "明天", "气温", "会", "下降", "3.5", "度", "。"],
    ["公园", "管理处", "发布", "了", "新", "规定", "/", "通知", "。"],
]
MODEL = ROOT / "models" / "segmenter"
SEGMENTS = st.text(
    st.sampled_from(
        [*"".join("".join(words) for words in SENTENCES), *"0９.-_,|/*:&％几Ａｚ😀\U00020000\u200b \t\n\u3000\xa0\x1c"]
    )
    | st.characters(),
    max_size=40,
)


def words_of(text: str, tables: decode.Tables, spans: list[list[int]] | None = None) -> list[str]:
    rows = np.array(spans or [[0, len(text)]], np.int32)
    return [text[start:end] for start, end in decode.decode(decode.to_codes(text), rows, tables).tolist()]


def load_pkuseg(folder: Path) -> Any:
    spacy_pkuseg = pytest.importorskip("spacy_pkuseg")
    return spacy_pkuseg.pkuseg(str(folder), user_dict=None)


def random_model(folder: Path, *, whole: bool) -> decode.Tables:
    """Save a pkuseg model with random weights, and get its tables; `whole` weights are multiples of 1/64."""
    srsly = pytest.importorskip("srsly")
    lexicon = Lexicon(SENTENCES)
    index = number_features(SENTENCES, lexicon.features)
    weights = np.random.default_rng(7).normal(size=decode.N_TAGS * (len(index) + decode.N_TAGS))
    if whole:
        weights = np.round(weights * 64) / 64
    features = {
        "unigram": sorted(lexicon.words),
        "bigram": [],
        "feature_to_idx": index,
        "tag_to_idx": {tag: i for i, tag in enumerate(decode.TAGS)},
    }
    srsly.write_msgpack(folder / "features.msgpack", features)
    np.savez(folder / "weights.npz", sizes=np.array([decode.N_TAGS, len(index)]), w=weights)
    return decode.build_tables(features, weights, 64 if whole else None)


@pytest.fixture(scope="module", params=[True, False], ids=["whole weights", "any weights"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[decode.Tables, Any]:
    folder = tmp_path_factory.mktemp("pkuseg")
    return random_model(folder, whole=request.param), load_pkuseg(folder)


@given(text=SEGMENTS)
@settings(max_examples=300)
def test_words_are_pkusegs(both: tuple[decode.Tables, Any], text: str) -> None:
    tables, oracle = both
    assert words_of(text, tables) == oracle.cut(text)


def test_words_do_not_depend_on_the_window(both: tuple[decode.Tables, Any]) -> None:
    tables, oracle = both
    text = "".join(word for words in SENTENCES for word in words) * 250
    assert len(text) > 2 * decode.BLOCK
    assert words_of(text, tables) == oracle.cut(text)


def test_each_sentence_is_decoded_by_itself(both: tuple[decode.Tables, Any]) -> None:
    tables, oracle = both
    text = "公园里开满了花气象站说"
    assert words_of(text, tables, [[0, 4], [4, 11]]) == oracle.cut(text[:4]) + oracle.cut(text[4:])


@pytest.mark.parametrize("text", ["", " ", "\u3000\n\t", "\x1c\x85"])
def test_white_space_has_no_words(both: tuple[decode.Tables, Any], text: str) -> None:
    assert words_of(text, both[0]) == []


def test_lone_surrogates_pass(both: tuple[decode.Tables, Any]) -> None:
    assert "".join(words_of("公园\ud800里", both[0])) == "公园\ud800里"


@pytest.mark.parametrize(
    ("char", "seen"),
    [
        ("/", "&"),
        (".", "&"),
        ("0", decode.NUM),
        ("９", decode.NUM),
        ("几", decode.NUM),
        ("Ｚ", decode.LETTER),
        ("一", "一"),
    ],
)
def test_normalize_knows_pkusegs_classes(char: str, seen: str) -> None:
    assert decode.normalize(char) == seen


def test_hash_keys_finds_every_key_and_no_other() -> None:
    keys = [0, 1, 5, 2**40, 2**40 + 4]
    slots, found = decode.hash_keys(keys)
    assert [decode.find(key, slots, found) for key in keys] == list(range(len(keys)))
    assert decode.find(7, slots, found) == -1


@pytest.mark.slow
@given(text=SEGMENTS)
@settings(max_examples=200)
def test_shipped_model_gives_pkusegs_words(shipped: tuple[decode.Tables, Any], text: str) -> None:
    tables, oracle = shipped
    assert words_of(text, tables) == oracle.cut(text)


@pytest.fixture(scope="module")
def shipped() -> tuple[decode.Tables, Any]:
    return load_segmenter(MODEL), load_pkuseg(MODEL)


@pytest.mark.slow
def test_treebank_sentences_give_pkusegs_words(shipped: tuple[decode.Tables, Any], shared: Path) -> None:
    from pipeline.training.conllu import read_conllu

    tables, oracle = shipped
    texts = [s.text for path in sorted((shared / "data" / "ud").glob("*.conllu")) for s in read_conllu(path)][::8]
    assert [text for text in texts if words_of(text, tables) != oracle.cut(text)] == []


def full_search(scores: np.ndarray, edges: np.ndarray) -> list[int]:
    """Viterbi, the plain way."""
    reached, back = scores[0].astype(np.int64), []
    for row in scores[1:]:
        sums = reached[:, None] + edges
        back.append(sums.argmax(axis=0))
        reached = sums.max(axis=0) + row
    tags = [int(reached.argmax())]
    for pointers in reversed(back):
        tags.append(int(pointers[tags[-1]]))
    return tags[::-1]


@given(seed=st.integers(0, 10_000), n=st.integers(1, 12))
def test_pruned_search_finds_the_best(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(-60, 60, (n, 9)).astype(np.int16)
    edges = rng.integers(-20, 20, (9, 9)).astype(np.int32)
    tags = np.zeros(n, np.int16)
    decode_tags._search(scores, edges, np.zeros((n, 9), np.int16), tags)
    assert tags.tolist() == full_search(scores, edges)


def test_names_join_by_label() -> None:
    # O B-PER I-PER I-LOC B-LOC, then a new sentence that begins with I-LOC
    tags, sents = np.array([0, 1, 2, 4, 3, 4], np.int16), np.array([[0, 5], [5, 6]], np.int32)
    assert decode_tags._join_names(tags, sents).tolist() == [[1, 3, 0], [3, 4, 1], [4, 5, 1], [5, 6, 1]]


def test_template_seeds_differ() -> None:
    templates = decode_tags.compile_templates()
    assert len(set(templates[:, 0].tolist())) == len(decode_tags.TEMPLATES)


def test_rows_are_found_by_their_hash() -> None:
    hashes = np.array([5, 5 + (1 << 32), 9 << 40], np.uint64)
    slots = decode_tags.place_rows(hashes)
    weights = np.arange(12, dtype=np.int8).reshape(3, 4)
    total = np.zeros(4, np.int16)
    decode_tags._sum_rows(np.array([5 + (1 << 32), 77 << 33], np.uint64), slots, weights, total)
    assert total.tolist() == [4, 5, 6, 7]
