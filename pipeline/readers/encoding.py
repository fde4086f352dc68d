"""Bytes to characters: UTF-8, UTF-16, GB18030 and Big5 told apart by the bytes; what is none of them is refused."""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

from pipeline.errors import InputRejectedError
from pipeline.readers.frequent import ASCII, FREQUENT, LOST, chinese_share, count_kinds

MAX_UNDECODABLE = 0.001
"""Share of characters that may be undecodable; they become U+FFFD, more is a rejection."""

MAX_NUL = 0.001
"""Share of NUL bytes that text may have; compressed or otherwise binary data has four times as many."""

MIN_CHINESE = 0.3
"""Share of the characters beyond ASCII that must be frequent ones, for a legacy encoding to be believed.

From 20 characters up, Chinese text has 0.4 or more; a wrong decoding, or another language read as Chinese, under 0.25.
"""

MIN_TELLING = 20
"""Characters from which on the encoding of a text is told without a mistake."""

MAX_CUT = 4
"""Undecodable places of a text that was cut by bytes: up to three bytes of a character in front, one at the end."""

LOST_WEIGHT = 10
"""An undecodable character weighs against so many frequent ones when encodings are compared."""

LABEL_BONUS = 0.1
"""What a page's own label counts for: it settles ties, no more."""

_SAMPLE = 1 << 20
"""Bytes by which encodings are compared."""

_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""In this order: UTF-32's begins with UTF-16's."""

_CODECS = {"gb18030": "gb18030", "big5": "big5hkscs", "utf-16-le": "utf-16-le", "utf-16-be": "utf-16-be"}
"""Python's codec for each encoding that is told by how Chinese its characters are."""


class Decoded(NamedTuple):
    """Decoded text, and how it was decoded."""

    text: str
    encoding: str
    n_undecodable: int


def _is_tolerable(n_undecodable: int, text: str) -> bool:
    return n_undecodable <= len(text) * MAX_UNDECODABLE or _is_cut(n_undecodable, text)


def _is_cut(n_undecodable: int, text: str) -> bool:
    """Say whether all that can't be decoded is what is left of a character at either end, as of a text cut by bytes."""
    inner = text.strip("\ufffd")
    at_ends = n_undecodable <= MAX_CUT and len(text) - len(inner) >= n_undecodable
    return at_ends and len(inner) >= MIN_TELLING and chinese_share(count_kinds(inner)) >= MIN_CHINESE


def _decode_lossy(data: bytes, encoding: str, codec: str) -> Decoded:
    """Decode; count the U+FFFD that this brought in, without those that stood in the input."""
    text = data.decode(codec, "replace")
    n_lost = text.count("\ufffd")
    if n_lost and not codec.startswith(("utf-16", "utf-32", "big5")):
        n_lost -= data.count("\ufffd".encode(codec))
    return Decoded(text, encoding, n_lost)


def _decode_marked(data: bytes) -> Decoded | None:
    """Decode what begins with a byte-order mark."""
    for mark, encoding in _MARKS.items():
        if not data.startswith(mark):
            continue
        if encoding == "utf-8":
            return _decode_utf8(data[len(mark) :])
        decoded = _decode_lossy(data, encoding, encoding)
        if not _is_tolerable(decoded.n_undecodable, decoded.text):
            name = encoding.upper()
            raise InputRejectedError(
                "undecodable", f"begins as {name}, but {decoded.n_undecodable} places are no {name}", offset=len(mark)
            )
        return decoded
    return None


def _decode_utf8(data: bytes) -> Decoded | None:
    try:
        return Decoded(data.decode("utf-8"), "utf-8", 0)
    except UnicodeDecodeError:
        decoded = _decode_lossy(data, "utf-8", "utf-8")
        return decoded if _is_tolerable(decoded.n_undecodable, decoded.text) else None


def _decode_padded(data: bytes) -> Decoded | None:
    """Decode UTF-8 with NULs in it, if it is Chinese without doubt."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    counts = count_kinds(text)
    is_chinese = len(text) - counts[ASCII] >= MIN_TELLING and chinese_share(counts) >= MIN_CHINESE
    return Decoded(text, "utf-8", 0) if is_chinese else None


def _plausibility(text: str, *, is_utf16: bool) -> float:
    """Say how much a decoded text looks like Chinese, about 0 to 1.

    Where bytes come in pairs, characters of ASCII speak for the decoding as frequent Hanzi do: a wrong one has neither.
    """
    counts = count_kinds(text)
    n_known = counts[ASCII] - text.count("\x00") + counts[FREQUENT]  # NULs speak for nothing
    share = n_known / max(len(text), 1) if is_utf16 else chinese_share(counts)
    return share - LOST_WEIGHT * counts[LOST] / max(len(text) - counts[ASCII], 1)


def _decode_chinese(data: bytes, label: str | None, *, has_nuls: bool) -> Decoded | None:
    """Decode by the encoding that gives the most Chinese text, if any gives some; with NULs it can only be UTF-16."""
    n_sample = len(data) if len(data) <= _SAMPLE or data[:_SAMPLE].isascii() else _SAMPLE
    best, best_score = "", MIN_CHINESE
    for encoding, codec in _CODECS.items():
        is_utf16 = encoding.startswith("utf-16")
        if has_nuls and not is_utf16:
            continue
        text = codecs.getincrementaldecoder(codec)("replace").decode(data[:n_sample], n_sample == len(data))
        score = _plausibility(text, is_utf16=is_utf16) + LABEL_BONUS * (encoding == label)
        if score > best_score:
            best, best_score = encoding, score
    if not best:
        return None
    decoded = _decode_lossy(data, best, _CODECS[best])
    return decoded if _is_tolerable(decoded.n_undecodable, decoded.text) else None


_FAMILIES = {"gb2312": "gb18030", "gbk": "gb18030", "big5hkscs": "big5", "cp950": "big5"}


def codec_name(label: str | None) -> str | None:
    """Get Python's name of an encoding that a page or a server names; None if it is not known.

    Examples
    --------
    >>> codec_name("GB2312"), codec_name("Shift_JIS"), codec_name("none such")
    ('gb18030', 'shift_jis', None)
    """
    try:
        name = codecs.lookup((label or "").strip()).name
    except (LookupError, ValueError):
        return None
    return _FAMILIES.get(name, name)


def _decode_labelled(data: bytes, label: str | None) -> Decoded | None:
    """Decode as the label says, where no Chinese encoding fits: a page in another language."""
    # Browsers read Latin-1 as Windows' Latin; that one refuses what was some other encoding
    codec = {"iso8859-1": "cp1252", "ascii": "cp1252"}.get(label or "", label)
    if not codec or codec in _CODECS or codec.startswith("utf"):
        return None
    try:
        return Decoded(data.decode(codec), codec, 0)
    except (UnicodeError, LookupError):  # LookupError: a codec that is no text encoding
        return None


def decode(data: bytes, label: str | None = None) -> Decoded:
    """Decode a text.

    UTF-8 goes first, for other encodings are almost never valid UTF-8. Of UTF-16 without byte-order mark, GB18030 (with
    GBK and GB 2312 in it) and Big5 (with Hong Kong's supplement) the one is taken that gives the most Chinese text. A
    byte-order mark is removed.

    Parameters
    ----------
    data : bytes
    label : str, optional
        The encoding that the text says it has. Bytes that say otherwise are believed.

    Raises
    ------
    InputRejectedError
        With code ``binary`` or ``undecodable``.

    Examples
    --------
    >>> decode("汉字，".encode("gbk"))
    Decoded(text='汉字，', encoding='gb18030', n_undecodable=0)
    >>> decode("漢字，".encode("big5"))
    Decoded(text='漢字，', encoding='big5', n_undecodable=0)
    """
    if decoded := _decode_marked(data):
        return decoded
    has_nuls = data.count(0) > len(data) * MAX_NUL
    if decoded := _decode_padded(data) if has_nuls else _decode_utf8(data):
        return decoded
    known = codec_name(label)
    if decoded := _decode_chinese(data, known, has_nuls=has_nuls):
        return decoded
    if has_nuls:
        raise InputRejectedError("binary", "holds NUL bytes, so it is no text", offset=data.index(0))
    if decoded := _decode_labelled(data, known):
        return decoded
    raise InputRejectedError("undecodable", _why(data), offset=_first_invalid(data))


def sniff(head: bytes) -> str:
    """Get the encoding that the beginning of a stream is in; UTF-8 if it can't be told."""
    try:
        return decode(head).encoding
    except InputRejectedError:
        return "utf-8"


def decode_like(data: bytes, encoding: str) -> Decoded:
    """Decode a cell of a table whose encoding is known; a cell too short to judge is believed to be in it.

    Examples
    --------
    >>> decode_like("联通".encode("gbk"), "gb18030").text  # by itself, it would be UTF-8
    '联通'
    """
    if encoding in _CODECS and not data.isascii():
        decoded = _decode_lossy(data, encoding, _CODECS[encoding])
        is_short = len(decoded.text) < MIN_TELLING
        if not decoded.n_undecodable and (is_short or chinese_share(count_kinds(decoded.text)) >= MIN_CHINESE):
            return decoded
    return decode(data, encoding)


_LABEL = re.compile(rb"charset\s*=\s*[\"']?\s*([\w:.-]+)|<\?xml[^>]*\sencoding\s*=\s*[\"']([\w:.-]+)", re.IGNORECASE)
_HEAD = 4096
"""Bytes in which a page has to say its encoding; browsers look at 1024."""


def page_label(data: bytes) -> str | None:
    """Get the encoding that a page says it has.

    Examples
    --------
    >>> page_label(b'<meta charset="gbk">')
    'gbk'
    """
    match = _LABEL.search(data, 0, _HEAD)
    return (match.group(1) or match.group(2)).decode("ascii", "replace") if match else None


def _first_invalid(data: bytes) -> int | None:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start
    return None


def _why(data: bytes) -> str:
    n_undecodable = data.decode("utf-8", "replace").count("\ufffd")
    return (
        f"neither UTF-8 ({n_undecodable} undecodable places) nor plausible GB18030, Big5 or UTF-16; "
        "convert it to UTF-8 if it is text in another encoding"
    )
