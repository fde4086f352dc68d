"""The classify stage: invariants, and the same result however documents are batched."""

import re
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import cleaned

from pipeline.classify import Classifier, ClassifyConfig, annotate, load_classifier, make_classify
from pipeline.classify.blocks import block_features, block_log_odds
from pipeline.classify.features import code_first, code_second, first_round, second_round, shape_of
from pipeline.classify.reasons import attribution, explain
from pipeline.classify.table import Table, make_table
from pipeline.doc import Doc
from pipeline.errors import AlignmentError, ModelError
from pipeline.kernels.boxes import FEATURES
from pipeline.kernels.trees import Bins, rows_of_blocks
from pipeline.readers.blocks import read_html
from pipeline.training.fit import fit_bins
from pipeline.writers.columns import make_tables

MODEL = Path(__file__).parent.parent / "models" / "classifier"
CUT = re.compile(r"[^。！？\n]+[。！？]*")
TEXTS = [
    "首页 > 本地 > 正文\n渔港封了三天\n2031-05-06 08:30 来源：江湾网\n"
    "台风过境之后，镇上的渔港封了三天，一百二十条船停在港里，没有一条出海。老陈说，这是他打鱼三十年来头一回。\n"
    "我以为，封港的决定是对的，哪怕它让不少人一时难受。谁能拿人命去赌天气呢？\n"
    "据镇政府统计，今年的损失约为四百万元，比五年前那次少了一半。\n"
    "责任编辑：宋梨\n未经允许，请勿转载本站文章\n上一篇：码头修好了\n下一篇：鱼价涨了",
    "一句话。",
    "没有句号的一行\n没有句号的另一行\n扫码关注我们",
    "a\nb\nc",
]


def cut(text: str) -> Doc:
    return replace(Doc.from_text(text), sents=np.array([m.span() for m in CUT.finditer(text)], np.int32).reshape(-1, 2))


DOCS = [cut(text) for text in TEXTS]


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return load_classifier(MODEL)


def test_lines_and_sentences_of_a_batch():
    table = make_table(DOCS)
    assert np.diff(table.line_bounds).tolist() == [10, 1, 3, 3]
    lines = ["".join(map(chr, table.points[a:b])) for a, b in table.lines]
    assert lines == [line for text in TEXTS for line in text.split("\n")]
    assert table.first_sents[-1] == len(table.sents)


def test_documents_without_sentences_are_refused():
    with pytest.raises(AlignmentError, match="run the clean stage"):
        make_table([Doc.from_text("一句话。")])
    with pytest.raises(AlignmentError, match="empty"):
        make_table([replace(DOCS[1], sents=np.array([[0, 0]], np.int32))])


def line_codes(table: Table, scores: np.ndarray, bins: list[Bins]) -> np.ndarray:
    """What both rounds see of lines."""
    blocks = code_first(bins[0], table, shape_of(table), scores)
    code_second(bins[1], blocks, table, scores[:, :1].copy())
    return rows_of_blocks(blocks, len(scores))


def test_features_do_not_look_over_the_edge_of_a_document():
    rng = np.random.default_rng(0)
    table = make_table(DOCS)
    scores = rng.normal(size=(len(table.lines), 19)).astype(np.float32)
    rounds = first_round(table, shape_of(table), scores), second_round(table, scores[:, :1].copy())
    bins = [fit_bins(np.concatenate(parts, axis=1)) for parts in rounds]
    together = line_codes(table, scores, bins)
    for d, doc in enumerate(DOCS):
        part = slice(table.line_bounds[d], table.line_bounds[d + 1])
        np.testing.assert_array_equal(together[part], line_codes(make_table([doc]), scores[part], bins))


@pytest.mark.parametrize(
    ("sentence", "source"),
    [
        ("据江湾证券估算，市场约有三百亿元。", "江湾证券"),
        ("根据镇政府此前公布的数字，损失约四百万元。", "镇政府"),
        ("渔民老陈说：“水比往年大。”", "渔民老陈"),
        ("今天下雨了。", None),
    ],
)
def test_whose_claim_it_is(sentence, source):
    span = attribution(sentence)
    assert (span and sentence[span.start : span.end]) == source


@pytest.mark.slow
def test_layers_agree_with_each_other(classifier):
    for doc in annotate(classifier, DOCS):
        for role, label, kind, probs in zip(doc.role, doc.label, doc.kind, doc.probs, strict=True):
            assert (role == "boilerplate") == (label == "boilerplate") == (kind is not None)
            assert (label is None) == (role in ("title", "heading", "caption", "code")) == bool(np.isnan(probs).all())
            if label:
                assert probs.sum() == pytest.approx(1, abs=2e-4)
                assert ("claim", "opinion", "boilerplate")[int(probs.argmax())] == label
                np.testing.assert_array_equal(probs, np.round(probs.astype(np.float64), 4).astype(np.float32))


@pytest.mark.slow
def test_results_do_not_depend_on_the_batch(classifier):
    together = annotate(classifier, DOCS * 3)
    for i, doc in enumerate(together):
        alone = annotate(classifier, [DOCS[i % len(DOCS)]])[0]
        assert (doc.role, doc.label, doc.kind) == (alone.role, alone.label, alone.kind)
        np.testing.assert_array_equal(doc.probs, alone.probs)


@pytest.mark.slow
def test_the_stage_finds_the_footer():
    doc = make_classify(ClassifyConfig(MODEL))(DOCS[:1])[0]
    lines = {
        doc.text[: start + 1].count("\n"): role for (start, _), role in zip(doc.sents.tolist(), doc.role, strict=True)
    }
    assert [lines[i] for i in (3, 4, 5)] == ["body"] * 3
    assert [lines[i] for i in (6, 7, 8, 9)] == ["boilerplate"] * 4


@pytest.mark.slow
def test_a_batch_of_nothing_and_a_document_without_text(classifier):
    assert len(annotate(classifier, [])) == 0
    assert len(annotate(classifier, [cut("")])[0].role) == 0


@pytest.mark.slow
def test_reasons_name_what_stands_in_the_line(classifier):
    reasons = explain(classifier, DOCS[0])
    texts = [TEXTS[0][r.line.start : r.line.end] for r in reasons]
    assert "责任编辑：宋梨" in texts
    for text, reason in zip(texts, reasons, strict=True):
        for piece, weight in reason.ngrams:
            assert weight > 0
            assert piece.strip("^$").lower() in text.lower() or not piece.strip("^$")
    assert reasons[-1].place == "line 10 of 10, after the last running text"
    assert reasons[-1].neighbours == "boilerplate above, nothing below"


ARTICLE = "<p>镇上的渔港封了三天，一百二十条船停在港里。</p>" * 4
NAV = "<ul><li><a href=/>首页</a><li><a href=/>本地</a><li><a href=/>体育</a></ul>"
BUILT = f"<div>{NAV}</div><div><h2>渔港封了三天</h2>{ARTICLE}<pre>code</pre></div><div>没有链接的页脚</div>"


def features_of(html, log_odds=None, **meta):
    page = read_html(html)
    table = make_table([cleaned(page.text, blocks=page.blocks, **meta)])
    odds = np.zeros(len(table.lines), dtype=np.float32) if log_odds is None else log_odds
    rows = block_features(table.blocks, table.lines, table.line_bounds, odds)
    return dict(zip(FEATURES, rows.T, strict=True)), block_log_odds(table.blocks, table.lines, table.line_bounds, odds)


def test_the_box_of_the_text_is_told_from_those_beside_it():
    features, odds = features_of(BUILT, title="渔港封了三天_江湾网")
    assert (features["boxed"] == 1).all()
    assert (features["box_share"][3:9] > 0.9).all()
    assert (np.delete(features["box_share"], range(3, 9)) < 0.4).all()
    assert features["linked_list"].nonzero()[0].tolist() == [0, 1, 2]
    assert features["preformatted"].nonzero()[0].tolist() == [8]
    assert features["in_title"].nonzero()[0].tolist() == [3]
    assert (odds[:3] > odds[9]).all()
    assert odds[9] > odds[3:9].max() + 1


def test_a_page_of_one_box_stays_one_whatever_its_links_weigh():
    blocks = {"tag": ["p", "p"], "link_share": [3, 3], "box": [0, 0], "parent": [0]}
    table = make_table([cleaned("首页\n关于我们", blocks=blocks)])
    rows = block_features(table.blocks, table.lines, table.line_bounds, np.zeros(2, dtype=np.float32))
    assert rows[:, FEATURES.index("boxed")].tolist() == [0, 0]


def test_a_flat_page_and_markdown_have_links_alone():
    features, odds = features_of("<p>正文一段，没有链接。</p><p><a href=/>首页</a></p><p><a href=/>关于</a>我们</p>")
    assert {name for name, values in features.items() if values.any()} == {"flat_link", "flat_link_near"}
    assert odds[0] == 0 < odds[2] < odds[1]
    blocks = {"tag": ["p", "li"], "link_share": [0, 1]}
    table = make_table([cleaned("正文一段，没有链接。\n首页", blocks=blocks), cleaned("没有网页")])
    odds = block_log_odds(table.blocks, table.lines, table.line_bounds, np.zeros(3, dtype=np.float32))
    assert odds[0] == odds[2] == 0 < odds[1]
    assert make_table([cleaned("没有网页")]).blocks is None


def test_a_link_that_was_left_open_does_not_cost_the_text():
    text = np.full(8, -6, dtype=np.float32)
    _, odds = features_of(f"<p>题目在此</p><a href=/>{ARTICLE}<p>尾声</p><p>渔港概况</p><p>渔港概况</p>", text)
    assert odds.max() < 1


def test_a_deeply_nested_page_takes_no_more_than_its_length():
    features_of(BUILT)  # compiles
    page = read_html("<div>字" * 150_000)
    table = make_table([cleaned(page.text, blocks=page.blocks)])
    began = time.process_time()
    block_log_odds(table.blocks, table.lines, table.line_bounds, np.zeros(len(table.lines), dtype=np.float32))
    assert time.process_time() - began < 5  # it takes a few hundredths; climbing from every line took 20


def test_pages_are_judged_alike_alone_and_in_a_batch():
    linked = ("<p>" + "字" * n + "<a href=/>链接</a></p>" for n in range(1, 40))
    pages = (BUILT, *linked, "<p>平页</p>", f"<main>{ARTICLE}</main>{NAV}")
    docs = [cleaned(page.text, blocks=page.blocks) for page in map(read_html, pages)]
    tables = [make_table([doc]) for doc in docs] + [make_table(docs)]
    text = np.random.default_rng(0).normal(0, 4, len(tables[-1].lines)).astype(np.float32)
    own = np.split(text, np.cumsum([len(table.lines) for table in tables[:-2]]))
    odds = [
        block_log_odds(table.blocks, table.lines, table.line_bounds, each)
        for table, each in zip(tables, [*own, text], strict=True)
    ]
    np.testing.assert_array_equal(np.concatenate(odds[:-1]), odds[-1])


@pytest.mark.slow
def test_links_make_navigation_more_likely(classifier):
    page = "<p>镇上的渔港封了三天，一百二十条船停在港里。</p>" + "<p>{}渔港概况{}</p>" * 3
    odds = []
    for marks in (("", ""), ("<a href=/>", "</a>")):
        read = read_html(page.format(*marks * 3))
        odds.append(classifier.lines.decide(make_table([cleaned(read.text, blocks=read.blocks)])).log_odds)
    assert (odds[1][1:] > odds[0][1:] + 2).all()


@pytest.mark.slow
def test_reasons_and_sources_are_kept_on_request():
    (plain,) = make_classify(ClassifyConfig(MODEL))(DOCS[:1])
    (doc,) = make_classify(ClassifyConfig(MODEL, reasons=True))(DOCS[:1])
    assert "evidence" not in plain.meta
    rows = make_tables([doc]).sentences.to_pylist()
    assert [row["label"] for row in rows] == [row["label"] for row in make_tables([plain]).sentences.to_pylist()]
    sources = [
        row["text"][row["attributed_to"]["start"] : row["attributed_to"]["end"]] for row in rows if row["attributed_to"]
    ]
    assert "镇政府" in sources
    (editor,) = [row for row in rows if row["text"] == "责任编辑：宋梨"]
    assert "after the last running text" in editor["reason"]
    assert all(row["label"] == "boilerplate" for row in rows if row["reason"])
    assert make_tables([plain]).sentences.column("reason").null_count == len(rows)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(ModelError, match="no model folder"):
        load_classifier(tmp_path)
