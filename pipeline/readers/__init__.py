"""Readers: bytes in, documents out, one at a time; what can't be read comes out as a rejection.

A reader takes an open stream and its piece, and yields `Doc` or `Rejection`. One is registered for each format.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

# importing a module registers its readers; the order is the one in which messages list the formats
from pipeline.readers import files, rows, tables, warc  # noqa: F401  # isort: skip
from pipeline.readers.archive import read_stream
from pipeline.readers.base import READERS, SEEKABLE, Read, Reader, Rejection, reader, registered_domain
from pipeline.readers.sources import Piece
from pipeline.readers.streams import BUFFER, Digest, HashingStream, say

__all__ = [
    "READERS",
    "Digest",
    "HashingStream",
    "Read",
    "Reader",
    "Rejection",
    "read_piece",
    "reader",
    "registered_domain",
]


def _is_read_in_place(piece: Piece) -> bool:
    """Say whether a reader may seek in the file itself; a whole one of a store is rather copied, and read once."""
    is_near = isinstance(piece.path, Path) or piece.groups is not None
    return piece.format in SEEKABLE and not piece.compression and is_near


def read_piece(piece: Piece, digest: Digest | None = None) -> Iterator[Read]:
    """Read a piece of input.

    Parameters
    ----------
    piece : Piece
    digest : hash object, optional
        Is fed with the bytes on disk, all of them once, in their order.

    Yields
    ------
    Doc or Rejection
        In the order of the input. Never raises for what is wrong with the input: a file that can't be opened, or
        breaks off, is one rejection behind what could be read.
    """
    try:
        with piece.path.open("rb") as file:
            file.seek(piece.start)
            raw = HashingStream(file, piece.n_bytes, hashlib.sha256() if digest is None else digest)
            if _is_read_in_place(piece):
                with piece.path.open("rb") as own:
                    yield from read_stream(own, piece)
            else:
                yield from read_stream(io.BufferedReader(raw, BUFFER), piece)
            raw.drain()
    except OSError as error:
        yield Rejection(piece.origin, None, None, None, "unreadable", f"the file can't be opened: {say(error)}")
