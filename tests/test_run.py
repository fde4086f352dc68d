from __future__ import annotations

import gzip
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import pipeline.pipe
import pipeline.run.local
import pipeline.run.shards
import pipeline.writers
from pipeline.config import Config
from pipeline.errors import ConfigError
from pipeline.run import RunOptions, RunResult, run_corpus
from pipeline.run.shards import plan_shards
from pipeline.run.state import WORK

CLEAN_ONLY = Config(stages=("clean",))


def digests(folder: Path) -> dict[str, str]:
    """The checksum of every file of a corpus."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def read_rows(folder: Path, name: str) -> list[dict[str, Any]]:
    return [row for path in sorted(folder.glob(f"{name}-*.parquet")) for row in pq.read_table(path).to_pylist()]


def run(folder: Path, out: Path, **options: Any) -> RunResult:
    settings = {"config": CLEAN_ONLY, "n_workers": 1, **options}
    return run_corpus(RunOptions([str(folder)], out, **settings))


@pytest.fixture
def heap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that makes several shards, with good and bad input."""
    monkeypatch.setattr(pipeline.run.shards, "MIN_SHARD_BYTES", 4000)
    folder = tmp_path / "heap"
    folder.mkdir()
    for i in range(6):
        (folder / f"a{i}.txt").write_text(f"第{i}篇文章。\n　　它有两段，第二段稍长一些。" * 9, encoding="utf-8")
    (folder / "g.txt").write_text("国标编码的文章，里面有常用的汉字。", encoding="gb18030")
    rows = [json.dumps({"id": i % 60, "text": f"第{i}行。" * 20, "publisher": "某报"}) for i in range(70)]
    (folder / "rows.jsonl").write_text("\n".join(rows), encoding="utf-8")
    (folder / "empty.txt").touch()
    (folder / "blank.txt").write_text(" \n\u200b\n", encoding="utf-8")
    (folder / "binary.txt").write_bytes(bytes(range(256)) * 4)
    (folder / "latin.txt").write_bytes("d\xe9j\xe0 vu, \xe7a va, \xe0 bient\xf4t".encode("latin-1"))
    (folder / "cut.txt.gz").write_bytes(gzip.compress("断了的压缩文件。".encode() * 200)[:40])
    whole = gzip.compress("\n".join(json.dumps({"text": f"第{i * i}号记录。"}) for i in range(2000)).encode())
    (folder / "cut.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    (folder / "broken.jsonl").write_text(
        '{"text": "好的一行。"}\n\n{"text": \n[1, 2]\n{"text": 7}\n{"title": "无"}\n{"html": "<p>页面</p>"}\n',
        encoding="utf-8",
    )
    (folder / "photo.jpg").write_bytes(b"\xff\xd8")
    (folder / ".hidden.txt").write_text("看不见", encoding="utf-8")
    return folder


def test_nothing_is_lost_and_every_rejection_says_why(heap: Path, tmp_path: Path) -> None:
    result = run(heap, tmp_path / "out")
    assert result.n_read == result.n_written + result.n_rejected
    assert result.n_written == len(read_rows(tmp_path / "out", "documents"))
    assert result.n_skipped == 2
    rejected = [json.loads(line) for line in (tmp_path / "out" / "rejected.jsonl").read_text().splitlines()]
    assert len(rejected) == result.n_rejected
    codes = {(row["origin"], row["line"], row["code"]) for row in rejected}
    assert codes == {
        ("empty.txt", None, "empty"),
        ("blank.txt", None, "empty"),
        ("binary.txt", None, "binary"),
        ("latin.txt", None, "undecodable"),
        ("cut.txt.gz", None, "truncated"),
        ("cut.jsonl.gz", None, "truncated"),
        ("broken.jsonl", 3, "bad_json"),
        ("broken.jsonl", 4, "bad_row"),
        ("broken.jsonl", 5, "bad_row"),
        ("broken.jsonl", 6, "bad_row"),
    }
    assert all(row["reason"] for row in rejected)


def test_whole_rows_before_a_break_are_kept(heap: Path, tmp_path: Path) -> None:
    run(heap, tmp_path / "out")
    ids = [row["doc_id"] for row in read_rows(tmp_path / "out", "documents")]
    kept = [doc_id for doc_id in ids if doc_id.startswith("cut.jsonl.gz#")]
    assert kept == [f"cut.jsonl.gz#{i + 1}" for i in range(len(kept))]
    assert len(kept) > 100


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
def test_same_bytes_whatever_the_workers_batches_and_repetitions(
    heap: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_format: str
) -> None:
    run(heap, tmp_path / "one", file_format=file_format)
    expected = digests(tmp_path / "one")
    assert len(expected) > 8
    run(heap, tmp_path / "one", file_format=file_format, fresh=True)
    assert digests(tmp_path / "one") == expected
    run(heap, tmp_path / "two", file_format=file_format, n_workers=2)
    assert digests(tmp_path / "two") == expected
    monkeypatch.setattr(pipeline.pipe, "MAX_BATCH_DOCS", 1)
    run(heap, tmp_path / "three", file_format=file_format)
    assert digests(tmp_path / "three") == expected


class KilledError(BaseException):
    """Stands for a kill: no handler of the runner may catch it."""


@pytest.mark.parametrize("at", range(0, 40, 3))
def test_a_killed_run_goes_on_to_the_same_bytes(
    heap: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    run(heap, tmp_path / "whole")
    calls = 0

    def killed_replace(path: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls > at:
            raise KilledError
        return rename(path, target)

    rename = Path.rename
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed_replace)
        try:
            run(heap, tmp_path / "out")
        except KilledError:
            assert (tmp_path / "out" / WORK).is_dir()
    run(heap, tmp_path / "out")
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")


def test_a_resumed_run_does_not_annotate_whole_shards_again(
    heap: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    annotate = pipeline.run.local.annotate_shard
    done: list[int] = []

    def annotate_two(shard: Any, *args: Any, **kwargs: Any) -> Any:
        if len(done) == 2:
            raise KilledError
        done.append(shard.index)
        return annotate(shard, *args, **kwargs)

    monkeypatch.setattr(pipeline.run.local, "annotate_shard", annotate_two)
    with pytest.raises(KilledError):
        run(heap, tmp_path / "out")
    first = list(done)
    done.clear()
    with pytest.raises(KilledError):
        run(heap, tmp_path / "out")
    assert first == [0, 1]
    assert done == [2, 3]


def test_a_finished_run_is_not_run_again_until_something_changed(
    heap: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    messages: list[str] = []

    def rerun(**options: Any) -> RunResult:
        settings = {"config": CLEAN_ONLY, "n_workers": 1, **options}
        return run_corpus(
            RunOptions([str(heap)], out, **settings), announce=lambda message, _: messages.append(message)
        )

    first = rerun()
    assert not first.was_complete
    second = rerun()
    assert second.was_complete
    assert (second.n_written, second.n_rejected) == (first.n_written, first.n_rejected)
    (heap / "a0.txt").write_text("换了内容，长度也变了。", encoding="utf-8")
    assert not rerun().was_complete
    assert not rerun(keep_source=True).was_complete
    assert "input changed" in messages[2]
    assert "config" in messages[3]


def test_a_damaged_output_file_is_made_anew(heap: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(heap, out)
    expected = digests(out)
    (out / "sentences-00000.parquet").write_bytes(b"damaged")
    run(heap, out)
    assert digests(out) == expected


def test_repeated_ids_are_numbered_in_the_order_of_the_input(heap: Path, tmp_path: Path) -> None:
    run(heap, tmp_path / "out")
    documents = [row["doc_id"] for row in read_rows(tmp_path / "out", "documents")]
    assert len(set(documents)) == len(documents)
    assert [doc_id for doc_id in documents if doc_id.startswith("5")][:2] == ["5", "50"]
    assert "5~2" in documents
    assert documents.index("5~2") - documents.index("5") == 60
    sentences = [row["doc_id"] for row in read_rows(tmp_path / "out", "sentences")]
    assert list(dict.fromkeys(sentences)) == documents


def test_fresh_deletes_nothing_of_others(heap: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(heap, out)
    (out / "notes.txt").write_text("mine", encoding="utf-8")
    (out / "documents-old.parquet").write_text("mine", encoding="utf-8")
    run(heap, out, fresh=True)
    assert (out / "notes.txt").exists()
    assert (out / "documents-old.parquet").exists()


def test_a_folder_that_is_no_corpus_keeps_its_readme(heap: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "README.md").write_text("mine", encoding="utf-8")
    with pytest.raises(KilledError):
        run_corpus(RunOptions([str(heap)], out, CLEAN_ONLY, n_workers=1), announce=_kill)
    assert (out / "README.md").read_text(encoding="utf-8") == "mine"


def _kill(message: str, n_bytes: int) -> None:
    raise KilledError


def test_output_inside_the_input_is_not_read(heap: Path) -> None:
    first = run(heap, heap / "out")
    second = run(heap, heap / "out", fresh=True)
    assert second.n_read == first.n_read


def test_standard_input_is_read_and_its_copy_removed(tmp_path: Path) -> None:
    rows = io.BytesIO(b'{"id": "a", "text": "\xe4\xb8\x80\xe3\x80\x82"}\n')
    out = tmp_path / "out"
    result = run_corpus(RunOptions(["-"], out, CLEAN_ONLY, n_workers=1), stdin=rows)
    assert result.n_written == 1
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


def test_no_host_path_clock_or_worker_count_in_the_output(heap: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(heap, out, file_format="jsonl")
    for path in out.iterdir():
        text = path.read_text(encoding="utf-8")
        assert str(tmp_path) not in text
        assert "workers" not in text


def test_a_large_jsonl_file_is_cut_on_line_borders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline.run.shards, "MIN_SHARD_BYTES", 1000)
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"text": f"第{i}行"}) + "\n" for i in range(300)), encoding="utf-8")
    from pipeline.readers.sources import list_input

    shards = plan_shards(list_input([str(path)], (".jsonl",)).files)
    assert len(shards) > 5
    run(path, tmp_path / "out")
    ids = [row["doc_id"] for row in read_rows(tmp_path / "out", "documents")]
    assert ids == [f"rows.jsonl#{i + 1}" for i in range(300)]


def test_a_long_line_is_a_document_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("很长的一行，没有停顿" * 100_000, encoding="utf-8")
    result = run(tmp_path / "long.txt", tmp_path / "out")
    assert result.n_written == 1
    assert read_rows(tmp_path / "out", "documents")[0]["n_chars"] == 1_000_000


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"file_format": "xml"}, "--format xml"),
        ({"n_workers": 0}, "--workers 0"),
        ({"config": Config(stages=("classify",))}, "'sents'"),
        ({"config": Config(stages=("clean", "tag"))}, "'tokens'"),
    ],
)
def test_a_wrong_call_is_refused_before_anything_is_written(
    heap: Path, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        run(heap, tmp_path / "out", **change)
    assert not (tmp_path / "out").exists()


def test_input_that_does_not_exist_is_a_wrong_call(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        run(tmp_path / "nowhere", tmp_path / "out")
