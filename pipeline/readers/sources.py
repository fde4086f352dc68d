"""What there is to read: files listed in a fixed order."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import ConfigError
from pipeline.storage import File, RemoteFile, is_url
from pipeline.storage.remote import check_url, files_below, look_up

COMPRESSIONS = (".gz", ".bz2", ".zst")


@dataclass(frozen=True)
class Piece:
    """A file, or a range of rows of one.

    Parameters
    ----------
    path : Path or RemoteFile
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

    path: File
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


def list_input(inputs: Sequence[str], formats: Sequence[str], exclude: str | Path | None = None) -> Listing:
    """List the files that INPUT means.

    Parameters
    ----------
    inputs : sequence of str
        Files, folders and globs, or URLs of them, in the order in which they are to be read.
    formats : sequence of str
        The suffixes that can be read.
    exclude : str or Path, optional
        A folder, or the URL of one, to leave out: the run's own output.

    Raises
    ------
    ConfigError
        If an INPUT does not exist, is a file of an unknown format, or nothing readable is there at all.
    """
    listing = Listing()
    excluded = None if exclude is None else str(exclude)
    for name in map(check_url, inputs):
        matches = look_up(name) if is_url(name) else _look_up(name)
        if not matches:
            raise ConfigError(f"INPUT {name}: no such file or folder, and no file matches it as a glob")
        for match in matches:
            if isinstance(match, str):
                _list_folder(match, formats, excluded, listing)
            else:
                _list_file(match, formats, listing, named=_place(match) in (name, str(Path(name))))
    if not listing.files:
        raise ConfigError(f"INPUT holds no file that can be read; formats: {', '.join(formats)}")
    return listing


def _look_up(name: str) -> list[Path | str]:
    """Get the file or folder (as a string) of that name, or those that it matches as a glob, sorted."""
    matches = [name] if Path(name).exists() else sorted(glob.glob(name, recursive=True))  # noqa: PTH207 (absolute patterns, too)
    return [match if Path(match).is_dir() else Path(match) for match in matches]


def _place(file: File) -> str:
    return file.url if isinstance(file, RemoteFile) else str(file)


def _list_folder(folder: str, formats: Sequence[str], exclude: str | None, listing: Listing) -> None:
    for file, origin in files_below(folder, exclude) if is_url(folder) else _walk(Path(folder), exclude):
        if split_suffix(file.name) in formats and not any(part.startswith(".") for part in Path(origin).parts):
            listing.files.append(_whole_file(file, origin))
        else:
            listing.n_skipped += 1


def _list_file(file: File, formats: Sequence[str], listing: Listing, *, named: bool) -> None:
    if split_suffix(file.name) in formats:
        listing.files.append(_whole_file(file, file.name))
    elif named:
        raise ConfigError(
            f"INPUT {_place(file)}: format {split_suffix(file.name)!r} can't be read; known: {', '.join(formats)}"
        )
    else:
        listing.n_skipped += 1


def _walk(folder: Path, exclude: str | None) -> Iterator[tuple[Path, str]]:
    """Yield a folder's files with their paths in it, sorted; symbolic links to folders are not followed."""
    excluded = None if exclude is None or is_url(exclude) else Path(exclude).resolve()
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if (Path(root) / name).resolve() != excluded)
        for path in (Path(root) / name for name in sorted(names)):
            yield path, path.relative_to(folder).as_posix()


def _whole_file(file: File, origin: str) -> Piece:
    if isinstance(file, RemoteFile):
        return Piece(file, origin, split_suffix(file.name), 0, file.size)
    try:
        size = file.stat().st_size
    except OSError:  # a dangling link: reading it will say so
        size = 0
    return Piece(file.absolute(), origin, split_suffix(file.name), 0, size)
