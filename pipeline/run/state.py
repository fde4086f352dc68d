"""The state of a run on disk: what an earlier run left, whether it still holds, and what it was made of."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any

import orjson

from pipeline import __version__
from pipeline.config import Config
from pipeline.readers.sources import Listing, Piece
from pipeline.run.shards import Shard, ShardNote, input_digest
from pipeline.storage import Folder, RemoteFile, map_ahead, read_each, to_file
from pipeline.weights import checksum, model_digest

WORK = ".zhcorpus"
SPOOL = ".zhcorpus-stdin"
MANIFEST = "manifest.json"
_STATE = "state.json"
_PLAN = "plan.json"
_OURS = re.compile(
    r"(?:documents|sentences)-\d{5,}\.(?:parquet|jsonl)|rejected\.jsonl|manifest\.json|report\.html|templates\.jsonl|dropped\.jsonl"
)
_NOTE = re.compile(r"\d{5,}\.json")
_N_HASHERS = 8
"""Threads that check files; hashing frees the interpreter, and a network's files are read faster side by side."""
_LIBRARIES = ("numpy", "numba", "opencc-python-reimplemented", "pyarrow", "rensa", "resiliparse")
"""Libraries whose version may show in the output."""


def fingerprint(config: Config, file_format: str, *, keep_source: bool) -> dict[str, Any]:
    """Everything besides the input that decides the output's bytes."""
    return {
        "config": config.to_dict(),
        "format": file_format,
        "keep_source": keep_source,
        "templates": None if config.templates.file is None else checksum(config.templates.file),
        "user_words": None if config.segment.user_words is None else checksum(config.segment.user_words),
        "models": {name: model_digest(folder) for name, folder in config.model_folders().items()},
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """The versions of what may show in the output."""
    return {"zhcorpus": __version__, **{name: version(name) for name in _LIBRARIES}}


def _input_state(listing: Listing) -> list[list[Any]]:
    """Names, sizes and times of change of the input files, to tell cheaply whether a resumed run has the same."""
    rows = []
    for file in listing.files:
        if isinstance(file.path, RemoteFile):
            rows.append([file.path.url, file.origin, file.n_bytes, file.path.stamp])
            continue
        stat = file.path.stat() if file.path.exists() else None
        rows.append([str(file.path.resolve()), file.origin, file.n_bytes, stat.st_mtime_ns if stat else 0])
    return rows


@dataclass
class RunState:
    """What a run finds in its output folder.

    Parameters
    ----------
    out : Folder
    made_of : dict
        The run's `fingerprint`.
    notes : dict of int to ShardNote
        Shards that are whole.
    shards : list of Shard
        All of the run.
    is_complete : bool
        Whether an earlier run finished with the same input, config and models.
    message : str
        What to tell the user of what was found; empty if nothing was.
    is_same : bool
        Whether an interrupted run was of the same input, config and models, whatever it got done.
    """

    out: Folder
    made_of: dict[str, Any]
    notes: dict[int, ShardNote]
    shards: list[Shard] = field(default_factory=list)
    is_complete: bool = False
    message: str = ""
    is_same: bool = False

    @property
    def work(self) -> Folder:
        """The folder of unfinished things."""
        return self.out.sub(WORK)


def open_run(
    out: Folder, made_of: dict[str, Any], listing: Listing, plan: Callable[[], list[Shard]], *, fresh: bool
) -> RunState:
    """Find out what of an earlier run still holds, and clear away what does not.

    Parameters
    ----------
    out : Folder
    made_of : dict
    listing : Listing
    plan : callable
        Cuts the input into shards; a large one takes its time, so that an interrupted run keeps its plan.
    fresh : bool
    """
    state = RunState(out, made_of, {})
    key = orjson.loads(orjson.dumps({"made_of": made_of, "input": _input_state(listing)}))
    if fresh:
        remove_run(out)
    elif state.work.exists(_STATE):
        _resume(state, key)
    elif out.exists(MANIFEST):
        state.shards = plan()
        _compare_complete(state)
    if not state.is_complete:
        _begin(state, key, plan)
    return state


def _begin(state: RunState, key: dict[str, Any], plan: Callable[[], list[Shard]]) -> None:
    if not state.is_same:
        remove_run(state.out)
    state.shards = state.shards or plan()
    state.work.make()
    state.work.sweep()
    state.work.write(_PLAN, orjson.dumps([asdict(shard) for shard in state.shards], default=str))
    state.work.write(_STATE, orjson.dumps(key))


def _read_plan(work: Folder) -> list[Shard]:
    """Get the shards of an interrupted run; none if they can't be read."""
    try:
        rows = orjson.loads(work.read(_PLAN))
    except (OSError, orjson.JSONDecodeError):
        return []
    return [Shard(row["index"], tuple(_read_piece(piece) for piece in row["pieces"])) for row in rows]


def _read_piece(row: dict[str, Any]) -> Piece:
    return Piece(**{**row, "path": to_file(row["path"]), "groups": row["groups"] and tuple(row["groups"])})


def _resume(state: RunState, key: dict[str, Any]) -> None:
    """Take over the whole shards of an interrupted run."""
    earlier = _read_json(state.work, _STATE)
    if earlier is None or earlier != key:
        changed = "input" if earlier and earlier.get("made_of") == key["made_of"] else "config, models or versions"
        state.message = f"{changed} changed since the interrupted run: starting anew"
        return
    state.is_same = True
    state.shards = _read_plan(state.work)
    names = [name for name in state.work.names() if _NOTE.fullmatch(name)]
    found = [note for data in read_each(state.work, names) if (note := _parse(data))]
    stamps = [note.pop("stamps", {}) for note in found]
    for note, is_whole in zip(found, _are_whole(state.out, [note["files"] for note in found], stamps), strict=True):
        if is_whole:
            state.notes[note["index"]] = ShardNote(**note)
    state.message = f"resuming: {len(state.notes)} shards are done" if state.notes else ""


def _compare_complete(state: RunState) -> None:
    """Tell whether the finished run in the folder is the one that is asked for."""
    manifest = _read_json(state.out, MANIFEST)
    if manifest is None or {name: manifest.get(name) for name in state.made_of} != state.made_of:
        state.message = "config, models or versions changed since the earlier run: starting anew"
        return
    notes = [ShardNote(**note) for note in manifest["shards"]]
    if len(notes) != len(state.shards) or any(
        note.origins != shard.origins or note.n_bytes != shard.n_bytes or note.input_sha256 != input_digest(shard)
        for note, shard in zip(notes, state.shards, strict=True)
    ):
        state.message = "input changed since the earlier run: starting anew"
        return
    if not all(_are_whole(state.out, [note.files for note in notes])):
        state.message = "files of the earlier run are missing or damaged: starting anew"
        return
    state.notes = {note.index: note for note in notes}
    state.is_complete = True
    state.message = "nothing to do: the corpus is complete, and input, config and models are the same"


def _are_whole(
    out: Folder, groups: Sequence[Mapping[str, str]], stamps: Sequence[Mapping[str, str]] | None = None
) -> list[bool]:
    """Tell of each group of files whether all of them are there with the digests that were noted.

    A store keeps what it was given: what has the stamp that was noted, too, is not read again.
    """
    known = out.stamps() if stamps and any(stamps) else {}

    def is_whole(digests: Mapping[str, str], noted: Mapping[str, str]) -> bool:
        return all(
            (name in noted and known.get(name) == noted[name]) or _digest(out, name) == digest
            for name, digest in digests.items()
        )

    with ThreadPoolExecutor(_N_HASHERS) as pool:
        return list(pool.map(is_whole, groups, stamps or [{}] * len(groups)))


def _digest(out: Folder, name: str) -> str | None:
    """The SHA-256 of a file, None if it is not there."""
    if not out.exists(name):
        return None
    digest = hashlib.sha256()
    with out.open(name) as file:
        while data := file.read(1 << 20):
            digest.update(data)
    return digest.hexdigest()


def _parse(data: bytes) -> dict[str, Any] | None:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _read_json(folder: Folder, name: str) -> dict[str, Any] | None:
    try:
        return _parse(folder.read(name))
    except OSError:
        return None


def remove_run(out: Folder) -> None:
    """Delete what a run leaves in `out`, and nothing else; the card only if a manifest shows that it is ours."""
    work = out.sub(WORK)
    if out.exists(MANIFEST) or work.is_there():
        out.remove("README.md")
    work.remove(_STATE)
    ours = [name for name in out.names() if _OURS.fullmatch(name)]
    for _ in map_ahead(out.remove, ours, out.n_streams):
        pass
    remove_work(out)


def remove_work(out: Folder) -> None:
    """Delete the folder of unfinished things; what says that there is something to resume goes first."""
    work = out.sub(WORK)
    work.remove(_STATE)
    work.clear()
