from __future__ import annotations

import bz2
import contextlib
import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.doc import Doc
from pipeline.errors import ConfigError, InputRejectedError
from pipeline.readers import READERS, Read, Rejection, read_piece, registered_domain
from pipeline.readers.blocks import read_html, read_markdown
from pipeline.readers.encoding import decode
from pipeline.readers.sources import cut_file, list_input


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
        ("這是一篇正體中文的文章，內容說明圖書館的開放時間。".encode("big5"), "undecodable"),
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
    text, meta = read_html(PAGE)
    lines = [" ".join(line.split()) for line in text.split("\n")]
    assert lines == "首页|新闻|大标题|第一段加粗，链接。|换行后。|甲 1|乙 2|没有关上的段|下一段".split("|")
    assert meta == {"title": "页面 标题", "publisher": "某网", "author": "某人", "published": "2024-05-01"}


@pytest.mark.parametrize("html", ["", "<script>render()</script>", "<div id=app></div>", "<p hidden>x</p>"])
def test_a_page_without_text_is_reported_as_empty(html: str) -> None:
    with pytest.raises(InputRejectedError) as caught:
        read_html(html)
    assert caught.value.code == "empty"


def test_markdown_blocks_and_front_matter() -> None:
    text, meta = read_markdown(
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
