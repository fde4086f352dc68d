"""A folder of an object store that a run writes: drafts lie on this machine's disk and are put as a whole."""

from __future__ import annotations

import atexit
import contextlib
import shutil
import tempfile
import time
import uuid
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Self, TypeVar

from pipeline.errors import ConfigError, PipelineError
from pipeline.storage.remote import MAGIC, RemoteFile, below, connect, find_info, insist, list_now, missing, stamp_of

_N_STREAMS = 16
_CHECK_SECONDS = 10
_OWNER = ".zhcorpus-owner"

_T = TypeVar("_T")


class _Scratch:
    """A folder of this machine's, shared by the processes on it; gone when the one that made it ends."""

    def __init__(self) -> None:
        self._path = Path()
        self._is_made = False

    @property
    def path(self) -> Path:
        """The folder; a worker on another machine makes its own."""
        if not self._is_made or not self._path.is_dir():
            self._path = Path(tempfile.mkdtemp(prefix="zhcorpus-"))
            self._is_made = True
            atexit.register(shutil.rmtree, self._path, ignore_errors=True)
        return self._path


class RemoteFolder:
    """A `Folder` of a store.

    Parameters
    ----------
    url : str
        Without a slash at its end.
    """

    n_streams = _N_STREAMS

    def __init__(self, url: str, scratch: _Scratch | None = None, name: str = "") -> None:
        self._url, self._name = url, name
        self._scratch = scratch or _Scratch()

    def __str__(self) -> str:
        return self._url

    def check(self) -> Self:
        """Refuse a file, and what can't be opened; get the folder itself."""
        if MAGIC.search(self._url):
            raise ConfigError(f"--out {self}: stores take * ? [ for a pattern; give a URL without them")
        filesystem, path = connect(self._url)
        info = find_info(filesystem, path, self._url)
        if info is not None and info["type"] == "file":
            raise ConfigError(f"--out {self} is a file; give a folder")
        return self

    @property
    def disk(self) -> Path:
        """A folder on this machine for what is unfinished, and for what was fetched."""
        path = self._scratch.path / self._name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def _call(self, name: str, verb: str, call: Callable[[Any, str], _T]) -> _T:
        """Call the filesystem with the path of a file, or of the folder itself if the name is empty."""
        filesystem, path = connect(self._url)
        url = f"{self._url}/{name}".rstrip("/")
        return insist(lambda: call(filesystem, f"{path}/{name}".rstrip("/")), url, verb)

    def sub(self, name: str) -> RemoteFolder:
        """Get the folder `name` within this one."""
        return RemoteFolder(f"{self._url}/{name}", self._scratch, f"{self._name}/{name}".lstrip("/"))

    def _find(self, name: str) -> dict[str, Any] | None:
        filesystem, path = connect(self._url)
        return find_info(filesystem, f"{path}/{name}".rstrip("/"), f"{self._url}/{name}")

    def file(self, name: str) -> RemoteFile:
        """Get a file as input."""
        info = self._find(name)
        if info is None:
            raise missing(f"{self._url}/{name}")
        return RemoteFile.of(f"{self._url}/{name}", info)

    def make(self) -> None:
        """Make it, where there are folders, and the bucket, where it may be made."""

        def make(filesystem: Any, path: str) -> None:
            with contextlib.suppress(PermissionError):  # a bucket may be written to by those who may not look for it
                filesystem.makedirs(path, exist_ok=True)

        self._call("", "made", make)

    def is_there(self) -> bool:
        """Say whether there is anything in it, as seen from here."""
        return self._find("") is not None

    def sweep(self) -> None:
        """Do nothing: drafts never come here."""

    def _infos(self) -> dict[str, dict[str, Any]]:
        """What the store knows of the files right in it, by name."""
        filesystem, path = connect(self._url)
        try:
            infos = list_now(filesystem, lambda: filesystem.ls(path, detail=True), self._url)
        except FileNotFoundError:
            return {}
        return {below(path, info["name"]): info for info in infos if info["type"] == "file"}

    def names(self) -> list[str]:
        """Get the names of the files right in it, sorted."""
        return sorted(self._infos())

    def exists(self, name: str) -> bool:
        """Say whether there is a file of this name."""
        info = self._find(name)
        return info is not None and info["type"] == "file"

    def open(self, name: str) -> IO[bytes]:
        """Open a file to be read."""
        return self.file(name).open()

    def read(self, name: str) -> bytes:
        """Get a file's bytes."""
        return self._call(name, "read", lambda filesystem, path: bytes(filesystem.cat_file(path)))

    def write(self, name: str, data: bytes) -> None:
        """Write a file."""
        self._call(name, "written", lambda filesystem, path: filesystem.pipe_file(path, data))

    def draft(self, name: str) -> Path:
        """Get a path for an unfinished file; nobody else has it."""
        return self.disk / f"{name}.{uuid.uuid4().hex}.tmp"

    def put(self, draft: Path, name: str) -> None:
        """Upload a draft."""
        self._call(name, "written", lambda filesystem, path: filesystem.put_file(str(draft), path))
        draft.unlink()

    def fetch(self, name: str) -> Path:
        """Download a file, unless a process of this machine has done so."""
        target = self.disk / name
        if not target.exists():
            draft = self.draft(name)
            self._call(name, "read", lambda filesystem, path: filesystem.get_file(path, str(draft)))
            draft.replace(target)
        return target

    def remove(self, name: str) -> None:
        """Delete a file, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            self._call(name, "deleted", lambda filesystem, path: filesystem.rm_file(path))

    def clear(self) -> None:
        """Delete the folder with all that is in it, and what was fetched of it."""
        if self.is_there():
            with contextlib.suppress(FileNotFoundError):
                self._call("", "deleted", lambda filesystem, path: filesystem.rm(path, recursive=True))
        shutil.rmtree(self.disk, ignore_errors=True)

    def settle(self) -> None:
        """Do nothing: what was put is there."""

    def stamps(self, names: Iterable[str] | None = None) -> Mapping[str, str]:
        """Get, of files (None: of all), what changes when one is written again."""
        if names is None:
            return {name: stamp_of(info) for name, info in self._infos().items()}
        return {name: self.file(name).stamp for name in names}

    def put_tree(self, draft: Path, name: str) -> None:
        """Upload a folder of files as one archive, so that it is there as a whole or not at all."""
        archive = self.draft(f"{name}.zip")
        with zipfile.ZipFile(archive, "w") as target:
            for path in sorted(draft.iterdir()):
                target.write(path, path.name)
        shutil.rmtree(draft)
        self.put(archive, f"{name}.zip")

    def has_tree(self, name: str) -> bool:
        """Say whether a folder was put."""
        return self.exists(f"{name}.zip")

    def tree(self, name: str) -> Path:
        """Download and unpack a folder, unless that was done."""
        target = self.disk / name
        if not target.exists():
            archive = self.fetch(f"{name}.zip")
            draft = self.draft(name)
            with zipfile.ZipFile(archive) as source:
                source.extractall(draft)
            archive.unlink()
            draft.rename(target)
        return target

    def drop_tree(self, name: str) -> None:
        """Delete a folder that was put, and what was fetched of it."""
        self.remove(f"{name}.zip")
        shutil.rmtree(self.disk / name, ignore_errors=True)

    @contextlib.contextmanager
    def held(self) -> Iterator[Callable[..., None]]:
        """Find out about a second run: stores lock nothing, so that the run that began last may go on.

        Yields
        ------
        callable
            Raises PipelineError if another run has begun here.
        """
        token = uuid.uuid4().hex.encode()
        self.write(_OWNER, token)
        scratch = self._scratch.path  # made here, not by each worker, so that nothing of it is left
        asked_at = time.monotonic()

        def check(*, now: bool = False) -> None:
            nonlocal asked_at
            if now or time.monotonic() - asked_at >= _CHECK_SECONDS:
                asked_at = time.monotonic()
                if not self._is_owner(token):
                    raise PipelineError(f"--out {self}: another run has begun in this folder; this one has ended")

        try:
            yield check
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
            with contextlib.suppress(PipelineError):  # what ended the run is the better message
                if self._is_owner(token):
                    self.remove(_OWNER)

    def _is_owner(self, token: bytes) -> bool:
        try:
            return self.read(_OWNER) == token
        except FileNotFoundError:
            return False
