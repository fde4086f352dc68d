"""Where input and output lie: this machine's files, or an object store; nothing else knows which.

Input is a `File`: a `Path`, or a `RemoteFile`, which opens like one. Output is a `Folder`. What an object store has not
got is not asked for: nothing is renamed, appended to or locked there; a file is put as a whole, from a draft on this
machine's disk.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Protocol, TypeVar

from pipeline.storage.bucket import RemoteFolder
from pipeline.storage.local import LocalFolder
from pipeline.storage.remote import RemoteFile, check_url, is_url

__all__ = [
    "Check",
    "File",
    "Folder",
    "RemoteFile",
    "is_url",
    "map_ahead",
    "open_folder",
    "read_each",
    "to_file",
    "write_each",
]

File = Path | RemoteFile
"""A file of the input."""

_T = TypeVar("_T")
_R = TypeVar("_R")


class Check(Protocol):
    """What finds out about a second run."""

    def __call__(self, *, now: bool = False) -> None:
        """Raise PipelineError if another run has begun; a store is asked every few seconds at most, or else now."""


class Folder(Protocol):
    """A folder that a run writes: files by name. It survives pickling, to be the same in a worker."""

    n_streams: int
    """How many files to read or write side by side, where one has to wait for each."""

    @property
    def disk(self) -> Path:
        """A folder on this machine for what is unfinished."""

    def sub(self, name: str) -> Folder:
        """Get the folder `name` within this one."""

    def file(self, name: str) -> File:
        """Get a file as input."""

    def make(self) -> None:
        """Make it, unless it is there."""

    def is_there(self) -> bool:
        """Say whether it has been made, as seen from here."""

    def sweep(self) -> None:
        """Delete the drafts that an earlier run left."""

    def names(self) -> list[str]:
        """Get the names of the files right in it, sorted."""

    def exists(self, name: str) -> bool:
        """Say whether there is a file of this name."""

    def open(self, name: str) -> IO[bytes]:
        """Open a file to be read; the stream can seek."""

    def read(self, name: str) -> bytes:
        """Get a file's bytes."""

    def write(self, name: str, data: bytes) -> None:
        """Write a file so that it is either there as a whole or not at all."""

    def draft(self, name: str) -> Path:
        """Get a path on `disk` for an unfinished file; nobody else has it, not even a worker at the same shard."""

    def put(self, draft: Path, name: str) -> None:
        """Make a file of a draft: it is either there as a whole or not at all, and the draft is gone."""

    def fetch(self, name: str) -> Path:
        """Get a file on this machine's disk that holds the same."""

    def remove(self, name: str) -> None:
        """Delete a file, if it is there."""

    def clear(self) -> None:
        """Delete the folder with all that is in it."""

    def settle(self) -> None:
        """Make sure that the names of what was put are on disk."""

    def stamps(self, names: Iterable[str] | None = None) -> Mapping[str, str]:
        """Get, of files (None: of all), what changes when one is written again; where files must be hashed, nothing."""

    def put_tree(self, draft: Path, name: str) -> None:
        """Make a folder of files, to be had as a whole or not at all, of a draft, which is gone then."""

    def has_tree(self, name: str) -> bool:
        """Say whether a folder was put."""

    def tree(self, name: str) -> Path:
        """Get, on this machine's disk, a folder that was put."""

    def drop_tree(self, name: str) -> None:
        """Delete a folder that was put."""

    def held(self) -> AbstractContextManager[Check]:
        """Keep a second run out, or find out about it."""


def open_folder(name: str | Path) -> Folder:
    """Get a folder by its path, or by its URL.

    Raises
    ------
    ConfigError
        If it is a file, or a URL that can't be opened.
    """
    name = check_url(str(name))
    return RemoteFolder(name).check() if is_url(name) else LocalFolder(Path(name).absolute()).check()


def to_file(record: object) -> File:
    """Get a file of the input back from what JSON holds of it."""
    return RemoteFile(**record) if isinstance(record, dict) else Path(str(record))


def map_ahead(call: Callable[[_T], _R], items: Iterable[_T], n_threads: int) -> Iterator[_R]:
    """Yield what a function gives for each item, in order; threads are at work on the next ones."""
    if n_threads == 1:
        yield from map(call, items)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        pending: deque[Future[_R]] = deque()
        for item in items:
            pending.append(pool.submit(call, item))
            if len(pending) >= 2 * n_threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def read_each(folder: Folder, names: Iterable[str]) -> Iterator[bytes]:
    """Yield the bytes of files, in order."""
    return map_ahead(folder.read, names, folder.n_streams)


def write_each(folder: Folder, files: Iterable[tuple[str, bytes]]) -> None:
    """Write files, each whole or not at all."""
    for _ in map_ahead(lambda file: folder.write(*file), files, folder.n_streams):
        pass
