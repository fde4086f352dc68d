"""Figures of `zhcorpus score` from labels made by hand."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.doc import KINDS, LABELS, ROLES, Coded, Doc
from pipeline.errors import ConfigError
from pipeline.training.labelled import LabelledDataError, align, page_of, parse_page, read_pages
from pipeline.training.score import (
    calibration_error,
    figure_at,
    find_floors,
    format_table,
    missed_floors,
    score_docs,
    visible_mask,
)

PAGE = {
    "id": "p1",
    "publisher": "江湾网",
    "lines": [
        {"text": "渔船回港", "label": "title"},
        {
            "text": "三条船回来了。我很高兴！（宋梨）",
            "label": "body",
            "sents": [
                {"text": "三条船回来了。", "label": "claim"},
                {"text": "我很高兴！", "label": "opinion"},
                {"text": "（宋梨）", "label": "boilerplate", "kind": "credit"},
            ],
        },
        {"text": "码头", "label": "body", "sub": "heading"},
        {"text": "责编：宋梨", "label": "boilerplate", "kind": "credit"},
    ],
}
SENTS = [(0, 4), (5, 12), (12, 17), (17, 21), (22, 24), (25, 30)]


def made(roles: list[str], labels: list[str | None], kinds: list[str | None]) -> Doc:
    doc = page_of(PAGE).doc()
    probs = np.full((len(roles), 3), np.nan, np.float32)
    for i, label in enumerate(labels):
        if label:
            probs[i] = 0.05
            probs[i, LABELS.index(label)] = 0.9
    return replace(
        doc,
        sents=np.array(SENTS, np.int32),
        role=Coded.encode(roles, ROLES),
        label=Coded.encode(labels, LABELS),
        kind=Coded.encode(kinds, KINDS),
        probs=probs,
    )


PERFECT = (
    ["title", "body", "body", "boilerplate", "heading", "boilerplate"],
    [None, "claim", "opinion", "boilerplate", None, "boilerplate"],
    [None, None, None, "credit", None, "credit"],
)


def test_perfect_labels_score_one_and_lose_nothing():
    figures = score_docs([page_of(PAGE)], [made(*PERFECT)])
    assert figures["body"] == {"p": 1.0, "r": 1.0, "f1": 1.0, "n": 2}
    assert figures["boilerplate"]["f1"] == figures["kinds"]["credit"]["f1"] == figures["roles"]["heading"]["f1"] == 1.0
    assert figures["lost_body_chars"] == 0
    assert figures["sents"]["macro_f1"] == 1.0
    assert figures["sents"]["calibration_error"] == pytest.approx(0.1, abs=1e-3)
    assert figures["intervals"]["body.f1"] == [1.0, 1.0]


def test_a_body_line_taken_for_boilerplate_costs_its_characters():
    roles, labels, kinds = (list(part) for part in PERFECT)
    roles[1:3], labels[1:3], kinds[1:3] = ["boilerplate"] * 2, ["boilerplate"] * 2, ["ad"] * 2
    figures = score_docs([page_of(PAGE)], [made(roles, labels, kinds)])
    assert figures["body"]["r"] == 0.5
    assert figures["lost_body_chars"] == pytest.approx(12 / 18, abs=1e-3)  # the glued piece is no loss
    assert figures["sents"]["claim"]["r"] == 0
    assert figures["sents"]["boilerplate"] == 2


def test_a_null_label_on_a_gold_claim_is_an_error():
    roles, labels, kinds = (list(part) for part in PERFECT)
    roles[1], labels[1] = "heading", None
    figures = score_docs([page_of(PAGE)], [made(roles, labels, kinds)])
    assert figures["sents"]["claim"]["r"] == 0
    assert figures["sents"]["null"] == 1


def test_table_and_floors_name_what_is_missed():
    figures = score_docs([page_of(PAGE)], [made(*PERFECT)])
    assert "credit" in format_table(figures)
    assert missed_floors(figures, {"least": {"body.f1": 1.0}, "most": {"lost_body_chars": 0.01}}) == []
    missed = missed_floors(figures, {"least": {"pages.macro_body_f1": 1.01}})
    assert missed == ["pages.macro_body_f1 is 1.0000, the floor is 1.01"]
    with pytest.raises(ConfigError, match=r"no figure 'body\.f2'"):
        figure_at(figures, "body.f2")


def test_floors_hold_for_their_data_only(tmp_path):
    data, floors = tmp_path / "pages.jsonl", tmp_path / "floors.json"
    data.write_text("{}\n", encoding="utf-8")
    floors.write_text('{"pages:dev": {"data": "pages.jsonl:0000", "least": {}}}', encoding="utf-8")
    with pytest.raises(ConfigError, match="other data"):
        find_floors(floors, data, "dev")
    with pytest.raises(ConfigError, match="no floors for 'pages:test'"):
        find_floors(floors, data, "test")


def test_calibration_error_weighs_bins_by_size():
    right = np.array([True, False, True, True])
    assert calibration_error(right, np.array([0.55, 0.55, 0.95, 0.95])) == pytest.approx(0.05)


def test_invisible_characters_do_not_count():
    assert visible_mask("a\u200b\u3000。").tolist() == [True, False, False, True]


def test_labels_are_carried_to_sentences():
    page = page_of(PAGE)
    aligned = align(page, replace(page.doc(), sents=np.array(SENTS, np.int32)))
    assert [ROLES[code] for code in aligned.role] == PERFECT[0]
    assert aligned.label.tolist() == [-1, 0, 1, 2, -1, 2]
    assert aligned.line.tolist() == [0, 1, 1, 1, 2, 3]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{", "no JSON"),
        ('{"id": "a", "publisher": "b", "lines": []}', "'lines' that is not empty"),
        ('{"id": 3, "publisher": "b", "lines": [{"text": "x", "label": "body"}]}', "'id' is 3"),
        (
            '{"id": "a", "publisher": "b", "lines": [{"text": "x", "label": "bod"}]}',
            "'label' is 'bod', expected one of",
        ),
        ('{"id": "a", "publisher": "b", "lines": [{"text": "x", "label": "boilerplate"}]}', "'kind' is None"),
        (
            '{"id": "a", "publisher": "b", "lines": [{"text": "x", "label": "body", '
            '"sents": [{"text": "y", "label": "claim"}]}]}',
            "does not continue",
        ),
    ],
)
def test_a_bad_row_is_told_with_file_and_line(tmp_path, row, message):
    file = tmp_path / "pages.jsonl"
    file.write_text("\n" + row + "\n", encoding="utf-8")
    with pytest.raises(LabelledDataError, match=message) as caught:
        read_pages([file])
    assert f"{file}:2" in str(caught.value)


def test_pages_without_a_site_are_grouped_by_publisher():
    page = parse_page('{"id": "a", "publisher": "b", "lines": [{"text": "x", "label": "body"}]}')
    assert page.site == "b"
    assert page.split == "train"
