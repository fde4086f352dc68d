"""The first pass over the corpus, if a config asks for it: scans of all shards, merged to templates and duplicates.

Each shard's scan is a folder that gets its name when it is whole, so that an interrupted pass goes on where it stopped.
Duplicates have a second word: where a stage sets aside the document that was to be kept, another takes its place.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import orjson
from numpy.typing import NDArray

from pipeline.config import Config
from pipeline.passes.count import count_templates
from pipeline.passes.duplicates import Link, find_duplicates, links_from_lines, links_to_lines
from pipeline.passes.scan import ROWS, Scan, open_scans, scan_pieces
from pipeline.passes.tally import to_lines
from pipeline.run.engines import Run
from pipeline.run.shards import FIRST_PASS, Shard, ShardNote, links_name
from pipeline.run.tasks import TEMPLATES, Job, Work
from pipeline.run.watch import Progress, Watcher
from pipeline.storage import Folder, map_ahead, read_each, write_each


@dataclass(frozen=True)
class ScanTask:
    """To scan shards: what a worker needs besides the shard."""

    folder: Folder
    templates: bool
    duplicates: bool

    def open(self) -> Work:
        """Get what scans a shard."""

        def scan(shard: Shard, progress: Progress) -> None:
            draft = self.folder.disk / f"{shard.name}.draft"
            shutil.rmtree(draft, ignore_errors=True)
            scan_pieces(shard.pieces, draft, templates=self.templates, duplicates=self.duplicates, progress=progress)
            self.folder.put_tree(draft, shard.name)

        return scan


def run_first_pass(config: Config, shards: Sequence[Shard], work: Folder, run: Run, watcher: Watcher) -> Config:
    """Make the tables that need the whole corpus, unless they are there.

    Parameters
    ----------
    config : Config
    shards : sequence of Shard
        All of the input.
    work : Folder
        The run's work folder.
    run : callable
        The engine.
    watcher : Watcher

    Returns
    -------
    Config
        With the stage ``templates`` behind clean, if the config uses templates.
    """
    folder = work.sub(FIRST_PASS)
    if (config.templates.is_on or config.duplicates.is_on) and not folder.exists("done"):
        folder.make()
        _make_tables(config, shards, folder, run, watcher)
        folder.write("done", b"")
        for shard in shards:
            _clear(folder, shard, keeps_signatures=config.duplicates.is_on)
    if not config.templates.is_on:
        return config
    stages = tuple(name for name in config.stages if name != "templates")
    return replace(config, stages=(stages[0], "templates", *stages[1:]))


def _clear(folder: Folder, shard: Shard, *, keeps_signatures: bool) -> None:
    """Delete what is no longer needed of a scan; `replace_lost` may need the signatures."""
    if not keeps_signatures:
        folder.drop_tree(shard.name)
        return
    for name in ROWS:
        for path in folder.tree(shard.name).glob(f"{name}.*"):
            path.unlink()


def _make_tables(config: Config, shards: Sequence[Shard], folder: Folder, run: Run, watcher: Watcher) -> None:
    counts = config.templates.file is None and config.templates.is_on
    scans: list[Scan] = []
    if counts or config.duplicates.is_on:
        todo = [shard for shard in shards if not folder.has_tree(shard.name)]
        task = ScanTask(folder, counts, config.duplicates.is_on)
        watcher.begin("first pass", sum(shard.n_bytes for shard in todo))
        for _ in run(task, todo, watcher.advance):
            pass
        scans = _open_scans(folder, shards)
    if counts:
        table = count_templates(scans, config.templates, folder.disk)
        folder.write(TEMPLATES, b"".join(to_lines(list(table.records()))))
    elif config.templates.file is not None:
        folder.write(TEMPLATES, config.templates.file.read_bytes())
    if config.duplicates.is_on:
        links = (links_to_lines(links) for links in find_duplicates(scans, config.duplicates.threshold))
        write_each(folder, zip((links_name(shard.index) for shard in shards), links, strict=True))


def _open_scans(folder: Folder, shards: Sequence[Shard]) -> list[Scan]:
    """Get the scans of all shards, on this machine."""
    return open_scans(list(map_ahead(folder.tree, [shard.name for shard in shards], folder.n_streams)))


def read_all_links(work: Folder, indices: Iterable[int]) -> list[dict[int, Link]]:
    """Get the duplicates of shards, each by position."""
    names = (links_name(index) for index in indices)
    return [links_from_lines(data) for data in read_each(work.sub(FIRST_PASS), names)]


def run_shards(
    run: Run, job: Job, shards: Sequence[Shard], todo: Sequence[Shard], watcher: Watcher
) -> Iterator[ShardNote]:
    """Annotate shards, and again those in which another document is kept than was foreseen.

    Parameters
    ----------
    run : callable
        The engine.
    job : Job
    shards, todo : sequence of Shard
        All of the input, and what is not done yet.
    watcher : Watcher

    Yields
    ------
    ShardNote
        In the order in which shards get done; the last one of a shard counts.
    """
    watcher.begin("annotating", sum(shard.n_bytes for shard in todo))
    yield from run(job, todo, watcher.advance)
    while again := replace_lost(job, shards):
        watcher.begin("annotating again", sum(shard.n_bytes for shard in again))
        yield from run(job, again, watcher.advance)


def replace_lost(job: Job, shards: Sequence[Shard]) -> list[Shard]:
    """Decide on the duplicates anew if a document that was to be kept was set aside; get the shards to do again.

    The outcome depends on what was set aside alone: it is as if those documents were no part of the input.

    Parameters
    ----------
    job : Job
        Its shards are all done.
    shards : sequence of Shard
        All of the input.

    Returns
    -------
    list of Shard
        They count as not done: their notes are gone. None, if nothing changed.
    """
    if not job.config.duplicates.is_on:
        return []
    folder = job.work.sub(FIRST_PASS)
    old = read_all_links(job.work, [shard.index for shard in shards])
    scans = _open_scans(folder, shards)
    written = read_each(job.work, [f"{shard.name}.positions" for shard in shards])
    lost = [_lost(job, data, scan, list(own)) for data, scan, own in zip(written, scans, old, strict=True)]
    places = {(shard.index, position) for shard, (_, own) in zip(shards, lost, strict=True) for position in own}
    if not any((link.shard, link.kept_position) in places for own in old for link in own.values()):
        return []
    numbers = np.concatenate([docs for docs, _ in lost])
    again = []
    for shard, own, links in zip(
        shards, old, find_duplicates(scans, job.config.duplicates.threshold, numbers), strict=True
    ):
        if own != {link.position: link for link in links}:
            _undo(job, shard)  # before its links change: a run that is killed here does it again
            folder.write(links_name(shard.index), links_to_lines(links))
            again.append(shard)
    return again


def _lost(job: Job, positions: bytes, scan: Scan, linked: Sequence[int]) -> tuple[NDArray[np.int64], list[int]]:
    """The documents of a shard that were read and are neither written nor dropped: numbers, positions."""
    position = np.array(scan.array("docs")["position"])
    written = np.frombuffer(positions, dtype=np.int64)
    dropped = linked if job.config.duplicates.mode == "drop" else []
    here = np.flatnonzero(~np.isin(position, written) & ~np.isin(position, dropped))
    return here + scan.first, position[here].tolist()


def _undo(job: Job, shard: Shard) -> None:
    note = f"{shard.name}.json"
    files = orjson.loads(job.work.read(note))["files"]
    job.work.remove(note)
    for name in files:
        job.out.remove(name)
