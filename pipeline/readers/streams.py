"""Streams of bytes: hashed as they are read, decompressed, looked into ahead of time, copied where one must seek."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import struct
import tempfile
import zipfile
import zlib
from typing import IO, Any, Protocol

import pyarrow as pa

from pipeline.errors import InputRejectedError, PipelineError
from pipeline.readers.encoding import sniff

BUFFER = 1 << 20

MAX_SPOOLED_BYTES = 16 << 30
"""A Parquet or ZIP file that has to be decompressed first may grow to so many bytes on disk."""

DAMAGED = (
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
    pa.ArrowException,
    zipfile.BadZipFile,
)
"""What decompressors and containers raise for damaged bytes; a name that is no UTF-8 is a ValueError."""


class Digest(Protocol):
    """What is fed with the bytes of the input: a hash, or what looks like one."""

    def update(self, data: bytes, /) -> None:
        """Take the next bytes."""


class HashingStream(io.RawIOBase):
    """A byte range of a file; what is read goes into a hash."""

    def __init__(self, file: IO[bytes], n_bytes: int, digest: Digest) -> None:
        self._file, self._left, self._digest = file, n_bytes, digest

    def readable(self) -> bool:
        """Say yes: io asks."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill the buffer as far as the range goes; 0 at its end."""
        data = self._file.read(min(self._left, len(buffer)))
        buffer[: len(data)] = data
        self._left -= len(data)
        self._digest.update(data)
        return len(data)

    def drain(self) -> None:
        """Read what a decompressor left behind: it counts as input, too."""
        while data := self._file.read(min(self._left, BUFFER)):
            self._left -= len(data)
            self._digest.update(data)


def decompress(stream: Any, compression: str) -> Any:
    """Get the stream of what is compressed in a stream: ``.gz``, ``.bz2``, ``.zst``, or the stream itself."""
    if compression == ".gz":
        return gzip.GzipFile(fileobj=stream, mode="rb")
    if compression == ".bz2":
        return bz2.BZ2File(stream, "rb")
    if compression == ".zst":
        return io.BufferedReader(pa.CompressedInputStream(pa.PythonFile(stream, "r"), "zstd"), BUFFER)
    return stream


class Lookahead(io.RawIOBase):
    """A stream whose beginning can be looked at; what is read before a break is given before the break is told.

    Parameters
    ----------
    stream : binary stream
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._head = b""
        self._error: BaseException | None = None

    def look(self, n_bytes: int) -> bytes:
        """Get the next bytes, as many as there are up to `n_bytes`; they will be read all the same."""
        while len(self._head) < n_bytes and self._error is None:
            try:
                data = self._stream.read1(n_bytes - len(self._head))
            except DAMAGED as error:
                self._error = error
                break
            if not data:
                break
            self._head += data
        return self._head[:n_bytes]

    def readable(self) -> bool:
        """Say yes: io asks."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill the buffer with what the stream has ready."""
        if self._head:
            data, self._head = self._head[: len(buffer)], self._head[len(buffer) :]
        elif self._error is not None:
            raise self._error
        else:
            data = self._stream.read1(len(buffer))
        buffer[: len(data)] = data
        return len(data)


class Utf8Stream(io.RawIOBase):
    """A stream in an encoding whose characters are not made of single bytes, as UTF-8.

    Parameters
    ----------
    stream : binary stream
    codec : str
        Such as ``utf-16``; a byte-order mark is removed.
    """

    def __init__(self, stream: Any, codec: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(codec)("replace")
        self._rest = b""
        self._is_first = True

    def readable(self) -> bool:
        """Say yes: io asks."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill the buffer with what has been decoded."""
        while not self._rest:
            data = self._stream.read1(BUFFER)
            text = self._decoder.decode(data, final=not data)
            if self._is_first and text:
                text, self._is_first = text.removeprefix("\ufeff"), False
            self._rest = text.encode("utf-8", "replace")
            if not data:
                break
        data, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)


def open_rows(stream: Any) -> tuple[IO[bytes], str]:
    """Get a stream of rows in which a line feed is one byte, and the encoding that its beginning seems to be in."""
    ahead = Lookahead(stream)
    encoding = sniff(ahead.look(BUFFER))
    buffered = io.BufferedReader(ahead, BUFFER)
    if encoding.startswith(("utf-16", "utf-32")):
        return io.BufferedReader(Utf8Stream(buffered, encoding), BUFFER), "utf-8"
    return buffered, encoding


def read_limited(stream: Any, max_bytes: int) -> bytes | None:
    """Read a stream to its end; None if it is longer than `max_bytes`."""
    pieces, n_bytes = [], 0
    while data := stream.read(min(BUFFER, max_bytes + 1 - n_bytes)):
        pieces.append(data)
        n_bytes += len(data)
        if n_bytes > max_bytes:
            return None
    return b"".join(pieces)


def seekable(stream: Any) -> Any:
    """Get a stream that can seek: the file itself, or a temporary copy of what a stream gives.

    Raises
    ------
    InputRejectedError
        With code ``too_large``.
    """
    if isinstance(stream, io.BufferedReader) and stream.seekable():
        return stream
    copy = tempfile.TemporaryFile()  # noqa: SIM115 (the caller closes it)
    while data := stream.read(BUFFER):
        _write_copy(copy, data)
        if copy.tell() > MAX_SPOOLED_BYTES:
            copy.close()
            raise InputRejectedError("too_large", f"it unpacks to over {MAX_SPOOLED_BYTES >> 30} GiB; unpack it first")
    copy.seek(0)
    return copy


def _write_copy(copy: IO[bytes], data: bytes) -> None:
    """Write to a temporary file; if there is no room, that is no fault of the input, which must not be set aside."""
    try:
        copy.write(data)
    except OSError as error:
        copy.close()
        raise PipelineError(
            f"{tempfile.gettempdir()} has no room for what has to be decompressed ({say(error)}); make some, or set "
            "TMPDIR, and run the same command again: it goes on after the last whole shard"
        ) from error


def say(error: BaseException) -> str:
    """An error's own words, without the path of this machine."""
    return str(error.strerror if isinstance(error, OSError) and error.strerror else error) or type(error).__name__
