"""Object stores: the same bytes from and into one as from and into folders, whatever happens on the way."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT

import pipeline.run
import pipeline.run.first
import pipeline.run.shards
import pipeline.run.state
import pipeline.run.tasks
import pipeline.storage.bucket
import pipeline.storage.remote
from pipeline.config import Config
from pipeline.errors import ConfigError, PipelineError
from pipeline.passes import DuplicatesConfig, TemplatesConfig
from pipeline.readers import READERS, Rejection, read_piece
from pipeline.readers.cuts import cut_file
from pipeline.readers.sources import list_input
from pipeline.run import RunOptions, RunResult, run_corpus
from pipeline.run.shards import plan_shards
from pipeline.run.watch import Watcher
from pipeline.storage import RemoteFile, map_ahead, open_folder

fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed: pip install 'zhcorpus[cloud]'")
import bucket  # noqa: E402 (needs fsspec)

CLEAN_ONLY = Config(stages=("clean",))
BOTH_PASSES = Config(
    stages=("clean",), templates=TemplatesConfig(enabled=True), duplicates=DuplicatesConfig(mode="drop")
)


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder behind ``testbucket://``, which processes that are started from here know, too."""
    plugin = tmp_path / "plugin"
    (plugin / "testbucket-1.dist-info").mkdir(parents=True)
    (plugin / "testbucket-1.dist-info" / "METADATA").write_text("Name: testbucket\nVersion: 1\n")
    (plugin / "testbucket-1.dist-info" / "entry_points.txt").write_text(
        "[fsspec.specs]\ntestbucket = bucket:Bucket\n", encoding="utf-8"
    )
    monkeypatch.syspath_prepend(plugin)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(plugin), str(ROOT / "tests"), str(ROOT)]))
    monkeypatch.setenv("TESTBUCKET", str(tmp_path / "store"))
    monkeypatch.setattr(pipeline.storage.remote, "_WAITS_SECONDS", (0, 0, 0))
    monkeypatch.setattr(pipeline.run.shards, "MIN_SHARD_BYTES", 4000)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    fsspec.register_implementation("testbucket", bucket.Bucket, clobber=True)
    bucket.LOG.clear()
    bucket.FAULTS.clear()
    yield tmp_path / "store"
    assert [path.name for path in (tmp_path / "tmp").glob("zhcorpus-*")] == []


@pytest.fixture
def heap(tmp_path: Path) -> Path:
    """A folder of every sort of input, some of it cut into shards, some of it bad."""
    folder = tmp_path / "heap"
    (folder / "b" / "c").mkdir(parents=True)
    (folder / "a").mkdir()
    rows = [
        {"id": f"r{i % 60}", "text": f"第{i % 50}行，说的是{'甲乙丙丁'[i % 4]}。\n" * 20, "publisher": "某报"}
        for i in range(70)
    ]
    (folder / "b" / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    (folder / "b" / "c" / "文章.txt").write_text("一篇文章。\n　　它有两段，第二段稍长一些。" * 9, encoding="utf-8")
    (folder / "b.txt").write_text("根目录的文章。\n它有两段。", encoding="utf-8")
    (folder / "a" / "page.html").write_text("<h1>标题</h1><p>第一段。</p>", encoding="utf-8")
    text = io.StringIO()
    csv.writer(text).writerows([["id", "text"], *([f"c{i}", f"第{i}条，\n“第二行”。" * 20] for i in range(60))])
    (folder / "a" / "table.csv").write_text(text.getvalue(), encoding="utf-8")
    table = pa.Table.from_pylist([{"text": f"表里的第{i}句话，{i * i}。" * 30} for i in range(60)])
    pq.write_table(table, folder / "big.parquet", row_group_size=5, compression="none")
    pq.write_table(table.slice(0, 2), folder / "a" / "small.parquet")
    with zipfile.ZipFile(folder / "pages.zip", "w") as archive:
        archive.writestr("z.txt", "压缩包里的一篇。")
        archive.writestr("a.txt", "压缩包里的另一篇。")
    (folder / "empty.txt").touch()
    (folder / "binary.txt").write_bytes(bytes(range(256)) * 4)
    (folder / "photo.jpg").write_bytes(b"\xff\xd8")
    (folder / ".hidden.txt").write_text("看不见", encoding="utf-8")
    return folder


def upload(folder: Path, url: str) -> str:
    """Put a folder's files into the store."""
    filesystem, path = fsspec.core.url_to_fs(url)
    for file in folder.rglob("*"):
        if file.is_file():
            filesystem.pipe_file(f"{path}/{file.relative_to(folder).as_posix()}", file.read_bytes())
    return url


def local(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def stored(url: str) -> dict[str, str]:
    filesystem, path = fsspec.core.url_to_fs(url)
    return {
        name[len(path) + 1 :]: hashlib.sha256(filesystem.cat_file(name)).hexdigest() for name in filesystem.find(path)
    }


def run(source: str | Path, out: str | Path, watcher: Watcher | None = None, **options: Any) -> RunResult:
    settings = {"config": CLEAN_ONLY, "n_workers": 1, **options}
    return run_corpus(RunOptions([str(source)], out, **settings), watcher=watcher)


@pytest.mark.parametrize("file_format", ["parquet", "jsonl"])
@pytest.mark.parametrize("config", [CLEAN_ONLY, BOTH_PASSES], ids=["clean", "passes"])
def test_a_store_gives_and_gets_the_bytes_that_folders_do(
    heap: Path, tmp_path: Path, config: Config, file_format: str
) -> None:
    source = upload(heap, "testbucket://data/raw")
    result = run(heap, tmp_path / "out", config=config, file_format=file_format)
    assert len(plan_shards(list_input([source], tuple(READERS)).files)) > 10
    expected = local(tmp_path / "out")
    assert result.n_rejected == 2
    assert run(source, "testbucket://data/out", config=config, file_format=file_format) == result
    assert stored("testbucket://data/out") == expected
    assert run(source, tmp_path / "down", config=config, file_format=file_format) == result
    assert local(tmp_path / "down") == expected
    assert run(heap, "testbucket://data/up/", config=config, file_format=file_format) == result
    assert stored("testbucket://data/up") == expected


@pytest.mark.parametrize("config", [CLEAN_ONLY, BOTH_PASSES], ids=["clean", "passes"])
def test_workers_write_to_the_store_themselves(heap: Path, tmp_path: Path, config: Config) -> None:
    source = upload(heap, "testbucket://data/raw")
    run(heap, tmp_path / "out", config=config)
    run(source, "testbucket://data/out", config=config, n_workers=2)
    assert stored("testbucket://data/out") == local(tmp_path / "out")


def test_listing_is_that_of_a_folder(heap: Path, tmp_path: Path) -> None:
    upload(heap, "testbucket://data/raw")
    for pattern in ("", "/b.txt", "/*.txt", "/b/*", "/**/*.txt", "/[ab]", "/?/*.jsonl", "/.hidden*"):
        near = list_input([f"{heap}{pattern}"], tuple(READERS))
        far = list_input([f"testbucket://data/raw{pattern}"], tuple(READERS))
        assert [(file.origin, file.n_bytes) for file in far.files] == [
            (file.origin, file.n_bytes) for file in near.files
        ], pattern
        assert far.n_skipped == near.n_skipped, pattern


@pytest.mark.parametrize("name", ["nowhere", "raw/*.pdf", "raw/photo.jpg"])
def test_what_is_not_there_or_can_not_be_read_is_a_wrong_call(heap: Path, name: str) -> None:
    upload(heap, "testbucket://data/raw")
    with pytest.raises(ConfigError, match="INPUT testbucket://data"):
        run(f"testbucket://data/{name}", "testbucket://data/out")
    assert stored("testbucket://data/out") == {}


def test_the_output_is_no_input(heap: Path, tmp_path: Path) -> None:
    source = upload(heap, "testbucket://data/raw")
    run(heap, tmp_path / "out")
    for _ in range(2):
        run(source, f"{source}/out")
    assert stored(f"{source}/out") == local(tmp_path / "out")


class Listener(Watcher):
    def __init__(self) -> None:
        self.messages: list[str] = []

    def tell(self, message: str) -> None:
        self.messages.append(message)


class KilledError(BaseException):
    """Stands for a kill."""


OPERATIONS = ("write", "put", "remove", "read")


@pytest.mark.parametrize("at", [0, 1, 2, 5, 9, 20, 33, 60, 90, 120, 135, 150, 170, 190])
def test_a_run_killed_at_any_call_goes_on_to_the_same_bytes(
    heap: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    source = upload(heap, "testbucket://data/raw")
    run(heap, tmp_path / "whole", config=BOTH_PASSES)
    n_calls = 0

    def killing(operation: Any) -> Any:
        def call(*args: Any) -> Any:
            nonlocal n_calls
            n_calls += 1
            if n_calls > at:
                raise KilledError
            return operation(*args)

        return call

    with monkeypatch.context() as patch:
        for name in OPERATIONS:
            patch.setattr(
                pipeline.storage.bucket.RemoteFolder, name, killing(getattr(pipeline.storage.bucket.RemoteFolder, name))
            )
        with pytest.raises(KilledError):
            run(source, "testbucket://data/out", config=BOTH_PASSES)
    run(source, "testbucket://data/out", config=BOTH_PASSES)
    assert stored("testbucket://data/out") == local(tmp_path / "whole")


@pytest.fixture
def interrupted(heap: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The output of a run that was killed after two shards."""
    source = upload(heap, "testbucket://data/raw")
    annotate = pipeline.run.tasks.annotate_shard

    def annotate_two(shard: Any, *args: Any, **kwargs: Any) -> Any:
        if shard.index == 2:
            raise KilledError
        return annotate(shard, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(pipeline.run.tasks, "annotate_shard", annotate_two)
        with pytest.raises(KilledError):
            run(source, "testbucket://data/out")
    return source


def test_whole_shards_are_known_by_their_stamps_and_not_read_again(
    interrupted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline.run.state, "_digest", None)
    listener = Listener()
    run(interrupted, "testbucket://data/out", listener)
    assert listener.messages == ["resuming: 2 shards are done"]


def test_a_file_that_was_written_again_is_compared_and_one_that_differs_is_made_again(
    interrupted: str, heap: Path, tmp_path: Path
) -> None:
    folder = open_folder("testbucket://data/out")
    folder.write("documents-00000.parquet", folder.read("documents-00000.parquet"))
    folder.write("documents-00001.parquet", folder.read("documents-00001.parquet")[:-1])
    listener = Listener()
    run(interrupted, "testbucket://data/out", listener)
    assert listener.messages == ["resuming: 1 shards are done"]
    run(heap, tmp_path / "whole")
    assert stored("testbucket://data/out") == local(tmp_path / "whole")


def test_input_that_changed_is_noticed(interrupted: str) -> None:
    folder = open_folder(interrupted)
    folder.write("b.txt", folder.read("b.txt"))
    listener = Listener()
    run(interrupted, "testbucket://data/out", listener)
    assert listener.messages == ["input changed since the interrupted run: starting anew"]


def test_a_complete_run_has_nothing_to_do_until_something_changed(heap: Path) -> None:
    source = upload(heap, "testbucket://data/raw")
    run(source, "testbucket://data/out")
    before = stored("testbucket://data/out")
    assert run(source, "testbucket://data/out").was_complete
    folder = open_folder(source)
    folder.write("b.txt", "根目录的文章。\n它有三段。".encode())
    assert not run(source, "testbucket://data/out").was_complete
    assert stored("testbucket://data/out") != before


def test_fresh_deletes_what_a_run_left_and_nothing_else(heap: Path, tmp_path: Path) -> None:
    source = upload(heap, "testbucket://data/raw")
    folder = open_folder("testbucket://data/out")
    folder.write("README.md", b"mine")
    folder.write("more/documents-00000.parquet", b"mine, too")
    run(source, "testbucket://data/out", fresh=True)
    folder.write("documents-09999.parquet", b"of an earlier run")
    run(source, "testbucket://data/out", fresh=True)
    assert folder.read("more/documents-00000.parquet") == b"mine, too"
    run(heap, tmp_path / "out")
    found = stored("testbucket://data/out")
    del found["more/documents-00000.parquet"]
    assert found == local(tmp_path / "out")


def test_the_readme_of_a_folder_without_a_run_is_not_deleted_before_its_time(heap: Path) -> None:
    folder = open_folder("testbucket://data/out")
    folder.write("README.md", b"mine")
    with pytest.raises(ConfigError):
        run("testbucket://data/raw", "testbucket://data/out", fresh=True)
    assert folder.read("README.md") == b"mine"


def test_the_earlier_of_two_runs_ends(heap: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline.storage.bucket, "_CHECK_SECONDS", 0)
    folder = open_folder("testbucket://data/out")
    with folder.held() as check:
        check()
        with open_folder("testbucket://data/out").held() as check_second:
            check_second()
            with pytest.raises(PipelineError, match="another run has begun"):
                check()
    assert stored("testbucket://data/out") == {}


@pytest.mark.parametrize("step", ["scan_pieces", "replace_lost"])
def test_a_run_that_another_has_followed_leaves_the_other_s_state_alone(
    heap: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setattr(pipeline.storage.bucket, "_CHECK_SECONDS", 0 if step == "scan_pieces" else 1000)
    folder, call = open_folder("testbucket://data/out"), getattr(pipeline.run.first, step)

    def overtaken(*args: Any, **kwargs: Any) -> Any:
        folder.write(".zhcorpus-owner", b"the other")
        folder.write(".zhcorpus/state.json", b"of the other")
        return call(*args, **kwargs)

    monkeypatch.setattr(pipeline.run.first, step, overtaken)
    with pytest.raises(PipelineError, match="another run has begun"):
        run(heap, "testbucket://data/out", config=BOTH_PASSES)
    assert folder.read(".zhcorpus/state.json") == b"of the other"
    assert folder.read(".zhcorpus-owner") == b"the other"
    assert not folder.exists("manifest.json")


def test_standard_input_is_spooled_to_the_store(heap: Path, tmp_path: Path) -> None:
    rows = (heap / "b" / "rows.jsonl").read_bytes()
    for out in (tmp_path / "out", "testbucket://data/out"):
        run_corpus(RunOptions(["-"], out, CLEAN_ONLY, n_workers=1), io.BytesIO(rows))
    assert stored("testbucket://data/out") == local(tmp_path / "out")


def test_a_store_that_fails_for_a_while_costs_nothing_but_time(heap: Path, tmp_path: Path) -> None:
    source = upload(heap, "testbucket://data/raw")
    run(heap, tmp_path / "out")
    bucket.FAULTS += [ConnectionResetError("reset by peer"), TimeoutError("slow down"), RuntimeError("of a library")]
    run(source, tmp_path / "down")
    assert local(tmp_path / "down") == local(tmp_path / "out")


def test_a_store_that_can_not_be_reached_ends_the_run_and_is_not_taken_for_bad_input(heap: Path) -> None:
    source = upload(heap, "testbucket://data/raw")
    (file,) = list_input([f"{source}/b/rows.jsonl"], tuple(READERS)).files
    bucket.FAULTS += [ConnectionResetError("reset by peer")] * 4
    with pytest.raises(PipelineError, match=r"b/rows\.jsonl can't be read at byte 0 .ConnectionResetError: reset"):
        list(read_piece(file))


def test_a_refused_read_is_not_tried_again(heap: Path) -> None:
    source = upload(heap, "testbucket://data/raw")
    (file,) = list_input([f"{source}/b/rows.jsonl"], tuple(READERS)).files
    bucket.FAULTS += [PermissionError("Access Denied")]
    with pytest.raises(PipelineError, match="Access Denied"):
        list(read_piece(file))


@pytest.mark.parametrize("given", [lambda data, start, end: data, lambda data, start, end: b""], ids=["all", "none"])
def test_a_server_that_gives_no_ranges_ends_the_run(heap: Path, monkeypatch: pytest.MonkeyPatch, given: Any) -> None:
    source = upload(heap, "testbucket://data/raw")
    (file,) = list_input([f"{source}/b/rows.jsonl"], tuple(READERS)).files
    pieces = list(cut_file(file, 20_000))
    whole = open_folder(source).read("b/rows.jsonl")
    monkeypatch.setattr(bucket.Bucket, "cat_file", lambda _self, _path, start=None, end=None: given(whole, start, end))
    with pytest.raises(PipelineError, match=r"bytes came instead of"):
        list(read_piece(pieces[1]))


def test_a_bucket_that_may_not_be_made_may_be_written_to(heap: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused: list[str] = []

    def refuse_once(_self: Any, path: str, **_: Any) -> None:
        if not refused:
            refused.append(path)
            raise PermissionError("Access Denied")

    monkeypatch.setattr(bucket.Bucket, "makedirs", refuse_once)
    run(heap, "testbucket://data/out")
    assert refused == ["data/out"]
    assert "manifest.json" in stored("testbucket://data/out")


def test_a_file_that_is_gone_is_set_aside(heap: Path) -> None:
    source = upload(heap, "testbucket://data/raw")
    (file,) = list_input([f"{source}/b.txt"], tuple(READERS)).files
    open_folder(source).remove("b.txt")
    (found,) = read_piece(file)
    assert isinstance(found, Rejection)
    assert (found.code, "testbucket" in found.reason) == ("unreadable", False)


def test_a_range_of_a_large_file_is_all_that_is_read_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline.storage.remote, "_MIN_RANGE", 4096)
    monkeypatch.setattr(pipeline.storage.remote, "_MAX_RANGE", 16384)
    rows = "\n".join(json.dumps({"text": f"第{i}行。" * 50}, ensure_ascii=False) for i in range(2000))
    open_folder("testbucket://data").write("rows.jsonl", rows.encode())
    (file,) = list_input(["testbucket://data/rows.jsonl"], tuple(READERS)).files
    pieces = list(cut_file(file, 200_000))
    bucket.LOG.clear()
    assert len(list(read_piece(pieces[2]))) > 100
    ranges = [(start, end) for _, _, start, end in bucket.LOG]
    assert min(start for start, _ in ranges) == pieces[2].start
    assert max(end for _, end in ranges) - pieces[2].end < 2 << 20
    assert sum(end - start for start, end in ranges) < 2 * pieces[2].n_bytes


def test_ranges_grow_while_a_file_is_read_on_and_not_beyond_their_most() -> None:
    data = os.urandom(40 << 20)
    open_folder("testbucket://data").write("a.bin", data)
    file = open_folder("testbucket://data").file("a.bin")
    assert isinstance(file, RemoteFile)
    bucket.LOG.clear()
    with file.open() as stream:
        assert b"".join(iter(lambda: stream.read(100_000), b"")) == data
        sizes = [end - start for call, _, start, end in bucket.LOG if call == "cat"]
        assert max(sizes) == 8 << 20
        assert len(sizes) < 12
        bucket.LOG.clear()
        stream.seek(-5, os.SEEK_END)
        assert stream.read() == data[-5:]
        assert stream.seek(3 << 20) == 3 << 20
        assert stream.read(10) == data[3 << 20 : (3 << 20) + 10]
        assert [end - start for _, _, start, end in bucket.LOG] == [5, 1 << 20]


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("oss://bucket/in", "pip install ossfs"),
        ("gs://bucket/in", "pip install gcsfs"),
        ("nosuch://bucket/in", "no installed package opens nosuch://"),
        ("memory://in", "--workers 1"),
    ],
)
def test_a_protocol_that_can_not_be_opened_is_a_wrong_call(
    heap: Path, monkeypatch: pytest.MonkeyPatch, name: str, advice: str
) -> None:
    for package in ("ossfs", "gcsfs"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=advice):
        run(name, "testbucket://data/out", n_workers=2)
    with pytest.raises(ConfigError, match=advice):
        run(heap, name, n_workers=2)


def test_without_fsspec_a_url_is_a_wrong_call(heap: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline.storage.remote._filesystem.cache_clear()
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(ConfigError, match=r"fsspec is not installed; pip install 'zhcorpus\[cloud\]' s3fs"):
        run(heap, "s3://bucket/out")


def test_urls_of_this_machine_are_paths(heap: Path, tmp_path: Path) -> None:
    run(heap, tmp_path / "out")
    run(f"file://{heap}", f"file://{tmp_path}/other")
    assert local(tmp_path / "other") == local(tmp_path / "out")


def test_memory_is_a_store_for_one_process(heap: Path, tmp_path: Path) -> None:
    run(heap, tmp_path / "out")
    run(upload(heap, "memory://raw"), "memory://out")
    assert stored("memory://out") == local(tmp_path / "out")


@pytest.mark.parametrize("name", ["testbucket://data/raw/b.txt", "testbucket://data/out[1]", "testbucket:/data/out"])
def test_out_is_no_file_no_glob_and_no_half_of_a_url(heap: Path, name: str) -> None:
    upload(heap, "testbucket://data/raw")
    with pytest.raises(ConfigError, match="testbucket:"):
        run(heap, name)


def test_ahead_is_in_order_and_not_far_ahead() -> None:
    begun: list[int] = []

    def call(item: int) -> int:
        begun.append(item)
        time.sleep(0.001 * (item % 3))
        return item * item

    found = []
    for value in map_ahead(call, range(100), 4):
        found.append(value)
        assert len(begun) <= len(found) + 8
    assert found == [item * item for item in range(100)]


@pytest.mark.slow
def test_a_killed_command_goes_on(heap: Path, tmp_path: Path) -> None:
    (tmp_path / "clean.toml").write_text('stages = ["clean"]\n', encoding="utf-8")
    rows = [json.dumps({"id": i, "text": f"第{i}行，说的是{i * i}。\n" * 300}) for i in range(1000)]
    (heap / "large.jsonl").write_text("\n".join(rows), encoding="utf-8")
    source = upload(heap, "testbucket://data/raw")
    call = [
        sys.executable,
        "-c",
        "from pipeline.cli import main; main()",
        "run",
        source,
        "--out",
        "testbucket://data/out",
    ]
    call += ["--config", str(tmp_path / "clean.toml"), "--workers", "2"]
    environment = {**os.environ, "TMPDIR": str(tmp_path / "scratch")}
    (tmp_path / "scratch").mkdir()
    process = subprocess.Popen(call, env=environment, start_new_session=True, stderr=subprocess.DEVNULL)
    while process.poll() is None and not any(
        re.fullmatch(r"\.zhcorpus/\d{5}\.json", name) for name in stored("testbucket://data/out")
    ):  # of the first shard, all is there but the note until then
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    shutil.rmtree(tmp_path / "scratch")
    (tmp_path / "scratch").mkdir()
    done = subprocess.run(call, env=environment, capture_output=True, check=False)
    assert done.returncode == 1, done.stderr.decode()
    assert "resuming" in done.stderr.decode()
    call[4:7] = [str(heap), "--out", str(tmp_path / "out")]
    assert subprocess.run(call, env=environment, capture_output=True, check=False).returncode == 1
    assert stored("testbucket://data/out") == local(tmp_path / "out")
    assert list((tmp_path / "scratch").iterdir()) == []
