"""Load and save what lies in a model folder: arrays and `meta.json`, never a pickle.

A model folder holds ``meta.json`` (format, versions, data, figures, and the SHA-256 of every other file) and
``CARD.md``. The checksums are verified at load, so that a damaged download is told from a bad model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from pipeline.errors import ModelError

META = "meta.json"


def checksum(path: Path) -> str:
    """The SHA-256 of a file, as hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def load_meta(folder: Path, kind: str) -> dict[str, Any]:
    """Read and verify a model folder's `meta.json`.

    Parameters
    ----------
    folder : Path
        The model folder.
    kind : str
        What the caller expects: ``segmenter``, ``tagger`` or ``classifier``.

    Raises
    ------
    ModelError
        If the folder is no model of this kind or a file of it is missing or damaged.
    """
    path = folder / META
    if not path.is_file():
        raise ModelError(f"{folder} is no model folder: it has no {META}; train one, or correct the path in the config")
    try:
        meta: dict[str, Any] = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise ModelError(f"{path} is no JSON ({error}); get the model again") from error
    if meta.get("kind") != kind:
        raise ModelError(f"{folder} is a {meta.get('kind')!r} model, expected {kind!r}; correct the path in the config")
    for name, expected in meta.get("files", {}).items():
        if not (folder / name).is_file():
            raise ModelError(f"{folder / name} is missing; get the model again")
        if checksum(folder / name) != expected:
            raise ModelError(f"{folder / name} is damaged: its SHA-256 differs from {META}; get the model again")
    return meta


def save_meta(folder: Path, kind: str, meta: Mapping[str, Any]) -> None:
    """Write `meta.json` with the checksums of all weight files below `folder`."""
    files = {
        path.relative_to(folder).as_posix(): checksum(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in (META, "CARD.md")
    }
    options = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS
    (folder / META).write_bytes(orjson.dumps({"kind": kind, **meta, "files": files}, option=options) + b"\n")


def load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read an npz file's arrays; objects (pickles) are refused."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} can't be read as npz: {error}; get the model again") from error


def model_digest(folder: Path) -> str:
    """The SHA-256 of a model folder's `meta.json`, which names all its weights' checksums."""
    return checksum(folder / META)
