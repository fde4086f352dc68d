"""A folder of this machine, or of a network's filesystem: drafts lie in it and are renamed."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Self

from pipeline.errors import ConfigError, PipelineError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


def sync(path: Path) -> None:
    """Make sure that a file's bytes, or a folder's names, are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _check_nothing(*, now: bool = False) -> None:
    """Do nothing: no second run gets so far."""


class LocalFolder:
    """A `Folder` on a filesystem.

    Parameters
    ----------
    path : Path
        Absolute: a worker may run elsewhere.
    """

    n_streams = 1

    def __init__(self, path: Path) -> None:
        self.disk = path

    def __str__(self) -> str:
        return str(self.disk)

    def check(self) -> Self:
        """Refuse a file; get the folder itself."""
        if self.disk.exists() and not self.disk.is_dir():
            raise ConfigError(f"--out {self} is a file; give a folder")
        return self

    def sub(self, name: str) -> LocalFolder:
        """Get the folder `name` within this one."""
        return LocalFolder(self.disk / name)

    def file(self, name: str) -> Path:
        """Get a file as input."""
        return self.disk / name

    def make(self) -> None:
        """Make it, unless it is there."""
        try:
            self.disk.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PipelineError(f"--out {self} can't be made: {error.strerror}") from error

    def is_there(self) -> bool:
        """Say whether it has been made, as seen from here."""
        return self.disk.is_dir()

    def sweep(self) -> None:
        """Delete the drafts that an earlier run left."""
        for draft in self.disk.glob("*.tmp"):
            draft.unlink()

    def names(self) -> list[str]:
        """Get the names of the files right in it, sorted."""
        return sorted(path.name for path in self.disk.iterdir() if path.is_file()) if self.disk.is_dir() else []

    def exists(self, name: str) -> bool:
        """Say whether there is a file of this name."""
        return (self.disk / name).is_file()

    def open(self, name: str) -> IO[bytes]:
        """Open a file to be read."""
        return (self.disk / name).open("rb")

    def read(self, name: str) -> bytes:
        """Get a file's bytes."""
        return (self.disk / name).read_bytes()

    def write(self, name: str, data: bytes) -> None:
        """Write a file so that it is either there as a whole or not at all."""
        draft = self.draft(name)
        draft.write_bytes(data)
        self.put(draft, name)

    def draft(self, name: str) -> Path:
        """Get a path for an unfinished file; nobody else has it."""
        return self.disk / f"{name}.{uuid.uuid4().hex}.tmp"

    def put(self, draft: Path, name: str) -> None:
        """Give a draft of the same filesystem its name."""
        sync(draft)
        draft.replace(self.disk / name)

    def fetch(self, name: str) -> Path:
        """Get the path of a file."""
        return self.disk / name

    def remove(self, name: str) -> None:
        """Delete a file, if it is there."""
        (self.disk / name).unlink(missing_ok=True)

    def clear(self) -> None:
        """Delete the folder with all that is in it."""
        shutil.rmtree(self.disk, ignore_errors=True)

    def settle(self) -> None:
        """Make sure that the names of what was put are on disk."""
        sync(self.disk)

    def stamps(self, names: Iterable[str] | None = None) -> Mapping[str, str]:
        """Get nothing: after a power cut a file may have its size and time, but not its bytes."""
        return {}

    def put_tree(self, draft: Path, name: str) -> None:
        """Give a draft its name."""
        draft.rename(self.disk / name)

    def has_tree(self, name: str) -> bool:
        """Say whether a folder was put."""
        return (self.disk / name).is_dir()

    def tree(self, name: str) -> Path:
        """Get the path of a folder that was put."""
        return self.disk / name

    def drop_tree(self, name: str) -> None:
        """Delete a folder that was put."""
        shutil.rmtree(self.disk / name, ignore_errors=True)

    @contextlib.contextmanager
    def held(self) -> Iterator[Callable[..., None]]:
        """Keep a second run out; where folders can't be locked (Windows, some networks), take care oneself.

        Raises
        ------
        PipelineError
            If another run is at work here.
        """
        if fcntl is None:
            yield _check_nothing
            return
        handle = os.open(self.disk, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(handle)
            raise PipelineError(
                f"--out {self}: another run is at work in this folder; let it end, or end it"
            ) from error
        except OSError:
            pass
        try:
            yield _check_nothing
        finally:
            os.close(handle)  # and the lock with it, as at any death of this process
