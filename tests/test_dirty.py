"""Two thousand dirty documents: none ends a run, none is lost, every offset is exact.

1,400 are files and rows on disk and go through `run_corpus`; the others go through `clean_doc` alone. The dirt is made
from the raw corpus by generators with fixed seeds, and by hypothesis, which is told to be deterministic.
"""

from __future__ import annotations

import codecs
import gzip
import html
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import cleaned
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from opencc import OpenCC
from test_formats import COMPRESS, articles, make_csv, make_parquet, make_record, make_response

from pipeline.clean import CleanConfig, clean_doc
from pipeline.clean.repairs import latin_twins
from pipeline.config import load_config
from pipeline.doc import Doc, code_points
from pipeline.run import RunOptions, RunResult, run_corpus
from pipeline.tables import INVISIBLE, char_classes, char_folds
from pipeline.writers.columns import source_spans

MAX_CHARS = 40_000
ARTICLES = articles()
TRADITIONAL = [OpenCC("s2t").convert(text) for text in ARTICLES[:6]]

Dirt = Callable[[str, Random], str]


def sprinkle(text: str, rng: Random, pieces: list[str], rate: float = 0.02) -> str:
    """Put pieces between characters, here and there."""
    return "".join(char + rng.choice(pieces) if rng.random() < rate else char for char in text)


def chars_of(*ranges: tuple[int, int]) -> list[str]:
    return [chr(point) for first, last in ranges for point in range(first, last + 1)]


CONTROLS = chars_of((0, 8), (11, 31), (127, 159))
WHITE = [*"\t\v\f\r\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000", "\r\n", "\n\r", "\u2000\u2001\u2002"]
ZERO_WIDTH = [*"\u200b\u200c\u200d\u2060\ufeff\u00ad\u034f\u061c\u180e\u115f\u3164\uffa0\u2800", "\u200d\u200d\u200b"]
PRIVATE = [*"\ue5e5\ue000\ue81e\uf0b7\uf8ff\U000f0000\U0010fffd"]
STRANGE = [*"\ufffe\uffff\ufdd0\U0001fffe\U0010ffff\ufffd\ufffc\u0378\U000e0001\U000e0041\ufff9\ufffb"]
SURROGATES = ["\ud800", "\udfff", "\ud83d", "\ude00", "\ude00\ud83d"]
EMOJI = [*"😀🇨❤", "👨‍👩‍👧‍👦", "🏳️‍🌈", "👍🏻", "🇨🇳", "1️⃣", "\u200d👩", "👩\u200d", "\ufe0f", "🏴\U000e0067\U000e007f"]
RTL = ["\u202e", "\u202c", "\u200f", "\u2067שלום\u2069", "مرحبا بالعالم", "\u061c", "עִבְרִית"]
MARKS = ["\u0301", "\u0300\u0323\u0489", "\u20dd", "\u3099", "\u0338" * 40, "\ufe00", "\U000e0100"]
ENTITIES = (
    "&nbsp; &amp; &amp;amp;amp; &#0; &#xD800; &#x110000; &#999999; &lt;p&gt; &amp &#8203; &#128512; &zwj; &;".split()
)
TAGS = [
    *"<p> </p> <div <b> </b></i> <!-- --> <!--> <script> </script> <td> </table> <br/> </ <> <![CDATA[ ]]> <?x".split(),
    "<a href='x>",
]
PINYIN = ["(nèi)", "（wēi）", "[rong]", "【xìn】", "(le)", "（zhuāng）"]
OPENERS = [*"（(【[《「『“‘\"'", "）", "】", "」", "”", "’", "]", ")"]
HALVES = ["弓虽", "女干", "讠正", "木仓", "马扁", "亻言", "氵去"]
HOMOGLYPHS = ["Аp", "раy", "μ", "ΑΒC", "ехе", "𝐀𝟙", "ⅷ", "㎏", "ﬁ"]


def widen(text: str, rng: Random) -> str:
    return "".join(chr(ord(char) + 0xFEE0) if "!" <= char <= "~" and rng.random() < 0.9 else char for char in text)


def wrap(text: str, rng: Random) -> str:
    width = rng.randint(1, 60)
    joined = text.replace("\n", "")
    return "\n".join(joined[i : i + width] for i in range(0, len(joined), width))


def unpunctuate(text: str, rng: Random) -> str:
    return "".join(char for char in text if char.isalnum() or (char == "\n" and rng.random() < 0.5))


def space_out(text: str, rng: Random) -> str:
    return rng.choice([" ", "　", "\xa0", "\u200b"]).join(text[:2000])


def misread_lines(text: str, rng: Random) -> str:
    """Read some lines, or all, in a wrong encoding; what can't be read is lost."""
    right, wrong = rng.choice([("utf-8", "latin-1"), ("utf-8", "cp1252"), ("utf-8", "gb18030"), ("gb18030", "latin-1")])
    share = rng.choice([0.1, 0.5, 1.0])
    return "\n".join(
        line.encode(right, "replace").decode(wrong, "replace") if rng.random() < share else line
        for line in text.split("\n")
    )


def shuffle_lines(text: str, rng: Random) -> str:
    lines = text.split("\n")
    rng.shuffle(lines)
    return rng.choice(["\n", "\r\n", "\r", "\n\n\n", " \n", "\u2028"]).join(lines)


def cut_out(text: str, rng: Random) -> str:
    start = rng.randrange(len(text) + 1)
    return text[start : start + rng.choice([0, 1, 2, 5, 17, 200])]


DIRT: dict[str, Dirt] = {
    "controls": lambda text, rng: sprinkle(text, rng, CONTROLS),
    "NULs": lambda text, rng: sprinkle(text, rng, ["\x00"], rng.choice([0.0005, 0.05])),
    "white space": lambda text, rng: sprinkle(text, rng, WHITE, rng.choice([0.02, 0.3])),
    "zero width": lambda text, rng: sprinkle(text, rng, ZERO_WIDTH, rng.choice([0.02, 1])),
    "private use": lambda text, rng: sprinkle(text, rng, PRIVATE),
    "strange": lambda text, rng: sprinkle(text, rng, STRANGE),
    "surrogates": lambda text, rng: sprinkle(text, rng, SURROGATES, rng.choice([0.0002, 0.01])),
    "emoji": lambda text, rng: sprinkle(text, rng, EMOJI, rng.choice([0.02, 0.5])),
    "right to left": lambda text, rng: sprinkle(text, rng, RTL),
    "combining marks": lambda text, rng: sprinkle(text, rng, MARKS, rng.choice([0.02, 1])),
    "entities": lambda text, rng: sprinkle(text, rng, ENTITIES),
    "entity run": lambda text, rng: text[:50] + rng.choice(ENTITIES) * rng.randint(1000, 20_000) + text[50:99],
    "tags": lambda text, rng: sprinkle(text, rng, TAGS),
    "pinyin": lambda text, rng: sprinkle(text, rng, PINYIN, 0.1),
    "brackets": lambda text, rng: sprinkle(text, rng, OPENERS, rng.choice([0.02, 0.5])),
    "halves": lambda text, rng: sprinkle(text, rng, HALVES, 0.1),
    "homoglyphs": lambda text, rng: sprinkle(text, rng, HOMOGLYPHS),
    "full width": widen,
    "hard wrap": wrap,
    "no punctuation": unpunctuate,
    "spaced out": space_out,
    "misread": misread_lines,
    "shuffled": shuffle_lines,
    "cut": cut_out,
    "one line": lambda text, rng: "".join(text.split()) * rng.randint(1, 20),
    "newlines": lambda text, rng: text[:100] + "\n" * rng.randint(1000, 9000) + text[100:200],
    "line breaks": lambda text, rng: "\n".join(text[: rng.randint(1, 4000)]),
    "marks in a row": lambda text, rng: sprinkle(text, rng, [rng.choice("。！？…~·-=_*、，") * rng.randint(3, 999)]),
    "byte-order marks": lambda text, rng: "\ufeff" * rng.randint(1, 9) + text + "\ufeff",
    "one character": lambda text, rng: rng.choice(text or "。") * rng.randint(1, 5000),
    "anything": lambda text, rng: "".join(chr(rng.randrange(rng.choice([0x80, 0x3000, 0x110000]))) for _ in range(300)),
}


def make_dirty(seed: int) -> str:
    """An article with one to three kinds of dirt; the first follows the seed, so that each has its turn."""
    rng = Random(seed)
    text = rng.choice(ARTICLES if rng.random() < 0.8 else TRADITIONAL)
    for kind in [list(DIRT)[seed % len(DIRT)], *rng.choices(list(DIRT), k=rng.choice([0, 0, 1, 2]))]:
        text = DIRT[kind](text, rng)[:MAX_CHARS]
    return text


def utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def to_page(text: str, rng: Random) -> str:
    """A page of which some tags are missing or broken."""
    lines = [html.escape(line) if rng.random() < 0.8 else line for line in text.split("\n")]
    page = "<html><body><table><tr><td>" + "".join(f"<p>{line}</p>" for line in lines) + "</table>"
    return "".join(char for char in page if char not in "<>/p" or rng.random() < 0.98)


def damage(data: bytes, rng: Random) -> bytes:
    """Break bytes: cut characters, lines in other encodings, flipped bits, strange marks."""
    kind = rng.randrange(6)
    if kind == 0:
        return data[rng.randrange(1, 4) : -rng.randrange(1, 4)]
    if kind == 1:
        lines = data.split(b"\n")
        at = rng.randrange(len(lines))
        return b"\n".join([*lines[:at], rng.choice(ARTICLES).encode(rng.choice(["gb18030", "utf-16"])), *lines[at:]])
    if kind == 2:
        return bytes(byte ^ (1 << rng.randrange(8)) if rng.random() < 0.0005 else byte for byte in data)
    if kind == 3:
        return rng.choice([codecs.BOM_UTF8 * 2, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, b"\x00\x00"]) + data
    if kind == 4:
        return data[: rng.randrange(len(data) + 1)]
    return data.decode("utf-8", "replace").encode(rng.choice(["gb18030", "utf-16", "utf-16-be", "big5"]), "replace")


N_DISK, N_BYTES, N_CLEAN = 1100, 300, 450


@dataclass
class Heap:
    """Dirty files, the ids of the documents that they hold, and the text of those that no markup surrounds."""

    files: dict[str, bytes] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)

    def add_file(self, name: str, data: bytes, text: str | None = None) -> None:
        self.files[name] = data
        self.ids.append(name)
        if text is not None:
            self.texts[name] = text

    def add_rows(self, name: str, texts: list[str], data: bytes, *, are_pages: bool = False) -> None:
        self.files[name] = data
        for i, text in enumerate(texts, 1):
            self.ids.append(f"{name}#{i}")
            if not are_pages:
                self.texts[f"{name}#{i}"] = text


def make_heap() -> Heap:
    """Files and tables of dirty documents, the same every time."""
    heap = Heap()
    texts = [make_dirty(seed) for seed in range(N_DISK)]
    plain = [encodable(text) for text in texts]
    for i, text in enumerate(plain):
        rng = Random(i)
        kind = ("txt", "md", "html", "row", "row", "row")[i % 6]
        suffix = rng.choice(["", "", *COMPRESS])
        if kind == "txt":
            heap.add_file(f"{i}.txt{suffix}", COMPRESS[suffix](text.encode()), text)
        elif kind == "md":
            heap.add_file(f"{i}.md{suffix}", COMPRESS[suffix](text.encode()))
        elif kind == "html":
            heap.add_file(f"{i}.html{suffix}", COMPRESS[suffix](to_page(text, rng).encode()))
    for i in range(N_BYTES):
        rng = Random(f"damage {i}")
        text = rng.choice([rng.choice(ARTICLES), make_dirty(N_DISK + i)])
        page = to_page(text, rng) if i % 3 == 2 else text
        heap.add_file(f"damaged/{i}.{('txt', 'md', 'html')[i % 3]}", damage(utf8(page), rng))
    rows = [i for i in range(N_DISK) if i % 6 > 2]
    add_tables(heap, [texts[i] for i in rows], [plain[i] for i in rows])
    return heap


def add_tables(heap: Heap, texts: list[str], plain: list[str]) -> None:
    """Share the documents out to tables and archives of every kind."""
    n = len(TABLES)
    for t, (name, make) in enumerate(TABLES.items()):
        own = texts[t::n] if name.startswith("escaped") else plain[t::n]
        heap.add_rows(name, own, make(own), are_pages="pages" in name)


def to_jsonl(rows: list[dict[str, Any]], **options: Any) -> bytes:
    return "\n".join(json.dumps(row, **options) for row in rows).encode()


def to_pages(texts: list[str]) -> list[str]:
    return [to_page(text, Random(i)) for i, text in enumerate(texts)]


TABLES: dict[str, Callable[[list[str]], bytes]] = {
    "escaped.jsonl": lambda texts: to_jsonl([{"text": text, "views": float("nan")} for text in texts]),
    "a.jsonl.gz": lambda texts: gzip.compress(to_jsonl([{"text": text} for text in texts], ensure_ascii=False)),
    "pages.jsonl": lambda texts: to_jsonl([{"html": page, "id": None} for page in to_pages(texts)]),
    "a.csv": lambda texts: make_csv({"text": text} for text in texts),
    "a.tsv.bz2": lambda texts: COMPRESS[".bz2"](make_csv(({"text": text, "title": text[:9]} for text in texts), "\t")),
    "a.parquet": lambda texts: make_parquet([{"text": text} for text in texts], row_group_size=9),
    "a.wet.zst": lambda texts: COMPRESS[".zst"](
        b"".join(make_record("conversion", text.encode(), f"a.wet.zst#{i}") for i, text in enumerate(texts, 1))
    ),
    "pages.warc": lambda texts: b"".join(
        make_response(page.encode(), f"pages.warc#{i}") for i, page in enumerate(to_pages(texts), 1)
    ),
}


class Outcome(NamedTuple):
    """What a run left: totals, rows of documents by id, rows of sentences by id, rejections."""

    result: RunResult
    documents: dict[str, dict[str, Any]]
    sentences: dict[str, list[dict[str, Any]]]
    rejections: list[dict[str, Any]]


@pytest.fixture(scope="module")
def heap() -> Heap:
    return make_heap()


@pytest.fixture(scope="module")
def outcome(heap: Heap, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """One run over the heap, with all stages that need no words."""
    folder = tmp_path_factory.mktemp("dirty")
    for name, data in heap.files.items():
        path = folder / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    config = load_config("fast")
    result = run_corpus(RunOptions([str(folder / "in")], folder / "out", config, n_workers=1, keep_source=True))
    sentences = defaultdict(list)
    for row in pq.read_table(sorted((folder / "out").glob("sentences-*.parquet"))).to_pylist():
        sentences[row["doc_id"].removeprefix("urn:uuid:")].append(row)
    documents = {
        row["doc_id"].removeprefix("urn:uuid:"): row
        for row in pq.read_table(sorted((folder / "out").glob("documents-*.parquet"))).to_pylist()
    }
    rejections = [json.loads(line) for line in (folder / "out" / "rejected.jsonl").read_bytes().splitlines()]
    return Outcome(result, documents, sentences, rejections)


@pytest.mark.slow
def test_every_document_comes_out_or_is_rejected_once(heap: Heap, outcome: Outcome) -> None:
    result = outcome.result
    assert result.n_read == result.n_written + result.n_rejected + result.n_dropped == len(heap.ids)
    rejected = [(row["doc_id"] or row["origin"]).removeprefix("urn:uuid:") for row in outcome.rejections]
    assert Counter([*outcome.documents, *rejected]) == Counter(heap.ids)


CODES = {"empty", "mojibake", "undecodable", "binary"}
"""Why a document of the heap may be set aside; a stage that failed is a bug."""


@pytest.mark.slow
def test_every_rejection_has_a_code_and_a_reason(heap: Heap, outcome: Outcome) -> None:
    assert {row["code"] for row in outcome.rejections} <= CODES
    assert all(len(row["reason"]) > 10 and row["origin"] for row in outcome.rejections)
    assert len(outcome.rejections) < len(heap.ids) / 8


@pytest.mark.slow
def test_text_is_read_as_it_was_written(heap: Heap, outcome: Outcome) -> None:
    n_same = 0
    for name, text in heap.texts.items():
        document = outcome.documents.get(name)
        if document is None or "mojibake" in json.loads(document["meta"]):
            continue
        expected = re.sub("[\ud800-\udfff]", "\ufffd", joined_halves(text))
        assert document["source_text"].lstrip("\ufeff") == expected.lstrip("\ufeff")
        n_same += 1
    assert n_same > len(heap.texts) * 0.8


def joined_halves(text: str) -> str:
    """What a text becomes in JSON, where two halves of a character that meet are one."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


@pytest.mark.slow
def test_every_visible_character_of_a_document_lies_in_one_sentence(outcome: Outcome) -> None:
    for name, document in outcome.documents.items():
        spans = [(row["start"], row["end"]) for row in outcome.sentences[name]]
        assert is_covered(document["source_text"], spans), name
        assert len(document["source_text"]) == document["n_chars"]


@pytest.mark.slow
def test_sentences_are_those_of_their_source_and_stay_so(outcome: Outcome) -> None:
    for name, document in outcome.documents.items():
        doc = cleaned(document["source_text"])
        rows = outcome.sentences[name]
        assert [row["text"] for row in rows] == doc.sentence_texts(), name
        assert [[row["start"], row["end"]] for row in rows] == source_spans([doc]).tolist(), name
        again = cleaned(doc.text)
        assert (again.text, len(again.edits)) == (doc.text, 0), name


def is_visible(text: str) -> NDArray[np.bool_]:
    return char_classes()[code_points(text)] & INVISIBLE == 0


def is_covered(source: str, spans: Iterable[tuple[int, int]]) -> bool:
    """Say whether every visible character lies in one of the spans, and none in two."""
    n_spans = np.zeros(len(source), dtype=np.int64)
    for start, end in spans:
        n_spans[start:end] += 1
    return bool((n_spans[is_visible(source)] == 1).all() and (n_spans <= 1).all())


def wrong_offsets(doc: Doc) -> list[int]:
    """Get the characters of a text, outside of edits, that stand for another character of the source than their own.

    The script must not have been converted. A character stands for itself, for one that is folded to it (full width,
    private use), for its look-alike in another script, or, white space, for other white space.
    """
    text, source = code_points(doc.text), code_points(doc.source)
    there = source[doc.to_source(np.arange(len(text), dtype=np.int32))]
    folded = char_folds()[0][there]
    twins = {ord(letter): ord(twin) for letter, twin in latin_twins().items()}
    inside = np.zeros(len(text), dtype=bool)
    for start, end, *_ in doc.edits.tolist():
        inside[start:end] = True
    white = (text <= 32) & (folded <= 32)
    doubtful = np.flatnonzero((text != there) & (text != folded) & ~inside & ~white)
    return [i for i in doubtful.tolist() if twins.get(int(folded[i])) != text[i]]


def check_cleaned(source: str, config: CleanConfig) -> None:
    """See that nothing of a text is lost, offsets are exact, and that cleaning again changes nothing."""
    doc = clean_doc(Doc.from_text(source), config)
    # of a text of nothing but entities of spaces, nothing is left: a run sets it aside as empty
    assert is_covered(source, source_spans([doc]).tolist()) or not doc.text
    assert is_covered(doc.text, doc.sents.tolist())
    again = clean_doc(Doc.from_text(doc.text), config)
    assert (again.text, len(again.edits)) == (doc.text, 0)
    np.testing.assert_array_equal(again.sents, doc.sents)
    if config.convert == "none":
        assert wrong_offsets(doc) == []


CONFIGS = [CleanConfig(), CleanConfig("none"), CleanConfig("tw2s", "corner", ("pinyin", "wrapped_line"))]


@pytest.mark.parametrize("kind", DIRT)
def test_dirt_is_cleaned_without_loss(kind: str) -> None:
    n_kinds = len(DIRT)
    for seed in range(list(DIRT).index(kind) + 20_000 * n_kinds, 20_000 * n_kinds + N_CLEAN, n_kinds):
        check_cleaned(make_dirty(seed), CONFIGS[seed % len(CONFIGS)])


lines = st.lists(
    st.sampled_from([line for text in ARTICLES[:8] for line in text.split("\n")])
    | st.text(max_size=9)
    | st.sampled_from([*CONTROLS, *WHITE, *ZERO_WIDTH, *PRIVATE, *STRANGE, *SURROGATES, *EMOJI, *RTL, *MARKS])
    | st.sampled_from([*ENTITIES, *TAGS, *PINYIN, *OPENERS, *HALVES, *HOMOGLYPHS]),
    max_size=30,
)


@settings(max_examples=250, derandomize=True)
@given(lines, st.sampled_from(["", " ", "\n", "，", "\r\n"]), st.sampled_from(CONFIGS))
def test_whatever_meets_is_cleaned_without_loss(pieces: list[str], between: str, config: CleanConfig) -> None:
    check_cleaned(between.join(pieces), config)


def test_a_private_space_between_two_sentences_is_in_a_sentence() -> None:
    check_cleaned("。\ue5e5月", CleanConfig())


def test_offsets_behind_an_entity_without_semicolon_are_exact() -> None:
    doc = clean_doc(Doc.from_text("x&nbspA1;"), CleanConfig("none"))
    assert doc.text[doc.from_source(np.array([6], dtype=np.int32))[0]] == "A"
    assert wrong_offsets(doc) == []
