"""ZIP archives of anything that can be read."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from pipeline.errors import InputRejectedError
from pipeline.readers.base import READERS, Read, Rejection, reader
from pipeline.readers.sources import Piece, split_suffix
from pipeline.readers.streams import DAMAGED, decompress, say, seekable

MAX_NESTED = 3
"""Archives within archives are read to this depth; deeper ones are made to do harm."""

_IS_ENCRYPTED = 0x1
_IS_UTF8 = 0x800


def member_name(info: zipfile.ZipInfo) -> str:
    """Get a member's name; Windows wrote Chinese ones in GBK without saying so.

    Examples
    --------
    >>> member_name(zipfile.ZipInfo("新闻.txt".encode("gbk").decode("cp437")))
    '新闻.txt'
    """
    name = info.orig_filename
    if not info.flag_bits & _IS_UTF8 and not name.isascii():
        try:
            data = name.encode("cp437")
        except UnicodeEncodeError:
            return name
        for encoding in ("utf-8", "gb18030"):
            try:
                return data.decode(encoding)
            except UnicodeDecodeError:
                continue
    return name


def read_stream(stream: IO[bytes], piece: Piece) -> Iterator[Read]:
    """Read a stream by its piece's compression and format.

    Yields
    ------
    Doc or Rejection
        A stream that breaks off, or is damaged, is one rejection behind what could be read.
    """
    try:
        yield from READERS[piece.format](decompress(stream, piece.compression), piece)
    except InputRejectedError as error:
        yield Rejection.of(error, piece.origin, piece.origin)
    except DAMAGED as error:
        code = "truncated" if isinstance(error, EOFError) or "truncated" in str(error).lower() else "unreadable"
        yield Rejection(piece.origin, None, None, None, code, f"the file can't be read to its end: {say(error)}")


def _is_read(name: str) -> bool:
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in PurePosixPath(name).parts)
    return split_suffix(name) in READERS and not hidden and not name.endswith("/")


@reader(".zip", seekable=True)
def read_zip(stream: IO[bytes], piece: Piece) -> Iterator[Read]:
    """The documents of the members that can be read, in the order of their names; others are passed over."""
    if piece.n_nested >= MAX_NESTED:
        raise InputRejectedError("nested", f"archives are nested more than {MAX_NESTED} deep; unpack them first")
    with seekable(stream) as file:
        try:
            archive = zipfile.ZipFile(file)
        except DAMAGED as error:
            raise InputRejectedError("unreadable", f"the file is no whole ZIP archive: {say(error)}") from error
        with archive:
            members = sorted((member_name(info), index, info) for index, info in enumerate(archive.infolist()))
            for name, _, info in members:
                if _is_read(name):
                    yield from _read_member(archive, info, _member_piece(piece, name, info))


def _member_piece(piece: Piece, name: str, info: zipfile.ZipInfo) -> Piece:
    origin = f"{piece.origin}/{name}"
    return Piece(Path(name), origin, split_suffix(name), 0, info.file_size, n_nested=piece.n_nested + 1)


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, piece: Piece) -> Iterator[Read]:
    if info.flag_bits & _IS_ENCRYPTED:
        yield Rejection(piece.origin, piece.origin, None, None, "encrypted", "it needs a password; unpack it first")
        return
    try:
        member = archive.open(info)
    except DAMAGED as error:
        yield Rejection(piece.origin, piece.origin, None, None, "unreadable", f"it can't be unpacked: {say(error)}")
        return
    with member:
        yield from read_stream(member, piece)
