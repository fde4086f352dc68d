"""The report: what it shows, what it never shows, and that it needs nothing but a browser."""

from __future__ import annotations

import copy
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from pipeline.report import build_report
from pipeline.report.figures import make_bars, view_summary
from pipeline.report.samples import view_sample

VOID = {"meta", "link", "rect"}


def sentence(text: str, label: str | None = "claim", **more: Any) -> dict[str, Any]:
    role = {"boilerplate": "boilerplate", None: "title"}.get(label, "body")
    p = {f"p_{name}": 0.9 if name == label else 0.05 for name in ("claim", "opinion", "boilerplate")}
    row = {"text": text, "label": label, "role": role, "kind": None, **p, "start": 0, "end": len(text)}
    return {**row, "starts_line": True, **more}


SUMMARY: dict[str, Any] = {
    "n_read": 1300,
    "n_written": 1204,
    "n_rejected": 96,
    "n_skipped": 7,
    "n_chars": 2_000_000,
    "n_body_chars": 1_228_000,
    "counts": {
        "label": {"boilerplate": 300, "claim": 500, "none": 50, "opinion": 150},
        "role": {"body": 650, "boilerplate": 300, "title": 50},
        "kind": {"ad": 100, "credit": 200, "none": 700},
        "script": {"hans": 1200, "mixed": 4},
        "lang": {"zh": 1204},
        "encoding": {"gb18030": 204, "utf-8": 1000},
        "repairs": {"zero_width": 31},
        "ent_labels": {"LOC": 12},
        "totals": {"chars": 2_000_000, "sents": 1000, "tokens": 15_500},
    },
    "rejections": [{"code": "empty", "n": 96, "reason": "the text has no visible character", "origin": "a.jsonl#3"}],
    "publishers": [{"publisher": None, "n_docs": 1204, "n_chars": 2_000_000, "n_body_chars": 1_228_000}],
    "stages": ["clean", "segment", "tag", "classify"],
    "versions": {"zhcorpus": "0.1.0"},
}
SAMPLES: list[dict[str, Any]] = [
    {
        "doc_id": "a.jsonl#1",
        "title": "夜市重开",
        "publisher": "江岸晚报",
        "sentences": [
            sentence("夜市重开", None, p_claim=None, p_opinion=None, p_boilerplate=None),
            sentence("摊位有三十个。", start=5, end=12),
            sentence("真热闹！", "opinion", starts_line=False, start=12, end=16),
            sentence("（责任编辑：某某）", "boilerplate", kind="credit", starts_line=False, start=16, end=25),
            sentence("扫码关注我们", "boilerplate", kind="follow_cta", start=26, end=32),
        ],
    }
]


class Outline(HTMLParser):
    """The tags of a page, checked to be nested, with their attributes and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def text(self) -> str:
        return " ".join("".join(self.texts).split())


def without(*names: str) -> dict[str, Any]:
    counts = {name: counts for name, counts in SUMMARY["counts"].items() if name not in names}
    return {**SUMMARY, "counts": counts}


def test_tags_are_nested_and_closed() -> None:
    assert Outline(build_report(SUMMARY, SAMPLES)).open == []


def test_headline_figures_are_shown() -> None:
    text = Outline(build_report(SUMMARY, SAMPLES)).text()
    for figure in ("1,204 documents, 1.2 million characters of article text", "written of 1,300 read", "61.4 %", "96"):
        assert figure in text


def test_equal_arguments_give_equal_bytes() -> None:
    assert build_report(SUMMARY, SAMPLES) == build_report(copy.deepcopy(SUMMARY), copy.deepcopy(SAMPLES))


def test_order_of_counts_does_not_matter() -> None:
    counts = {name: dict(reversed(list(SUMMARY["counts"][name].items()))) for name in reversed(SUMMARY["counts"])}
    assert build_report({**SUMMARY, "counts": counts}, SAMPLES) == build_report(SUMMARY, SAMPLES)


def test_page_refers_to_nothing_outside() -> None:
    page = build_report(SUMMARY, SAMPLES)
    for sign in ("http:", "https:", "//", "@import", "url(", "<script", "javascript:"):
        assert sign not in page.lower()
    for tag, attrs in Outline(page).tags:
        assert "src" not in attrs
        assert (attrs.get("href") or "#").startswith("#") or (tag, attrs["href"]) == ("link", "data:,")


def test_every_link_within_the_page_has_its_target() -> None:
    tags = Outline(build_report(SUMMARY, SAMPLES)).tags
    names = {attrs["id"] for _, attrs in tags if "id" in attrs}
    wanted = [attrs["href"] for tag, attrs in tags if tag == "a"]
    assert wanted
    assert {str(href)[1:] for href in wanted} <= names


ATTACK = "\"'><script>alert(1)</script>&lt;{{ 7 * 7 }}"


def attack(value: Any) -> Any:
    """Put the attack into every string and every key that a run takes from its input."""
    if isinstance(value, dict):
        return {name: attack(item) if name not in ("label", "role") else item for name, item in value.items()}
    if isinstance(value, list):
        return [attack(item) for item in value]
    return ATTACK if isinstance(value, str) or value is None else value


def test_markup_in_data_is_shown_and_never_run() -> None:
    counts = {name: {**values, ATTACK: 3} for name, values in SUMMARY["counts"].items() if name != "totals"}
    summary = {**attack(SUMMARY), "counts": counts}
    samples = attack(SAMPLES)
    for row in samples[0]["sentences"]:
        row.update(p_claim=None, p_opinion=None, p_boilerplate=None)
    outline = Outline(build_report(summary, samples))
    assert "script" not in {tag for tag, _ in outline.tags}
    assert outline.open == []
    assert outline.text().count(ATTACK) > 15  # texts, titles, publishers, ids, reasons, origins, names of counts


def test_characters_that_html_forbids_are_replaced() -> None:
    sample = {"doc_id": "a\ud800", "title": "题\x00目", "sentences": [sentence("乱\x1b码\udfff。")]}
    page = build_report({}, [sample])
    page.encode("utf-8")
    assert "题\ufffd目" in page
    assert "乱\ufffd码\ufffd。" in page
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f]", page)


@pytest.mark.parametrize("name", sorted(SUMMARY["counts"]))
def test_any_count_may_be_missing(name: str) -> None:
    page = build_report(without(name), SAMPLES)
    assert Outline(page).open == []
    assert page != build_report(SUMMARY, SAMPLES)


@pytest.mark.parametrize("name", sorted(SUMMARY))
def test_any_part_of_the_summary_may_be_missing(name: str) -> None:
    summary = {key: value for key, value in SUMMARY.items() if key != name}
    assert Outline(build_report(summary, SAMPLES)).open == []


def test_a_run_without_documents_says_so() -> None:
    text = Outline(
        build_report({"n_read": 3, "n_rejected": 3, "counts": {}, "stages": ["clean", "classify"]}, [])
    ).text()
    assert "No document was written" in text
    assert "There is no document to show." in text
    assert "NaN" not in text


def test_a_run_without_classify_claims_no_share_of_boilerplate() -> None:
    summary = {**without("label", "role", "kind"), "stages": ["clean"]}
    plain = {"text": "一句。", "label": None, "role": None, "kind": None, "start": 0, "end": 3, "starts_line": True}
    text = Outline(build_report(summary, [{"doc_id": "a", "sentences": [plain]}])).text()
    assert "61.4 % of" not in text
    assert "“classify” was not part of this run" in text
    assert "segment not run" in text


def test_sentences_are_marked_by_class_badge_and_tooltip() -> None:
    outline = Outline(build_report(SUMMARY, SAMPLES))
    marked = {attrs["title"]: attrs["class"] for tag, attrs in outline.tags if tag == "span" and "title" in attrs}
    assert marked == {
        "title; source characters 0–4": "s title",
        "claim (body): claim 0.900, opinion 0.050, boilerplate 0.050; source characters 5–12": "s claim",
        "opinion (body): claim 0.050, opinion 0.900, boilerplate 0.050; source characters 12–16": "s opinion",
        "boilerplate (credit): claim 0.050, opinion 0.050, boilerplate 0.900; source characters 16–25": "s boilerplate",
        "boilerplate (follow_cta): claim 0.050, opinion 0.050, boilerplate 0.900; source characters 26–32": (
            "s boilerplate"
        ),
    }


def test_sentences_of_a_line_stand_together_and_glued_ones_have_a_badge() -> None:
    lines = view_sample(SAMPLES[0]).lines
    assert [(line.style, line.tag, len(line.sentences)) for line in lines] == [
        ("title", "title", 1),
        ("mixed", "", 3),
        ("boilerplate", "follow_cta", 1),
    ]
    assert [item.badge for item in lines[1].sentences] == ["", "", "credit"]
    assert lines[2].sentences[0].badge == ""


def test_a_kind_is_named_once_for_the_lines_that_share_it() -> None:
    kinds = ["related", "related", "ad", "related"]
    rows = [sentence("甲乙", "boilerplate", kind=kind) for kind in kinds]
    assert [line.tag for line in view_sample({"sentences": rows}).lines] == ["related", "", "ad", "related"]


def test_white_space_between_sentences_is_kept() -> None:
    rows = [sentence("One.", start=0, end=4), sentence("Two.", start=5, end=9, starts_line=False)]
    assert ">One.</span> <span" in build_report({}, [{"doc_id": "a", "sentences": rows}])
    rows[1].update(start=4, end=8)
    assert ">One.</span><span" in build_report({}, [{"doc_id": "a", "sentences": rows}])


@pytest.mark.parametrize(("p", "is_unsure"), [(0.59, True), (0.6, False), (None, False), (float("nan"), False)])
def test_doubtful_sentences_are_marked(p: float | None, is_unsure: bool) -> None:
    row = sentence("甲。", p_claim=p, p_opinion=None, p_boilerplate=float("nan"))
    (line,) = view_sample({"sentences": [row]}).lines
    assert line.sentences[0].is_unsure is is_unsure
    assert "nan" not in line.sentences[0].tooltip


def test_a_sentence_of_a_whole_book_is_clipped() -> None:
    page = build_report({}, [{"doc_id": "a", "sentences": [sentence("长" * 100_000)]}])
    assert page.count("长") == 2000


def test_strip_covers_its_width_whatever_the_number_of_sentences() -> None:
    strip = view_sample({"sentences": [sentence("字" * (1 + i % 40)) for i in range(120)]}).strip
    assert len(strip) == 120
    assert float(strip[-1].x) + float(strip[-1].width) == pytest.approx(1000, abs=0.2)
    assert view_sample({}).strip == []


def test_shares_are_of_what_is_shown() -> None:
    kinds = view_summary(SUMMARY).charts["kind"]
    assert [(bar.name, round(bar.share, 3), bar.length) for bar in kinds] == [
        ("credit", 0.667, 1.0),
        ("ad", 0.333, 0.5),
    ]


def test_labels_keep_their_order_and_others_go_by_size() -> None:
    assert [bar.name for bar in view_summary(SUMMARY).charts["label"]] == ["claim", "opinion", "boilerplate", "none"]
    assert [bar.name for bar in make_bars({"b": 2, "a": 2, "c": 9, "d": 0}, {})] == ["c", "a", "b"]


def test_body_longer_than_its_source_is_no_negative_share() -> None:
    view = view_summary({"n_chars": 10, "n_body_chars": 12})
    assert (view.body_share, view.n_removed_chars) == (1.0, 0)
