"""The Ray engine against the local one: the same bytes, whatever happens to its workers and nodes."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import pipeline.run.cluster
import pipeline.run.shards
from pipeline.config import Config
from pipeline.errors import PipelineError
from pipeline.run import RunOptions, RunResult, run_corpus
from pipeline.run.shards import Shard
from pipeline.run.tasks import Job, Work
from pipeline.run.watch import Progress, Watcher

pytestmark = pytest.mark.slow
ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'zhcorpus[ray]'")

SETTINGS = {"include_dashboard": False, "object_store_memory": 80 << 20}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes of one CPU each on this machine."""
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, **SETTINGS})
    nodes.add_node(num_cpus=1, object_store_memory=80 << 20)
    ray.init(nodes.address, log_to_driver=False, logging_level="ERROR")
    yield nodes
    ray.shutdown()
    nodes.shutdown()


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline.run.shards, "MIN_SHARD_BYTES", 1 << 20)


@pytest.fixture(scope="module")
def heap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("heap")
    rows = (json.dumps({"id": i % 900, "text": f"第{i}篇。\n它有两段，第二段稍长。" * 300}) for i in range(1000))
    (folder / "rows.jsonl").write_text("\n".join(rows), encoding="utf-8")
    (folder / "empty.txt").touch()
    return folder


def run(heap: Path, out: Path, engine: str, watcher: Watcher | None = None, **settings: Any) -> RunResult:
    config = Config(stages=("clean",))
    return run_corpus(RunOptions([str(heap)], out, config, engine=engine, n_workers=2, **settings), watcher=watcher)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def expected(heap: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("local") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline.run.shards, "MIN_SHARD_BYTES", 1 << 20)
        run(heap, out, "local")
    files = contents(out)
    assert len(files) > 8
    return files


def test_the_bytes_are_those_of_the_local_engine(
    cluster: Any, heap: Path, tmp_path: Path, expected: dict[str, bytes]
) -> None:
    result = run(heap, tmp_path / "out", "ray")
    assert (result.n_written, result.n_rejected) == (1000, 1)
    assert contents(tmp_path / "out") == expected


@dataclass(frozen=True)
class Fatal:
    """A job that kills its own process at a shard, as often as it may."""

    job: Job
    marks: Path
    n_times: int

    @property
    def config(self) -> Config:
        return self.job.config

    def open(self) -> Work:
        work = self.job.open()

        def annotate(shard: Shard, progress: Progress) -> Any:
            n_marks = len(list(self.marks.iterdir()))
            if shard.index == 2 and n_marks < self.n_times:
                (self.marks / str(n_marks)).touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return work(shard, progress)

        return annotate


@pytest.fixture
def fatal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make the runner's jobs fatal, so and so often."""
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # tests are not importable by workers
    (tmp_path / "marks").mkdir()

    def arm(n_times: int) -> None:
        monkeypatch.setattr(pipeline.run, "Job", lambda *args: Fatal(Job(*args), tmp_path / "marks", n_times))

    yield arm
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def test_a_killed_worker_costs_nothing_but_time(
    cluster: Any, heap: Path, tmp_path: Path, expected: dict[str, bytes], fatal: Any
) -> None:
    fatal(2)
    run(heap, tmp_path / "out", "ray")
    assert len(list((tmp_path / "marks").iterdir())) == 2
    assert contents(tmp_path / "out") == expected


def test_a_shard_that_kills_every_worker_ends_the_run_and_a_rerun_goes_on(
    cluster: Any, heap: Path, tmp_path: Path, expected: dict[str, bytes], fatal: Any
) -> None:
    fatal(pipeline.run.cluster.MAX_LOSSES)
    with pytest.raises(PipelineError, match=r"shard 2 .rows\.jsonl#"):
        run(heap, tmp_path / "out", "ray")
    run(heap, tmp_path / "out", "ray")
    assert contents(tmp_path / "out") == expected


def test_an_error_of_a_worker_is_told_as_it_is(
    cluster: Any, heap: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline.run.cluster, "versions", lambda: {"numpy": "0"})
    with pytest.raises(PipelineError, match=r"other versions of .*numpy"):
        run(heap, tmp_path / "out", "ray")


class Remover(Watcher):
    """Takes a node away for good when the first shard is done."""

    def __init__(self, cluster: Any) -> None:
        self.cluster = cluster
        self.is_done = False

    def advance(self, n_docs: int, n_bytes: int) -> None:
        if not self.is_done:
            self.is_done = True
            self.cluster.remove_node(self.cluster.list_all_nodes()[-1], allow_graceful=False)


def test_a_run_survives_a_node_that_is_gone_for_good(  # the last test: the cluster is smaller afterwards
    cluster: Any, heap: Path, tmp_path: Path, expected: dict[str, bytes]
) -> None:
    run(heap, tmp_path / "out", "ray", Remover(cluster))
    assert contents(tmp_path / "out") == expected
