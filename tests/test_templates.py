from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, cleaned
from hypothesis import given
from hypothesis import strategies as st

import pipeline.passes.count
import pipeline.run.first
import pipeline.run.shards
from pipeline.classify import annotate, load_classifier
from pipeline.classify.table import make_table
from pipeline.config import Config, load_config
from pipeline.doc import Doc, code_points
from pipeline.errors import ConfigError
from pipeline.kernels.lines import find_lines
from pipeline.kernels.support import (
    MAX_AFTER,
    MAX_BEFORE,
    MAX_EXTRA,
    MIN_EXTRA,
    SUPPORT_COLUMNS,
    find_text_lines,
    support_log_odds,
)
from pipeline.passes import TemplatesConfig, make_templates
from pipeline.passes.count import count_templates
from pipeline.passes.scan import key_sources, name_hash, open_scans, scan_pieces
from pipeline.passes.tally import to_lines
from pipeline.passes.templates import TemplateTable, add_support, read_templates
from pipeline.readers.sources import Piece, list_input
from pipeline.run import RunOptions, RunResult, run_corpus
from pipeline.run.shards import plan_shards
from pipeline.training.labelled import Page, page_of, read_pages
from pipeline.training.score import compare

WITH_TEMPLATES = Config(stages=("clean",), templates=TemplatesConfig(enabled=True))
NAMES = "周砚 沈知秋 罗一鸣 唐小满 陆望舒 高远 叶青禾 白露 段飞 江雪".split()

Rows = list[dict[str, Any]]


def keys(text: str, **meta: Any) -> tuple[list[int], list[int]]:
    """The exact and the near keys of a document's lines."""
    keyed = key_sources([Doc.from_text(text, "d", **meta)])
    return keyed.exact.tolist(), keyed.near.tolist()


def exact(line: str, **meta: Any) -> int:
    return keys("别的一行\n" + line, **meta)[0][1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("发布于2024-05-01 12:30", "发布于 2023/11/9 8:05"),
        ("二〇二四年五月一日出版", "二〇二三年十一月三十日出版"),
        ("2024年5月1日更新", "2019年12月31日更新"),
        ("共有１２条评论", "共有3458条评论"),
        ("原文链接https://a.example.cn/x/1.html", "原文链接http://b.cn/?id=7"),
        ("投稿信箱news@example.cn", "投稿信箱a.b@c.org"),
        ("推荐阅读《长河》", "推荐阅读《山的那一边》"),
        ("请搜索“长河日报”关注", "请搜索“某某周刊”关注"),
        ("Read  More", "ｒｅａｄ　ｍｏｒｅ"),
        ("第三版", "第十二版"),
    ],
)
def test_what_changes_from_page_to_page_is_masked(one: str, other: str) -> None:
    assert exact(one) == exact(other) != 0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("分享到微信", "分享到微博"),
        ("“好的。”他说。", "“走吧。”他说。"),
        ("一切照旧", "三切照旧"),
        ("责任编辑：张三", "责任编辑：李四"),
    ],
)
def test_what_says_something_is_not_masked(one: str, other: str) -> None:
    assert exact(one) != exact(other)


@pytest.mark.parametrize("line", ["2024年5月1日", "———", "12:30", "《长河》", "“名字”", "好", "https://a.cn/b"])
def test_a_line_that_is_all_masks_or_marks_has_no_key(line: str) -> None:
    assert exact(line) == 0


def test_the_own_title_is_masked_and_others_are_not() -> None:
    one = exact("您正在看：小城的桥修好了", title="小城的桥修好了_某某新闻网")
    other = exact("您正在看：河边的树砍光了", title="河边的树砍光了_某某新闻网")
    strange = exact("您正在看：河边的树砍光了", title="小城的桥修好了_某某新闻网")
    assert one == other != strange


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("上一篇：小城的桥修好了", "上一篇：河边的树"),
        ("责任编辑：张三", "责任编辑：欧阳某某 李四"),
        ("作者丨张三", "作者丨李四"),
        ("欢迎关注长河日报官方微信", "欢迎关注一九七四年的旧站台官方微信"),
    ],
)
def test_near_lines_meet(one: str, other: str) -> None:
    (_, first), (_, second) = keys("别的\n" + one), keys("别的\n" + other)
    assert first[1] == second[1] != 0


@given(st.lists(st.text("一二好的。a1:/.《》“” \n\r\u2028\u3000", max_size=60), min_size=1, max_size=4))
def test_lines_are_where_the_text_has_them_whatever_the_batch(texts: list[str]) -> None:
    docs = [Doc.from_text(text, str(i)) for i, text in enumerate(texts)]
    together = key_sources(docs)
    alone = [key_sources([doc]) for doc in docs]
    for name in ("exact", "near", "weight"):
        joined = np.concatenate([getattr(part, name) for part in alone])
        np.testing.assert_array_equal(getattr(together, name), joined)
    points, bounds = code_points(texts[0] + "\n"), np.array([0, len(texts[0]) + 1])
    lines, _ = find_lines(points, bounds)
    found = [texts[0][start:end] for start, end in lines.tolist()]
    assert found == [line for line in texts[0].replace("\r", "\n").replace("\u2028", "\n").split("\n") if line]


@given(st.text("一句话。走吧！\n 　a", max_size=80))
def test_lines_of_the_text_are_those_that_classify_sees(text: str) -> None:
    doc = cleaned(text)
    assert doc.sents is not None
    lines = find_text_lines(code_points(doc.text), doc.sents)
    np.testing.assert_array_equal(lines, make_table([doc]).lines)


def write_rows(path: Path, rows: Rows) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def count(folder: Path, rows: Rows, **settings: Any) -> TemplateTable:
    """The templates of some rows."""
    path = write_rows(folder / "rows.jsonl", rows)
    piece = Piece(path, "rows.jsonl", ".jsonl", 0, path.stat().st_size)
    scan_pieces([piece], folder / "scan", templates=True, duplicates=False)
    return count_templates(open_scans([folder / "scan"]), TemplatesConfig(**settings), folder)


def own_text(i: int) -> str:
    """Two lines that no other document has."""
    words = "".join(chr(0x4E00 + (i * 131 + k * 17) % 20000) for k in range(40))
    return f"{words[:20]}这一段只有这里才有。\n{words[20:]}那一段也是。"


def supports(table: TemplateTable, publisher: str | None, lines: Sequence[str]) -> list[float]:
    """What share of a publisher's documents has each line, as the stage says."""
    doc = cleaned("标题一行\n" + "\n".join(lines), publisher=publisher)
    (done,) = add_support(table, [doc])
    return [round(float(row[0]), 4) for row in done.meta["templates"][1:]]


def test_documents_are_counted_not_occurrences(tmp_path: Path) -> None:
    refrain = "风从北边来人往南边去"
    rows = [{"id": "song", "publisher": "某刊", "text": "\n".join([own_text(0), *[refrain] * 30])}]
    rows += [{"id": f"d{i}", "publisher": "某刊", "text": f"{own_text(i)}\n版权归某刊所有"} for i in range(1, 10)]
    table = count(tmp_path, rows)
    assert supports(table, "某刊", [refrain, "版权归某刊所有"]) == [0, 0.9]


def test_another_publisher_has_its_own_templates(tmp_path: Path) -> None:
    rows = [{"id": f"a{i}", "publisher": "甲刊", "text": f"{own_text(i)}\n甲刊出品"} for i in range(6)]
    rows += [{"id": f"b{i}", "publisher": "乙刊", "text": f"{own_text(50 + i)}\n乙刊制作"} for i in range(6)]
    table = count(tmp_path, rows)
    assert supports(table, "甲刊", ["甲刊出品", "乙刊制作"]) == [1, 0]
    assert supports(table, "乙刊", ["甲刊出品", "乙刊制作"]) == [0, 1]


def test_what_many_publishers_have_is_a_template_for_those_that_are_not_known(tmp_path: Path) -> None:
    rows = [{"id": f"d{i}", "publisher": f"刊物{i % 4}", "text": f"{own_text(i)}\n返回页面顶部"} for i in range(12)]
    rows += [{"id": f"e{i}", "publisher": "独家", "text": f"{own_text(90 + i)}\n独家的一句"} for i in range(12)]
    table = count(tmp_path, rows)
    assert supports(table, None, ["返回页面顶部", "独家的一句"]) == [0.5, 0]


@pytest.mark.parametrize("n_changed", [0, 1])
def test_copies_of_an_article_make_no_templates(tmp_path: Path, n_changed: int) -> None:
    article = "\n".join(own_text(i) for i in range(10))
    copies = [article + f"\n转自{NAMES[i]}" * n_changed + "\n版权归某刊所有" for i in range(8)]
    rows = [{"id": f"c{i}", "publisher": "某刊", "text": text} for i, text in enumerate(copies)]
    rows += [{"id": f"d{i}", "publisher": "某刊", "text": f"{own_text(20 + i)}\n版权归某刊所有"} for i in range(8)]
    table = count(tmp_path, rows, min_documents=3)
    found = supports(table, "某刊", [*article.split("\n"), "版权归某刊所有"])
    assert found[:-1] == [0] * 20
    assert found[-1] == round(9 / 16, 4)  # the copies count as one


def test_articles_crawled_twice_count_once_and_still_show_their_frame(tmp_path: Path) -> None:
    rows = [{"id": f"d{i}", "publisher": "某刊", "text": f"{own_text(i // 2)}\n版权归某刊所有"} for i in range(24)]
    table = count(tmp_path, rows)
    assert supports(table, "某刊", [*own_text(3).split("\n"), "版权归某刊所有"]) == [0, 0, 0.5]


def test_near_lines_need_several_variants_and_are_found_by_their_label(tmp_path: Path) -> None:
    rows = [
        {"id": f"d{i}", "publisher": "某刊", "text": f"{own_text(i)}\n往左一页：{own_text(60 + i)[:9]}"}
        for i in range(10)
    ]
    table = count(tmp_path, rows)
    assert supports(table, "某刊", ["往左一页：没有见过的标题", "往右一页：没有见过的标题"]) == [1, 0]
    interview = "\n".join(f"往左一页：第{i}问怎么说" for i in range(8))
    assert supports(table, "某刊", interview.split("\n")) == [0] * 8


def test_a_line_that_clean_joins_or_moves_keeps_its_support(tmp_path: Path) -> None:
    rows = [
        {"id": f"d{i}", "publisher": "某刊", "text": f"{own_text(i)}\r\n\r\n 　版\u200b权归某刊所有！ "}
        for i in range(6)
    ]
    table = count(tmp_path, rows)
    doc = cleaned(rows[0]["text"], publisher="某刊")
    (done,) = add_support(table, [doc])
    assert done.meta["templates"].shape == (3, len(SUPPORT_COLUMNS))
    assert done.meta["templates"][:, 0].tolist() == [0, 0, 1]
    assert done.meta["templates"].dtype == np.float32


@given(
    st.lists(
        st.tuples(*[st.floats(0, 8, width=32)] * len(SUPPORT_COLUMNS)),
        min_size=1,
        max_size=20,
    )
)
def test_support_adds_within_bounds_and_nothing_where_nothing_is_known(rows: list[tuple[float, ...]]) -> None:
    values = np.array(rows, dtype=np.float32)
    extra = support_log_odds(values)
    assert extra.dtype == np.float32
    assert (extra <= MAX_EXTRA).all()
    assert (extra[values[:, 0] > 0] >= 0).all()
    unknown = values * 0
    assert not support_log_odds(unknown).any()


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Rows that make several shards."""
    monkeypatch.setattr(pipeline.run.shards, "MIN_SHARD_BYTES", 3000)
    rows = [
        {
            "id": f"d{i}",
            "publisher": f"刊物{i % 3}",
            "text": f"{own_text(i)}\n刊物{'甲乙丙'[i % 3]}的版权声明\n编辑：{NAMES[i % 10]}\n阅读 {i} 次",
        }
        for i in range(90)
    ]
    return write_rows(tmp_path / "corpus.jsonl", rows)


def run(source: Path, out: Path, **options: Any) -> RunResult:
    settings = {"config": WITH_TEMPLATES, "n_workers": 1, **options}
    return run_corpus(RunOptions([str(source)], out, **settings))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def test_a_run_writes_its_templates_the_same_whatever_the_workers(corpus: Path, tmp_path: Path) -> None:
    assert len(plan_shards(list_input([str(corpus)], (".jsonl",)).files)) > 3
    result = run(corpus, tmp_path / "one")
    run(corpus, tmp_path / "two", n_workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    records = [json.loads(line) for line in (tmp_path / "one" / "templates.jsonl").read_text().splitlines()]
    found = {(row["publisher"], row["examples"][0]): row for row in records if row["match"] == "exact"}
    record = found["刊物1", "刊物乙的版权声明"]
    assert (record["documents"], record["share"], record["kind"]) == (30, 1.0, None)
    assert len(found["刊物2", "阅读 2 次"]["examples"]) == 3
    assert result.summary["templates"]
    assert "刊物乙的版权声明" in (tmp_path / "one" / "report.html").read_text(encoding="utf-8")


class KilledError(BaseException):
    """Stands for a kill."""


@pytest.mark.parametrize("at", range(0, 24, 2))
def test_a_run_killed_in_the_first_pass_goes_on_to_the_same_bytes(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    run(corpus, tmp_path / "whole")
    scan = scan_pieces
    calls, again = 0, 0

    def killed(*args: Any, **options: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > at:
            raise KilledError
        scan(*args, **options)

    def counted(*args: Any, **options: Any) -> None:
        nonlocal again
        again += 1
        scan(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(pipeline.run.first, "scan_pieces", killed)
        try:
            run(corpus, tmp_path / "out")
        except KilledError:
            assert not (tmp_path / "out" / "manifest.json").exists()
            with monkeypatch.context() as second:
                second.setattr(pipeline.run.first, "scan_pieces", counted)
                run(corpus, tmp_path / "out")
            assert again == len(plan_shards(list_input([str(corpus)], (".jsonl",)).files)) - at
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_templates_are_reused_and_what_was_deleted_is_gone(corpus: Path, tmp_path: Path) -> None:
    run(corpus, tmp_path / "first")
    lines = (tmp_path / "first" / "templates.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    kept = tmp_path / "kept.jsonl"
    kept.write_text("".join(line for line in lines if "版权声明" in line), encoding="utf-8")
    page = {"id": "x", "publisher": "刊物1", "text": f"{own_text(500)}\n刊物乙的版权声明\n阅读 7 次"}
    source = write_rows(tmp_path / "one.jsonl", [page])
    run(source, tmp_path / "second", config=Config(stages=("clean",)), templates=kept)
    records = [json.loads(line) for line in (tmp_path / "second" / "templates.jsonl").read_text().splitlines()]
    assert records
    assert all("版权声明" in row["examples"][0] for row in records)
    manifest = json.loads((tmp_path / "second" / "manifest.json").read_bytes())
    assert len(manifest["templates"]) == 64


def test_a_file_that_holds_no_templates_is_a_wrong_call(corpus: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"publisher": "x"}\n', encoding="utf-8")
    with pytest.raises(ConfigError, match="line 1"):
        run(corpus, tmp_path / "out", templates=bad)
    with pytest.raises(ConfigError, match="no such file"):
        run(corpus, tmp_path / "out", templates=tmp_path / "nowhere.jsonl")
    assert not (tmp_path / "out").exists()


def test_templates_are_off_unless_asked_for(corpus: Path, tmp_path: Path) -> None:
    run(corpus, tmp_path / "out", config=Config(stages=("clean",)))
    assert not (tmp_path / "out" / "templates.jsonl").exists()
    assert not load_config("fast").templates.is_on
    assert make_templates(TemplatesConfig())([cleaned("一句话。")])[0].meta.get("templates") is None


# --- what templates bring: pages of publishers whose footers the classifier has never seen


def page_lines(page: Page) -> list[dict[str, Any]]:
    """The lines of a page's article, with their labels."""
    lines = [line for line in page.lines if line.role != "boilerplate"]
    return [
        {"text": page.source[line.start : line.end], "label": "title" if line.role == "title" else "body"}
        for line in lines
    ]


def framed_pages() -> list[Page]:
    """Twelve pages each from ten invented publishers: articles of the labelled pages, footers of their own."""
    articles = [
        page for page in read_pages([ROOT / "corpus" / "labelled" / "documents.jsonl"]) if page.split != "train"
    ]
    bodies = [page_lines(page) for page in articles]
    cases = [json.loads(line) for line in (ROOT / "tests" / "cases" / "footers.jsonl").read_text().splitlines()]
    pages = []
    for c, case in enumerate(cases):
        for k in range(12):
            i, n = (c * 7 + k) % len(bodies), c * 12 + k
            words = {
                "other": bodies[(i + 3) % len(bodies)][0]["text"][:24],
                "another": bodies[(i + 11) % len(bodies)][0]["text"][:24],
                "name": NAMES[n % 10],
                "name2": NAMES[(n * 3 + 1) % 10],
                "n": 100 + n * 37 % 900,
                "date": f"2024-0{1 + n % 9}-1{n % 9}",
            }
            footer = [{"text": line.format(**words), "label": "boilerplate", "kind": "other"} for line in case["lines"]]
            pages.append(page_of({"id": f"p{n}", "publisher": case["publisher"], "lines": bodies[i] + footer}))
    return pages


@pytest.fixture(scope="module")
def annotated() -> Any:
    """What annotates documents by the shipped classifier."""
    classifier = load_classifier(ROOT / "models" / "classifier")
    return lambda docs: annotate(classifier, docs)


def templates_of(folder: Path, pages: Sequence[Page]) -> TemplateTable:
    return count(folder, [{"id": p.id, "publisher": p.publisher, "text": p.source} for p in pages])


def measure(pages: Sequence[Page], docs: Sequence[Doc]) -> tuple[float, int]:
    """Share of boilerplate lines that were found, and visible characters of the body that were lost."""
    found = total = lost = 0
    for page, doc in zip(pages, docs, strict=True):
        compared = compare(page, doc)
        is_footer = np.array([line.role == "boilerplate" for line in page.lines])
        found += int((compared.role[is_footer] == 5).sum())
        total += int(is_footer.sum())
        lost += int(compared.n_lost[~is_footer].sum())
    return found / max(total, 1), lost


@pytest.mark.slow
def test_half_of_the_missing_footers_are_found_and_no_more_body_is_lost(tmp_path: Path, annotated: Any) -> None:
    pages = framed_pages()
    docs = [cleaned(page.source, doc_id=page.id, publisher=page.publisher) for page in pages]
    recall, lost = measure(pages, annotated(docs))
    table = templates_of(tmp_path, pages)
    better, lost_now = measure(pages, annotated(add_support(table, docs)))
    assert recall < 0.99, "the footers are no test"
    assert better >= recall + (1 - recall) / 2
    assert lost_now <= lost


REPEATED = {
    "a slogan between paragraphs": ("middle", "让每一粒米都记得来时的路。"),
    "dialogue": ("middle", "“好的。”"),
    "bare dialogue": ("middle", "好的。"),
    "dialogue with its speaker": ("middle", "“走吧。”他说。"),
    "a heading that every part has": ("middle", "一、事情的经过"),
    "a refrain": ("often", "风从北边来，人往南边去。"),
    "a question's label": ("middle", "记者：{other}"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REPEATED)
@pytest.mark.parametrize("has_footer", [False, True])
def test_a_line_does_not_become_boilerplate_by_repetition(
    tmp_path: Path, annotated: Any, name: str, has_footer: bool
) -> None:
    where, line = REPEATED[name]
    framed = framed_pages()
    pages = []
    for page in framed[12:24]:
        lines = [{"text": page.source[x.start : x.end], "label": x.role, "kind": x.kind} for x in page.lines]
        body = [x for x in lines if x["label"] != "boilerplate"]
        text = line.format(other=framed[int(page.id[1:]) + 30].source[:9])
        for at in (2, 4, 6) if where == "often" else (max(len(body) // 2, 1),):
            body.insert(min(at, len(body)), {"text": text, "label": "body"})
        footer = [x for x in lines if x["label"] == "boilerplate"] if has_footer else []
        pages.append(page_of({"id": page.id, "publisher": page.publisher, "lines": body + footer}))
    docs = [cleaned(page.source, doc_id=page.id, publisher=page.publisher) for page in pages]
    with_table = add_support(templates_of(tmp_path, pages), docs)
    lost, lost_now = measure(pages, annotated(docs))[1], measure(pages, annotated(with_table))[1]
    assert lost_now <= lost


# --- official notices: what opens and closes them recurs like a frame, and is body all the same

OFFICES = [
    ("槐荫渡镇人民政府", "各村（居）民委员会：", "特此通知。", ["渡口的钟每到整点敲一下", "本栏由{n}号窗口看管"]),
    ("白石坪县水务局", "各股室、各下属单位：", "特此公告", ["水塔下面的值班本共{n}页", "另一张告示：{other}的告示"]),
    ("青芦街道办事处", "各社区居委会，辖区各单位：", "特此通知，请遵照执行。", []),
    ("望海区教育局", "各中小学、幼儿园：", "请各校按照执行。", ["粉笔写的字，雨天会淡", "黑板高{n}厘米"]),
    ("南屏林场管理处", "各工区、各管护站：", "以上通知，望周知。", ["林子里不生火", "下一处木牌：{other}"]),
    ("九曲河流域管理所", "沿线各泵站：", "特此通告。", []),
]
TOPICS = (
    "汛期河道清淤 老旧水管更换 冬季供暖巡查 秋季入学登记 护林防火值班 水闸启闭试验 "
    "集市临时搬迁 路灯线路检修 农机免费检测 校车路线调整 病死树清理 饮用水水质抽检"
).split()
REASONS = (
    "为了做好{topic}工作，经研究，决定自{month}月{day}日起在全辖区范围内统一安排。",
    "按照年初计划，{topic}将于{month}月{day}日起分段进行，现将有关事项通知如下。",
    "近期接到群众反映较多，经现场查看，{topic}已经刻不容缓，现就有关安排通知如下。",
)
RULES = (
    "{topic}期间，请沿途住户提前把停放在路边的车辆移走，以免影响施工。",
    "施工时间为每天上午{hour}点到下午五点，遇雨顺延，不另行通知。",
    "负责{topic}的队伍会佩戴统一袖标，入户前先出示证件。",
    "确有困难的住户可以在{month}月底前到窗口登记，由工作人员上门办理。",
    "因{topic}造成的不便，请大家谅解，完工后现场会在两天内清理干净。",
    "各单位要指定一名联络员，每周五下班前报送{topic}的进展情况。",
    "发现安全隐患的，应当立即停工并在半小时内报告值班室。",
    "所需经费从年度专项里列支，任何人不得向住户收取费用。",
)
HEADINGS = ("一、时间安排", "二、工作要求", "三、其他事项")


def notice_pages(office: int, *, has_headings: bool, has_footer: bool) -> list[Page]:
    """Twelve notices of an invented office."""
    name, salutation, closing, footer = OFFICES[office]
    pages = []
    for i in range(12):
        rng = random.Random(office * 100 + i)
        words = {
            "topic": TOPICS[(i + office) % 12],
            "other": TOPICS[(i + office + 5) % 12],
            "month": 1 + (i * 5 + office) % 12,
            "day": 1 + i,
            "hour": 7 + i % 3,
            "n": 100 + i * 37,
        }
        rules = rng.sample(RULES, 6)
        body = [salutation, rng.choice(REASONS)]
        for k, heading in enumerate(HEADINGS):
            body += [heading] * has_headings + [rules[2 * k] + rules[2 * k + 1]]
        signed = [name, "2024年{month}月{day}日", *(footer if has_footer else [])]
        lines = [{"text": "关于{topic}有关事项的通知", "label": "title"}]
        lines += [{"text": line, "label": "body"} for line in [*body, closing]]
        lines += [{"text": line, "label": "boilerplate", "kind": "other"} for line in signed]
        lines = [{**line, "text": line["text"].format(**words)} for line in lines]
        pages.append(page_of({"id": f"n{office}-{i}", "publisher": name, "lines": lines}))
    return pages


@pytest.mark.slow
@pytest.mark.parametrize("has_headings", [False, True])
@pytest.mark.parametrize("has_footer", [False, True])
def test_what_opens_and_closes_a_notice_stays_body(
    tmp_path: Path, annotated: Any, has_headings: bool, has_footer: bool
) -> None:
    n_chars = lost = lost_now = 0
    for office in range(len(OFFICES)):
        pages = notice_pages(office, has_headings=has_headings, has_footer=has_footer)
        docs = [cleaned(page.source, doc_id=page.id, publisher=page.publisher) for page in pages]
        recall, n_lost = measure(pages, annotated(docs))
        folder = tmp_path / str(office)
        folder.mkdir()
        better, n_lost_now = measure(pages, annotated(add_support(templates_of(folder, pages), docs)))
        assert better >= recall
        n_chars += sum(len(page.source) for page in pages)
        lost, lost_now = lost + n_lost, lost_now + n_lost_now
    assert lost_now <= lost + 0.005 * n_chars


def test_running_text_beside_a_line_bounds_what_support_adds() -> None:
    columns = dict.fromkeys(SUPPORT_COLUMNS, 0.0) | {
        "share": 1.0,
        "log_documents": 5.0,
        "log_pages": 5.0,
        "enclosed": 1.0,
        "company": 1.0,
    }
    places = [{}, {"after": 1.0}, {"before": 1.0}, {"after": 1.0, "solid": 1.0}]
    rows = np.array([list((columns | place).values()) for place in places], dtype=np.float32)
    extra = support_log_odds(rows)
    assert extra.tolist() == [MAX_EXTRA, MAX_AFTER, MAX_BEFORE, MAX_EXTRA]


def test_the_best_supported_templates_are_kept_whatever_order_they_come_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marks = [f"{name}写的一行" for name in NAMES]
    rows = [
        {"id": f"d{i}", "publisher": "某刊", "text": "\n".join([own_text(i), *marks[: 1 + i]])}
        for i in range(len(marks))
    ]
    monkeypatch.setattr(pipeline.passes.count, "MAX_TEMPLATES", 4)
    monkeypatch.setattr(pipeline.passes.count, "MAX_ROWS", 1)
    table = count(tmp_path, rows)
    assert sorted(table.rows["documents"].tolist()) == [7, 8, 9, 10]


def extra_of(*rows: dict[str, float]) -> list[float]:
    """What support adds to lines of which some columns are known."""
    blank = dict.fromkeys(SUPPORT_COLUMNS, 0.0)
    values = np.array([list((blank | row).values()) for row in rows], dtype=np.float32)
    return [round(float(extra), 4) for extra in support_log_odds(values)]


def line_of(n_documents: int, n_pages: int, **columns: float) -> dict[str, float]:
    """A line on some of a publisher's pages, among others that recur."""
    share, documents, pages = n_documents / n_pages, float(np.log(n_documents)), float(np.log(n_pages))
    return {
        "share": share,
        "log_documents": documents,
        "log_pages": pages,
        "company": 1.0,
        "enclosed": share,
        **columns,
    }


def test_support_speaks_the_louder_the_more_pages_have_the_line() -> None:
    few, many, most, every = extra_of(*(line_of(n, 12) for n in (2, 8, 10, 12)))
    assert 0 == few < many < most <= every == MAX_EXTRA
    assert 0 < extra_of(line_of(2, 2))[0] < every


def test_a_rare_line_of_a_large_publisher_is_as_rare_as_one_of_a_smaller() -> None:
    small, large = extra_of(line_of(3, 30), line_of(3000, 30000))
    assert small == large == 0


def test_a_line_without_support_is_not_given_up_where_little_is_known() -> None:
    pages = [{"log_pages": float(np.log(n))} for n in (1, 2, 4, 12, 30, 30000)]
    alone = extra_of(*pages)
    assert alone[0] == 0
    assert alone == sorted(alone, reverse=True)
    assert alone[-1] == alone[-2] >= MIN_EXTRA
    beside = extra_of(*({**page, "company": 1.0} for page in pages[1:]))
    assert all(one > other for one, other in zip(beside, alone[1:], strict=True))


def test_two_pages_are_enough_for_a_template_and_one_says_nothing(tmp_path: Path) -> None:
    rows = [{"id": f"d{i}", "publisher": "小刊", "text": f"{own_text(i)}\n小刊的版权声明"} for i in range(2)]
    rows.append({"id": "x", "publisher": "独页", "text": f"{own_text(9)}\n独页的版权声明"})
    table = count(tmp_path, rows)
    assert supports(table, "小刊", ["小刊的版权声明"]) == [1]
    (doc,) = add_support(table, [cleaned(rows[2]["text"], publisher="独页")])
    assert not support_log_odds(doc.meta["templates"]).any()


def test_templates_survive_their_file(tmp_path: Path) -> None:
    rows = [{"id": f"d{i}", "publisher": "某刊", "text": f"{own_text(i)}\n版权归某刊所有"} for i in range(6)]
    table = count(tmp_path, rows)
    path = tmp_path / "templates.jsonl"
    path.write_bytes(b"".join(to_lines(list(table.records()))))
    again = read_templates(path)
    np.testing.assert_array_equal(again.rows["key"], table.rows["key"])
    np.testing.assert_array_equal(again.rows["publisher"], table.rows["publisher"])
    assert again.n_documents(name_hash("某刊")) == table.n_documents(name_hash("某刊")) == 6
    assert again.names == {key: name for key, name in table.names.items() if key in set(table.rows["publisher"])}
