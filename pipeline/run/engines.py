"""The engines: ways to hand out shards, all with the same result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pipeline.errors import ConfigError
from pipeline.run.cluster import run_ray
from pipeline.run.local import run_local
from pipeline.run.shards import Shard
from pipeline.run.tasks import Task
from pipeline.run.watch import Progress

ENGINES = {"local": run_local, "ray": run_ray}

Run = Callable[[Task, Sequence[Shard], Progress], Iterator[Any]]
"""Does shards; yields what comes of each, in the order in which they get done."""


def choose_engine(name: str, n_workers: int | None) -> Run:
    """Get an engine by name, for `n_workers` workers; None for one a core."""
    if name not in ENGINES:
        raise ConfigError(f"--engine {name}: known engines are {', '.join(ENGINES)}")

    def run(task: Task, shards: Sequence[Shard], progress: Progress) -> Iterator[Any]:
        return ENGINES[name](task, shards, n_workers, progress)

    return run
