"""Cut files: their pieces hold the rows of the whole, once and under the same names."""

from __future__ import annotations

import csv
import io
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.doc import Doc
from pipeline.kernels.records import LINE_START, scan_records
from pipeline.readers import READERS, Rejection, read_piece
from pipeline.readers.cuts import cut_file
from pipeline.readers.sources import Piece, list_input


def whole(path: Path) -> Piece:
    (file,) = list_input([str(path)], tuple(READERS)).files
    return file


def read(*pieces: Piece) -> list[Any]:
    items = [item for piece in pieces for item in read_piece(piece)]
    return [astuple(item) if isinstance(item, Rejection) else (item.id, item.source, item.meta) for item in items]


def check(path: Path, n_bytes: int) -> list[Piece]:
    """Compare a file's pieces with the whole; get the pieces."""
    file = whole(path)
    pieces = list(cut_file(file, n_bytes))
    assert [piece.start for piece in pieces] == [0, *(piece.end for piece in pieces[:-1])]
    assert pieces[-1].end == file.end
    assert read(*pieces) == read(file)
    return pieces


def make_csv(rows: list[list[str]], delimiter: str = ",", line_end: str = "\r\n") -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator=line_end).writerows(rows)
    return text.getvalue()


ROWS = [
    ["id", "title", "text"],
    *([str(i), f"题，{i}", f'他说："第{i}句"\n\n第二段,有逗号\r\n' * (i % 4 + 1)] for i in range(60)),
]


@pytest.mark.parametrize("n_bytes", [1, 50, 777, 3000])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r", "\n\n"])
def test_csv_is_cut_between_rows_whatever_stands_in_quotes(
    tmp_path: Path, n_bytes: int, encoding: str, line_end: str
) -> None:
    (tmp_path / "rows.csv").write_bytes(make_csv(ROWS, line_end=line_end).encode(encoding))
    pieces = check(tmp_path / "rows.csv", n_bytes)
    assert len(pieces) > 1
    (tmp_path / "rows.tsv").write_bytes(make_csv(ROWS, "\t", line_end).encode(encoding))
    assert len(check(tmp_path / "rows.tsv", n_bytes)) > 1


def test_a_csv_whose_quote_is_never_closed_is_read_like_the_whole(tmp_path: Path) -> None:
    text = make_csv(ROWS[:30]) + '31,题,"没有关上\n' + make_csv([["32", "题", "还有"]] * 20)
    (tmp_path / "rows.csv").write_text(text, encoding="utf-8")
    assert len(check(tmp_path / "rows.csv", 500)) > 2


@pytest.mark.parametrize("data", [b"a,b\n1,2\n" * 99, "id,text\n1,一\n".encode("utf-16") * 99, b"\n" * 99])
def test_a_csv_that_can_not_be_read_by_rows_stays_whole(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "rows.csv").write_bytes(data)
    assert len(list(cut_file(whole(tmp_path / "rows.csv"), 50))) == 1


@given(text=st.text(st.sampled_from('a",\r\n \x00'), max_size=60), n_block=st.integers(1, 9))
def test_records_end_where_the_reader_of_python_ends_them(text: str, n_block: int) -> None:
    text += "\n"
    data, state, n_records = np.frombuffer(text.encode(), np.uint8), LINE_START, 0
    for at in range(0, len(data), n_block):
        block = data[at : at + n_block]
        state, n_found, cut = scan_records(block, state, ord(","), len(block) + 1)
        n_records += n_found
        assert cut == -1
    expected = [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    is_open = state not in (LINE_START,)
    assert n_records + is_open == len(expected)


@given(texts=st.lists(st.text(st.sampled_from('文a",\r\n '), max_size=12), max_size=20), n_bytes=st.integers(1, 80))
def test_any_csv_is_cut_without_a_trace(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], n_bytes: int
) -> None:
    path = tmp_path_factory.mktemp("csv") / "rows.csv"
    path.write_text("id,text\n" + "\n".join(texts) + "\n", encoding="utf-8", newline="")
    check(path, n_bytes)


def write_parquet(path: Path, n_rows: int = 60, group: int = 7) -> None:
    texts = [f"第{i}行的正文。" * 5 for i in range(n_rows)]
    pq.write_table(pa.table({"id": list(range(n_rows)), "text": texts}), path, row_group_size=group)


@pytest.mark.parametrize(("n_bytes", "n_pieces"), [(1, 9), (700, 5), (100_000, 1)])
def test_parquet_is_cut_between_row_groups(tmp_path: Path, n_bytes: int, n_pieces: int) -> None:
    write_parquet(tmp_path / "rows.parquet")
    pieces = check(tmp_path / "rows.parquet", n_bytes)
    assert abs(len(pieces) - n_pieces) <= 1
    rows = [row for piece in pieces for row in read(piece)]
    assert [row[0] for row in rows] == [str(i) for i in range(60)]


def test_a_parquet_without_ids_counts_its_rows_through(tmp_path: Path) -> None:
    pq.write_table(pa.table({"text": [f"第{i}行。" for i in range(30)]}), tmp_path / "rows.parquet", row_group_size=4)
    pieces = check(tmp_path / "rows.parquet", 1)
    assert [item.id for piece in pieces for item in read_piece(piece) if isinstance(item, Doc)][-1] == "rows.parquet#30"


def test_a_damaged_row_group_takes_no_rows_of_other_pieces_with_it(tmp_path: Path) -> None:
    write_parquet(tmp_path / "rows.parquet")
    pieces = list(cut_file(whole(tmp_path / "rows.parquet"), 1))
    data = bytearray((tmp_path / "rows.parquet").read_bytes())
    data[pieces[2].start + 4 : pieces[2].end - 4] = b"\xff" * (pieces[2].n_bytes - 8)
    (tmp_path / "rows.parquet").write_bytes(data)
    found = [item for piece in pieces for item in read_piece(piece)]
    (rejection,) = [item for item in found if isinstance(item, Rejection)]
    assert rejection.line == 15
    assert rejection.reason.startswith("7 rows")
    assert len(found) == 60 - 7 + 1


@pytest.mark.parametrize("name", ["rows.jsonl.gz", "long.txt", "rows.csv.zst"])
def test_what_is_compressed_or_one_document_stays_whole(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"a\n" * 500)
    assert len(list(cut_file(whole(tmp_path / name), 100))) == 1
