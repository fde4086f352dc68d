"""The local engine: shards on the processes of one machine."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pipeline.config import Config
from pipeline.errors import PipelineError
from pipeline.pipe import Pipeline
from pipeline.run.shards import Progress, Shard, ShardNote, annotate_shard

_POLL_SECONDS = 0.2


Work = Callable[[Shard, Progress], Any]
"""What is done with each shard."""


class Task(Protocol):
    """What a worker is sent: it must survive pickling, and `open` loads what it needs, once a process."""

    def open(self) -> Work:
        """Get ready; get what does a shard."""


@dataclass(frozen=True)
class Job:
    """To annotate shards: what a worker needs besides the shard."""

    config: Config
    out: Path
    work: Path
    file_format: str
    keep_source: bool

    def open(self) -> Callable[[Shard, Progress], ShardNote]:
        """Load the models."""
        pipeline = Pipeline(self.config)

        def annotate(shard: Shard, progress: Progress) -> ShardNote:
            return annotate_shard(
                shard, pipeline, self.out, self.work, self.file_format, progress, keep_source=self.keep_source
            )

        return annotate


class _Worker:
    """What a worker process holds: what `Task.open` loaded."""

    work: Work
    done: Any

    @classmethod
    def start(cls, task: Task, done: Any) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
        cls.work, cls.done = task.open(), done

    @classmethod
    def run(cls, shard: Shard) -> Any:
        return cls.work(shard, lambda n_docs, n_bytes: cls.done.put((n_docs, n_bytes)))


def n_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_local(task: Task, shards: Sequence[Shard], n_workers: int, progress: Progress) -> Iterator[Any]:
    """Do shards on `n_workers` processes, in this one if one is enough.

    Yields
    ------
    ShardNote, or whatever else the task gives
        In the order in which shards get done.

    Raises
    ------
    PipelineError
        If a worker was killed.
    """
    if min(n_workers, len(shards)) <= 1:
        if shards:
            work = task.open()
            for shard in shards:
                yield work(shard, progress)
        return
    # spawned, not forked: threads of numba and Arrow do not survive a fork
    context = multiprocessing.get_context("spawn")
    done = context.Queue()
    pool = ProcessPoolExecutor(min(n_workers, len(shards)), context, _Worker.start, (task, done))
    try:
        pending: set[Future[Any]] = {pool.submit(_Worker.run, shard) for shard in shards}
        while pending:
            finished, pending = wait(pending, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
            _drain(done, progress)
            for future in finished:
                yield future.result()
    except BrokenProcessPool as error:
        raise PipelineError(
            "a worker process was killed, probably for memory; run the same command again with fewer --workers: "
            "it goes on after the last whole shard"
        ) from error
    finally:
        for process in (pool._processes or {}).values():
            if pending:
                process.terminate()
        pool.shutdown(wait=True, cancel_futures=True)


def _drain(done: Any, progress: Progress) -> None:
    while True:
        try:
            progress(*done.get_nowait())
        except queue.Empty:
            return
