"""Training on a user's own data: every format, every error, both sorts of labels, the report."""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import cleaned
from typer.testing import CliRunner

from pipeline.classify import annotate, load_classifier
from pipeline.cli import app, main
from pipeline.errors import ModelError
from pipeline.training.dataset import read_labelled
from pipeline.training.figures import Judged, figures_of, find_doubtful
from pipeline.training.labelled import LabelledDataError
from pipeline.training.own import check_examples, load_own, score_own, train_own
from pipeline.training.score import rates
from pipeline.training.train import check_pages, train_classifier

TOWNS = "东河 南桥 西岭 北港 青石 白滩".split()
PATTERNS = {
    "天气": ["{town}昨夜下了{n}毫米雨，河水涨了。", "{town}明天转晴，最高气温{n}度。", "{town}刮起{n}级大风。"],
    "比赛": ["{town}队以{n}比一赢下了比赛。", "{town}的跑者跑完了{n}公里。", "{town}球场开了第{n}轮联赛。"],
    "吃食": ["{town}面馆一碗面卖{n}元，汤很浓。", "{town}夜市有{n}个烤摊，味道香。", "{town}的豆腐煎了{n}分钟。"],
}


def texts_of(n: int) -> list[tuple[str, str, str]]:
    """Texts, their labels and publishers, no text twice."""
    rng = random.Random(7)
    rows = {}
    while len(rows) < n:
        label, town = list(PATTERNS)[len(rows) % 3], rng.choice(TOWNS)
        text = rng.choice(PATTERNS[label]).format(town=town, n=rng.randint(2, 99))
        rows[text] = (text, label, f"{rng.choice(TOWNS)}报")
    return list(rows.values())


def write_csv(path: Path, rows: list[tuple[str, ...]], header: str, encoding: str = "utf-8") -> Path:
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",")
        writer.writerows([header.split(), *rows])
    return path


def write_json(path: Path, items: list[Any]) -> Path:
    lines = "".join(json.dumps(item, ensure_ascii=False) + "\n" for item in items)
    path.write_text(lines if path.suffix == ".jsonl" else json.dumps(items, ensure_ascii=False), encoding="utf-8")
    return path


def faults_of(path: Path, labels: str = "") -> str:
    with pytest.raises(LabelledDataError) as caught:
        check_examples(read_labelled([path], labels).examples)
    return str(caught.value)


# formats


@pytest.mark.parametrize(
    ("name", "encoding"), [("a.csv", "utf-8"), ("a.csv", "utf-8-sig"), ("a.csv", "gb18030"), ("a.tsv", "utf-8")]
)
def test_tables_in_any_encoding(tmp_path, name, encoding):
    rows = [("码头边的灯亮了，人也多了。", "景物", "d1"), ("他说“明天再来”。", "言语", "d1")]
    file = write_csv(tmp_path / name, rows, "Text label doc_id", encoding)
    examples = read_labelled([file]).examples
    assert [(e.text, e.label, e.doc) for e in examples] == [(text, label, f"{name}:d1") for text, label, _ in rows]
    assert [e.where for e in examples] == [f"{file}:2", f"{file}:3"]


def test_a_quoted_line_break_keeps_the_line_numbers_right(tmp_path):
    (tmp_path / "a.csv").write_text('text,label\n"一行\n两行",甲\n三行,乙\n', encoding="utf-8")
    assert [e.where.rpartition(":")[2] for e in read_labelled([tmp_path]).examples] == ["2", "4"]


@pytest.mark.parametrize("field", ["label", "labels"])
def test_doccano_classes(tmp_path, field):
    write_json(
        tmp_path / "a.jsonl", [{"id": 1, "text": "船到了", field: ["甲"]}, {"id": 2, "text": "雨停了", field: []}]
    )
    found = read_labelled([tmp_path])
    assert [(e.text, e.label) for e in found.examples] == [("船到了", "甲")]
    assert found.notes == ["texts left out, for they bear no label: 1"]


def test_doccano_spans(tmp_path):
    spans = [[4, 8, "乙"], [0, 4, "甲"]]
    offsets = [{"id": 1, "start_offset": 0, "end_offset": 2, "label": "丙"}]
    rows = [{"text": "船到了。雨停了。", "label": spans}, {"text": "灯亮了。", "entities": offsets, "relations": []}]
    write_json(tmp_path / "a.jsonl", rows)
    assert [(e.text, e.label) for e in read_labelled([tmp_path]).examples] == [
        ("船到了。", "甲"),
        ("雨停了。", "乙"),
        ("灯亮", "丙"),
    ]


def choice(*names: str, **more: Any) -> dict[str, Any]:
    return {"result": [{"type": "choices", "from_name": "x", "value": {"choices": list(names)}}], **more}


def marked(start: int, end: int, label: str, **more: Any) -> dict[str, Any]:
    return {"type": "labels", "value": {"start": start, "end": end, "labels": [label], **more}}


def test_label_studio_tasks(tmp_path):
    tasks = [
        {"id": 11, "data": {"text": "船到了", "publisher": "江报"}, "annotations": [choice("甲")]},
        {"id": 12, "data": {"text": "雨停了"}, "annotations": [choice("甲", was_cancelled=True), {"result": []}]},
        {
            "id": 13,
            "data": {"text": "\U0001f600灯亮了"},
            "annotations": [{"result": [marked(2, 5, "乙", text="灯亮了")]}],
        },
        {"id": 14, "data": {"text": "风起了"}, "annotations": [choice("乙"), choice("乙")]},
    ]
    file = write_json(tmp_path / "a.json", tasks)
    found = read_labelled([tmp_path])
    assert [(e.text, e.label, e.publisher) for e in found.examples] == [
        ("船到了", "甲", "江报"),
        ("灯亮了", "乙", ""),
        ("风起了", "乙", ""),
    ]
    assert found.examples[0].where == f"{file}, task 11"
    assert found.notes == ["texts left out, for they bear no label: 1"]


def test_label_studio_short_form(tmp_path):
    items = [
        {"id": 1, "text": "船到了", "sentiment": "甲", "annotator": 1, "lead_time": 2.5},
        {"id": 2, "text": "雨停了", "sentiment": {"choices": ["乙"]}, "annotator": 1},
        {"id": 3, "text": "灯亮了", "label": [{"start": 0, "end": 2, "text": "灯亮", "labels": ["丙"]}]},
    ]
    write_json(tmp_path / "a.json", items)
    assert [(e.text, e.label) for e in read_labelled([tmp_path]).examples] == [
        ("船到了", "甲"),
        ("雨停了", "乙"),
        ("灯亮", "丙"),
    ]


def test_rows_of_a_document_become_one_page_in_order(tmp_path):
    rows = [
        ("船回来了", "title", "", "d1", "江报"),
        ("三条船今天回港。", "claim", "", "d1", "江报"),
        ("责编：宋梨", "boilerplate", "credit", "d1", "江报"),
        ("长按二维码", "follow_cta", "", "d1", "江报"),
        ("版权所有", "boilerplate", "", "d1", "江报"),
        ("这太好了！", "opinion", "", "", ""),
        ("分享到", "boilerplate", "share_nav", "", ""),
    ]
    found = read_labelled([write_csv(tmp_path / "a.csv", rows, "text label kind doc publisher")])
    page = found.pages[0]
    assert [(line.role, line.kind) for line in page.lines] == [
        ("title", None),
        ("body", None),
        ("boilerplate", "credit"),
        ("boilerplate", "follow_cta"),
        ("boilerplate", "other"),
    ]
    assert page.lines[1].sents[0].label == "claim"
    assert page.where[3].endswith("a.csv:5")
    assert [page.source for page in found.sentences] == ["这太好了！"]
    assert len(found.notes) == 3


def test_spans_with_our_labels_become_lines_and_sentences(tmp_path):
    text = "船回来了\n三条船回港。这太好了！（宋梨）\n\n责编：宋梨"
    spans = [[0, 4, "title"], [5, 11, "claim"], [11, 16, "opinion"], [16, 20, "credit"], [22, 27, "credit"]]
    write_json(tmp_path / "a.jsonl", [{"text": text, "label": spans, "publisher": "江报"}])
    page = read_labelled([tmp_path]).pages[0]
    assert [line.role for line in page.lines] == ["title", "body", "boilerplate"]
    assert [(sent.label, sent.kind) for sent in page.lines[1].sents] == [
        ("claim", None),
        ("opinion", None),
        ("boilerplate", "credit"),
    ]


# errors


CSV_FAULTS = [
    ("text,label\n船到了,甲\n,甲\n雨停了,乙\n", "a.csv:3: the text is missing"),
    ("text,label\n船到了,甲\n雨停了,\n", "a.csv:3: the label is empty"),
    ("text,label\n船到了,甲\n船到了,乙\n", "a.csv:3: '船到了' is '乙' here, but '甲' at"),
    ("text,label\n船到了,甲\n雨停了,甲\n", "a.csv:2: '甲' is the only label"),
    ("text,label\n船到了,甲\n雨停了,甲\n灯亮了,乙\n", "a.csv:4: label '乙' occurs 1 times"),
    ("text,label,split\n船到了,甲,train\n雨停了,乙,\n", "a.csv:3: the split is missing"),
    ("text,label,split\n船到了,甲,dev\n雨停了,乙,dev\n", "no row has the split 'train'"),
    (
        "text,label,split\n船到了,甲,train\n船走了,甲,train\n雨停了,乙,train\n雨下了,乙,train\n灯亮了,丙,dev\n",
        "a.csv:6: unknown label '丙'",
    ),
    (
        "text,label,doc,split\n船到了,甲,d,train\n雨停了,乙,d,dev\n",
        "a.csv:3: split 'dev', but document 'd' has 'train'",
    ),
    ("text,tag\n船到了,甲\n", "a.csv:1: the columns are text, tag"),
    ("text,label\n船到了,真的,甲\n", "a.csv:2: 3 cells"),
    ("", "a.csv: the file is empty"),
    ("text,label\n", "a.csv: the file is empty"),
    ("text,label\n船到了,claim\n雨停了,opinon\n", "a.csv:3: unknown label 'opinon'; did you mean 'opinion'?"),
    ("text,label,kind\n船到了,boilerplate,credits\n", "a.csv:2: unknown kind 'credits'"),
]


@pytest.mark.parametrize(("table", "message"), CSV_FAULTS)
def test_a_bad_table_is_told_with_file_and_line(tmp_path, table, message):
    (tmp_path / "a.csv").write_text(table, encoding="utf-8")
    assert message in faults_of(tmp_path)


JSON_FAULTS = [
    ("a.jsonl", [{"text": "船到了", "label": [[0, 9, "甲"]]}], "a.jsonl:1: span 0 to 9 is out of the text's 3"),
    ("a.jsonl", [{"text": "船到了", "label": [[0, 2, "甲"], [1, 3, "乙"]]}], "a.jsonl:1: spans 0 to 2 (甲) and 1 to 3"),
    ("a.jsonl", [{"text": "船到了", "label": ["甲", "乙"]}], "a.jsonl:1: labels 乙 and 甲 on one text"),
    ("a.jsonl", [{"text": "船到了", "label": [[0]]}], "a.jsonl:1: a span is [0]"),
    ("a.jsonl", [{"text": "船到了", "label": 3}], "a.jsonl:1: the label is '3'"),
    ("a.jsonl", [{"text": "船到了", "label": ["甲"]}, [1]], "a.jsonl:2: expected a JSON object"),
    ("a.jsonl", [{"text": "船到了", "one": "甲", "two": "乙"}], "no field 'label'; the fields are text, one, two"),
    (
        "a.jsonl",
        [{"id": "p", "publisher": "q", "lines": [{"text": "船", "label": "bod"}]}],
        "line 1 of the page: 'label'",
    ),
    ("a.json", [{"id": 4, "data": {}, "annotations": [choice("甲")]}], "a.json, task 4: the text is missing"),
    (
        "a.json",
        [{"id": 4, "data": {"text": "船到了"}, "annotations": [choice("甲"), choice("乙")]}],
        "a.json, task 4: its annotations disagree ('甲' and '乙')",
    ),
    (
        "a.json",
        [{"id": 4, "data": {"text": "船到了"}, "annotations": [{"result": [marked(0, 2, "甲", text="雨")]}]}],
        "a.json, task 4: a span says '雨', but the text there is '船到'",
    ),
    ("a.json", [{"id": 4, "data": {"text": "船"}, "annotations": [3]}], "a.json, task 4: no task of Label Studio"),
]


@pytest.mark.parametrize(("name", "items", "message"), JSON_FAULTS)
def test_bad_json_is_told_with_line_or_task(tmp_path, name, items, message):
    write_json(tmp_path / name, items)
    assert message in faults_of(tmp_path)


def test_other_files_and_folders_without_labelled_data(tmp_path):
    (tmp_path / "a.json").write_text('{"a": 1}', encoding="utf-8")
    assert "expected a JSON list" in faults_of(tmp_path)
    (tmp_path / "a.json").write_text("{", encoding="utf-8")
    assert "no JSON" in faults_of(tmp_path)
    (tmp_path / "a.json").write_bytes(bytes(range(1, 256)) * 4)
    assert "convert it to UTF-8" in faults_of(tmp_path)
    assert "no labelled data here" in faults_of(tmp_path / "nowhere")


def test_names_given_by_hand_are_the_only_ones(tmp_path):
    write_csv(tmp_path / "a.csv", [("船到了", "甲"), ("雨停了", "已")], "text label")
    assert "a.csv:3: unknown label '已'; known: 甲, 乙" in faults_of(tmp_path, "甲,乙")


def test_names_that_are_partly_ours_can_be_the_users_own(tmp_path):
    write_csv(tmp_path / "a.csv", [("船到了", "claim"), ("来吗？", "question")], "text label")
    assert "for names of your own, --labels own" in faults_of(tmp_path)
    assert len(read_labelled([tmp_path], "own").examples) == 2


def test_all_faults_are_told_up_to_twenty_and_nothing_is_trained(tmp_path, monkeypatch, capsys):
    (tmp_path / "data").mkdir()
    write_csv(tmp_path / "data" / "a.csv", [("", "甲")] * 23, "text label")
    write_json(tmp_path / "data" / "b.jsonl", [{"text": "", "label": ["甲"]}] * 2)
    command = ["zhcorpus", "train", "classifier", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "model")]
    monkeypatch.setattr("sys.argv", command)
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 21
    assert lines[-1] == "and 5 more"
    assert not (tmp_path / "model").exists()


def test_sentences_alone_do_not_make_a_classifier_of_lines(tmp_path):
    write_csv(
        tmp_path / "a.csv", [("船到了。", "claim"), ("真好！", "opinion"), ("© 江报", "boilerplate")], "text label"
    )
    found = read_labelled([tmp_path])
    with pytest.raises(LabelledDataError, match="--also corpus/labelled"):
        check_pages(found.pages, found.sentences)


# labels of the user's own


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """All formats in one folder; two labels are wrong."""
    folder = tmp_path_factory.mktemp("own")
    rows = texts_of(150)
    rows[4] = (rows[4][0], "天气", rows[4][2])
    rows[70] = (rows[70][0], "吃食", rows[70][2])
    write_csv(folder / "a.csv", rows[:50], "text label publisher", "gb18030")
    write_json(folder / "b.jsonl", [{"text": t, "label": [name], "publisher": p} for t, name, p in rows[50:100]])
    tasks = [
        {"id": i, "data": {"text": t, "publisher": p}, "annotations": [choice(c)]} for i, (t, c, p) in enumerate(rows)
    ]
    write_json(folder / "c.json", tasks[100:])
    return folder


@pytest.fixture(scope="module")
def model(data, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("models") / "own"
    train_classifier([data], out)
    return out


def test_a_model_of_own_labels_labels_new_texts(model):
    own = load_own(model)
    assert own.names == ("吃食", "天气", "比赛")
    labels, probs = own.predict(["柳湾昨夜下了7毫米雨，河水涨了。", "柳湾队以３比一赢下了比赛。"])
    assert labels == ["天气", "比赛"]
    np.testing.assert_allclose(probs.sum(axis=1), 1)
    assert own.predict([])[0] == []


def test_the_report_says_what_was_measured_how(model):
    figures = json.loads((model / "figures.json").read_bytes())
    part = figures["parts"]["labels, cross-validated"]
    assert part["how"] == "cross-validation, 5 folds of publishers"
    assert part["n"] == sum(map(sum, part["confusion"]["rows"])) == 150
    assert set(part["publishers"]) == {f"{town}报" for town in TOWNS}
    assert part["macro_f1"] > 0.9
    assert 0 <= part["calibration_error"] < 0.2
    assert sum(row["n"] for row in part["bins"]) == 150
    assert [row["share"] for row in part["curve"]] == [0.125, 0.25, 0.5, 1.0]
    meta = json.loads((model / "meta.json").read_bytes())
    assert meta["report"]["parts"]["labels, cross-validated"]["macro_f1"] == part["macro_f1"]
    assert sorted(meta["data"]) == ["a.csv", "b.jsonl", "c.json"]
    card = (model / "CARD.md").read_text(encoding="utf-8")
    assert "cross-validation, 5 folds of publishers" in card
    assert "| 天气" in card


def test_planted_mistakes_are_the_most_doubtful(model):
    rows = [json.loads(line) for line in (model / "doubtful.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {row["where"] for row in rows[:2]} == {"a.csv:6", "b.jsonl:21"}
    assert rows[0]["p_gold"] < 0.3
    assert {"text", "gold", "predicted", "publisher"} <= set(rows[0])


def test_training_twice_gives_the_same_bytes(model, data, tmp_path):
    train_classifier([data], tmp_path)
    for name in ("labels.npz", "meta.json", "figures.json", "doubtful.jsonl", "CARD.md"):
        assert (tmp_path / name).read_bytes() == (model / name).read_bytes(), name


def test_training_anew_into_the_same_folder_and_no_report_needed_to_load(data, tmp_path):
    for _ in range(2):
        train_classifier([data], tmp_path, curve=False)
    (tmp_path / "doubtful.jsonl").unlink()
    assert "curve" not in json.loads((tmp_path / "figures.json").read_bytes())["parts"]["labels, cross-validated"]
    assert len(load_own(tmp_path).names) == 3
    (tmp_path / "labels.npz").write_bytes(b"")
    with pytest.raises(ModelError, match="damaged"):
        load_own(tmp_path)


def test_a_held_out_split_is_scored(tmp_path, capsys):
    rows = [(text, label, "dev" if i % 4 == 0 else "train") for i, (text, label, _) in enumerate(texts_of(120))]
    file = write_csv(tmp_path / "a.csv", rows, "text label split")
    report = train_own(read_labelled([file]), tmp_path / "model", curve=False)
    held = report["parts"]["labels, dev"]
    assert held["how"] == "held-out split dev"
    assert held["n"] == 30
    assert report["parts"]["labels, cross-validated"]["how"] == "cross-validation, 5 folds of documents"
    score_own(tmp_path / "model", file, "dev", as_json=True)
    assert json.loads(capsys.readouterr().out)["macro_f1"] == held["macro_f1"]


def test_two_labels_are_enough(tmp_path):
    rows = [(text, label) for text, label, _ in texts_of(60) if label != "吃食"]
    train_own(read_labelled([write_csv(tmp_path / "a.csv", rows, "text label")]), tmp_path / "model")
    labels, probs = load_own(tmp_path / "model").predict(["青石明天转晴，最高气温9度。"])
    assert labels == ["天气"]
    assert probs.shape == (1, 2)


def test_thirty_labels(tmp_path):
    names = [f"{one}{other}" for one in "甲乙丙丁戊" for other in "子丑寅卯辰巳"]
    rng = random.Random(3)
    rows = {f"{rng.choice(TOWNS)}的{name}柜第{rng.randint(1, 999)}号还在。": name for name in names for _ in range(6)}
    file = write_csv(tmp_path / "a.csv", list(rows.items()), "text label")
    report = train_own(read_labelled([file]), tmp_path / "model", curve=False)
    assert len(load_own(tmp_path / "model").names) == 30
    assert report["parts"]["labels, cross-validated"]["macro_f1"] > 0.9


def test_label_command_writes_one_sentence_a_line(model, tmp_path):
    (tmp_path / "a.txt").write_text("柳湾昨夜下了7毫米雨，河水涨了。柳湾队以3比一赢下了比赛。\n", encoding="utf-8")
    command = ["label", str(model), str(tmp_path / "a.txt"), str(tmp_path / "out.jsonl")]
    assert CliRunner().invoke(app, command).exit_code == 0
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(row["doc_id"], row["sent"], row["start"], row["user_label"]) for row in rows] == [
        ("a.txt", 0, 0, "天气"),
        ("a.txt", 1, 16, "比赛"),
    ]
    assert 0 < rows[0]["p_user_label"] <= 1


# our labels


def page_rows(number: int) -> list[tuple[str, ...]]:
    town, boat, doc = TOWNS[number % 6], "甲乙丙丁"[number % 4], f"d{number}"
    rows = [
        (f"首页 > {town}城", "share_nav"),
        (f"{boat}船停在{town}边", "title"),
        (f"{boat}船在{town}边停了{number + 2}天。", "claim"),
        (f"我觉得{town}边的人应该更小心{'啊' * (number % 3)}！", "opinion"),
        ("后来呢", "heading"),
        (f"第{number}天，水退了，{boat}船又下了水。", "claim"),
        (f"责任编辑：宋{town}", "credit"),
        (f"© 203{number % 10} {town}城网", "copyright"),
    ]
    return [(text, label, doc, f"{town}城网", "dev" if number >= 18 else "train") for text, label in rows]


@pytest.fixture(scope="module")
def ours(tmp_path_factory) -> Path:
    """A classifier fitted on a table of lines, and on sentences that stand alone."""
    folder = tmp_path_factory.mktemp("ours")
    (folder / "data").mkdir()
    lines = [row for number in range(24) for row in page_rows(number)]
    write_csv(folder / "data" / "lines.csv", lines, "text label doc publisher split")
    loose = [(f"{town}的桥修了{n}年。", "claim") for n, town in enumerate(TOWNS)]
    loose += [(f"{town}的桥真该早点修！", "opinion") for town in TOWNS]
    write_csv(folder / "data" / "loose.csv", loose, "text label")
    train_classifier([folder / "data"], folder / "model", vectors=None)
    return folder / "model"


def test_a_table_of_our_labels_fits_the_whole_classifier(ours):
    load_classifier(ours)
    figures = json.loads((ours / "figures.json").read_bytes())
    assert figures["notes"] == [
        "sentences learnt as claim or opinion alone, for their page has neither title nor boilerplate: 12"
    ]
    assert list(figures["parts"]) == [
        "lines, data, dev",
        "sentences, data, dev",
        "lines, cross-validated",
        "sentences, cross-validated",
    ]
    crossed = figures["parts"]["sentences, cross-validated"]
    assert crossed["n"] == 18 * 3 + 12
    assert len(crossed["curve"]) == 4
    assert figures["parts"]["lines, cross-validated"]["classes"]["boilerplate"]["f1"] > 0.8
    assert json.loads((ours / "meta.json").read_bytes())["figures"]["data, dev"]["body.f1"] > 0.8


def bare_rows(number: int) -> list[tuple[str, ...]]:
    town = TOWNS[number % 6]
    rows = [
        (f"{town}的船停了{number}天", "claim"),
        (f"我觉得{town}该更小心", "opinion"),
        (f"{town}后来下雨了{number}场", "claim"),
        (f"责编 宋{town}", "boilerplate"),
    ]
    return [(text, label, f"d{number}", f"{town}报") for text, label in rows]


def test_data_with_one_kind_no_title_and_no_held_out_split_are_enough(tmp_path):
    rows = [row for number in range(18) for row in bare_rows(number)]
    file = write_csv(tmp_path / "a.csv", rows, "text label doc publisher")
    report = train_classifier([file], tmp_path / "model", vectors=None, curve=False)
    assert report["notes"][0] == "lines of boilerplate taken for the kind 'other', for none is named: 18"
    assert report["notes"][1].startswith("no held-out split")
    assert all(part["how"].startswith("cross-validation") for part in report["parts"].values())
    doc = cleaned("\n".join(row[0] for row in bare_rows(20)))
    doc = annotate(load_classifier(tmp_path / "model"), [doc])[0]
    assert doc.role.tolist() == ["body", "body", "body", "boilerplate"]
    assert doc.kind.tolist()[-1] == "other"


# figures


def judged(gold: list[int], predicted: list[int], sure: float) -> Judged:
    probs = np.full((len(gold), 2), 1 - sure)
    probs[np.arange(len(gold)), predicted] = sure
    names = [str(i) for i in range(len(gold))]
    return Judged(("甲", "乙"), np.array(gold), np.array(predicted), probs, ["p", "q"] * (len(gold) // 2), names, names)


def test_figures_by_class_publisher_and_bin():
    figures = figures_of(judged([0, 0, 1, 1], [0, 1, 1, 1], 0.85))
    assert figures["confusion"] == {"names": ["甲", "乙"], "rows": [[1, 1], [0, 2]]}
    assert figures["classes"]["甲"] == rates(np.array([1, 1, 0, 0], bool), np.array([1, 0, 0, 0], bool))
    assert figures["publishers"] == {
        "p": {"n": 2, "accuracy": 1.0, "macro_f1": 1.0},
        "q": {"n": 2, "accuracy": 0.5, "macro_f1": 0.3333},
    }
    assert figures["calibration_error"] == pytest.approx(0.1)
    assert figures["bins"] == [{"from": 0.8, "n": 4, "confidence": 0.85, "right": 0.75}]


def test_no_label_is_a_column_of_its_own():
    part = judged([0, 1], [0, 1], 0.9)
    unsure = Judged(part.names, part.gold, np.array([0, -1]), None, part.publishers)
    assert figures_of(unsure)["confusion"] == {"names": ["甲", "乙", "none"], "rows": [[1, 0, 0], [0, 0, 1]]}


def test_doubtful_labels_are_sorted_and_few():
    rows = find_doubtful([judged([0] * 4, [1] * 4, 0.8), judged([0] * 4, [1, 1, 0, 0], 0.9)], n=3)
    assert [row["p_gold"] for row in rows] == [0.1, 0.1, 0.2]
