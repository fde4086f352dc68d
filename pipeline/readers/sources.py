"""What there is to read: files listed in a fixed order."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import ConfigError

COMPRESSIONS = (".gz", ".bz2", ".zst")


@dataclass(frozen=True)
class Piece:
    """A file, or a range of rows of one.

    Parameters
    ----------
    path : Path
        Where it lies.
    origin : str
        The path relative to the INPUT it was found under; the base name of a file given as INPUT.
    format : str
        The suffix that says how to read it, without compression: ``.txt``.
    start, end : int
        Byte range; the whole file of a format that can't be cut.
    first_row : int
        The line of JSONL, or the row of a table, from 1, that stands at `start`.
    n_nested : int
        How many archives it lies in; 0 for a file on disk.
    groups : pair of int, or None
        The first row group of a Parquet file, and the one behind the last; None for all.
    """

    path: Path
    origin: str
    format: str
    start: int
    end: int
    first_row: int = 1
    n_nested: int = 0
    groups: tuple[int, int] | None = None

    @property
    def compression(self) -> str:
        """The compression's suffix, or the empty string."""
        suffix = self.path.suffix.lower()
        return suffix if suffix in COMPRESSIONS else ""

    @property
    def n_bytes(self) -> int:
        """Bytes on disk."""
        return self.end - self.start


@dataclass
class Listing:
    """The files of a run's input, in reading order, and how many were passed over."""

    files: list[Piece] = field(default_factory=list)
    n_skipped: int = 0


def split_suffix(name: str) -> str:
    """Get a file name's format suffix, lower case, compression taken off.

    Examples
    --------
    >>> split_suffix("news.JSONL.gz"), split_suffix("readme")
    ('.jsonl', '')
    """
    path = Path(name.lower())
    if path.suffix in COMPRESSIONS:
        path = path.with_suffix("")
    return path.suffix


def list_input(inputs: Sequence[str], formats: Sequence[str], exclude: Path | None = None) -> Listing:
    """List the files that INPUT means.

    Parameters
    ----------
    inputs : sequence of str
        Files, folders and globs, in the order in which they are to be read.
    formats : sequence of str
        The suffixes that can be read.
    exclude : Path, optional
        A folder to leave out: the run's own output.

    Raises
    ------
    ConfigError
        If an INPUT does not exist, is a file of an unknown format, or nothing readable is there at all.
    """
    listing = Listing()
    for name in inputs:
        matches = [name] if Path(name).exists() else sorted(glob.glob(name, recursive=True))  # noqa: PTH207 (absolute patterns, too)
        if not matches:
            raise ConfigError(f"INPUT {name}: no such file or folder, and no file matches it as a glob")
        for match in matches:
            _list_one(Path(match), formats, exclude, listing, named=match == name)
    if not listing.files:
        raise ConfigError(f"INPUT holds no file that can be read; formats: {', '.join(formats)}")
    return listing


def _list_one(path: Path, formats: Sequence[str], exclude: Path | None, listing: Listing, *, named: bool) -> None:
    if path.is_dir():
        for file in _walk(path, exclude):
            origin = file.relative_to(path).as_posix()
            if split_suffix(file.name) in formats and not any(part.startswith(".") for part in Path(origin).parts):
                listing.files.append(_whole_file(file, origin))
            else:
                listing.n_skipped += 1
    elif split_suffix(path.name) in formats:
        listing.files.append(_whole_file(path, path.name))
    elif named:
        raise ConfigError(
            f"INPUT {path}: format {split_suffix(path.name)!r} can't be read; known: {', '.join(formats)}"
        )
    else:
        listing.n_skipped += 1


def _walk(folder: Path, exclude: Path | None) -> Iterator[Path]:
    """Yield a folder's files, sorted by path; symbolic links to folders are not followed."""
    excluded = None if exclude is None else exclude.resolve()
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if (Path(root) / name).resolve() != excluded)
        yield from (Path(root) / name for name in sorted(names))


def _whole_file(path: Path, origin: str) -> Piece:
    try:
        size = path.stat().st_size
    except OSError:  # a dangling link: reading it will say so
        size = 0
    return Piece(path.absolute(), origin, split_suffix(path.name), 0, size)
