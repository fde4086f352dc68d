from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import cleaned
from hypothesis import given
from hypothesis import strategies as st

from pipeline.doc import KINDS, LABELS, ROLES, Coded, Doc, code_points
from pipeline.errors import AlignmentError, InputRejectedError
from pipeline.interchange import doc_from_json, doc_to_json
from pipeline.kernels.columns import string_column, to_utf8
from pipeline.writers import ShardWriter
from pipeline.writers.columns import DOCUMENTS, SENTENCES, make_tables
from pipeline.writers.jsonl import to_json_lines


def annotated() -> Doc:
    """A document with every layer, made by hand."""

    doc = cleaned("　标题\n王五在 北京 工作。很好！\n扫码关注", publisher="某报", origin="a.txt", encoding="utf-8")
    assert doc.sents is not None
    assert doc.sents.tolist() == [[0, 2], [3, 13], [13, 16], [17, 21]]
    nan = float("nan")
    return replace(
        doc,
        tokens=np.array(
            [[0, 2], [3, 5], [5, 6], [7, 9], [10, 12], [12, 13], [13, 15], [15, 16], [17, 19], [19, 21]], "i4"
        ),
        upos=Coded.encode(
            ["NOUN", "PROPN", "ADP", "PROPN", "VERB", "PUNCT", "ADJ", "PUNCT", "VERB", "VERB"],
            ("ADJ", "ADP", "NOUN", "PROPN", "PUNCT", "VERB"),
        ),
        xpos=Coded.encode(
            ["NN", "NNP", "IN", "NNP", "VV", ".", "JJ", ".", "VV", "VV"], ("NN", "NNP", "IN", "VV", ".", "JJ")
        ),
        ents=np.array([[3, 5], [7, 9]], "i4"),
        ent_labels=Coded.encode(["PER", "LOC"], ("LOC", "ORG", "PER")),
        role=Coded.encode(["title", "body", "body", "boilerplate"], ROLES),
        label=Coded.encode([None, "claim", "opinion", "boilerplate"], LABELS),
        kind=Coded.encode([None, None, None, "follow_cta"], KINDS),
        probs=np.array([[nan] * 3, [0.9, 0.05, 0.05], [0.2, 0.7, 0.1], [0.0, 0.1, 0.9]], dtype=np.float32),
    )


CELLS = {
    "int": (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    "text": (pa.large_string(), st.text(st.characters(exclude_categories=["Cs"]))),
    "long": (
        pa.large_string(),
        st.text(st.characters(exclude_categories=["Cs"])).map(lambda text: f"{'长' * 30}{text}" * 3),
    ),
    "quoted": (pa.string(), st.text('"\\\n\x01长a', min_size=25, max_size=70)),
    "coded": (pa.dictionary(pa.int16(), pa.string()), st.sampled_from(["claim", '"'])),
    "name": (pa.string(), st.sampled_from(["claim", '"', "\\", "\x1f", "行"])),
    "p": (pa.float32(), st.integers(0, 10_000).map(lambda parts: float(np.float32(parts / 10_000)))),
    "texts": (pa.list_(pa.large_string()), st.lists(st.text(max_size=3).map(repr), max_size=3)),
    "spans": (
        pa.list_(pa.struct([("start", pa.int32()), ("label", pa.string())])),
        st.lists(
            st.fixed_dictionaries({"start": st.integers(0, 9), "label": st.none() | st.text(max_size=2).map(ascii)})
        ),
    ),
}


@given(st.data())
def test_lines_of_json_are_those_of_a_json_library(data: st.DataObject) -> None:
    n = data.draw(st.integers(0, 5))
    cells = {name: data.draw(st.lists(st.none() | value, min_size=n, max_size=n)) for name, (_, value) in CELLS.items()}
    table = pa.table(cells, schema=pa.schema([(name, kind) for name, (kind, _) in CELLS.items()]))
    rows = table.to_pylist()
    for row in rows:
        row["p"] = None if row["p"] is None else round(row["p"], 4)
    assert bytes(to_json_lines(table)) == b"".join(orjson.dumps(row) + b"\n" for row in rows)
    assert bytes(to_json_lines(table.slice(1))) == b"".join(orjson.dumps(row) + b"\n" for row in rows[1:])


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
def test_rows_of_both_tables(tmp_path: Path, file_format: str) -> None:
    documents, sentences = tmp_path / f"d.{file_format}", tmp_path / f"s.{file_format}"
    with ShardWriter(documents, sentences, file_format, keep_source=True) as writer:
        writer.write([annotated()])
        writer.write([annotated()])

    def rows(path: Path) -> list[dict]:
        if file_format == "parquet":
            return pq.read_table(path).to_pylist()
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    document = rows(documents)[1]
    assert document["text"] == "标题\n王五在 北京 工作。很好！"
    assert (document["n_sents"], document["n_claims"], document["n_opinions"]) == (4, 1, 1)
    assert (document["n_body_chars"], document["publisher"]) == (16, "某报")
    assert document["source_text"] == annotated().source
    first, second, third, fourth = rows(sentences)[4:]
    assert (first["text"], first["role"], first["label"], first["p_claim"]) == ("标题", "title", None, None)
    assert (second["start"], second["end"]) == (4, 14)
    assert second["tokens"] == ["王五", "在", "北京", "工作", "。"]
    assert second["upos"] == ["PROPN", "ADP", "PROPN", "VERB", "PUNCT"]
    assert second["ents"] == [{"start": 0, "end": 1, "label": "PER"}, {"start": 2, "end": 3, "label": "LOC"}]
    assert third["xpos"] == ["JJ", "."]
    assert third["ents"] == []
    assert round(third["p_opinion"], 4) == 0.7
    assert (fourth["kind"], fourth["sent"], fourth["text"]) == ("follow_cta", 3, "扫码关注")


def test_one_schema_whatever_was_run(tmp_path: Path) -> None:
    for name, doc in (("all", annotated()), ("clean", cleaned("只有清洗。"))):
        with ShardWriter(tmp_path / f"d-{name}", tmp_path / f"s-{name}", "parquet") as writer:
            writer.write([doc])
        for table, schema in (("d", DOCUMENTS), ("s", SENTENCES)):
            pq.write_table(schema.empty_table(), tmp_path / "plain")
            written = pq.read_schema(tmp_path / f"{table}-{name}")
            assert written.equals(pq.read_schema(tmp_path / "plain"), check_metadata=True)
    (row,) = pq.read_table(tmp_path / "s-clean").to_pylist()
    assert {name for name in row if row[name] is None} == set(SENTENCES.names[5:])
    (document,) = pq.read_table(tmp_path / "d-clean").to_pylist()
    assert (document["n_claims"], document["text"]) == (None, "只有清洗。")


def test_a_document_without_sentences_is_refused() -> None:
    with pytest.raises(AlignmentError, match="'raw' has no sentences"):
        make_tables([annotated(), Doc.from_text("没有句子", "raw")])


@pytest.mark.parametrize("value", [1.1, 1e9, -0.1, float("inf")])
def test_what_is_no_probability_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        to_json_lines(pa.table({"p": pa.array([0.5, value, None], pa.float32())}))


def test_no_documents_make_empty_tables() -> None:
    tables = make_tables([])
    assert (len(tables.documents), len(tables.sentences)) == (0, 0)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), max_size=8))
def test_string_column_equals_the_strings(texts: list[str]) -> None:
    ends = np.cumsum([0, *map(len, texts)])
    spans = np.stack([ends[:-1], ends[1:]], axis=1).astype(np.int64)
    assert string_column(*to_utf8(code_points("".join(texts)), spans)).to_pylist() == texts


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_a_document_survives_json(text: str) -> None:
    doc = cleaned(text, publisher="某报", extra={"k": [1, None]})
    assert doc_to_json(doc_from_json(doc_to_json(doc))) == doc_to_json(doc)


def test_an_annotated_document_survives_json() -> None:
    doc = annotated()
    back = doc_from_json(doc_to_json(doc))
    assert doc_to_json(back) == doc_to_json(doc)
    assert back.upos == doc.upos
    np.testing.assert_array_equal(back.probs, doc.probs)


@pytest.mark.parametrize(
    "layers",
    [
        {"sents": [[0, 6]]},
        {"sents": [[-1, 2]]},
        {"sents": [[2, 2]]},
        {"sents": [[0, 3], [2, 5]]},
        {"tokens": [[3, 5], [0, 2]]},
        {"pii": [[0, 10**12]]},
        {"ents": [[5, -(2**31)], [-5, 5]]},
        {"ents": [[0, 2**70]]},
        {"meta": {"blocks": {"box": [1], "parent": [0]}}},
        {"meta": {"blocks": {"box": [-1], "parent": [0]}}},
        {"meta": {"blocks": {"box": [0], "parent": [1, 1]}}},
    ],
)
def test_a_row_that_points_outside_of_its_text_is_rejected(layers: dict[str, Any]) -> None:
    record = {"id": "a", "source": "今天下雨。", "text": "今天下雨。", "edits": [], "meta": {}, "sents": [[0, 5]]}
    assert doc_from_json(orjson.dumps(record)).text == "今天下雨。"
    row = json.dumps(record | layers).encode()
    with pytest.raises(InputRejectedError, match="no document"):
        doc_from_json(row)


@pytest.mark.parametrize(
    "line", [b"", b"{", b"[]", b'{"id": 1}', b'{"id":"a","source":"","text":"","edits":[[1]],"meta":{}}']
)
def test_a_row_that_is_no_document_is_rejected(line: bytes) -> None:
    with pytest.raises(InputRejectedError, match="no document"):
        doc_from_json(line)
