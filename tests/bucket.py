"""An object store for tests, as fsspec opens it: ``testbucket://``, kept in the folder ``TESTBUCKET``.

As stores have it: names are keys, folders are what keys have in common, a file is there as a whole once it is closed,
and nothing is appended to or renamed. What it is asked for stands in ``LOG``.
"""

from __future__ import annotations

import io
import os
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from fsspec.spec import AbstractFileSystem

LOG: list[tuple[Any, ...]] = []
FAULTS: list[Exception] = []
"""Raised by the next reads, one each."""


class _Upload(io.BytesIO):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def close(self) -> None:
        if not self.closed:
            draft = self._path.parent.parent / uuid.uuid4().hex
            draft.write_bytes(self.getvalue())
            draft.replace(self._path)
        super().close()


class Bucket(AbstractFileSystem):
    protocol = "testbucket"

    def _folder(self) -> Path:
        folder = Path(os.environ["TESTBUCKET"]) / "objects"
        folder.mkdir(exist_ok=True, parents=True)
        return folder

    def _file(self, path: str) -> Path:
        return self._folder() / (quote(self._strip_protocol(path), safe="") or "%")

    def _keys(self) -> list[str]:
        return sorted(unquote(path.name) for path in self._folder().iterdir())

    def _describe(self, key: str) -> dict[str, Any]:
        stat = self._file(key).stat()
        return {"name": key, "size": stat.st_size, "type": "file", "ETag": f'"{stat.st_mtime_ns}"'}

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        path = self._strip_protocol(path)
        LOG.append(("ls", path))
        found: dict[str, dict[str, Any]] = {}
        for key in self._keys():
            if key == path:
                found[key] = self._describe(key)
            elif not path or key.startswith(f"{path}/"):
                first, *rest = key[len(path) :].lstrip("/").split("/")
                name = f"{path}/{first}".lstrip("/")
                found[name] = {"name": name, "size": 0, "type": "directory"} if rest else self._describe(key)
        if path and not found:
            raise FileNotFoundError(path)
        return list(found.values()) if detail else list(found)

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        path = self._strip_protocol(path)
        if self._file(path).exists():
            return self._describe(path)
        if any(not path or key.startswith(f"{path}/") for key in self._keys()):
            return {"name": path, "size": 0, "type": "directory"}
        raise FileNotFoundError(path)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        LOG.append(("cat", self._strip_protocol(path), start, end))
        if FAULTS:
            raise FAULTS.pop()
        return self._file(path).read_bytes()[start:end]

    def _open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        if mode == "rb":
            return self._file(path).open("rb")
        if mode == "wb":
            return _Upload(self._file(path))
        raise NotImplementedError(f"a store has no mode {mode}")

    def rm_file(self, path: str) -> None:
        self._file(path).unlink(missing_ok=True)

    def mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:
        """Do nothing: there are no folders."""

    makedirs = mkdir  # type: ignore[assignment]

    def mv(self, *_: Any, **__: Any) -> None:
        raise NotImplementedError("a store renames nothing")
