"""Forty articles through one run, once in every format, compression and encoding: the same text and labels come out.

In HTML and Markdown each line is a paragraph of its own; titles and publishers are given in all variants or in none.
What differs all the same, and may:

- offsets, where a format shows other characters than the source has: HTML and Markdown collapse spaces and tabs within
  a line, and lines without a visible character are no block;
- articles with characters that GBK lacks (emoji, rare Hanzi) are not compared in GBK.
"""

from __future__ import annotations

import codecs
import contextlib
import html
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import pytest
from conftest import ROOT
from opencc import OpenCC
from test_formats import COMPRESS, RAW, make_csv, make_parquet, make_record, make_response, make_zip, read_docs

from pipeline.config import load_config
from pipeline.run import RunOptions, run_corpus

pytestmark = pytest.mark.slow

N_ARTICLES = 40
TITLE, PUBLISHER, URL = "今天的文章", "某某晚报", "https://news.example.com/a"


def one_block_a_line(text: str) -> str:
    """A text that HTML and Markdown keep: lines without the white space that they collapse."""
    lines = (re.sub(r"[ \t\r\f]+", " ", line).strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def forty_articles() -> list[str]:
    """The raw corpus, blocks of pages as lines, and ten labelled pages."""
    pages = [json.loads(line) for line in (ROOT / "corpus/labelled/documents.jsonl").read_text("utf-8").splitlines()]
    texts = [doc.source for path in sorted(RAW.glob("[0-9p]*")) for doc in read_docs(path)]
    texts += ["\n".join(line["text"] for line in page["lines"]) for page in pages[:: len(pages) // 10][:10]]
    return [one_block_a_line(text) for text in texts]


def to_big5(texts: Iterable[str]) -> list[str]:
    """Texts in traditional script, without what Big5 lacks."""
    convert = OpenCC("s2t").convert
    return [convert(text).encode("big5hkscs", "ignore").decode("big5hkscs") for text in texts]


HANS = forty_articles()
HANT = to_big5(HANS)


def to_markdown(text: str, front: str = "") -> str:
    return front + "\n\n".join(re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", line) for line in text.split("\n"))


def to_html(text: str, head: str = "") -> str:
    blocks = "".join(f"<p>{html.escape(line)}</p>\n" for line in text.split("\n"))
    return f"<!doctype html><html><head>{head}</head><body>{blocks}</body></html>"


def to_jsonl(texts: list[str], **said: str) -> bytes:
    return "".join(json.dumps({"text": text, **said}, ensure_ascii=False) + "\n" for text in texts).encode()


def to_rows(texts: list[str], **said: str) -> list[dict[str, Any]]:
    return [{"text": text, **said} for text in texts]


def to_records(texts: list[str], name: str, make: Callable[..., bytes], media_type: str) -> bytes:
    """Records whose ids tell variant and article; without an address, for that would be metadata."""
    headers = {"WARC-Target-URI": "", "Content-Type": media_type}
    return b"".join(make(text.encode(), f"{name}/{i}", **headers) for i, text in enumerate(texts, 1))


def to_wet(texts: list[str], name: str) -> bytes:
    return to_records(texts, name, partial(make_record, "conversion"), "text/plain")


def to_warc(texts: list[str], name: str) -> bytes:
    return to_records([to_html(text) for text in texts], name, partial(make_record, "resource"), "text/html")


Files = dict[str, bytes]


class Variant(NamedTuple):
    """Files with the articles, the variant that they have to equal, and whether offsets have to be equal, too."""

    files: Files
    reference: str = "a.jsonl"
    same_offsets: bool = True


FILES: dict[str, Callable[[list[str], str], bytes]] = {
    "a.jsonl": lambda texts, _: to_jsonl(texts),
    "a.csv": lambda texts, _: make_csv(to_rows(texts)),
    "a.tsv": lambda texts, _: make_csv(to_rows(texts), "\t"),
    "a.parquet": lambda texts, _: make_parquet(to_rows(texts), row_group_size=7),
    "a.wet": to_wet,
    "a.warc": to_warc,
}
"""Files that hold all articles."""

PAGES: dict[str, Callable[[str], str]] = {"txt": str, "md": to_markdown, "html": to_html}
"""Files that hold one."""

SAME_OFFSETS = ("a.jsonl", "a.csv", "a.tsv", "a.parquet", "a.wet", "txt")
ALIASES = {"ndjson": "a.jsonl", "tab": "a.tsv", "markdown": "md", "htm": "html", "xhtml": "html"}


def one_each(texts: list[str], suffix: str, encode: Callable[[str], bytes]) -> Files:
    """One file an article; those that can't be encoded are left out."""
    files = {}
    for i, text in enumerate(texts, 1):
        with contextlib.suppress(UnicodeEncodeError):
            files[f"{i:02}.{suffix}"] = encode(text)
    return files


def in_formats() -> Iterator[tuple[str, Variant]]:
    """Every format, plain and compressed, alone and in a ZIP archive."""
    for suffix, compress in COMPRESS.items():
        for name, make in FILES.items():
            for variant in (f"{name}{suffix}", f"zip of {name}{suffix}"):
                data = compress(make(HANS, variant))
                files = {"a.zip": make_zip({f"{name}{suffix}": data})} if " " in variant else {f"{name}{suffix}": data}
                yield variant, Variant(files, same_offsets=name in SAME_OFFSETS)
        for name, make_page in PAGES.items():
            files = one_each(HANS, name, lambda text, make=make_page: make(text).encode())
            pressed = {f"{number}{suffix}": compress(data) for number, data in files.items()}
            yield f"{name}{suffix}", Variant(pressed, same_offsets=name in SAME_OFFSETS)
            archive = {f"a.zip{suffix}": compress(make_zip(files))}
            yield f"zip{suffix} of {name}", Variant(archive, same_offsets=name in SAME_OFFSETS)
    for alias, name in ALIASES.items():
        if name in FILES:
            yield alias, Variant({f"a.{alias}": FILES[name](HANS, alias)})
        else:
            yield (
                alias,
                Variant(one_each(HANS, alias, lambda text, make=PAGES[name]: make(text).encode()), same_offsets=False),
            )


def misread(right: str, wrong: str) -> Callable[[str], bytes]:
    """Get what writes a text that was decoded wrongly, in UTF-8; what Windows shows nothing for stays a control."""

    def encode(text: str) -> bytes:
        return "".join(bytes([byte]).decode(wrong, "ignore") or chr(byte) for byte in text.encode(right)).encode()

    return encode


def writer(codec: str) -> Callable[[str], bytes]:
    return lambda text: text.encode(codec)


ENCODERS: dict[str, Callable[[str], bytes]] = {
    **{codec: writer(codec) for codec in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "gb18030", "gbk")},
    "utf-16-be with a mark": lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    "utf-8 with two marks": lambda text: codecs.BOM_UTF8 + text.encode("utf-8-sig"),
    "utf-8 read as latin-1": misread("utf-8", "latin-1"),
    "utf-8 read as cp1252": misread("utf-8", "cp1252"),
    "gb18030 read as latin-1": misread("gb18030", "latin-1"),
}
WRONG_LABELS = {"utf-8": ["gb2312", "big5"], "gb18030": ["utf-8", "big5", "iso-8859-1"], "utf-16": ["utf-8", "gbk"]}


def labelled(texts: list[str], label: str, codec: str) -> Files:
    """Pages that name an encoding, in another."""
    head = f'<meta charset="{label}">'
    return one_each(texts, "html", lambda text: to_html(text, head).encode(codec))


def in_encodings() -> Iterator[tuple[str, Variant]]:
    """Text, pages and rows in every encoding; pages that name a wrong one."""
    for name, encode in ENCODERS.items():
        for kind, make in PAGES.items():
            files = one_each(HANS, kind, lambda text, make=make, encode=encode: encode(make(text)))
            yield f"{kind}, {name}", Variant(files, same_offsets=kind == "txt" and "two" not in name)
        for kind in ("a.jsonl", "a.csv", "a.tsv"):
            if " read as " in name:  # it is the text that was read wrongly, not the file
                yield f"{kind}, {name}", Variant({kind: FILES[kind]([encode(text).decode() for text in HANS], name)})
            elif name != "gbk":  # an article that can't be encoded would shift the others
                yield f"{kind}, {name}", Variant({kind: encode(FILES[kind](HANS, name).decode())})
    for codec, labels in WRONG_LABELS.items():
        for label in labels:
            yield f"{codec} labelled {label}", Variant(labelled(HANS, label, codec), same_offsets=False)


def in_big5() -> Iterator[tuple[str, Variant]]:
    """Texts in traditional script, in UTF-8 and Big5."""
    reference, codec = "traditional", "big5hkscs"
    yield reference, Variant({"a.jsonl": to_jsonl(HANT)}, reference)
    yield "a.jsonl, big5", Variant({"a.jsonl": to_jsonl(HANT).decode().encode(codec)}, reference)
    yield "a.csv, big5", Variant({"a.csv": make_csv(to_rows(HANT), encoding=codec)}, reference)
    yield "txt, big5 read as latin-1", Variant(one_each(HANT, "txt", misread(codec, "latin-1")), reference)
    for kind, make in PAGES.items():
        files = one_each(HANT, kind, lambda text, make=make: make(text).encode(codec))
        yield f"{kind}, big5", Variant(files, reference, kind == "txt")
    for label in ("utf-8", "gbk"):
        yield f"big5 labelled {label}", Variant(labelled(HANT, label, codec), reference, False)


def with_metadata() -> Iterator[tuple[str, Variant]]:
    """The same title, publisher and address, as each format tells them."""
    reference = "with metadata"
    head = (
        f'<title>{TITLE}</title><meta property="og:site_name" content="{PUBLISHER}"><link rel="canonical" href="{URL}">'
    )
    front = f"---\ntitle: {TITLE}\npublisher: {PUBLISHER}\nurl: {URL}\n---\n"
    said = {"title": TITLE, "publisher": PUBLISHER, "url": URL}
    rows = [{"text": text, **said} for text in HANS]
    pages = [to_html(text, head) for text in HANS]
    page_rows = "\n".join(json.dumps({"html": page}) for page in pages)
    responses = [make_response(page.encode(), f"a.warc, said/{i}") for i, page in enumerate(pages, 1)]
    yield reference, Variant({"a.jsonl": to_jsonl(HANS, **said)}, reference)
    yield "a.csv, said", Variant({"a.csv": make_csv(rows)}, reference)
    yield "a.tsv, said", Variant({"a.tsv": make_csv(rows, "\t")}, reference)
    yield "a.parquet, said", Variant({"a.parquet": make_parquet(rows)}, reference)
    yield "pages in a.jsonl, said", Variant({"a.jsonl": page_rows.encode()}, reference, False)
    yield "pages in a.csv, said", Variant({"a.csv": make_csv({"html": page} for page in pages)}, reference, False)
    yield "html, said", Variant(one_each(HANS, "html", lambda text: to_html(text, head).encode()), reference, False)
    yield "md, said", Variant(one_each(HANS, "md", lambda text: to_markdown(text, front).encode()), reference, False)
    yield "a.warc, said", Variant({"a.warc": b"".join(responses)}, reference, False)


VARIANTS = dict([*in_formats(), *in_encodings(), *in_big5(), *with_metadata()])

IN_GBK = {int(file.partition(".")[0]) for file in VARIANTS["txt, gbk"].files}
Outcome = Mapping[str, Any]


def read_tables(out: Path) -> dict[str, dict[int, Outcome]]:
    """What came out for every variant and article: the document's row, and its sentences' rows."""
    sentences = defaultdict(list)
    for row in pq.read_table(sorted(out.glob("sentences-*.parquet"))).to_pylist():
        sentences[row.pop("doc_id")].append(row)
    found: dict[str, dict[int, Outcome]] = defaultdict(dict)
    for row in pq.read_table(sorted(out.glob("documents-*.parquet"))).to_pylist():
        name = row["doc_id"].removeprefix("urn:uuid:")
        number = re.search(r"(\d+)(?:\.\w+)*$", name)
        assert number
        found[name.partition("/")[0]][int(number[1])] = {**row, "sentences": sentences[row["doc_id"]]}
    return found


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[int, Outcome]]:
    """One run over everything."""
    folder = tmp_path_factory.mktemp("formats")
    for name, variant in VARIANTS.items():
        (folder / "in" / name).mkdir(parents=True)
        for file, data in variant.files.items():
            path = folder / "in" / name / file
            path.write_bytes(data)
    result = run_corpus(RunOptions([str(folder / "in")], folder / "out", load_config("fast"), n_workers=1))
    rejected = (folder / "out" / "rejected.jsonl").read_text("utf-8")
    assert (result.n_rejected, result.n_skipped, result.n_dropped) == (0, 0, 0), rejected[:2000]
    return read_tables(folder / "out")


SAME = ("title", "publisher", "text", "script", "lang", "n_body_chars", "n_sents", "n_claims", "n_opinions")
SAME_OF_SENTENCES = ("text", "label", "role", "kind", "p_claim", "p_opinion", "p_boilerplate", "pii")


def told(outcome: Outcome, *, offsets: bool) -> dict[str, Any]:
    """What has to be equal of a document."""
    columns = SAME_OF_SENTENCES + (("start", "end") if offsets else ())
    rows = [{name: row[name] for name in columns} for row in outcome["sentences"]]
    names = SAME + (("source_sha256", "n_chars") if offsets else ())
    return {**{name: outcome[name] for name in names}, "sentences": rows}


@pytest.mark.parametrize("name", VARIANTS)
def test_an_article_is_annotated_the_same_in_every_format(outcomes: dict[str, dict[int, Outcome]], name: str) -> None:
    variant = VARIANTS[name]
    found, reference = outcomes[name], outcomes[variant.reference]
    assert set(reference) == set(range(1, N_ARTICLES + 1))
    assert set(found) == (set(reference) if "gbk" not in name.split(", ") else IN_GBK)
    for i, outcome in found.items():
        assert told(outcome, offsets=variant.same_offsets) == told(reference[i], offsets=variant.same_offsets)


def test_the_articles_hold_every_label(outcomes: dict[str, dict[int, Outcome]]) -> None:
    labels = {row["label"] for outcome in outcomes["a.jsonl"].values() for row in outcome["sentences"]}
    assert labels == {None, "claim", "opinion", "boilerplate"}
    assert len(IN_GBK) > N_ARTICLES / 2
