from __future__ import annotations

import bz2
import csv
import gzip
import hashlib
import html
import io
import json
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pipeline.readers.files
import pipeline.readers.rows
import pipeline.readers.tables
import pipeline.readers.warc
from pipeline.doc import Doc
from pipeline.readers import READERS, Read, Rejection, read_piece
from pipeline.readers.cuts import cut_file
from pipeline.readers.sources import list_input

RAW = Path(__file__).parent.parent / "corpus" / "raw"
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".zst": lambda data: pa.compress(data, "zstd", asbytes=True),
}


def read(path: Path) -> list[Read]:
    """Read everything; on the way, see that the digest covers all bytes."""
    found = []
    for piece in list_input([str(path)], tuple(READERS)).files:
        digest = hashlib.sha256()
        found += read_piece(piece, digest)
        assert digest.hexdigest() == hashlib.sha256(piece.path.read_bytes()).hexdigest()
    return found


def read_docs(path: Path) -> list[Doc]:
    found = read(path)
    assert [item for item in found if isinstance(item, Rejection)] == []
    return [item for item in found if isinstance(item, Doc)]


def read_one_rejection(path: Path) -> tuple[list[Doc], Rejection]:
    """Read documents and the one rejection that stands behind them."""
    *docs, rejection = read(path)
    assert isinstance(rejection, Rejection)
    assert all(isinstance(doc, Doc) for doc in docs)
    return [doc for doc in docs if isinstance(doc, Doc)], rejection


def make_csv(rows: Iterable[dict[str, Any]], delimiter: str = ",", encoding: str = "utf-8") -> bytes:
    rows = list(rows)
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().encode(encoding)


def make_parquet(rows: list[dict[str, Any]], **options: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file, **options)
    return file.getvalue()


def make_zip(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def make_record(kind: str, content: bytes, name: str = "1", **headers: str) -> bytes:
    headers = {"Content-Type": "text/plain", "WARC-Target-URI": f"https://news.example.com/{name}", **headers}
    lines = [
        "WARC/1.0",
        f"WARC-Type: {kind}",
        "WARC-Date: 2024-05-01T08:00:00Z",
        f"WARC-Record-ID: <urn:uuid:{name}>",
        *(f"{key}: {value}" for key, value in headers.items()),
        f"Content-Length: {len(content)}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content + b"\r\n\r\n"


def make_response(body: bytes, name: str = "1", status: str = "200 OK", **headers: str) -> bytes:
    headers = {"Content-Type": "text/html", **headers}
    head = f"HTTP/1.1 {status}\r\n" + "".join(f"{key}: {value}\r\n" for key, value in headers.items())
    content = head.encode() + b"\r\n" + body
    return make_record("response", content, name, **{"Content-Type": "application/http; msgtype=response"})


def articles() -> list[str]:
    """The project's own plain articles, in both scripts, and the rows of its portal."""
    texts = [doc.source for path in sorted(RAW.glob("*.txt*")) for doc in read_docs(path)]
    rows = [json.loads(line) for line in (RAW / "portal.jsonl").read_text(encoding="utf-8").splitlines() if line]
    return texts + [row["text"] for row in rows if row.get("text")]


def make_page(text: str) -> str:
    blocks = "".join(f"<p>{html.escape(line)}</p>\n" for line in text.splitlines())
    return f"<!doctype html><html><head><title>页</title></head><body><div>{blocks}</div></body></html>"


ARTICLES = articles()
ROWS = [{"text": text, "title": f"第{i}篇"} for i, text in enumerate(ARTICLES, 1)]

TEXT_FORMATS: dict[str, bytes] = {
    "a.jsonl": "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS).encode(),
    "escaped.jsonl": "\n".join(json.dumps(row) for row in ROWS).encode(),
    "gb.jsonl": "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS).encode("gb18030"),
    "wide.jsonl": "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS).encode("utf-16"),
    "a.csv": make_csv(ROWS),
    "mark.csv": make_csv(ROWS, encoding="utf-8-sig"),
    "gb.csv": make_csv(ROWS, encoding="gb18030"),
    "wide.csv": make_csv(ROWS, encoding="utf-16"),
    "wide-be.csv": make_csv(ROWS, encoding="utf-16-be"),
    "a.tsv": make_csv(ROWS, "\t"),
    "a.parquet": make_parquet(ROWS, row_group_size=3),
    "a.wet": b"".join(make_record("conversion", row["text"].encode(), str(i)) for i, row in enumerate(ROWS)),
    "a.warc": b"".join(
        make_response(row["text"].encode("gb18030"), str(i), **{"Content-Type": "text/plain"})
        for i, row in enumerate(ROWS)
    ),
    "a.zip": make_zip({f"{i:03}.txt": text.encode("gb18030") for i, text in enumerate(ARTICLES)}),
    "rows.zip": make_zip({"a.jsonl.gz": gzip.compress("\n".join(json.dumps(row) for row in ROWS).encode())}),
    "nested.zip": make_zip({"b/a.zip": make_zip({"a.parquet.zst": COMPRESS[".zst"](make_parquet(ROWS))})}),
}


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("name", TEXT_FORMATS)
def test_an_article_has_the_same_source_in_every_format(tmp_path: Path, name: str, suffix: str) -> None:
    path = tmp_path / f"{name}{suffix}"
    path.write_bytes(COMPRESS[suffix](TEXT_FORMATS[name]))
    assert [doc.source for doc in read_docs(path)] == ARTICLES


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "gb18030", "big5"])
def test_an_article_has_the_same_source_in_every_encoding(tmp_path: Path, encoding: str) -> None:
    n_read = 0
    for text in ARTICLES:
        try:
            data = text.encode("big5hkscs" if encoding == "big5" else encoding)
        except UnicodeEncodeError:
            continue
        (tmp_path / "a.txt").write_bytes(data)
        (doc,) = read_docs(tmp_path)
        assert doc.source == text
        assert doc.meta["encoding"] == encoding.removesuffix("-sig")
        n_read += 1
    assert n_read == len(ARTICLES) or encoding == "big5"
    assert n_read


@pytest.mark.parametrize("name", ["a.html", "a.md", "a.jsonl", "a.csv", "a.parquet", "a.warc", "a.zip"])
def test_pages_show_the_same_characters_in_every_format(tmp_path: Path, name: str) -> None:
    for text in ARTICLES:
        page = make_page(text)
        data = {
            "a.html": lambda page: page.encode("gb18030"),
            "a.md": str.encode,
            "a.jsonl": lambda page: json.dumps({"html": page}).encode(),
            "a.csv": lambda page: make_csv([{"html": page}]),
            "a.parquet": lambda page: make_parquet([{"html": page}]),
            "a.warc": lambda page: make_response(gzip.compress(page.encode("gb18030")), **{"Content-Encoding": "gzip"}),
            "a.zip": lambda page: make_zip({"a.html": page.encode("utf-16")}),
        }[name](page)
        (tmp_path / name).write_bytes(data)
        (doc,) = read_docs(tmp_path)
        assert "".join(doc.source.split()) == "".join(text.split())
        n_lines = doc.source.count("\n") + 1
        columns = [column for name, column in doc.meta["blocks"].items() if name != "parent"]
        assert {len(column) for column in columns} == {n_lines}


def test_cells_keep_quotes_line_breaks_and_delimiters(tmp_path: Path) -> None:
    texts = ['他说“好”，"行"', "一\r\n二\n\n三", "甲,乙\t丙", "长" * 300_000, "末\r"]
    for name, delimiter in (("a.csv", ","), ("a.tsv", "\t")):
        path = tmp_path / name
        path.write_bytes(make_csv([{"id": f"n{i}", "text": text} for i, text in enumerate(texts)], delimiter))
        docs = read_docs(path)
        assert [doc.source for doc in docs] == texts
        assert [doc.id for doc in docs] == [f"n{i}" for i in range(len(texts))]


def test_rows_of_a_table_are_numbered_and_carry_their_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        " Text ,url,views\n第一行文字,https://a.example.com/1,3\n\n,x,1\n第二行文字\n多一格,a,b,c\n", encoding="utf-8"
    )
    first, empty, second, wide = read(path)
    assert isinstance(first, Doc)
    assert isinstance(second, Doc)
    assert isinstance(empty, Rejection)
    assert isinstance(wide, Rejection)
    assert (first.id, first.meta["origin"], first.meta["extra"]) == (
        "a.csv#1",
        "https://a.example.com/1",
        {"views": "3"},
    )
    assert (second.id, second.source) == ("a.csv#3", "第二行文字")
    assert (empty.doc_id, empty.line, empty.code) == ("a.csv#2", 2, "empty")
    assert (wide.doc_id, wide.line, wide.code) == ("a.csv#4", 4, "bad_row")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", "正文,标题\n甲,乙\n".encode()),
        ("a.csv", "正文;标题\n甲;乙\n".encode("gb18030")),
        ("a.tsv", "正文\t标题\n甲\t乙\n".encode()),
        ("a.parquet", make_parquet([{"正文": "甲", "标题": "乙"}])),
    ],
)
def test_a_table_without_text_names_its_columns(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    docs, rejection = read_one_rejection(tmp_path / name)
    assert docs == []
    assert rejection.code == "bad_header"
    assert "正文" in rejection.reason
    assert "标题" in rejection.reason


def test_a_column_named_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,text\n甲,乙\n", encoding="utf-8")
    assert read_one_rejection(tmp_path / "a.csv")[1].code == "bad_header"


def test_a_quote_that_is_never_closed_ends_the_table(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('text\n好的一行\n5" 屏幕\n"没有关上\n再一行\n', encoding="utf-8")
    docs, rejection = read_one_rejection(tmp_path / "a.csv")
    assert [doc.source for doc in docs] == ["好的一行", '5" 屏幕']
    assert (rejection.code, rejection.line) == ("truncated", 3)


def test_a_stray_quote_in_the_last_cell_is_no_break(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('text,title\n正文,5" 屏幕', encoding="utf-8")
    assert [doc.meta["title"] for doc in read_docs(tmp_path / "a.csv")] == ['5" 屏幕']


def test_cells_too_short_to_judge_take_the_files_encoding(tmp_path: Path) -> None:
    rows = [{"text": text, "title": "联通"} for text in (*ARTICLES[:2], "联通", "刘德华")]
    (tmp_path / "a.csv").write_bytes(make_csv(rows, encoding="gb18030"))
    docs = read_docs(tmp_path / "a.csv")
    assert [doc.source for doc in docs] == [row["text"] for row in rows]
    assert {doc.meta["title"] for doc in docs} == {"联通"}


def test_parquet_types(tmp_path: Path) -> None:
    rows = [{"text": "正文".encode(), "id": 7, "tags": ["甲"], "picture": b"\xff\xd8", "views": 3}]
    rows.append({"text": None, "id": 8, "tags": None, "picture": None, "views": None})
    (tmp_path / "a.parquet").write_bytes(make_parquet(rows))
    docs, rejection = read_one_rejection(tmp_path / "a.parquet")
    assert [(doc.id, doc.source, doc.meta["extra"]) for doc in docs] == [("7", "正文", {"tags": ["甲"], "views": 3})]
    assert (rejection.doc_id, rejection.line, rejection.code) == ("8", 2, "bad_row")


def test_a_damaged_row_group_keeps_the_rows_before_it(tmp_path: Path) -> None:
    rows = [{"text": f"第{i}行" * 50, "n": i} for i in range(40)]
    data = bytearray(make_parquet(rows, row_group_size=10, compression="gzip", use_dictionary=False))
    start = pq.ParquetFile(io.BytesIO(bytes(data))).metadata.row_group(2).column(0).data_page_offset
    data[start : start + 60] = b"\xff" * 60
    (tmp_path / "a.parquet").write_bytes(data)
    docs, rejection = read_one_rejection(tmp_path / "a.parquet")
    assert [doc.source for doc in docs] == [row["text"] for row in rows[: len(docs)]]
    assert 0 < len(docs) <= 20
    assert rejection.line == len(docs) + 1


@pytest.mark.parametrize("suffix", [".gz", ".bz2", ".zst"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.csv", "a.tsv", "a.wet", "a.warc", "a.txt", "a.parquet", "a.zip"])
def test_of_a_truncated_file_the_rows_before_the_break_are_kept(tmp_path: Path, name: str, suffix: str) -> None:
    data = TEXT_FORMATS.get(name, "\n".join(ARTICLES).encode())
    whole = COMPRESS[suffix](data * 1 if name.endswith(("parquet", "zip", "txt")) else data)
    (tmp_path / f"{name}{suffix}").write_bytes(whole[: len(whole) * 3 // 4])
    docs, rejection = read_one_rejection(tmp_path / f"{name}{suffix}")
    assert rejection.code == "truncated"
    assert [doc.source for doc in docs] == ARTICLES[: len(docs)]
    if suffix == ".gz" and name in ("a.jsonl", "a.csv", "a.tsv", "a.wet"):
        assert len(docs) > len(ARTICLES) // 3


@pytest.mark.parametrize("name", ["a.csv", "a.wet", "a.warc", "a.parquet", "a.zip"])
def test_every_cut_is_told(tmp_path: Path, name: str) -> None:
    data = TEXT_FORMATS[name]
    for n_bytes in range(1, len(data), len(data) // 23):
        (tmp_path / name).write_bytes(data[:n_bytes])
        found = read(tmp_path / name)
        docs = [item.source for item in found if isinstance(item, Doc)]
        if name != "a.csv":  # there, a cut row may look like a whole one
            assert docs == ARTICLES[: len(docs)]
            at_border = data[n_bytes:].strip()[:5] in (b"", b"WARC/")
            assert sum(isinstance(item, Rejection) for item in found) == (not at_border)


def test_several_streams_behind_each_other_are_one(tmp_path: Path) -> None:
    for suffix in (".gz", ".bz2", ".zst"):
        path = tmp_path / f"a.wet{suffix}"
        records = [make_record("conversion", text.encode(), str(i)) for i, text in enumerate(ARTICLES)]
        path.write_bytes(b"".join(COMPRESS[suffix](record) for record in records))
        assert [doc.source for doc in read_docs(path)] == ARTICLES


PAGE = "<html><head><title>题</title></head><body><p>页面里的一段正文，说的是今天的天气。</p></body></html>"
TEXT = "页面里的一段正文，说的是今天的天气。"


def test_records_carry_address_date_and_id(tmp_path: Path) -> None:
    (tmp_path / "a.warc").write_bytes(make_response(PAGE.encode(), "x1"))
    (doc,) = read_docs(tmp_path / "a.warc")
    assert (doc.id, doc.source) == ("urn:uuid:x1", TEXT)
    assert doc.meta["origin"] == doc.meta["url"] == "https://news.example.com/x1"
    assert (doc.meta["title"], doc.meta["publisher"]) == ("题", "example.com")
    assert doc.meta["extra"] == {"date": "2024-05-01T08:00:00Z"}


@pytest.mark.parametrize(
    "record",
    [
        make_record("warcinfo", b"software: x"),
        make_record("request", b"GET / HTTP/1.1\r\n\r\n", **{"Content-Type": "application/http; msgtype=request"}),
        make_record("metadata", b"a: b"),
        make_record("resource", b"\xff\xd8", **{"Content-Type": "image/jpeg"}),
        make_response(b"\x89PNG", **{"Content-Type": "image/png"}),
        make_response(b"{}", **{"Content-Type": "application/json"}),
        make_response(PAGE.encode(), status="404 Not Found"),
        make_response(PAGE.encode(), status="301 Moved"),
    ],
)
def test_other_records_are_no_documents(tmp_path: Path, record: bytes) -> None:
    (tmp_path / "a.warc").write_bytes(record + make_response(PAGE.encode()))
    assert [doc.source for doc in read_docs(tmp_path / "a.warc")] == [TEXT]


@pytest.mark.parametrize(
    "record",
    [
        make_response(PAGE.encode("gbk"), **{"Content-Type": "text/html; charset=gbk"}),
        make_response(PAGE.encode("gbk"), **{"Content-Type": "text/html; charset=utf-8"}),
        make_response(PAGE.encode("gbk"), **{"Content-Type": "text/html; charset=nonsense"}),
        make_response(gzip.compress(PAGE.encode()), **{"Content-Encoding": "gzip"}),
        make_response(zlib.compress(PAGE.encode()), **{"Content-Encoding": "deflate"}),
        make_response(
            b"%x\r\n%s\r\n0\r\n\r\n" % (len(PAGE.encode()), PAGE.encode()), **{"Transfer-Encoding": "chunked"}
        ),
        make_record("resource", PAGE.encode(), **{"Content-Type": "text/html"}),
        make_record("conversion", TEXT.encode()),
    ],
)
def test_records_are_unpacked_and_decoded(tmp_path: Path, record: bytes) -> None:
    (tmp_path / "a.warc").write_bytes(record)
    assert [doc.source for doc in read_docs(tmp_path / "a.warc")] == [TEXT]


@pytest.mark.parametrize(
    ("record", "code"),
    [
        (make_response(b"", "bad"), "empty"),
        (make_response(PAGE.encode(), "bad", **{"Content-Encoding": "gzip"}), "unreadable"),
        (make_response(b"<script>show()</script>", "bad"), "empty"),
        (make_response(bytes(range(256)), "bad"), "binary"),
        (b"WARC/1.0\r\nWARC-Type: response\r\nContent-Length: many\r\n\r\n", "bad_record"),
        ("WARC/1.0\r\nWARC-Type: response\r\nContent-Length: ²\r\n\r\n".encode(), "bad_record"),
        (b"stray bytes\n" * 4, "bad_record"),
    ],
)
def test_a_bad_record_is_set_aside_and_the_next_is_read(tmp_path: Path, record: bytes, code: str) -> None:
    (tmp_path / "a.warc").write_bytes(record + make_response(PAGE.encode(), "good"))
    rejection, doc = read(tmp_path / "a.warc")
    assert isinstance(rejection, Rejection)
    assert isinstance(doc, Doc)
    assert rejection.code == code
    assert doc.id == "urn:uuid:good"


def test_members_of_an_archive_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    members = {
        "b/2.txt": "第二篇文章".encode(),
        "b/1.html": PAGE.encode(),
        "a.csv": "text\n表中的行\n".encode(),
        "photo.jpg": b"\xff\xd8",
        ".hidden.txt": b"x",
        "__MACOSX/b/2.txt": b"x",
        "c/": b"",
        "bad.jsonl": b"{\n",
    }
    (tmp_path / "a.zip").write_bytes(make_zip(members))
    found = read(tmp_path / "a.zip")
    assert [item.id if isinstance(item, Doc) else item.doc_id for item in found] == [
        "a.zip/a.csv#1",
        "a.zip/b/1.html",
        "a.zip/b/2.txt",
        "a.zip/bad.jsonl#1",
    ]


def test_names_in_gbk_are_read(tmp_path: Path) -> None:
    data = make_zip({"QQQQ.txt": "正文".encode()}).replace(b"QQQQ", "新闻".encode("gbk"))
    (tmp_path / "a.zip").write_bytes(data)
    assert [doc.id for doc in read_docs(tmp_path / "a.zip")] == ["a.zip/新闻.txt"]


def test_encrypted_and_damaged_members_are_set_aside(tmp_path: Path) -> None:
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as archive:
        for name in ("1.txt", "2.txt", "3.txt"):
            archive.writestr(name, f"这是第{name[0]}篇文章的正文")
    data = bytearray(stored.getvalue())
    at = data.index("第2篇".encode())
    data[at : at + 3] = "末".encode()  # the checksum no longer fits
    central = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 1)
    third = data.index(b"PK\x01\x02", central + 1)
    data[third + 8] |= 1  # says that it is encrypted
    (tmp_path / "a.zip").write_bytes(data)
    first, damaged, encrypted = read(tmp_path / "a.zip")
    assert isinstance(first, Doc)
    assert isinstance(damaged, Rejection)
    assert isinstance(encrypted, Rejection)
    assert (damaged.origin, damaged.code) == ("a.zip/2.txt", "unreadable")
    assert (encrypted.origin, encrypted.code) == ("a.zip/3.txt", "encrypted")


def test_archives_in_archives_end_somewhere(tmp_path: Path) -> None:
    data = make_zip({"a.txt": "正文".encode()})
    for _ in range(5):
        data = make_zip({"in.zip": data})
    (tmp_path / "a.zip").write_bytes(data)
    docs, rejection = read_one_rejection(tmp_path / "a.zip")
    assert docs == []
    assert rejection.code == "nested"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.txt", b"\xe4\xb8\x80" * 1000),
        ("a.jsonl", json.dumps({"text": "一" * 1000}).encode()),
        ("a.csv", b"text\n" + b"x" * 3000),
        ("a.warc", make_record("conversion", b"x" * 3000)),
        ("a.warc", make_response(gzip.compress(b"x" * 30_000), **{"Content-Encoding": "gzip"})),
        ("a.parquet", make_parquet([{"text": "x" * 3000}])),
        ("a.zip", make_zip({"a.txt": b"x" * 30_000})),
    ],
)
def test_a_document_that_would_fill_the_memory_is_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, data: bytes
) -> None:
    for module in (pipeline.readers.files, pipeline.readers.rows, pipeline.readers.tables, pipeline.readers.warc):
        monkeypatch.setattr(module, "MAX_DOC_BYTES", 1000)
    (tmp_path / name).write_bytes(data)
    docs, rejection = read_one_rejection(tmp_path / name)
    assert docs == []
    assert rejection.code == "too_large"


def test_a_row_too_long_does_not_hide_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline.readers.rows, "MAX_DOC_BYTES", 100)
    rows = [json.dumps({"text": text}, ensure_ascii=False) for text in ("短", "长" * 200, "又短")]
    (tmp_path / "a.jsonl").write_text("\n".join(rows), encoding="utf-8")
    first, long, last = read(tmp_path / "a.jsonl")
    assert isinstance(first, Doc)
    assert isinstance(long, Rejection)
    assert isinstance(last, Doc)
    assert (long.line, long.code, last.id) == (2, "too_large", "a.jsonl#3")


@pytest.mark.parametrize(
    ("row", "text", "n_undecodable"),
    [
        (r'{"text": "halved \ud83d", "views": NaN}', "halved \ufffd", 1),
        (r'{"text": "whole \ud83d\ude00", "views": Infinity}', "whole 😀", None),
        ('{"text": "a\tb\x01"}', "a\tb\x01", None),
        ('{"text": "正文", "n": 123456789012345678901234567890}', "正文", None),
    ],
)
def test_rows_that_are_almost_json_are_read(tmp_path: Path, row: str, text: str, n_undecodable: int | None) -> None:
    (tmp_path / "a.jsonl").write_text(row, encoding="utf-8")
    (doc,) = read_docs(tmp_path / "a.jsonl")
    assert (doc.source, doc.meta.get("n_undecodable")) == (text, n_undecodable)
    orjson.dumps(doc.meta)  # or writing it would end the run


@pytest.mark.parametrize("row", ['{"text": 1e999}', "[" * 100_000, '{"n": ' + "9" * 9999 + "}", "{'text': 1}"])
def test_rows_that_are_no_json_are_set_aside(tmp_path: Path, row: str) -> None:
    (tmp_path / "a.jsonl").write_text(row, encoding="utf-8")
    assert read_one_rejection(tmp_path / "a.jsonl")[1].code == "bad_json"


def test_strings_and_times_that_python_cannot_hold_are_read_all_the_same(tmp_path: Path) -> None:
    texts = pa.array([ARTICLES[0].encode("gb18030"), "正文".encode()]).view(pa.string())
    times = pa.array([1, 2**62], pa.timestamp("ns"))
    pq.write_table(pa.table({"text": texts, "published": times}), tmp_path / "a.parquet")
    first, second = read_docs(tmp_path / "a.parquet")
    assert (first.source, second.source) == (ARTICLES[0], "正文")
    assert first.meta["published"] == "1970-01-01 00:00:00.000000001"


@pytest.mark.parametrize("flags", [0x800, 0])
def test_a_broken_archive_is_one_rejection(tmp_path: Path, flags: int) -> None:
    data = bytearray(make_zip({"QQQQ.txt": "正文".encode()}))
    central = data.index(b"PK\x01\x02")
    data[central + 6 : central + 10] = bytes([20 if flags else 99, 0, 0, flags >> 8])
    data = data.replace(b"QQQQ", b"\xff\xfe\xff\xfe")
    (tmp_path / "a.zip").write_bytes(data)
    assert read_one_rejection(tmp_path / "a.zip")[1].code == "unreadable"


def test_a_wide_file_is_not_cut(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes("\n".join(json.dumps({"text": "上" * 9}, ensure_ascii=False) for _ in range(99)).encode("utf-16"))
    (file,) = list_input([str(path)], (".jsonl",)).files
    assert list(cut_file(file, 100)) == [file]


@given(name=st.sampled_from(sorted(TEXT_FORMATS)), data=st.data())
def test_damage_is_told_and_never_raises(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject
) -> None:
    damaged = bytearray(TEXT_FORMATS[name])
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    path = tmp_path_factory.mktemp("damaged") / name
    path.write_bytes(damaged)
    for item in read(path):
        assert isinstance(item, Doc) or (item.code and item.reason)
        assert isinstance(item, Rejection) or item.source
