from __future__ import annotations

import errno
import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from conftest import ROOT

import pipeline.pipe
import pipeline.run
import pipeline.run.shards
import pipeline.run.tasks
import pipeline.storage.local
import pipeline.writers
from pipeline.classify import ClassifyConfig
from pipeline.config import Config
from pipeline.errors import ConfigError, ModelError, PipelineError
from pipeline.passes import DuplicatesConfig
from pipeline.run import RunOptions, RunResult, run_corpus
from pipeline.run.bar import ProgressBar
from pipeline.run.local import Throttle
from pipeline.run.shards import plan_shards
from pipeline.run.state import WORK
from pipeline.run.watch import Watcher

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


class Killer(Watcher):
    """Kills a run when it begins to annotate."""

    def begin(self, what: str, n_bytes: int) -> None:
        raise KilledError


class Listener(Watcher):
    """Keeps what it was told."""

    def __init__(self, messages: list[str]) -> None:
        self.messages = messages

    def tell(self, message: str) -> None:
        self.messages.append(message)


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
    annotate = pipeline.run.tasks.annotate_shard
    done: list[int] = []

    def annotate_two(shard: Any, *args: Any, **kwargs: Any) -> Any:
        if len(done) == 2:
            raise KilledError
        done.append(shard.index)
        return annotate(shard, *args, **kwargs)

    monkeypatch.setattr(pipeline.run.tasks, "annotate_shard", annotate_two)
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
        return run_corpus(RunOptions([str(heap)], out, **settings), watcher=Listener(messages))

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
        run_corpus(RunOptions([str(heap)], out, CLEAN_ONLY, n_workers=1), watcher=Killer())
    assert (out / "README.md").read_text(encoding="utf-8") == "mine"


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
        ({"engine": "spark"}, "--engine spark"),
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


@pytest.fixture
def interrupted(heap: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The output of a run that was killed after two shards."""
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(pipeline.run.tasks, "annotate_shard", _die_at(2))
        with pytest.raises(KilledError):
            run(heap, out)
    return out


def _die_at(n_shards: int) -> Any:
    annotate = pipeline.run.tasks.annotate_shard

    def annotate_some(shard: Any, *args: Any, **kwargs: Any) -> Any:
        if shard.index == n_shards:
            raise KilledError
        return annotate(shard, *args, **kwargs)

    return annotate_some


def rerun(heap: Path, out: Path, **options: Any) -> list[str]:
    """Run again; get what was told."""
    messages: list[str] = []
    settings = {"config": CLEAN_ONLY, "n_workers": 1, **options}
    run_corpus(RunOptions([str(heap)], out, **settings), watcher=Listener(messages))
    return messages


def test_an_interrupted_run_is_taken_up_and_says_so(
    heap: Path, interrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline.run, "plan_shards", None)  # the plan was kept, too
    assert rerun(heap, interrupted) == ["resuming: 2 shards are done"]


def test_an_interrupted_run_starts_anew_when_a_file_changed_without_changing_size(
    heap: Path, interrupted: Path, tmp_path: Path
) -> None:
    text = (heap / "a0.txt").read_text(encoding="utf-8")
    (heap / "a0.txt").write_text(text.replace("第0篇", "第九篇"), encoding="utf-8")
    assert rerun(heap, interrupted) == ["input changed since the interrupted run: starting anew"]
    run(heap, tmp_path / "whole")
    assert digests(interrupted) == digests(tmp_path / "whole")


def test_an_interrupted_run_starts_anew_when_the_config_changed(heap: Path, interrupted: Path) -> None:
    config = Config(stages=("clean", "privacy"))
    assert rerun(heap, interrupted, config=config) == [
        "config, models or versions changed since the interrupted run: starting anew"
    ]


def test_an_interrupted_run_starts_anew_when_a_model_changed(
    heap: Path, interrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_of = pipeline.run.fingerprint
    monkeypatch.setattr(
        pipeline.run, "fingerprint", lambda *args, **kwargs: {**made_of(*args, **kwargs), "models": {"tag": "other"}}
    )
    assert rerun(heap, interrupted) == ["config, models or versions changed since the interrupted run: starting anew"]


def test_a_shard_whose_file_was_cut_short_is_annotated_again(heap: Path, interrupted: Path, tmp_path: Path) -> None:
    path = interrupted / "documents-00000.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    assert rerun(heap, interrupted) == ["resuming: 1 shards are done"]
    run(heap, tmp_path / "whole")
    assert digests(interrupted) == digests(tmp_path / "whole")


@pytest.mark.parametrize("at", [1, 3, 8, 15])
def test_a_full_disk_fails_the_run_and_a_rerun_goes_on(
    heap: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    sync = pipeline.storage.local.sync
    calls = 0

    def full(path: Path) -> None:
        nonlocal calls
        calls += 1
        if calls > at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        sync(path)

    with monkeypatch.context() as patch:
        patch.setattr(pipeline.storage.local, "sync", full)
        with pytest.raises(OSError, match="No space"):
            run(heap, tmp_path / "out")
    run(heap, tmp_path / "whole")
    run(heap, tmp_path / "out")
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")


def test_a_temporary_folder_without_room_is_no_fault_of_the_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.parquet.gz").write_bytes(gzip.compress(b"PAR1" * 100))

    class FullFile(io.BytesIO):
        def write(self, data: Any, /) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "TemporaryFile", FullFile)
    with pytest.raises(PipelineError, match="TMPDIR"):
        run(tmp_path / "a.parquet.gz", tmp_path / "out")


@pytest.mark.parametrize("n_workers", [1, 2])
def test_what_keeps_workers_from_starting_is_told(heap: Path, tmp_path: Path, n_workers: int) -> None:
    config = Config(stages=("clean", "classify"), classify=ClassifyConfig(tmp_path))
    (tmp_path / "meta.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelError, match="expected 'classifier'"):
        run(heap, tmp_path / "out", config=config, n_workers=n_workers)


def test_a_kill_while_the_work_folder_is_deleted_leaves_a_whole_corpus(
    heap: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(folder: Path, **_: Any) -> None:
        if not (tmp_path / "out" / "manifest.json").exists():
            return
        for path in sorted(Path(folder).iterdir())[::2]:
            path.unlink()
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", half)
        with pytest.raises(KilledError):
            run(heap, tmp_path / "out")
    assert run(heap, tmp_path / "out").was_complete
    run(heap, tmp_path / "whole")
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")


def test_two_runs_do_not_share_a_folder(heap: Path, tmp_path: Path) -> None:
    class Second(Watcher):
        def begin(self, what: str, n_bytes: int) -> None:
            with pytest.raises(PipelineError, match="another run is at work"):
                run(heap, tmp_path / "out")

    run_corpus(RunOptions([str(heap)], tmp_path / "out", CLEAN_ONLY, n_workers=1), watcher=Second())


class Counter(Watcher):
    """Adds up what it was told of each pass."""

    def __init__(self) -> None:
        self.passes: list[list[Any]] = []

    def begin(self, what: str, n_bytes: int) -> None:
        self.passes.append([what, n_bytes, 0, 0])

    def advance(self, n_docs: int, n_bytes: int) -> None:
        self.passes[-1][2] += n_docs
        self.passes[-1][3] += n_bytes


@pytest.mark.parametrize("n_workers", [1, 2])
def test_progress_tells_every_byte_and_document_of_each_pass(heap: Path, tmp_path: Path, n_workers: int) -> None:
    watcher = Counter()
    config = Config(stages=("clean",), duplicates=DuplicatesConfig("mark"))
    result = run_corpus(RunOptions([str(heap)], tmp_path / "out", config, n_workers=n_workers), watcher=watcher)
    assert [row[0] for row in watcher.passes] == ["cutting", "first pass", "annotating"]
    for _, n_bytes, _, n_done in watcher.passes:
        assert n_done == n_bytes
    assert result.n_written <= watcher.passes[2][2] <= result.n_read


def test_nothing_reads_ahead_of_the_writer_by_more_than_a_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rows.jsonl").write_text('{"text": "一行。"}\n' * 1000, encoding="utf-8")
    n_read = n_written = most = 0
    read, write = pipeline.run.shards.read_piece, pipeline.writers.ShardWriter.write

    def counted(*args: Any) -> Any:
        nonlocal n_read
        for item in read(*args):
            n_read += 1
            yield item

    def measured(writer: Any, docs: Any) -> None:
        nonlocal n_written, most
        most = max(most, n_read - n_written)
        n_written += len(docs)
        write(writer, docs)

    monkeypatch.setattr(pipeline.run.shards, "read_piece", counted)
    monkeypatch.setattr(pipeline.writers.ShardWriter, "write", measured)
    run(tmp_path / "rows.jsonl", tmp_path / "out")
    assert n_written == 1000
    assert most <= pipeline.pipe.MAX_BATCH_DOCS


def test_the_bar_shows_speed_and_time_left(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "150")
    with ProgressBar() as bar:
        bar.tell("resuming: [3] shards are done")
        bar.begin("first pass", 4_000_000)
        time.sleep(0.01)
        bar.advance(120, 2_000_000)
        bar._bar.refresh()
    shown = capsys.readouterr().err
    for text in ("resuming: [3] shards", "first pass", "120 documents", "documents/s", "MB/s", "left"):
        assert text in shown


def test_progress_is_told_a_few_times_a_second() -> None:
    told: list[int] = []
    throttle = Throttle(lambda n_docs, n_bytes: told.append(n_docs))
    for _ in range(10_000):
        throttle(1, 10)
    throttle.flush()
    assert sum(told) == 10_000
    assert len(told) < 100


def test_three_kills_at_random_moments(tmp_path: Path) -> None:
    (tmp_path / "clean.toml").write_text('stages = ["clean"]\n', encoding="utf-8")
    script = ROOT / "benchmarks" / "kills.py"
    call = [sys.executable, script, "--kills", "3", "--megabytes", "25", "--config", tmp_path / "clean.toml"]
    done = subprocess.run(list(map(str, call)), capture_output=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    totals = json.loads(done.stdout.splitlines()[-1])
    assert totals["kills"] >= 3
    assert (totals["same"], totals["processes_left"]) == (totals["runs"], 0)
