"""What is done with shards, whatever engine hands them out."""

from __future__ import annotations

import gc
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from pipeline.config import Config
from pipeline.errors import PipelineError
from pipeline.pipe import Pipeline
from pipeline.run.shards import FIRST_PASS, Shard, ShardNote, annotate_shard
from pipeline.run.watch import Progress
from pipeline.storage import Folder
from pipeline.weights import model_digest

TEMPLATES = "templates.jsonl"

_MANY_OBJECTS = 20_000
"""New objects after which the collector looks for rings among them: a batch of documents has thousands and no ring."""

Work = Callable[[Shard, Progress], Any]
"""What is done with each shard."""


class Task(Protocol):
    """What a worker is sent: it must survive pickling, and `open` loads what it needs, once a process."""

    def open(self) -> Work:
        """Get ready; get what does a shard."""


@dataclass(frozen=True)
class Job:
    """To annotate shards: what a worker needs besides the shard.

    Parameters
    ----------
    config : Config
    out, work : Folder
    file_format : str
    keep_source : bool
    models : mapping of str to str
        Digest of each stage's model, which the worker must find, too.
    """

    config: Config
    out: Folder
    work: Folder
    file_format: str
    keep_source: bool
    models: Mapping[str, str]

    def open(self) -> Callable[[Shard, Progress], ShardNote]:
        """Load the models.

        Raises
        ------
        PipelineError
            If the output folder or the models are not the ones that the run was begun with.
        """
        self._check()
        pipeline = Pipeline(self._with_templates())
        gc.freeze()  # the collector need not look through modules and models again and again
        gc.set_threshold(_MANY_OBJECTS)

        def annotate(shard: Shard, progress: Progress) -> ShardNote:
            return annotate_shard(
                shard, pipeline, self.out, self.work, self.file_format, progress, keep_source=self.keep_source
            )

        return annotate

    def _with_templates(self) -> Config:
        """The config, with the path of what the first pass counted, if it did."""
        if not self.config.templates.is_on:
            return self.config
        file = self.work.sub(FIRST_PASS).fetch(TEMPLATES)
        return replace(self.config, templates=replace(self.config.templates, file=file))

    def _check(self) -> None:
        if not self.work.is_there():
            raise PipelineError(
                f"{socket.gethostname()} has no folder {self.work}; --out must lie on a filesystem that all nodes "
                "share, or in an object store"
            )
        for name, folder in self.config.model_folders().items():
            if name in self.models and model_digest(folder) != self.models[name]:
                raise PipelineError(
                    f"{socket.gethostname()} has another model in {folder} than the run was begun with; "
                    "install the same one on all nodes"
                )
