"""Object stores and other filesystems that fsspec opens by URL: s3://, oss://, gs://, hdfs:// and what is installed.

Asked of a store: to list, to read a range of bytes, to put a file as a whole, to delete. A call that fails is made
again a few times; then the run ends, for a store that can't be reached must not be taken for damaged input.
"""

from __future__ import annotations

import errno
import io
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import PurePosixPath
from typing import IO, Any, TypeVar

from pipeline.errors import ConfigError, PipelineError

_URL = re.compile(r"([a-z][a-z0-9+.-]+)://[^/]*")
_HALF_URL = re.compile(r"[a-z][a-z0-9+.-]+:/[^/]")
_LOCAL = re.compile("(?:file|local)://")
MAGIC = re.compile(r"[*?\[]")
"""What makes a URL a pattern."""

_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "oss": "ossfs", "gs": "gcsfs", "gcs": "gcsfs", "abfs": "adlfs", "az": "adlfs"}
"""What `pip install` gets for a protocol."""

_WAITS_SECONDS = (1, 4, 16)
"""Before a call that failed is made again; the packages have retries of their own below that."""

_MIN_RANGE, _MAX_RANGE = 1 << 20, 8 << 20
"""Bytes that are asked for at once: the least after a jump, the most where a file is read on."""

_STAMPS = ("ETag", "etag", "md5Hash", "content_md5", "LastModified", "last_modified", "updated", "mtime", "created")
"""What filesystems say of a file that changes when it is written again; the surest first."""

_T = TypeVar("_T")


def is_url(name: str) -> bool:
    """Say whether a name is a URL.

    Examples
    --------
    >>> is_url("s3://bucket/a"), is_url("a/b"), is_url("C://a")
    (True, False, False)
    """
    return _URL.match(name) is not None


def check_url(name: str) -> str:
    """Get a name as the rest expects it: ``file://`` as a path, no slash at the end of a URL.

    Raises
    ------
    ConfigError
        If it is a URL that a `Path` has robbed of a slash.

    Examples
    --------
    >>> check_url("file:///data/a"), check_url("s3://bucket/a/"), check_url("a/b/")
    ('/data/a', 's3://bucket/a', 'a/b/')
    """
    if _HALF_URL.match(name):
        raise ConfigError(f"{name}: a URL has two slashes behind its colon; give it as a string, not as a Path")
    if _LOCAL.match(name):
        return _LOCAL.sub("", name)
    return name.rstrip("/") if is_url(name) and not name.endswith("://") else name


@cache
def _filesystem(root: str) -> Any:
    """Get the filesystem of a URL's protocol and host; one for all threads, which fsspec by itself would not give."""
    protocol = root.partition("://")[0]
    try:
        import fsspec  # noqa: PLC0415 (an extra; and slow to import)
    except ImportError as error:
        raise ConfigError(f"{root}: fsspec is not installed; pip install 'zhcorpus[cloud]'{_also(protocol)}") from error
    try:
        return fsspec.core.url_to_fs(root)[0]
    except ImportError as error:
        package = _PACKAGES.get(protocol)
        advice = f"pip install {package}" if package else str(error)
        raise ConfigError(f"{root}: the package that opens {protocol}:// is not installed; {advice}") from error
    except ValueError as error:
        known = ", ".join(f"{name}://" for name in _PACKAGES)
        raise ConfigError(
            f"{root}: no installed package opens {protocol}:// ({error}); install the one for fsspec; such as {known}"
        ) from error
    except OSError as error:
        raise ConfigError(f"{root}: {protocol}:// can't be opened ({error})") from error


def _also(protocol: str) -> str:
    return f" {_PACKAGES[protocol]}" if protocol in _PACKAGES else ""


def connect(url: str) -> tuple[Any, str]:
    """Get the filesystem of a URL, and the path there."""
    match = _URL.match(url)
    if match is None:
        raise ConfigError(f"{url} is no URL")
    filesystem = _filesystem(match.group())
    return filesystem, str(filesystem._strip_protocol(url)).rstrip("/")


def insist(call: Callable[[], _T], url: str, verb: str) -> _T:
    """Call, and again where it fails; the verb says what can't be done then.

    Raises
    ------
    FileNotFoundError
        At once; other calls fail for reasons that may pass.
    PipelineError
        If it still fails.
    """
    waits = iter(_WAITS_SECONDS)
    while True:
        try:
            return call()
        except FileNotFoundError as error:
            raise missing(url) from error
        except Exception as error:  # packages raise what the libraries below them raise
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            wait = None if isinstance(error, (PermissionError, PipelineError)) else next(waits, None)
            if wait is None:
                raise PipelineError(
                    f"{url} can't be {verb} ({type(error).__name__}: {error}); check network and credentials, and run "
                    "the same command again: it goes on after the last whole shard"
                ) from error
            time.sleep(wait)


def missing(url: str) -> FileNotFoundError:
    """Get the error of a file that is not there."""
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), url)


def stamp_of(info: Mapping[str, Any]) -> str:
    """What changes when a file is written again; its size alone, if the filesystem knows no more."""
    known = [str(info[name]).strip('"') for name in _STAMPS if info.get(name) not in (None, "")]
    return " ".join([str(info.get("size")), *known[:1]])


@dataclass(frozen=True)
class RemoteFile:
    """A file of a store; opens like a `Path`.

    Parameters
    ----------
    url : str
    size : int
        Bytes.
    stamp : str
        Changes when the file is written again.
    """

    url: str
    size: int
    stamp: str

    @classmethod
    def of(cls, url: str, info: Mapping[str, Any]) -> RemoteFile:
        """Get the file that a filesystem describes."""
        if info.get("size") is None:
            raise ConfigError(f"INPUT {url}: the server does not say how large it is; download it first")
        return cls(url, int(info["size"]), stamp_of(info))

    @property
    def name(self) -> str:
        """The last part of its path."""
        return PurePosixPath(self.url).name

    @property
    def suffix(self) -> str:
        """The last suffix of its name."""
        return PurePosixPath(self.url).suffix

    def open(self, _mode: str = "rb") -> IO[bytes]:
        """Open it to be read; bytes come as they are asked for, and the stream can seek."""
        return io.BufferedReader(_Ranges(self), _MIN_RANGE)


class _Ranges(io.RawIOBase):
    """A file read by ranges of bytes, one of which is held; they grow while it is read on."""

    def __init__(self, file: RemoteFile) -> None:
        self._file = file
        self._filesystem, self._path = connect(file.url)
        self._at = self._start = 0
        self._end = file.size
        self._block = b""
        self._n_next = _MIN_RANGE

    def readable(self) -> bool:
        """Say yes: io asks."""
        return True

    def seekable(self) -> bool:
        """Say yes: io asks."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go elsewhere; nothing is read yet."""
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._file.size}[whence]
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        """Fill the buffer as far as the range that is held goes; 0 at the end of the file."""
        if not self._start <= self._at < self._start + len(self._block):
            self._fill(len(buffer))
        offset = self._at - self._start
        data = self._block[offset : offset + len(buffer)]
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _fill(self, n_bytes: int) -> None:
        """Get the range that begins where the next byte is to be read."""
        is_read_on = self._block and self._at == self._start + len(self._block)
        self._n_next = min(2 * self._n_next, _MAX_RANGE) if is_read_on else _MIN_RANGE
        start, end = self._at, min(self._at + max(n_bytes, self._n_next), self._end)
        self._start, self._block = start, b""  # two ranges at once would be twice the memory
        if start < end:
            self._block = self._get(start, end)

    def _get(self, start: int, end: int) -> bytes:
        def get() -> bytes:
            data = bytes(self._filesystem.cat_file(self._path, start=start, end=end))
            if len(data) != end - start:  # or a web server that knows no ranges would begin anew with each
                raise OSError(f"{len(data)} bytes came instead of {end - start}: no ranges are given, or it changed")
            return data

        try:
            return insist(get, self._file.url, f"read at byte {start}")
        except FileNotFoundError:
            self._end = 0  # it is told once that the file is gone
            raise


def look_up(url: str) -> list[RemoteFile | str]:
    """Get the file or folder (as its URL) that a URL names, or those that it matches as a glob, sorted."""
    filesystem, path = connect(url)
    info = find_info(filesystem, path, url)
    if info is not None:
        return [_found(url, info)]
    magic = MAGIC.search(url)
    if magic is None:
        return []
    root = url[: magic.start()].rpartition("/")[0]
    _, top = connect(root)
    matches = list_now(filesystem, lambda: filesystem.glob(path, detail=True), url)
    found = {below(top, name): info for name, info in matches.items()}
    n_fixed = root.count("/")
    shown = [name for name in found if not _is_hidden(name, url.split("/")[n_fixed + 1 :])]
    return [_found(f"{root}/{name}", found[name]) for name in sorted(shown)]


def _is_hidden(name: str, patterns: list[str]) -> bool:
    """Say whether a match has a hidden part that its pattern does not name, as globs of this machine have it."""
    named = sum(pattern.startswith(".") for pattern in patterns)
    return sum(part.startswith(".") for part in name.split("/")) > named


def _found(url: str, info: Mapping[str, Any]) -> RemoteFile | str:
    return RemoteFile.of(url, info) if info["type"] == "file" else url


def find_info(filesystem: Any, path: str, url: str) -> dict[str, Any] | None:
    """Get what the store knows of a file or folder, None if there is none."""
    try:
        filesystem.invalidate_cache()
        found: dict[str, Any] = insist(lambda: filesystem.info(path), url, "looked up")
    except FileNotFoundError:
        return None
    return found


def list_now(filesystem: Any, call: Callable[[], Any], url: str) -> Any:
    """List, and let nothing of it stay: others write there, and large listings are large."""
    filesystem.invalidate_cache()
    try:
        return insist(call, url, "listed")
    finally:
        filesystem.invalidate_cache()


def below(top: str, path: str) -> str:
    """Get a path as seen from the folder `top`."""
    return path[len(top) :].lstrip("/")


def files_below(url: str, exclude: str | None = None) -> Iterator[tuple[RemoteFile, str]]:
    """Yield the files of a folder with their paths in it, in the order of a walk through this machine's folders.

    Parameters
    ----------
    url : str
    exclude : str, optional
        The URL of a folder within it to leave out.
    """
    filesystem, top = connect(url)
    infos = list_now(filesystem, lambda: filesystem.find(top, detail=True), url)
    found = {below(top, name): info for name, info in infos.items() if info["type"] == "file"}
    names = [name for name in found if name and not name.endswith("/")]  # marks of folders, which some tools leave
    for name in sorted(names, key=_walk_order):
        child = f"{url.rstrip('/')}/{name}"
        if exclude in (None, url) or not child.startswith(f"{exclude}/"):
            yield RemoteFile.of(child, found[name]), name


def _walk_order(name: str) -> list[tuple[bool, str]]:
    """Sort key: a folder's files before its folders.

    Examples
    --------
    >>> sorted(["b/a", "a/b/c", "a/c", "c"], key=_walk_order)
    ['c', 'a/c', 'a/b/c', 'b/a']
    """
    *folders, last = name.split("/")
    return [*((True, folder) for folder in folders), (False, last)]
