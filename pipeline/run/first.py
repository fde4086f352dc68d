"""The first pass over the corpus, if a config asks for it: scans of all shards, merged to templates and duplicates.

Each shard's scan is a folder that gets its name when it is whole, so that an interrupted pass goes on where it stopped.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.config import Config
from pipeline.passes.count import count_templates
from pipeline.passes.duplicates import find_duplicates, write_links
from pipeline.passes.scan import Scan, open_scans, scan_pieces
from pipeline.passes.tally import to_lines
from pipeline.run.local import Work, run_local
from pipeline.run.shards import FIRST_PASS, Progress, Shard, links_path, write_whole

TEMPLATES = "templates.jsonl"


@dataclass(frozen=True)
class ScanTask:
    """To scan shards: what a worker needs besides the shard."""

    folder: Path
    templates: bool
    duplicates: bool

    def open(self) -> Work:
        """Get what scans a shard."""

        def scan(shard: Shard, progress: Progress) -> None:
            draft = self.folder / f"{shard.name}.draft"
            shutil.rmtree(draft, ignore_errors=True)
            scan_pieces(shard.pieces, draft, templates=self.templates, duplicates=self.duplicates, progress=progress)
            draft.rename(self.folder / shard.name)

        return scan


def run_first_pass(config: Config, shards: Sequence[Shard], work: Path, n_workers: int) -> Config:
    """Make the tables that need the whole corpus, unless they are there.

    Parameters
    ----------
    config : Config
    shards : sequence of Shard
        All of the input.
    work : Path
        The run's work folder.
    n_workers : int

    Returns
    -------
    Config
        With the stage ``templates`` behind clean, and its file, if the config uses templates.
    """
    folder = work / FIRST_PASS
    if (config.templates.is_on or config.duplicates.is_on) and not (folder / "done").exists():
        folder.mkdir(exist_ok=True)
        _make_tables(config, shards, work, n_workers)
        write_whole(folder / "done", b"")
        for shard in shards:
            shutil.rmtree(folder / shard.name, ignore_errors=True)
    if not config.templates.is_on:
        return config
    stages = tuple(name for name in config.stages if name != "templates")
    return replace(
        config,
        stages=(stages[0], "templates", *stages[1:]),
        templates=replace(config.templates, file=folder / TEMPLATES),
    )


def _make_tables(config: Config, shards: Sequence[Shard], work: Path, n_workers: int) -> None:
    folder = work / FIRST_PASS
    counts = config.templates.file is None and config.templates.is_on
    scans: list[Scan] = []
    if counts or config.duplicates.is_on:
        todo = [shard for shard in shards if not (folder / shard.name).is_dir()]
        task = ScanTask(folder, counts, config.duplicates.is_on)
        for _ in run_local(task, todo, n_workers, lambda n_docs, n_bytes: None):
            pass
        scans = open_scans([folder / shard.name for shard in shards])
    if counts:
        table = count_templates(scans, config.templates, folder)
        write_whole(folder / TEMPLATES, b"".join(to_lines(list(table.records()))))
    elif config.templates.file is not None:
        write_whole(folder / TEMPLATES, config.templates.file.read_bytes())
    if config.duplicates.is_on:
        for shard, links in zip(shards, find_duplicates(scans, config.duplicates.threshold), strict=True):
            write_links(links_path(work, shard.index), links)
