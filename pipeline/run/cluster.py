"""The Ray engine: shards on the actors of a cluster.

Every actor loads the models once; the driver holds the queue of shards and gives the next one to whichever actor is
free. An actor that dies is started again by Ray where there is room; the shard that it had goes back to the head of the
queue. As everywhere, a shard counts when its note is written, so that no death costs more than the shards in work.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from typing import Any

from pipeline.errors import ConfigError, PipelineError
from pipeline.run.local import n_cores
from pipeline.run.shards import Shard
from pipeline.run.state import versions
from pipeline.run.tasks import Task, Work
from pipeline.run.watch import Progress

MAX_LOSSES = 3
"""A shard whose worker died so often is at fault itself, most probably for memory."""

PATIENCE_SECONDS = 600
"""So long a run waits for a cluster that gives it no worker: nodes may have to be started first."""

_STORE_BYTES = 100 << 20
"""Shards travel as paths; a Ray started for this run alone needs next to no object store."""


class _Worker:
    """An actor: what `Task.open` loaded, kept for all the shards that it is given."""

    def __init__(self, task: Task, expected: dict[str, str]) -> None:
        self._task, self._expected = task, expected
        self._work: Work | None = None

    def open(self) -> Work:
        if self._work is None:
            found = versions()
            if found != self._expected:
                differ = sorted(name for name in found if found[name] != self._expected.get(name))
                raise PipelineError(
                    f"a node has other versions of {', '.join(differ)} than the driver; install the same on all nodes"
                )
            self._work = self._task.open()
        return self._work

    def ready(self) -> None:
        self.open()

    def run(self, shard: Shard) -> tuple[Any, int, int]:
        """Do a shard; get its result, and how many documents and bytes that was."""
        done: Counter[str] = Counter()
        result = self.open()(shard, lambda n_docs, n_bytes: done.update(docs=n_docs, bytes=n_bytes))
        return result, done["docs"], done["bytes"]


def run_ray(task: Task, shards: Sequence[Shard], n_workers: int | None, progress: Progress) -> Iterator[Any]:
    """Do shards on `n_workers` actors (None: one a CPU of the cluster).

    Yields
    ------
    ShardNote, or whatever else the task gives
        In the order in which shards get done.

    Raises
    ------
    ConfigError
        If Ray is not installed.
    PipelineError
        If a worker failed, or a shard was lost `MAX_LOSSES` times, or there is no worker for `PATIENCE_SECONDS`.
    """
    if not shards:
        return
    ray = _connect(n_workers)
    crew = _Crew(ray, task, shards, min(n_workers or int(ray.cluster_resources().get("CPU", 1)), len(shards)))
    try:
        for result, n_docs, n_bytes in crew.run():
            progress(n_docs, n_bytes)
            yield result
    finally:
        crew.dismiss()


def _connect(n_workers: int | None) -> Any:
    """Get Ray, joined to the cluster that there is, or else started on this machine."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would call home
    try:
        import ray  # noqa: PLC0415 (an extra; and slow to import)
    except ImportError as error:
        raise ConfigError("--engine ray: Ray is not installed; pip install 'zhcorpus[ray]'") from error
    if ray.is_initialized():
        return ray
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        ray.init(os.environ.get("RAY_ADDRESS", "auto"), **quiet)
    except ConnectionError as error:
        if "RAY_ADDRESS" in os.environ:
            raise PipelineError(f"no Ray cluster answers at {os.environ['RAY_ADDRESS']}: {error}") from error
        own = {"num_cpus": n_workers or n_cores(), "object_store_memory": _STORE_BYTES, "include_dashboard": False}
        ray.init("local", **own, **quiet)
    return ray


class _Crew:
    """The actors, what each of them is at, and the shards that are left."""

    def __init__(self, ray: Any, task: Task, shards: Sequence[Shard], n_workers: int) -> None:
        self._ray = ray
        self._waiting = deque(shards)
        self._n_left = len(shards)
        self._losses: Counter[int] = Counter()
        actor = ray.remote(_with_retries(ray)).options(
            num_cpus=1, max_restarts=-1, max_task_retries=-1, scheduling_strategy="SPREAD"
        )
        self._actors = [actor.remote(task, versions()) for _ in range(n_workers)]
        self._idle: list[Any] = []
        self._at: dict[Any, tuple[Any, Shard | None]] = {}
        for each in self._actors:
            self._await(each)

    def _await(self, actor: Any) -> None:
        """Wait for an actor to be there, however often it has to be started: that is Ray's to repeat."""
        self._at[actor.ready.remote()] = (actor, None)

    def _give(self, actor: Any, shard: Shard) -> None:
        self._at[actor.run.remote(shard)] = (actor, shard)

    def run(self) -> Iterator[tuple[Any, int, int]]:
        """Yield what comes of each shard, and how many documents and bytes it had."""
        while self._n_left:
            while self._waiting and self._idle:
                self._give(self._idle.pop(), self._waiting.popleft())
            for reference in self._wait():
                actor, shard = self._at.pop(reference)
                result = self._get(reference, actor, shard)
                if result is not None:
                    self._n_left -= 1
                    yield result

    def _wait(self) -> list[Any]:
        """Get what has ended; there is no hurry while some actor is at a shard."""
        while True:
            ready, _ = self._ray.wait(list(self._at), timeout=PATIENCE_SECONDS)
            if ready:
                return list(ready)
            if all(shard is None for _, shard in self._at.values()):
                raise PipelineError(
                    f"the Ray cluster gave no worker for {PATIENCE_SECONDS} s; see `ray status` for its free CPUs, "
                    "and run the same command again: it goes on after the last whole shard"
                )

    def _get(self, reference: Any, actor: Any, shard: Shard | None) -> tuple[Any, int, int] | None:
        """Get the result of a shard, None if the actor has only become ready or was lost."""
        errors = self._ray.exceptions
        try:
            result: tuple[Any, int, int] | None = self._ray.get(reference)
        except errors.RayTaskError as error:
            raise _own_error(error) from error
        except (errors.RayActorError, errors.OutOfMemoryError, errors.WorkerCrashedError) as error:
            self._lose(shard, error)
            self._await(actor)
            return None
        self._idle.append(actor)
        return result

    def _lose(self, shard: Shard | None, error: BaseException) -> None:
        """Put the shard of a dead actor back to the head of the queue."""
        if shard is None:
            raise PipelineError(f"a Ray worker can't be started: {error}") from error
        self._losses[shard.index] += 1
        if self._losses[shard.index] >= MAX_LOSSES:
            raise PipelineError(
                f"workers died {MAX_LOSSES} times over shard {shard.index} ({shard.origins[0]}), probably for memory; "
                "run the same command again with fewer --workers: it goes on after the last whole shard"
            ) from error
        self._waiting.appendleft(shard)

    def dismiss(self) -> None:
        """End the actors, whatever they are at."""
        for actor in self._actors:
            self._ray.kill(actor)


def _with_retries(ray: Any) -> type[_Worker]:
    """Get the class of the actors; Ray repeats getting ready, but a lost shard may go to another actor at once."""

    class Worker(_Worker):
        run = ray.method(max_task_retries=0)(_Worker.run)

    return Worker


def _own_error(error: Any) -> BaseException:
    """The error that a worker raised, without Ray's wrapping."""
    cause = error.cause
    if isinstance(cause, (PipelineError, OSError)):
        return cause
    return PipelineError(f"a worker failed: {error}")
