"""The runner: a folder of articles in, a corpus out; resumable, and the same bytes every time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from pipeline.config import Config
from pipeline.errors import ConfigError
from pipeline.passes.templates import read_templates
from pipeline.readers import READERS
from pipeline.readers.sources import Listing, Piece, list_input
from pipeline.run.engines import Run, choose_engine
from pipeline.run.finish import finish_run
from pipeline.run.first import run_first_pass, run_shards
from pipeline.run.shards import Shard, plan_shards
from pipeline.run.state import SPOOL, RunState, fingerprint, open_run
from pipeline.run.tasks import Job, Task
from pipeline.run.watch import Progress, Watcher
from pipeline.stage import check_order
from pipeline.storage import Check, Folder, open_folder
from pipeline.writers import FORMATS

__all__ = ["RunOptions", "RunResult", "run_corpus"]


@dataclass(frozen=True)
class RunOptions:
    """What `zhcorpus run` was asked for.

    Parameters
    ----------
    inputs : sequence of str
        Files, folders, globs, URLs of them, or ``-`` for standard input.
    out : Path or str
        The folder of the corpus, or its URL.
    config : Config
    file_format : str
        ``parquet`` or ``jsonl``.
    n_workers : int or None
        None for one a core.
    fresh : bool
        Delete what an earlier run left, and start anew.
    keep_source : bool
        Add ``source_text`` to the documents.
    input_format : str or None
        The format of standard input, such as ``jsonl``.
    templates : Path or None
        The templates of an earlier run (``templates.jsonl``), to use instead of counting.
    engine : str
        ``local`` or ``ray``.
    """

    inputs: Sequence[str]
    out: Path | str
    config: Config
    file_format: str = "parquet"
    n_workers: int | None = None
    fresh: bool = False
    keep_source: bool = False
    input_format: str | None = None
    templates: Path | None = None
    engine: str = "local"


@dataclass(frozen=True)
class RunResult:
    """What came of a run.

    Parameters
    ----------
    n_read, n_written, n_rejected, n_skipped, n_dropped : int
        Documents; files that were passed over; documents left out because the config says so.
    summary : dict
        What the report shows.
    was_complete : bool
        Whether there was nothing to do.
    """

    n_read: int
    n_written: int
    n_rejected: int
    n_skipped: int
    summary: dict[str, object] = field(default_factory=dict)
    was_complete: bool = False
    n_dropped: int = 0


def run_corpus(options: RunOptions, stdin: IO[bytes] | None = None, watcher: Watcher | None = None) -> RunResult:
    """Annotate input into a corpus folder.

    Parameters
    ----------
    options : RunOptions
    stdin : binary stream, optional
        Read where INPUT is ``-``.
    watcher : Watcher, optional
        Is told how it goes.

    Returns
    -------
    RunResult

    Raises
    ------
    ConfigError
        If the call or the config is wrong; nothing was written.
    PipelineError
        If the run failed; the same call goes on where it stopped.
    """
    watcher = watcher or Watcher()
    options = _settle(options)
    run = choose_engine(options.engine, options.n_workers)
    _check(options)
    out = open_folder(options.out)
    listing = _list(options, out, stdin)
    out.make()
    with out.held() as check_held:
        return _run(options, out, listing, _checked(run, check_held), watcher, check_held)


def _checked(run: Run, check_held: Check) -> Run:
    """Get an engine that ends if another run has begun in the same place."""

    def checked(task: Task, shards: Sequence[Shard], progress: Progress) -> Iterator[Any]:
        for result in run(task, shards, progress):
            check_held()
            yield result

    return checked


def _run(
    options: RunOptions, out: Folder, listing: Listing, run: Run, watcher: Watcher, check_held: Check
) -> RunResult:
    def plan() -> list[Shard]:
        watcher.begin("cutting", sum(file.n_bytes for file in listing.files))
        return plan_shards(listing.files, watcher.advance)

    made_of = fingerprint(options.config, options.file_format, keep_source=options.keep_source)
    state = open_run(out, made_of, listing, plan, fresh=options.fresh)
    watcher.tell(state.message)
    if not state.is_complete:
        config = run_first_pass(options.config, state.shards, state.work, run, watcher)
        job = Job(config, out, state.work, options.file_format, options.keep_source, made_of["models"])
        todo = [shard for shard in state.shards if shard.index not in state.notes]
        for note in run_shards(run, job, state.shards, todo, watcher):
            state.notes[note.index] = note
    check_held(now=True)  # what follows deletes the work folder, which is the other's then
    return _finish(state, listing)


def _settle(options: RunOptions) -> RunOptions:
    """Put `templates` into the config, its path absolute, since a worker may run elsewhere."""
    config = options.config
    if options.templates is not None:
        config = replace(config, templates=replace(config.templates, file=options.templates.absolute()))
    return replace(options, config=config)


def _finish(state: RunState, listing: Listing) -> RunResult:
    notes = [state.notes[index] for index in sorted(state.notes)]
    summary = finish_run(state, notes, listing.n_skipped)
    state.out.sub(SPOOL).clear()
    names = ("n_read", "n_written", "n_rejected", "n_dropped")
    totals = {name: sum(getattr(note, name) for note in notes) for name in names}
    return RunResult(**totals, n_skipped=listing.n_skipped, summary=summary, was_complete=state.is_complete)


def _check(options: RunOptions) -> None:
    if options.file_format not in FORMATS:
        raise ConfigError(f"--format {options.file_format}: known formats are {', '.join(FORMATS)}")
    if options.n_workers is not None and options.n_workers < 1:
        raise ConfigError(f"--workers {options.n_workers}: give at least 1")
    if any(str(name).startswith("memory:") for name in (options.out, *options.inputs)) and (
        options.n_workers != 1 or options.engine != "local"
    ):
        raise ConfigError("memory:// lives in one process: give --workers 1, or another URL")
    if options.keep_source and "privacy" in options.config.stages and options.config.privacy.mode == "mask":
        raise ConfigError("--keep-source would show what privacy.mode = 'mask' hides; leave one of them out")
    check_order(options.config.stages)
    if options.config.stages[:1] != ("clean",):
        raise ConfigError("a run begins with the stage 'clean'; correct 'stages' in the config")
    if options.config.templates.file is not None:
        read_templates(options.config.templates.file)


def _list(options: RunOptions, out: Folder, stdin: IO[bytes] | None) -> Listing:
    """List the input files; standard input is spooled to the output folder first."""
    listing = Listing()
    named = [name for name in options.inputs if name != "-"]
    if named:
        listing = list_input(named, tuple(READERS), exclude=str(out))
    if "-" in options.inputs:
        if stdin is None:
            raise ConfigError("INPUT -: there is no standard input to read")
        listing.files.append(_spool(stdin, options, out.sub(SPOOL)))
    return listing


def _spool(stdin: IO[bytes], options: RunOptions, folder: Folder) -> Piece:
    """Copy standard input to a file whose name tells its content, so that a resume can tell whether it is the same."""
    suffix = "." + (options.input_format or "jsonl").lstrip(".")
    if suffix not in READERS:
        raise ConfigError(f"--input-format {suffix[1:]}: known formats are {', '.join(name[1:] for name in READERS)}")
    folder.make()
    folder.sweep()
    draft = folder.draft("stdin")
    digest = hashlib.sha256()
    with draft.open("wb") as file:
        while data := stdin.read(1 << 20):
            digest.update(data)
            file.write(data)
    n_bytes, name = draft.stat().st_size, digest.hexdigest() + suffix
    if folder.exists(name):  # keep its time of change, by which an interrupted run knows its input again
        draft.unlink()
    else:
        folder.put(draft, name)
    return Piece(folder.file(name), "stdin" + suffix, suffix, 0, n_bytes)
