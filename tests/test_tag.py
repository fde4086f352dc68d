"""The tag stage, its training, and the spaCy face."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.doc import Doc, code_points
from pipeline.errors import AlignmentError, ModelError
from pipeline.kernels import decode_tags, features, perfect, tag_plan
from pipeline.segment import SegmentConfig, make_segment
from pipeline.stage import Stage
from pipeline.tag import TagConfig, load_tagger, make_tag, make_tagger, tag_docs
from pipeline.training import lexicon, plain, tagger
from pipeline.training.conllu import Sentence
from tests.conftest import ROOT

SEGMENTER, TAGGER = ROOT / "models" / "segmenter", ROOT / "models" / "tagger"


def with_words(*sentences: list[str]) -> Doc:
    """Get a document of sentences of words, nothing between them."""
    ends = np.cumsum([len(word) for words in sentences for word in words])
    tokens = np.stack([np.concatenate([[0], ends[:-1]]), ends], axis=1) if len(ends) else np.zeros((0, 2))
    stops = np.cumsum([sum(map(len, words)) for words in sentences])
    sents = np.stack([np.concatenate([[0], stops[:-1]]), stops], axis=1) if len(stops) else np.zeros((0, 2))
    doc = Doc.from_text("".join(word for words in sentences for word in words))
    return replace(doc, tokens=tokens.astype(np.int32), sents=sents.astype(np.int32))


@pytest.fixture(scope="module")
def tag() -> Stage:
    return make_tag(TagConfig(TAGGER))


@pytest.fixture(scope="module")
def segment() -> Stage:
    return make_segment(SegmentConfig(SEGMENTER))


@pytest.mark.slow
def test_layers_run_parallel(tag: Stage) -> None:
    doc = tag([with_words(["林小雨", "住", "在", "广州", "。"], ["她", "是", "医生", "。"])])[0]
    assert doc.tokens is not None
    assert doc.upos is not None
    assert doc.xpos is not None
    assert len(doc.upos) == len(doc.xpos) == len(doc.tokens)
    assert doc.upos.tolist()[-2:] == ["NOUN", "PUNCT"]
    assert doc.xpos.tolist()[-1] == "."


@pytest.mark.slow
def test_names_are_found(tag: Stage) -> None:
    doc = tag([with_words(["他", "去年", "在", "广州", "工作", "。"])])[0]
    assert doc.ents is not None
    assert doc.ent_labels is not None
    assert [(doc.text[a:b], label) for (a, b), label in zip(doc.ents.tolist(), doc.ent_labels, strict=True)] == [
        ("广州", "LOC")
    ]


@pytest.mark.slow
@pytest.mark.parametrize("docs", [[], [with_words()], [with_words([])]])
def test_nothing_gives_empty_layers(tag: Stage, docs: list[Doc]) -> None:
    for doc in tag(docs):
        assert doc.upos is not None
        assert doc.upos.tolist() == []
        assert doc.ents is not None
        assert doc.ents.shape == (0, 2)


@pytest.mark.slow
@given(
    texts=st.lists(st.text(st.sampled_from("王小明在北京大学读书。，1a ") | st.characters(), max_size=30), max_size=3)
)
def test_names_lie_on_token_borders(segment: Stage, tag: Stage, texts: list[str]) -> None:
    docs = [
        replace(Doc.from_text(text), sents=np.array([[0, len(text)]] if text else [], np.int32).reshape(-1, 2))
        for text in texts
    ]
    for doc in tag(segment(docs)):
        assert doc.tokens is not None
        assert doc.ents is not None
        assert set(doc.ents[:, 0].tolist()) <= set(doc.tokens[:, 0].tolist())
        assert set(doc.ents[:, 1].tolist()) <= set(doc.tokens[:, 1].tolist())


@pytest.mark.slow
def test_the_batch_does_not_matter(tag: Stage) -> None:
    docs = [
        with_words(["王", "小明", "来", "了", "。"]),
        with_words(),
        with_words(["上海", "很", "大", "。"], ["好", "！"]),
    ]
    together, alone = tag(docs), [tag([doc])[0] for doc in docs]
    assert [doc.xpos for doc in together] == [doc.xpos for doc in alone]
    assert [str(doc.ents) for doc in together] == [str(doc.ents) for doc in alone]


@pytest.mark.slow
def test_words_are_required(tag: Stage) -> None:
    with pytest.raises(AlignmentError, match="no words"):
        tag([Doc.from_text("他来了。")])


def test_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "meta.json").write_text('{"kind": "segmenter"}', encoding="utf-8")
    with pytest.raises(ModelError, match="'segmenter' model"):
        load_tagger(tmp_path)


# --- training -------------------------------------------------------------------------------------------------------

TOY = [
    Sentence(
        "阿明爱海城", ("阿明", "爱", "海城"), ("PROPN", "VERB", "PROPN"), ("NNP", "VV", "NNP"), ("B-PER", "O", "B-LOC")
    ),
    Sentence(
        "阿芳去山城", ("阿芳", "去", "山城"), ("PROPN", "VERB", "PROPN"), ("NNP", "VV", "NNP"), ("B-PER", "O", "B-LOC")
    ),
    Sentence("猫爱鱼", ("猫", "爱", "鱼"), ("NOUN", "VERB", "NOUN"), ("NN", "VV", "NN"), ("O", "O", "O")),
    Sentence("狗去河边", ("狗", "去", "河边"), ("NOUN", "VERB", "NOUN"), ("NN", "VV", "NN"), ("O", "O", "O")),
]


@pytest.fixture(scope="module")
def toy_lexicon() -> features.Lexicon:
    fold, kinds = tagger.code_point_tables()
    return features.Lexicon(fold, kinds, np.zeros(4, np.uint64), np.zeros((4, features.N_CLASSES), np.int16))


def test_training_learns_a_toy_language(toy_lexicon: features.Lexicon) -> None:
    made = tagger.Fitter(TOY * 6, [], seed=1).fit_final(toy_lexicon, [toy_lexicon] * tagger.N_FOLDS)
    doc = tag_docs([with_words(["阿明", "去", "海城"])], made)[0]
    assert doc.upos is not None
    assert doc.ent_labels is not None
    assert doc.upos.tolist() == ["PROPN", "VERB", "PROPN"]
    assert doc.ent_labels.tolist() == ["PER", "LOC"]


def test_rare_pairs_of_tags_are_learnt_as_frequent_ones() -> None:
    odd = Sentence("哦", ("哦",), ("NOUN",), ("XX",), ("O",))
    assert tagger.tag_inventory([*TOY * 2, odd])["NOUN", "XX"] == ("NOUN", "NN")


@pytest.mark.parametrize(
    ("char", "folded"),
    [("Ａ", "a"), ("７", "0"), ("圖", "图"), ("图", "图"), ("，", ","), ("㍿", "㍿"), ("\ud800", "\ud800")],
)
def test_fold(char: str, folded: str) -> None:
    assert tagger._fold(char) == folded


def test_long_sentences_are_cut(toy_lexicon: features.Lexicon, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tagger.Fitter(TOY * 6, [], seed=1).fit_final(toy_lexicon, [toy_lexicon] * tagger.N_FOLDS)
    monkeypatch.setattr(decode_tags, "MAX_TOKENS", 3)
    doc = tag_docs([with_words(["阿明", "爱", "海城", "阿芳", "去", "山城"])], made)[0]
    assert doc.upos is not None
    assert doc.upos.tolist() == ["PROPN", "VERB", "PROPN"] * 2


def test_scores_are_perfect_on_gold(toy_lexicon: features.Lexicon) -> None:
    batch = tagger.Batch.of(TOY[:2], [sentence.spans() for sentence in TOY[:2]])
    assert batch.tokens.tolist()[3] == [5, 7]
    assert tagger._gold_names(TOY[:2], batch.tokens.tolist()) == {
        (0, 2, "PER"), (3, 5, "LOC"), (5, 7, "PER"), (8, 10, "LOC")
    }  # fmt: skip


def test_lexicon_knows_how_plain_text_is_tagged(toy_lexicon: features.Lexicon) -> None:
    texts = ["他去公园。", "她去公园。"] * 4
    codes = code_points("".join(texts))
    tokens = np.array([[i, i + 1] for i in range(len(codes))], np.int32)
    hashes, numbers = np.unique(features.hash_tokens(codes, tokens, toy_lexicon.fold), return_inverse=True)
    sents = np.array([[i, i + 5] for i in range(0, len(codes), 5)], np.int32)
    text = lexicon.PlainText(codes, tokens, sents, numbers.astype(np.int32), hashes)
    base, slot_words = lexicon.build(text, toy_lexicon.fold, toy_lexicon.kinds, seed=1)
    names = np.array([[2, 4, 1]], np.int32)
    known = lexicon.add_tags(base, slot_words, text, (numbers % 3).astype(np.int16), names)
    slot = features.find_hash(hashes[numbers[1]], known.keys)
    assert known.classes[slot, 2] == 1 + (numbers[1] % 3) * 8 + 3 * 2 + 1
    assert known.classes[slot, 4] == 2  # never a name, and often seen


def test_plain_text_for_measuring_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.eval-only.jsonl.gz").touch()
    (tmp_path / "b.jsonl.gz").touch()
    assert [path.name for path in plain.plain_files(tmp_path)] == ["b.jsonl.gz"]


# --- spaCy ----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_to_spacy_keeps_text_and_layers(segment: Stage, tag: Stage) -> None:
    pytest.importorskip("spacy")
    from pipeline.spacy_face import to_spacy

    text = "他在广州工作。 她去  上海了。"
    doc = tag(segment([replace(Doc.from_text(text), sents=np.array([[0, 7], [8, 16]], np.int32))]))[0]
    made = to_spacy(doc)
    assert made.text == text
    assert next(made.sents).text.strip() == "他在广州工作。"
    assert doc.xpos is not None
    assert [token.tag_ for token in made if not token.is_space] == doc.xpos.tolist()
    assert "广州" in [ent.text for ent in made.ents]


@pytest.mark.slow
def test_spacy_package_survives_the_disk(tmp_path: Path) -> None:
    spacy: Any = pytest.importorskip("spacy")
    from pipeline.spacy_face import write_package

    write_package(tmp_path / "zh", SEGMENTER, TAGGER)
    nlp = spacy.load(tmp_path / "zh")
    nlp.to_disk(tmp_path / "copy")
    again = spacy.load(tmp_path / "copy")
    text = "他在广州工作。她去上海了。"
    first, second = nlp(text), again(text)
    assert first.to_json() == second.to_json()
    assert len(list(first.sents)) == 2
    assert all(token.tag_ and token.pos_ for token in first)
    assert [doc.text for doc in nlp.pipe([text, "好。"])] == [text, "好。"]


def test_make_tagger_sorts_its_inventories(toy_lexicon: features.Lexicon) -> None:
    tables = tag_plan.Tables(
        features.compile_templates(),
        *perfect.place(np.zeros(0, np.uint64))[0],
        np.zeros((0, tag_plan.N_COLUMNS), np.int8),
        np.zeros((2, 2), np.int32),
        np.zeros((7, 7), np.int32),
    )
    made = make_tagger(decode_tags.Decoder(toy_lexicon, tables), [("VERB", "VV"), ("NOUN", "NN")], ["PER"])
    assert made.upos == ("NOUN", "VERB")
    assert made.upos_of.tolist() == [1, 0]
