from __future__ import annotations

import bz2
import contextlib
import gzip
import json
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.doc import Doc
from pipeline.errors import ConfigError, InputRejectedError
from pipeline.readers import READERS, Read, Rejection, read_piece, registered_domain
from pipeline.readers.blocks import read_html
from pipeline.readers.cuts import cut_file
from pipeline.readers.encoding import decode
from pipeline.readers.markdown import read_markdown
from pipeline.readers.sources import list_input


def read(path: Path) -> list[Read]:
    return [item for piece in list_input([str(path)], tuple(READERS)).files for item in read_piece(piece)]


def read_doc(path: Path) -> Doc:
    (doc,) = read(path)
    assert isinstance(doc, Doc)
    return doc


ARTICLE = "今天的新闻说，城里开了一家新的图书馆。\n　　市民可以借阅图书，也可以自习。"


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [("utf-8", "utf-8"), ("utf-8-sig", "utf-8"), ("gb18030", "gb18030"), ("gbk", "gb18030"), ("utf-16", "utf-16")],
)
def test_encodings_are_told_apart(encoding: str, expected: str) -> None:
    assert decode(ARTICLE.encode(encoding)) == (ARTICLE, expected, 0)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("これは日本語の文章です。図書館の開館時間について。".encode("shift_jis"), "undecodable"),
        ("Déjà vu, ça va, été, où êtes-vous".encode("latin-1"), "undecodable"),
        (gzip.compress(ARTICLE.encode(), mtime=0), "binary"),
        (b"\xff\xfe\x00\xd8", "undecodable"),
    ],
)
def test_what_is_neither_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(InputRejectedError) as caught:
        decode(data)
    assert caught.value.code == code


def test_a_few_undecodable_bytes_are_replaced_and_counted() -> None:
    data = (ARTICLE * 60).encode() + b"\xff" + ARTICLE.encode()
    decoded = decode(data)
    assert (decoded.encoding, decoded.n_undecodable) == ("utf-8", 1)
    assert "\ufffd" in decoded.text


def test_replacement_characters_of_the_input_are_no_damage() -> None:
    assert decode("甲\ufffd乙".encode()).n_undecodable == 0


@given(st.binary(max_size=200))
def test_decoding_never_fails_in_another_way(data: bytes) -> None:
    with contextlib.suppress(InputRejectedError):
        assert isinstance(decode(data).text, str)


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [
        ("", bytes),
        (".gz", gzip.compress),
        (".bz2", bz2.compress),
        (".zst", lambda data: pa.compress(data, "zstd", asbytes=True)),
    ],
)
def test_compressions(tmp_path: Path, suffix: str, compress: Callable[[bytes], bytes]) -> None:
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(compress(ARTICLE.encode()))
    doc = read_doc(path)
    assert (doc.id, doc.source) == (path.name, ARTICLE)


def test_source_keeps_newlines_and_loses_only_the_mark(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbf\xe7\x94\xb2\r\n \xe4\xb9\x99\n")
    assert read_doc(tmp_path / "a.txt").source == "甲\r\n 乙\n"


def test_rows_carry_what_they_say(tmp_path: Path) -> None:
    rows = [
        {"id": 7, "text": "甲", "publisher": "某报", "title": "题", "url": "https://a.example.com/1", "views": 3},
        {"text": "乙", "url": "http://news.example.com.cn/2"},
        {"html": "<title>页</title><p>丙</p>", "origin": "x", "encoding": "y"},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    first, second, third = read(path)
    assert isinstance(first, Doc)
    assert isinstance(second, Doc)
    assert isinstance(third, Doc)
    assert (first.id, first.source, first.meta["publisher"]) == ("7", "甲", "某报")
    assert first.meta["extra"] == {"views": 3}
    assert first.meta["origin"] == "https://a.example.com/1"
    assert (second.id, second.meta["publisher"]) == ("rows.jsonl#2", "example.com.cn")
    assert (third.source, third.meta["title"]) == ("丙", "页")
    assert (third.meta["origin"], third.meta["encoding"]) == ("rows.jsonl", "utf-8")


def test_rows_in_gb18030_are_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes('{"text": "国标编码的一行文字"}\n'.encode("gb18030"))
    doc = read_doc(path)
    assert (doc.source, doc.meta["encoding"]) == ("国标编码的一行文字", "gb18030")


def test_a_bad_row_says_line_and_offset(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"text": "a"}\n{"text": }\n')
    rejection = read(path)[1]
    assert isinstance(rejection, Rejection)
    assert (rejection.code, rejection.line, rejection.offset) == ("bad_json", 2, 14)


@pytest.mark.parametrize("n_bytes", [1, 7, 30, 100, 10_000])
def test_ranges_of_a_file_hold_its_rows_once(tmp_path: Path, n_bytes: int) -> None:
    path = tmp_path / "rows.jsonl"
    lines = [json.dumps({"text": f"行{i}" * (i % 5 + 1)}) for i in range(40)]
    lines.insert(3, "")
    path.write_text("\n".join(lines), encoding="utf-8")
    (whole,) = list_input([str(path)], (".jsonl",)).files
    expected = [doc.id for doc in read_piece(whole) if isinstance(doc, Doc)]
    pieces = list(cut_file(whole, n_bytes))
    assert [doc.id for piece in pieces for doc in read_piece(piece) if isinstance(doc, Doc)] == expected
    assert [piece.start for piece in pieces[1:]] == [piece.end for piece in pieces[:-1]]


def test_folders_are_listed_in_order_and_others_counted(tmp_path: Path) -> None:
    for name in ("b/2.txt", "b/1.txt", "a.md", "c.pdf", ".git/x.txt", "b/.y.txt", "d.html.gz"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("文", encoding="utf-8")
    listing = list_input([str(tmp_path)], tuple(READERS))
    assert [file.origin for file in listing.files] == ["a.md", "d.html.gz", "b/1.txt", "b/2.txt"]
    assert listing.n_skipped == 3
    by_glob = list_input([str(tmp_path / "b" / "*.txt"), str(tmp_path / "a.md")], tuple(READERS))
    assert [file.origin for file in by_glob.files] == ["1.txt", "2.txt", "a.md"]


def test_unknown_format_is_a_wrong_call(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").touch()
    with pytest.raises(ConfigError, match=r"\.pdf"):
        list_input([str(tmp_path / "a.pdf")], tuple(READERS))
    with pytest.raises(ConfigError, match="holds no file"):
        list_input([str(tmp_path)], tuple(READERS))


def test_a_file_that_vanished_is_a_rejection(tmp_path: Path) -> None:
    (tmp_path / "a.txt").symlink_to(tmp_path / "nowhere")
    (tmp_path / "b.txt").write_text("文", encoding="utf-8")
    rejection, doc = read(tmp_path)
    assert isinstance(rejection, Rejection)
    assert (rejection.origin, rejection.code) == ("a.txt", "unreadable")
    assert str(tmp_path) not in rejection.reason
    assert isinstance(doc, Doc)


PAGE = """<!doctype html><html><head><title>页面 标题</title><meta property="og:site_name" content="某网">
<meta name="author" content="某人"><meta property="article:published_time" content="2024-05-01">
<style>p {color: red}</style><script>var hidden = "脚本";</script></head>
<body><nav><ul><li><a href="/">首页</a></li><li><a href="/n">新闻</a></li></ul></nav>
<h1>大标题</h1><p>第一段<b>加粗</b>，<a href="x">链接</a>。<br>换行后。</p><div hidden>藏起来</div>
<div style="display:none">看不见</div><template>模板</template>
<table><tr><td>甲</td><td>1</td></tr><tr><td>乙</td><td>2</td></tr></table><p>没有关上的段<p>下一段</body></html>"""


def test_visible_blocks_of_a_page_in_order() -> None:
    text, meta, _ = read_html(PAGE)
    lines = [" ".join(line.split()) for line in text.split("\n")]
    assert lines == "首页|新闻|大标题|第一段加粗，链接。|换行后。|甲 1|乙 2|没有关上的段|下一段".split("|")
    assert meta == {"title": "页面 标题", "publisher": "某网", "author": "某人", "published": "2024-05-01"}


@pytest.mark.parametrize("html", ["", "<script>render()</script>", "<div id=app></div>", "<p hidden>x</p>"])
def test_a_page_without_text_is_reported_as_empty(html: str) -> None:
    with pytest.raises(InputRejectedError) as caught:
        read_html(html)
    assert caught.value.code == "empty"


def test_markdown_blocks_and_front_matter() -> None:
    text, meta, _ = read_markdown(
        "---\ntitle: 题\ndate: 2024-05-01\ntags: a\n---\n# 标题\n\n段一\n续行\n\n![图](a.png)\n\n> 引文\n\n"
        "| 甲 | 乙 |\n|---|---|\n| 1 | 2 |\n\n```sh\nls -l\ncd ~\n```\n\n<div>块</div>\n\n1. 项\n"
    )
    assert text.split("\n") == ["标题", "段一", "续行", "引文", "甲\t乙", "1\t2", "ls -l", "cd ~", "块", "项"]
    assert meta == {"title": "题", "published": "2024-05-01", "tags": "a"}


@pytest.mark.parametrize(
    ("url", "domain"),
    [
        ("https://www.example.com/a?b=c", "example.com"),
        ("http://a.b.example.gov.cn", "example.gov.cn"),
        ("example.cn/x", "example.cn"),
        ("http://10.0.0.1/", None),
        ("not a url", None),
        ("", None),
        ("http://[bad", None),
    ],
)
def test_registered_domain(url: str, domain: str | None) -> None:
    assert registered_domain(url) == domain


def blocks_of(html: str) -> list[tuple[str, str, float]]:
    page = read_html(html)
    return list(zip(page.text.split("\n"), page.blocks["tag"], page.blocks["link_share"], strict=True))


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<h1>题</h1><p>段</p>文", [("题", "h1", 0), ("段", "p", 0), ("文", "body", 0)]),
        ("<ul><li><a href=x>首页</a></li><li>二</li></ul>", [("首页", "li", 1), ("二", "li", 0)]),
        ("<p>看<a href=x>这里</a>吧</p>", [("看这里吧", "p", 0.5)]),
        ("<div><a href=x>一</a> | <a href=y>二</a></div>", [("一 | 二", "div", 0.67)]),
        ("<a href=x><div>块</div><p>段</p></a>", [("块", "div", 1), ("段", "p", 1)]),
        ("<p>一<br>二<br><br>三</p>", [("一", "p", 0), ("二", "p", 0), ("三", "p", 0)]),
        ("<p>一\n  二&nbsp;三\u3000四</p>", [("一 二\xa0三\u3000四", "p", 0)]),
        ("<p>1 &lt; 2 &amp;amp; &#20013;&hellip;</p>", [("1 < 2 &amp; 中…", "p", 0)]),
        ("<pre>a\n  b\n\n\tc</pre>", [("a", "pre", 0), ("  b", "pre", 0), ("\tc", "pre", 0)]),
        ("<span style='display: block'>甲</span>乙", [("甲", "div", 0), ("乙", "body", 0)]),
        ("<p>甲<script>x('<p>')</script>乙</p>", [("甲乙", "p", 0)]),
        ("<p>甲<!-- <p>不 -->乙</p>", [("甲乙", "p", 0)]),
        ("<button>登录</button><button>注册</button>", [("登录", "button", 0), ("注册", "button", 0)]),
        ("<p>一<p>二<div>三", [("一", "p", 0), ("二", "p", 0), ("三", "div", 0)]),
        ("<p>\u200b</p><p> \xa0</p><p>一</p>", [("一", "p", 0)]),
    ],
)
def test_blocks_have_tag_and_link_share(html: str, expected: list[tuple[str, str, float]]) -> None:
    assert blocks_of(html) == expected


@pytest.mark.parametrize(
    ("html", "box", "parent"),
    [
        ("<p>一</p><p>二</p>三", [0, 0, 0], [0]),
        ("<div><p>一</p>二<br>三</div><ul><li>四<li><div>五</div></ul>", [1, 1, 1, 2, 3], [0, 0, 0, 2]),
        ("<div><div><div></div></div></div><nav>一</nav>", [1], [0, 0]),
        ("<section><div>一</div>二</section>", [2, 1], [0, 0, 1]),
        ("<table><tr><td>甲<td>乙<tr><td>1<td>2</table><div>丙</div>", [1, 1, 2], [0, 0, 0]),
        ("<table><tr><td><p>一<p>" + "长" * 60 + "<td><div>三</div></table>", [2, 2, 4], [0, 0, 1, 1, 3]),
    ],
)
def test_blocks_stand_in_boxes(html: str, box: list[int], parent: list[int]) -> None:
    blocks = read_html(html).blocks
    assert (blocks["box"], blocks["parent"]) == (box, parent)


def test_tables_in_tables_take_no_more_than_their_length() -> None:
    began = time.process_time()
    page = read_html("<table><tr><td>字" * 20_000)
    assert time.process_time() - began < 5  # it takes 0.2 s; handing every line up through all tables took 45
    assert page.text == "\n".join("字" * 20_000)


def test_what_a_tag_does_does_not_depend_on_the_pages_before() -> None:
    hidden = "<div style='visibility:hidden'><p>{}</p></div><p>{}</p>"
    for shown, other in ((1, 3), (3, 1), (1, 3)):
        text = read_html(hidden.format("藏" * shown, "见" * other)).text
        assert text == ("见" * other if other > shown else "藏" * shown + "\n" + "见" * other)


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<tr><td>甲<td>乙<tr><td>1<td>2", ["甲\t乙", "1\t2"]),
        ("<tr><th>项目<th>金额<tr><td><p>车票</p><td><div>5</div>", ["项目\t金额", "车票\t5"]),
        ("<tr><td>单价<br>（元）<td><td>1", ["单价 （元）\t\t1"]),
        ("<tr><td>导航<td><p>" + "第一段很长。" * 10 + "<p>第二段。", ["导航", "第一段很长。" * 10, "第二段。"]),
        ("<tr><td>外<td><table><tr><td>甲<td>乙</table>", ["外", "甲\t乙"]),
        ("<tr><td><p>一<p>二", ["一", "二"]),
        ("<caption>表一</caption><tr><td>甲<td>乙", ["表一", "甲\t乙"]),
    ],
)
def test_rows_of_data_are_lines_and_layout_is_blocks(html: str, expected: list[str]) -> None:
    assert read_html(f"<table>{html}</table>").text.split("\n") == expected


def test_a_row_has_the_tag_of_its_cells_and_their_links() -> None:
    assert blocks_of("<table><tr><th>甲<th>乙<tr><td><a href=x>一二三</a><td>四</table>") == [
        ("甲\t乙", "th", 0),
        ("一二三\t四", "td", 0.75),
    ]


@pytest.mark.parametrize(
    "hidden",
    [
        "<p hidden>藏</p>",
        "<div hidden=until-found><p>藏</p></div>",
        "<p aria-hidden=true>藏</p>",
        "<p style='color:red;display:none'>藏</p>",
        "<p style='DISPLAY: NONE'>藏</p>",
        "<p style='visibility: hidden'>藏</p>",
        "<div style=display:none><div><br><img><p>藏</p></div></div>",
        "<template><p>藏</p></template>",
        "<noscript><p>藏</p></noscript>",
        "<select><option>藏<option>藏</select>",
        "<svg><title>藏</title><text>藏</text><svg><text>藏</text></svg></svg>",
        "<style>藏{}</style><script>藏</script>",
        "<textarea>藏</textarea><iframe>藏</iframe><video>藏</video>",
    ],
)
def test_hidden_parts_are_left_out(hidden: str) -> None:
    assert read_html(f"<p>前文的一段</p>{hidden}<p>后文的一段</p>").text.split("\n") == ["前文的一段", "后文的一段"]


@pytest.mark.parametrize("attributes", ['title=" hidden=1"', "class=hidden", "style='overflow:hidden'", "data-x=none"])
def test_what_only_looks_hidden_is_shown(attributes: str) -> None:
    assert read_html(f"<p {attributes}>看得见</p>").text == "看得见"


def test_a_page_that_its_script_makes_visible_is_read() -> None:
    assert read_html(f"<p>题</p><div style='visibility:hidden'><p>{ARTICLE}</p></div>").text.startswith("题\n今天")


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("<title> 标题\n_某网 </title>", {"title": "标题 _某网"}),
        ("<meta property=og:title content=题><title>题_某网</title>", {"title": "题"}),
        ('<meta name=Author content="甲 &amp; 乙">', {"author": "甲 & 乙"}),
        ("<meta name=PubDate content=2024-05-01>", {"published": "2024-05-01"}),
        ("<body><time datetime='2024-05-01T08:00'>今天</time>", {"published": "2024-05-01T08:00"}),
        ("<link rel=canonical href=https://example.com/1>", {"url": "https://example.com/1"}),
        (
            '<script type="application/ld+json">{"@graph": [{"@type": "WebSite"}, {"headline": "题", "author": '
            '[{"name": "甲"}], "datePublished": "2024-05-01", "publisher": {"name": "某报"}}]}</script>',
            {"title": "题", "author": "甲", "published": "2024-05-01", "publisher": "某报"},
        ),
        ('<script type="application/ld+json">{broken</script>', {}),
        ('<script type="application/ld+json">["a", 1, null]</script>', {}),
        ('<script type="application/ld+json">{"headline": {"x": []}, "author": []}</script>', {}),
        ("<meta name=author><meta content=x><meta name=date content=' '>", {}),
    ],
)
def test_what_a_page_says_of_itself(head: str, expected: dict[str, str]) -> None:
    assert read_html(f"{head}<p>正文</p>").said == expected


def test_what_comments_and_scripts_hold_is_not_said() -> None:
    page = "<!--<title>旧</title>--><script>write('<title>假</title>')</script><title>题</title><p>正文</p>"
    assert read_html(page).said == {"title": "题"}


@pytest.mark.parametrize(
    "html",
    [
        "<!--" + "<title>" * 100_000 + "-->深",
        "<!--" + '<link rel="canonical" ' * 100_000 + "-->深",
        "<!-- ld+json" + '<script type="application/ld+json">' * 100_000 + "-->深",
        "<iframe>" + "<!--" * 100_000 + "</iframe>深",
        "<div>" * 10_000 + "深",
        "<b><p>" * 3_000 + "深",
        "<table><tr><td>" * 5_000 + "深",
        "<ul><li>" * 10_000 + "深",
        "<a href=x>" * 10_000 + "深",
        "深" + "<" * 100_000,
        "深<!--" * 10_000,
        "深<p " + "a=1 " * 50_000 + ">",
        "深" + "&" * 100_000,
        "\x00深\x00" * 1_000,
        "\ud800深",
        "<plaintext>深<p>",
        "深<script>" * 1_000,
        "</p></div></b>深</table></tr>",
        "<p>深&#0;&#xD800;&#x110000;</p>",
        "<frameset><frame></frameset><noframes>藏</noframes>深",
    ],
)
def test_no_markup_is_too_broken(html: str) -> None:
    with contextlib.suppress(InputRejectedError):
        assert "深" in read_html(html).text


@given(
    st.lists(
        st.sampled_from(
            "<p> </p> <div> </div> <table> <tr> <td> </td> </table> <a/href=x> </a> <pre> </pre> <li> <b> </b> <br> "
            "<p/hidden> <svg> </svg> <script> </script> <select> <option> <!-- --> < > & &lt; 甲 乙丙 </ <template> "
            "<title> <xmp>".split()
        ),
        max_size=60,
    ).map(lambda parts: "".join(part.replace("/h", " h") for part in parts))
)
def test_every_line_has_its_tag_and_share(html: str) -> None:
    with contextlib.suppress(InputRejectedError):
        for line, tag, share in blocks_of(html):
            assert line.strip()
            assert tag
            assert 0 <= share <= 1
        blocks = read_html(html).blocks
        assert all(0 <= box < len(blocks["parent"]) for box in blocks["box"])
        assert all(parent < box or box == 0 for box, parent in enumerate(blocks["parent"]))


def test_markdown_blocks_have_tag_and_link_share() -> None:
    page = read_markdown(
        "# 题\n\n看[这里](x)吧\n换行\n\n| 甲 | 乙 |\n|---|---|\n| [一](x) | 二 |\n\n- 项\n\n```\nls\n```\n"
    )
    assert page.text.split("\n") == ["题", "看这里吧", "换行", "甲\t乙", "一\t二", "项", "ls"]
    assert page.blocks == {
        "tag": ["h1", "p", "p", "th", "td", "li", "pre"],
        "link_share": [0, 0.5, 0, 0, 0.5, 0, 0],
    }
