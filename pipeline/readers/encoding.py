"""Bytes to characters: UTF-8 and GB18030 told apart, what is neither refused."""

from __future__ import annotations

import codecs
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputRejectedError
from pipeline.kernels.chars import code_points
from pipeline.tables import N_CODE_POINTS

MAX_UNDECODABLE = 0.001
"""Share of characters that may be undecodable; they become U+FFFD, more is a rejection."""

MIN_COMMON = 0.6
"""Share of the non-ASCII characters of GB18030 text that must be frequent ones.

Chinese text has over 0.95; Big5, Latin-1 or compressed bytes read as GB18030 have under 0.4.
"""


class Decoded(NamedTuple):
    """Decoded text, and how it was decoded."""

    text: str
    encoding: str
    n_undecodable: int


@cache
def _common_characters() -> NDArray[np.bool_]:
    """Mark the characters of GB 2312 level 1 (3,755 frequent Hanzi), its punctuation and ASCII."""
    rows = [*range(0xA1, 0xA4), *range(0xB0, 0xD8)]
    table = b"".join(bytes([lead, trail]) for lead in rows for trail in range(0xA1, 0xFF))
    common = np.zeros(N_CODE_POINTS, dtype=np.bool_)
    common[code_points(table.decode("gb2312", "ignore"))] = True
    common[0x2014] = common[0x2026] = common[0x00B7] = common[0x20AC] = True
    return common


def _count_undecodable(text: str, data: bytes, own: bytes) -> int:
    """Count the U+FFFD that decoding brought in, without those that stood in the input."""
    return text.count("\ufffd") - data.count(own)


def _is_tolerable(n_undecodable: int, text: str) -> bool:
    return n_undecodable <= len(text) * MAX_UNDECODABLE


def _decode_utf8(data: bytes) -> Decoded | None:
    text = data.decode("utf-8", "replace")
    n_undecodable = _count_undecodable(text, data, b"\xef\xbf\xbd")
    return Decoded(text, "utf-8", n_undecodable) if _is_tolerable(n_undecodable, text) else None


def _decode_gb18030(data: bytes) -> Decoded | None:
    text = data.decode("gb18030", "replace")
    n_undecodable = _count_undecodable(text, data, "\ufffd".encode("gb18030"))
    if not _is_tolerable(n_undecodable, text):
        return None
    points = code_points(text)
    points = points[points >= 0x80]
    if not len(points) or np.count_nonzero(_common_characters()[points]) < MIN_COMMON * len(points):
        return None
    return Decoded(text, "gb18030", n_undecodable)


def decode(data: bytes) -> Decoded:
    """Decode a text.

    UTF-8 goes first, for other encodings are almost never valid UTF-8; then GB18030 (with GBK and GB 2312 in it),
    if what comes out are characters that Chinese text consists of. A byte-order mark is removed.

    Raises
    ------
    InputRejectedError
        With code ``binary`` or ``undecodable``.

    Examples
    --------
    >>> decode("汉字，".encode("gbk"))
    Decoded(text='汉字，', encoding='gb18030', n_undecodable=0)
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return Decoded(data.decode("utf-16"), "utf-16", 0)
        except UnicodeDecodeError as error:
            raise InputRejectedError(
                "undecodable", f"begins as UTF-16, but {error.reason}", offset=error.start
            ) from error
    if b"\x00" in data:
        raise InputRejectedError("binary", "holds NUL bytes, so it is no text", offset=data.index(b"\x00"))
    data = data.removeprefix(codecs.BOM_UTF8)
    decoded = _decode_utf8(data) or _decode_gb18030(data)
    if decoded is None:
        raise InputRejectedError("undecodable", _why(data), offset=_first_invalid(data))
    return decoded


def _first_invalid(data: bytes) -> int | None:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start
    return None


def _why(data: bytes) -> str:
    n_undecodable = data.decode("utf-8", "replace").count("\ufffd")
    return (
        f"neither UTF-8 ({n_undecodable} undecodable places) nor plausible GB18030; "
        "convert it to UTF-8 if it is text in another encoding"
    )
