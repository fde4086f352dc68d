"""Labels apart from their texts: put in at their offsets, refused where the text is another one."""

import gzip
import json
from pathlib import Path

import pytest

from pipeline.training.dataset import read_labelled
from pipeline.training.labelled import LabelledDataError
from pipeline.training.standoff import Label, checked, cut_runs, join_standoff, label_page, read_standoff

TEXT = (
    "渔港\n码头修了两年。\n船都回来了！可惜鱼少了。\n老陈很高兴\n第二天下了雨。\n远处有一盏灯。\n灯灭了。\n没有人说话。"
)
GOLD = [("码头修了两年。", "claim"), ("可惜鱼少了。", "opinion")]


def write(folder: Path, rows: list[tuple[str, int, int, str, str]]) -> Path:
    path = folder / "labels.tsv.gz"
    lines = ["\t".join(map(str, row)) for row in [("file", "id", "start", "end", "label", "check"), *rows]]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


def rows_of(text: str, file: str, doc: str) -> list[tuple]:
    return [(file, doc, text.index(sent), text.index(sent) + len(sent), label, checked(sent)) for sent, label in GOLD]


def test_a_text_becomes_its_labelled_stretch_with_what_stands_around(tmp_path):
    texts = tmp_path / "harbour.jsonl.gz"
    rows = [{"id": "a", "text": TEXT}, {"id": "b", "text": "没有标签。"}]
    texts.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    assert join_standoff(write(tmp_path, rows_of(TEXT, "harbour", "a")), [texts], tmp_path / "out") == 2
    (page,) = read_labelled([tmp_path / "out"]).sentences
    # titles and what else ends unlike a sentence is left out, and so is what stands far away
    assert page.source.split("\n") == ["码头修了两年。", "船都回来了！可惜鱼少了。", "第二天下了雨。", "远处有一盏灯。"]
    found = [(page.source[sent.start : sent.end], sent.label) for line in page.lines for sent in line.sents]
    assert found == GOLD
    assert page.publisher == "harbour:a"


def test_a_page_gets_sentences_where_it_has_none():
    lines = [
        {"text": "渔港", "label": "title"},
        {"text": "码头修了两年。", "label": "body"},
        {"text": "可惜鱼少了。", "label": "body", "sents": [{"text": "可惜鱼少了。", "label": "unsure"}]},
    ]
    text = "\n".join(line["text"] for line in lines)
    labels = read_labels(text)
    page = label_page({"id": "a", "lines": lines}, labels)
    assert page["lines"][1]["sents"] == [{"text": "码头修了两年。", "label": "claim"}]
    assert page["lines"][2] is lines[2]
    assert page["lines"][0] is lines[0]


def read_labels(text: str) -> list:
    return [Label(start, end, label) for _, _, start, end, label, _ in rows_of(text, "x", "a")]


def test_stretches_far_apart_are_apart():
    text = "\n".join(["甲。", *["乙。"] * 9, "丙。"])
    runs = list(cut_runs(text, [Label(0, 2, "claim"), Label(len(text) - 2, len(text), "opinion")]))
    assert [(run[spans[0][0] : spans[0][1]], len(run.split("\n"))) for run, spans in runs] == [("甲。", 4), ("丙。", 4)]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("harbour", "a", 3, 10, "claim", "0000"), "not the text that was labelled"),
        (("harbour", "a", "three", 10, "claim", "0000"), ":2: found"),
        (("harbour", "a", 3, 10, "fact", "0000"), "label 'fact', expected one of claim"),
        (("forest", "a", 3, 10, "claim", "0000"), "it has: forest"),
    ],
)
def test_what_does_not_fit_is_told(tmp_path, row, message):
    texts = tmp_path / "harbour.jsonl"
    texts.write_text(json.dumps({"id": "a", "text": TEXT}), encoding="utf-8")
    with pytest.raises(LabelledDataError, match=message):
        join_standoff(write(tmp_path, [row]), [texts], tmp_path / "out")


def test_the_shipped_labels_are_whole():
    labels, digits = read_standoff(Path(__file__).parent.parent / "corpus" / "standoff" / "labels.tsv.gz")
    assert sum(len(found) for docs in labels.values() for found in docs.values()) == len(digits) == 50231
    assert sorted(labels) == ["cmrc", "docs", "drcd", "lctt", "xwlb"]
