"""The local engine: shards on the processes of one machine."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from pipeline.errors import PipelineError
from pipeline.run.shards import Shard
from pipeline.run.tasks import Task, Work
from pipeline.run.watch import Progress

_POLL_SECONDS = 0.2
_MAX_MESSAGES = 1024
"""What workers have to say of their progress; a parent that does not listen makes them wait, not fill the memory."""


class Throttle:
    """Adds progress up, to tell of it a few times a second whatever the size of a batch.

    Parameters
    ----------
    progress : callable
        Is told of what was done since it was last told.
    """

    def __init__(self, progress: Progress) -> None:
        self.n_docs = self.n_bytes = 0
        self._progress = progress
        self._told = (0, 0)
        self._told_at = time.monotonic()

    def __call__(self, n_docs: int, n_bytes: int) -> None:
        """Count documents and bytes that were done."""
        self.n_docs += n_docs
        self.n_bytes += n_bytes
        if time.monotonic() - self._told_at >= _POLL_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Tell what was not told yet."""
        if self._told != (self.n_docs, self.n_bytes):
            self._progress(self.n_docs - self._told[0], self.n_bytes - self._told[1])
        self._told = (self.n_docs, self.n_bytes)
        self._told_at = time.monotonic()


class _Worker:
    """What a worker process holds: what `Task.open` loaded."""

    task: Task
    done: Any
    work: Work | None = None

    @classmethod
    def start(cls, task: Task, done: Any) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
        threading.Thread(target=_die_with_parent, daemon=True).start()
        cls.task, cls.done = task, done

    @classmethod
    def run(cls, shard: Shard) -> tuple[Any, int, int]:
        """Do a shard; get its result, and how many documents and bytes that was in all."""
        if cls.work is None:  # not in `start`: the pool would hide what went wrong
            cls.work = cls.task.open()
        progress = Throttle(lambda n_docs, n_bytes: cls.done.put((n_docs, n_bytes)))
        result = cls.work(shard, progress)
        return result, progress.n_docs, progress.n_bytes


def _die_with_parent() -> None:
    """End this process when its parent was killed: nobody waits for it, and the next run must not meet it."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextlib.contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back while processes are started: they inherit the mask and leave it to the parent for good."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def n_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_local(task: Task, shards: Sequence[Shard], n_workers: int | None, progress: Progress) -> Iterator[Any]:
    """Do shards on `n_workers` processes (None: one a core), in this one if one is enough.

    Yields
    ------
    ShardNote, or whatever else the task gives
        In the order in which shards get done.

    Raises
    ------
    PipelineError
        If a worker was killed.
    """
    n_workers = min(n_workers or n_cores(), len(shards))
    if n_workers > 1:
        yield from _run_pool(task, shards, n_workers, progress)
    elif shards:
        work = task.open()
        for shard in shards:
            yield work(shard, progress)


def _run_pool(task: Task, shards: Sequence[Shard], n_workers: int, progress: Progress) -> Iterator[Any]:
    # spawned, not forked: threads of numba and Arrow do not survive a fork
    context = multiprocessing.get_context("spawn")
    done = context.Queue(_MAX_MESSAGES)
    pool = ProcessPoolExecutor(n_workers, context, _Worker.start, (task, done))
    waiting = deque(shards)
    pending: set[Future[Any]] = set()
    told, found = Throttle(progress), Throttle(lambda n_docs, n_bytes: None)
    try:
        while waiting or pending:
            _submit(pool, waiting, pending, 2 * n_workers)
            finished, pending = wait(pending, timeout=_POLL_SECONDS, return_when=FIRST_COMPLETED)
            _drain(done, told)
            for future in finished:
                result, n_docs, n_bytes = future.result()
                found(n_docs, n_bytes)
                yield result
        told(found.n_docs - told.n_docs, found.n_bytes - told.n_bytes)  # the last messages come too late
        told.flush()
    except BrokenProcessPool as error:
        raise PipelineError(
            "a worker process was killed, probably for memory; run the same command again with fewer --workers: "
            "it goes on after the last whole shard"
        ) from error
    finally:
        for process in (pool._processes or {}).values():
            if waiting or pending:
                process.terminate()
        pool.shutdown(wait=True, cancel_futures=True)


def _submit(pool: ProcessPoolExecutor, waiting: deque[Shard], pending: set[Future[Any]], n_most: int) -> None:
    """Hand out shards until `n_most` are out: as many again as are worked on, so that no worker waits."""
    with _deaf_to_interrupts():
        while waiting and len(pending) < n_most:
            pending.add(pool.submit(_Worker.run, waiting.popleft()))


def _drain(done: Any, progress: Progress) -> None:
    while True:
        try:
            progress(*done.get_nowait())
        except queue.Empty:
            return
