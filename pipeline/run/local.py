"""The local engine: shards on the processes of one machine."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config import Config
from pipeline.errors import PipelineError
from pipeline.pipe import Pipeline
from pipeline.run.shards import Progress, Shard, ShardNote, annotate_shard

_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Job:
    """What a worker needs besides the shard."""

    config: Config
    out: Path
    work: Path
    file_format: str
    keep_source: bool

    def annotate(self, shard: Shard, pipeline: Pipeline, progress: Progress) -> ShardNote:
        """Run one shard."""
        return annotate_shard(
            shard, pipeline, self.out, self.work, self.file_format, progress, keep_source=self.keep_source
        )


class _Worker:
    """What a worker process holds: the models, loaded once."""

    job: Job
    pipeline: Pipeline
    done: Any

    @classmethod
    def start(cls, job: Job, done: Any) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
        cls.job, cls.pipeline, cls.done = job, Pipeline(job.config), done

    @classmethod
    def annotate(cls, shard: Shard) -> ShardNote:
        return cls.job.annotate(shard, cls.pipeline, lambda n_docs, n_bytes: cls.done.put((n_docs, n_bytes)))


def n_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_local(job: Job, shards: Sequence[Shard], n_workers: int, progress: Progress) -> Iterator[ShardNote]:
    """Annotate shards on `n_workers` processes, in this one if one is enough.

    Yields
    ------
    ShardNote
        In the order in which shards get done.

    Raises
    ------
    PipelineError
        If a worker was killed.
    """
    if min(n_workers, len(shards)) <= 1:
        if shards:
            pipeline = Pipeline(job.config)
            for shard in shards:
                yield job.annotate(shard, pipeline, progress)
        return
    # spawned, not forked: threads of numba and Arrow do not survive a fork
    context = multiprocessing.get_context("spawn")
    done = context.Queue()
    pool = ProcessPoolExecutor(min(n_workers, len(shards)), context, _Worker.start, (job, done))
    try:
        pending: set[Future[ShardNote]] = {pool.submit(_Worker.annotate, shard) for shard in shards}
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
