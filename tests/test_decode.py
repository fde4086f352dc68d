"""The word decoder: pkuseg's words, by a small model made here and by the shipped one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.doc import code_points
from pipeline.kernels import decode, decode_tables, decode_tags, features, perfect, tag_plan
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
    return [text[start:end] for start, end in decode.decode(code_points(text), rows, tables).tolist()]


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
    return decode_tables.build_tables(features, weights, 64 if whole else None)


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
        ("0", decode_tables.NUM),
        ("９", decode_tables.NUM),
        ("几", decode_tables.NUM),
        ("Ｚ", decode_tables.LETTER),
        ("一", "一"),
    ],
)
def test_normalize_knows_pkusegs_classes(char: str, seen: str) -> None:
    assert decode_tables.normalize(char) == seen


def test_hash_keys_finds_every_key_and_no_other() -> None:
    keys = [0, 1, 5, 2**40, 2**40 + 4]
    slots, found = decode_tables.hash_keys(keys)
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


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("用 Open Stack 云", "用 OpenStack 云"),
        ("买i Pad钱", "买 iPad 钱"),
        ("O S X在", "OSX 在"),
        ("300M B", "300MB"),
        ("卡拉OK Gonz ález", "卡拉 OKGonzález"),
        ("卡拉OK 好", "卡拉OK 好"),
        ("Win 10", "Win 10"),
        ("Ｊ Ａ", "ＪＡ"),
        ("", ""),
    ],
)
def test_runs_of_letters_are_whole(words: str, expected: str) -> None:
    text = words.replace(" ", "")
    ends = np.cumsum([len(word) for word in words.split()], dtype=np.int32)
    tokens = np.stack([np.concatenate([ends[:0], [0], ends[:-1]])[: len(ends)], ends], axis=1).astype(np.int32)
    found = decode.join_letters(code_points(text), tokens, np.array([[0, len(text)]], np.int32))
    assert " ".join(text[a:b] for a, b in found.tolist()) == expected


def test_letters_of_two_sentences_are_not_joined() -> None:
    tokens = np.array([[0, 1], [1, 2]], np.int32)
    assert decode.join_letters(code_points("ab"), tokens, tokens).tolist() == tokens.tolist()


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
    decode_tags._search(scores, 0, n, edges, tag_plan.reach_of(edges), np.zeros((n, 9), np.uint8), tags, 0)
    assert tags.tolist() == full_search(scores, edges)


def test_names_join_by_label() -> None:
    # O B-PER I-PER I-LOC B-LOC, then a new sentence that begins with I-LOC
    tags, sents = np.array([0, 1, 2, 4, 3, 4], np.int16), np.array([[0, 5], [5, 6]], np.int32)
    assert decode_tags._join_names(tags, sents).tolist() == [[1, 3, 0], [3, 4, 1], [4, 5, 1], [5, 6, 1]]


def test_template_seeds_differ() -> None:
    templates = features.compile_templates()
    assert len(set(templates[:, 0].tolist())) == len(features.TEMPLATES)


@given(keys=st.sets(st.integers(0, 2**64 - 1), max_size=60), others=st.sets(st.integers(0, 2**64 - 1), max_size=20))
def test_hashes_are_found_in_their_order(keys: set[int], others: set[int]) -> None:
    hashes = np.array(sorted(keys), np.uint64)
    places, order = perfect.place(hashes)
    slots = [perfect.find(key, *places) for key in hashes[order]]
    assert slots == sorted(set(slots))
    assert slots == np.flatnonzero(places.marks).tolist()
    # only a key whose upper half is in the table could be taken for another
    marks = {key >> 32 | 1 for key in keys}
    strangers = np.array([key for key in others if key >> 32 | 1 not in marks], np.uint64)
    assert all(perfect.find(key, *places) == -1 for key in strangers)


def test_zero_is_a_hash_like_others() -> None:
    hashes = np.arange(1000, dtype=np.uint64)
    places, _ = perfect.place(hashes)
    assert len({perfect.find(key, *places) for key in hashes}) == 1000


TAG_LETTERS = "甲乙丙丁ab1，"


def random_tagger(seed: int, n_classes: int) -> tuple[features.Lexicon, tag_plan.Tables, dict[int, np.ndarray]]:
    """Get a tagger of 5 tags and 3 name tags with random classes and weights, and its rows by hash."""
    rng = np.random.default_rng(seed)
    fold, kinds = np.arange(decode.N_BMP).astype(np.uint16), (np.arange(decode.N_BMP) % 7).astype(np.uint8)
    words = [a + b for a in ["", *TAG_LETTERS] for b in TAG_LETTERS]
    hashes = np.array([features.hash_word(code_points(w), 0, len(w), fold) for w in words], np.uint64)
    keys, which = features.place_hashes(hashes, 256)
    classes = rng.integers(0, n_classes, (len(words), features.N_CLASSES)).astype(np.int16)
    lexicon = features.Lexicon(fold, kinds, keys, np.where(which[:, None] >= 0, classes[which], 0).astype(np.int16))
    templates = features.compile_templates()
    seen = np.unique(features.hash_sentences(*random_sentences(seed, 30), lexicon, templates))
    known = seen[rng.random(len(seen)) < 0.7]
    weights = np.zeros((len(known), tag_plan.N_COLUMNS), np.int8)
    weights[:, :8] = rng.integers(-9, 10, (len(known), 8))
    places, order = perfect.place(known)
    edges = [rng.integers(-20, 20, (n, n)).astype(np.int32) for n in (5, 3)]
    rows = dict(zip(known.tolist(), weights, strict=True))
    return lexicon, tag_plan.Tables(templates, *places, weights[order], *edges), rows


def random_sentences(seed: int, n: int) -> tuple[decode.Codes, decode.Ints, decode.Ints]:
    """Get codes, tokens of up to three characters, and sentences of up to eight tokens."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 9, n)
    ends = np.cumsum(rng.integers(1, 4, lengths.sum()))
    tokens = np.stack([np.concatenate([[0], ends[:-1]]), ends], axis=1) if len(ends) else np.zeros((0, 2))
    text = "".join(rng.choice(list(TAG_LETTERS), int(ends[-1]) if len(ends) else 0))
    stops = np.cumsum(lengths)
    sents = np.stack([stops - lengths, stops], axis=1)
    return code_points(text), tokens.astype(np.int32), sents.astype(np.int32)


@pytest.mark.parametrize("n_classes", [6, tag_plan.MAX_TRIPLE + 20, tag_plan.MAX_DENSE + 900])
@pytest.mark.parametrize("memory", [40, 4096])
def test_tags_are_those_of_all_rows_summed(n_classes: int, memory: int) -> None:
    lexicon, tables, rows = random_tagger(3, n_classes)
    decoder = decode_tags.Decoder(lexicon, tables, memory)
    for seed in range(3, 9):  # the decoder remembers words from one batch to the next
        codes, tokens, sents = random_sentences(seed, 30)
        hashes = features.hash_sentences(codes, tokens, sents, lexicon, tables.templates)
        zero = np.zeros(tag_plan.N_COLUMNS, np.int64)
        scores = np.array([sum((rows.get(key, zero).astype(np.int64) for key in row), zero) for row in hashes.tolist()])
        parts = [scores[begin:end] for begin, end in sents.tolist() if end > begin]
        expected = [tag for part in parts for tag in full_search(part[:, :5], tables.tag_edges)]
        names = np.array([tag for part in parts for tag in full_search(part[:, 5:8], tables.name_edges)], np.int16)
        found, spans = decoder.decode(codes, tokens, sents)
        assert found.tolist() == expected
        assert spans.tolist() == decode_tags._join_names(names, sents).tolist()
