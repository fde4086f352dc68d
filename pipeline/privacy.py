"""Privacy: e-mail addresses, numbers and ids of persons, as spans of a cleaned text.

Reads a text and its sentences; changes nothing. A cheap pass over the characters finds where digits, an @ or the name
of a messenger stand; only there is looked closely. What is found reads as such beyond reasonable doubt: a number has
its checksum, its shape and nothing beside it that says otherwise, an id is announced. Digits in disguise (壹叁捌, ➊➌➑,
one by one) count as digits. Numbers masked already (138****1234) are no hits; nor are hotlines, landlines, orders,
licences and the accounts that publish to everybody.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.batch import Batch, Layer, bounds_of
from pipeline.doc import Coded, Doc, IntArray, code_points
from pipeline.errors import ConfigError
from pipeline.kernels.runs import AT_SIGN, CLUE, ID_CUE, MIN_PLAIN, NUMBER, SEPARATOR, find_runs
from pipeline.stage import Stage, stage
from pipeline.tables import N_CODE_POINTS

TYPES = ("email", "id_card", "bank_card", "mobile", "wechat", "qq")
"""The types of private spans."""

MIN_DIGITS, MIN_ID = 5, 6
"""Digits of the shortest QQ number, characters of the shortest WeChat id."""

_DIGITS = (
    "0123456789",
    "０１２３４５６７８９",
    "零一二三四五六七八九",
    "〇壹贰叁肆伍陆柒捌玖",
    "〇幺貳參肆伍陸柒捌玖",
    "⓪①②③④⑤⑥⑦⑧⑨",
    "⓿❶❷❸❹❺❻❼❽❾",
    "⓪➀➁➂➃➄➅➆➇➈",
    "⓿➊➋➌➍➎➏➐➑➒",
    "⓪⑴⑵⑶⑷⑸⑹⑺⑻⑼",
    "⓪⒈⒉⒊⒋⒌⒍⒎⒏⒐",
    "⓪㈠㈡㈢㈣㈤㈥㈦㈧㈨",
)
_TO_ASCII = {ord(char): str(value) for digits in _DIGITS for value, char in enumerate(digits)}
_SEPARATORS = " -.·_—－\ufe0f\u20e3"
_SEP = f"[{_SEPARATORS}]{{0,2}}"


class Private(NamedTuple):
    """A private span: half-open code points, and one of `TYPES`."""

    start: int
    end: int
    type: str


@cache
def _shapes() -> NDArray[np.uint8]:
    shapes = np.zeros(N_CODE_POINTS, dtype=np.uint8)
    for chars, shape in (
        (_SEPARATORS, SEPARATOR),
        ("@＠", AT_SIGN),
        ("信微薇威Vv", ID_CUE | CLUE),
        ("号❤XxTtNnDd", ID_CUE),
        ("WwQq扣叩", CLUE),
    ):
        shapes[[ord(char) for char in chars]] = shape
    for digit, value in _TO_ASCII.items():
        shapes[digit] = NUMBER + int(value)
    return shapes


# ---- e-mail

_LOCAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}$")
_DOMAIN = re.compile(r"(?:[A-Za-z0-9-]{1,63}[.．])+([A-Za-z]{2,12})(?![A-Za-z0-9_@]|-[A-Za-z0-9]|:[A-Za-z0-9/~.])")
_FILE = re.compile("service|socket|mount|target|timer|png|jpe?g|gif|svg|webp|js|css|html?|py|sh|json|local", re.I)
_PLACEHOLDER = re.compile(r"(?:^|\.)(?:example\.\w+|test|invalid|localhost|localdomain|domain\.com)$", re.IGNORECASE)
_IN_ADDRESS = re.compile(r"//\S*$|@$|(?:ssh|scp|sftp|rsync) (?:[!-~]+ ){0,3}$")


def _find_email(text: str, at: int) -> Private | None:
    """Get the address around an @; none in a URL, a file name, a shell prompt or a placeholder."""
    domain = _DOMAIN.match(text, at + 1)  # first, for most @ stand before a name
    if not domain or _FILE.fullmatch(domain[1]) or _PLACEHOLDER.search(domain.group()):
        return None
    local = _LOCAL.search(text, max(0, at - 64), at)
    if not local or local.group() == "git" or _IN_ADDRESS.search(text, max(0, local.start() - 64), local.start()):
        return None
    return Private(local.start(), domain.end(), "email")


# ---- numbers

_MOBILE = re.compile(
    rf"(?P<country>(?:00)?86{_SEP})?(?P<number>"
    rf"1(?:3\d|4[5-9]|5[0-35-9]|6[2567]|7[0-8]|8\d|9[0-35-9])(?P<sep>{_SEP})\d{{4}}(?P=sep)\d{{4}}"
    rf"|1(?P<each>[{_SEPARATORS}]{{1,2}})[3-9](?:(?P=each)\d){{9}})"
)
_ID_CARD = re.compile(rf"(?P<number>\d{{6}}{_SEP}\d{{8}}{_SEP}\d{{3}}[\dXx])")
_BANK_CARD = re.compile(
    r"(?P<number>\d{16,19}|\d{4}(?P<sep>[ -])\d{4}(?P=sep)\d{4}(?P=sep)\d{4}(?:(?P=sep)\d{1,3})?|\d{6} \d{10,13})"
)
_START = re.compile(r"(?:^|(?<= ))\d")

_PROVINCES = re.compile("1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[1-3]")
_ID_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)

_OTHER_NUMBER = re.compile(
    r"(?:单号?|编号|流水号?|工号|货号|条码|条形码|序列号|型号|批号|案号|备案?|许可证?|证书号?|执照|代码|邮编|标识|文号|登记号|专利号?"
    r"|版号|ISBN|ISSN|DOI|SN|ID|id|uid|UID|No\.?|NO\.?|[¥￥$€£])[^\w]{0,3}$"
)
_PHONE_WORD = re.compile(r"(?:tel|phone|mobile|mob|call|wechat|weixin|vx|wx|v|t|m|p|q|qq)$", re.I)
_LATIN_WORD = re.compile(r"[A-Za-z]+[-.]?$")
_OTHER_AFTER = re.compile(
    r" ?(?:[A-Za-z_%@/=&#℃°*]|\.[A-Za-z0-9]|[元万亿吨次人个条件股户台辆余]|美元|港元|欧元|日元|多[人个万元])"
)
_CARD_WORD = re.compile("卡号|账号|帐号|账户|帐户|银行|信用卡|储蓄卡|借记卡|card", re.I)


def is_id_card(number: str) -> bool:
    """Tell whether 18 characters are an identity number: province, a date that was, and the checksum of GB 11643.

    Examples
    --------
    >>> is_id_card("110101190001010014"), is_id_card("110101190001010015"), is_id_card("11010119000230001X")
    (True, False, False)
    """
    if not _PROVINCES.match(number):
        return False
    try:
        born = date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return False
    total = sum(weight * int(digit) for weight, digit in zip(_ID_WEIGHTS, number[:17], strict=True))
    return 1900 <= born.year < 2036 and "10X98765432"[total % 11] == number[17].upper()


def is_bank_card(number: str) -> bool:
    """Tell whether 16 to 19 digits pass the check of ISO/IEC 7812 (Luhn) and begin as a card's in China do.

    Examples
    --------
    >>> is_bank_card("6200000000000005"), is_bank_card("6200000000000006"), is_bank_card("9900000000000006")
    (True, False, False)
    """
    if number[:2] != "62" and (len(number) != 16 or number[0] not in "45"):
        return False
    doubled = (int(digit) * 2 for digit in number[-2::-2])
    return (sum(map(int, number[-1::-2])) + sum(value - 9 if value > 9 else value for value in doubled)) % 10 == 0


def _is_valid(name: str, match: re.Match[str], text: str, start: int) -> bool:
    """Tell whether what has the shape of a number can be one; `start` is its place in the text."""
    digits = re.sub(r"[^0-9Xx]", "", match["number"])
    if name == "id_card":
        return is_id_card(digits)
    if name == "bank_card":
        announced = digits[:2] == "62" or match["sep"] or _CARD_WORD.search(text, max(0, start - 16), start)
        return bool(announced) and is_bank_card(digits)
    # 8613800000000 without a + or a separator is any number
    return match["country"] != "86" or text[start - 1 : start] in ("+", "＋")


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Tell whether nothing beside a number says that it is part of something else, or an amount."""
    before = text[max(0, start - 10) : start]
    if before.endswith(tuple("/=#&?_%*@")) or _OTHER_NUMBER.search(before) or _OTHER_AFTER.match(text, end):
        return False
    word = _LATIN_WORD.search(before)
    return not word or bool(_PHONE_WORD.search(word.group().rstrip("-.")))


def _find_numbers(text: str, start: int, end: int) -> Iterator[Private]:
    """Yield the identity cards, bank cards and mobile numbers in a run of digits and separators."""
    plain = text[start : end + (text[end : end + 1] in ("X", "x"))].translate(_TO_ASCII)
    done = 0
    for opening in _START.finditer(plain):
        for name, pattern in (("id_card", _ID_CARD), ("bank_card", _BANK_CARD), ("mobile", _MOBILE)):
            match = pattern.match(plain, opening.start()) if opening.start() >= done else None
            if not match or plain[match.end() : match.end() + 1] not in ("", " "):
                continue
            first, last = start + match.start(), start + match.end()
            if _stands_alone(text, first, last) and _is_valid(name, match, text, first):
                done = match.end()
                yield Private(start + match.start("number"), last, name)


# ---- ids

_QQ_CUE = re.compile(
    r"(?:(?<![A-Za-z])[Qq]{2}|扣扣|叩叩|[加+＋➕] ?[Qq]|(?<![A-Za-z])[Qq](?=[群裙:：]))"
    r"(?:号码?|交流群|讨论群|群号?|裙|咨询|客服|联系|账号|[:：]|[ 是为加→-])*$"
)
_APP = r"(?<!企业)(?:微信|薇信|威信|徽信)|[Vv]信|(?<![A-Za-z.<_/])(?:WeChat|wechat|weixin|Weixin)"
_ADD = r"[加+＋➕佳] ?(?:[Vv][Xx]?|[Ww][Xx]|微|薇|威)|(?<![A-Za-z0-9_.</-])(?:[Vv][Xx]|[Ww][Xx])"
_WECHAT_CUE = re.compile(rf"(?:{_APP}|{_ADD})(?:❤|号码?|账号|ID|id|[:：]|[ 是为+→])*$")
_WECHAT = re.compile(
    rf"(?P<cue>(?:{_APP}|{_ADD})(?:号码?|账号| ?ID| ?id|❤)*)(?P<mark> ?[:：是为] ?|[ +＋]*)"
    r"(?P<id>[A-Za-z][A-Za-z0-9_-]{5,19})(?![A-Za-z0-9_-]|\.[A-Za-z0-9]|://|\()"
)
_NO_ID = re.compile("wechat|weixin|android|iphone|windows|official|harmonyos|version|website|public|account", re.I)
_PUBLISHES = re.compile("公众|订阅号|服务号|公号|小程序|视频号")
_QQ_NUMBER = re.compile(r"[1-9]\d{4,10}(?= |$)")
_MORE = re.compile(" ?[、,，/;；或和] ?")


def _find_id(text: str, cue: int, end: int) -> Private | None:
    """Get the WeChat id that a cue announces; a word without a digit needs a mark or 号 before it."""
    for match in _WECHAT.finditer(text, max(0, cue - 8), min(len(text), end + 3)):
        if match.end() != end or _NO_ID.match(match["id"]) or _PUBLISHES.search(text, max(0, cue - 14), cue):
            continue
        announced = match["mark"].strip() or match["cue"].endswith(("号", "号码", "ID", "id"))
        if (announced and not match["cue"].isascii()) or re.search("[0-9_]", match["id"]):
            return Private(match.start("id"), end, "wechat")
    return None


def _find_announced(text: str, start: int, end: int, before: Private | None) -> Private | None:
    """Get the QQ or WeChat number at the start of a run of digits, where one is announced."""
    match = _QQ_NUMBER.match(text[start:end].translate(_TO_ASCII))
    if not match or _OTHER_AFTER.match(text, start + match.end()):
        return None
    stop = start + match.end()
    head = text[max(0, start - 16) : start]
    if _QQ_CUE.search(head) or (before and before.type == "qq" and _MORE.fullmatch(text, before.end, start)):
        return Private(start, stop, "qq")
    if _WECHAT_CUE.search(head) and not _PUBLISHES.search(head):
        return Private(start, stop, "wechat")
    return None


# ---- all together


def _find(text: str, rows: list[list[int]]) -> list[Private]:
    """Get what the rows of `find_runs` hold, ascending and disjoint."""
    found = [email for start, _, shape in rows if shape == AT_SIGN and (email := _find_email(text, start))]
    inside = {i for email in found for i in range(email.start, email.end)}
    last = None
    for start, end, shape in rows:
        if shape == AT_SIGN or start in inside:
            continue
        spans: list[Private | None]
        if shape == ID_CUE:
            spans = [_find_id(text, start, end)]
        else:
            spans = [*_find_numbers(text, start, end)] if end - start >= MIN_PLAIN else []
            spans = spans or [_find_announced(text, start, end, last)]
        for span in spans:
            if span and (last is None or span.start >= last.end):
                last = span
                found.append(span)
    disjoint: list[Private] = []
    for span in sorted(found):
        if disjoint and span.start < disjoint[-1].end:  # an address, and what stands in it or begins it
            before = disjoint[-1]
            disjoint[-1] = Private(before.start, max(before.end, span.end), "email")
        else:
            disjoint.append(span)
    return disjoint


def find_private(text: str) -> list[Private]:
    """Find private data in a text.

    Parameters
    ----------
    text : str
        Cleaned text: full-width letters and digits have become ASCII.

    Returns
    -------
    list of Private
        Ascending, disjoint.

    Examples
    --------
    >>> [text[span.start:span.end] for text in ["电话138-0000-0000，QQ：10000000"] for span in find_private(text)]
    ['138-0000-0000', '10000000']
    >>> find_private("订单号13800000000，热线400-000-0000，京ICP备10000000号")
    []
    """
    points = code_points(text + "\n")
    runs, _ = find_runs(points, bounds_of([len(points)]), _shapes(), MIN_DIGITS, MIN_ID)
    return _find(text, runs.tolist())


def clip_to_sentences(found: Sequence[Private], sents: IntArray) -> list[Private]:
    """Get spans cut off at the end of the sentence in which they begin; those outside of sentences are left out.

    Parameters
    ----------
    found : sequence of Private
        Ascending, disjoint.
    sents : ndarray of int32, shape (n_sents, 2)
        Half-open, ascending, disjoint.
    """
    starts, clipped = sents[:, 0], []
    for span in found:
        row = bisect_right(starts, span.start) - 1
        end = int(sents[row, 1]) if row >= 0 else 0
        if span.start < end:
            clipped.append(span if span.end <= end else span._replace(end=end))
    return clipped


MODES = ("mark", "mask")


@dataclass(frozen=True)
class PrivacyConfig:
    """What is done with private data.

    Parameters
    ----------
    mode : str
        ``mark``: the spans are listed. ``mask``: what a run writes has ``*`` in place of each of their characters, too.
    """

    mode: str = "mark"

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ConfigError(f"privacy.mode is {self.mode!r}; known: {', '.join(MODES)}")


def mark_private(docs: Sequence[Doc], mode: str) -> Batch:
    """Get documents with their private spans; in mode ``mask`` the writer is told to hide them."""
    batch = Batch.of(docs)
    text, sents, metas = batch.text, batch.spans("sents"), list(batch.metas)
    rows, bounds = (array.tolist() for array in find_runs(text.values, text.bounds, _shapes(), MIN_DIGITS, MIN_ID))
    spans: list[tuple[int, int]] = []
    types: list[str] = []
    lengths = [0] * len(batch)
    for d, (first, last) in enumerate(pairwise(bounds)):
        if first == last:
            continue
        found = clip_to_sentences(_find(batch.text_of(d), rows[first:last]), sents.of(d))
        if found:
            spans += [(span.start, span.end) for span in found]
            types += [span.type for span in found]
            lengths[d], metas[d] = len(found), {**metas[d], "mask": mode == "mask"}
    pii = np.array(spans, dtype=np.int32).reshape(-1, 2)
    ends = bounds_of(lengths)
    return batch.extend(metas, pii=Layer(pii, ends), pii_types=Layer(Coded.encode(types, TYPES), ends))


@stage("privacy", requires=["sents"], assigns=["pii", "pii_types"])
def make_privacy(config: PrivacyConfig) -> Stage:
    """Get the stage that finds private data."""

    def find(docs: Sequence[Doc]) -> Batch:
        return mark_private(docs, config.mode)

    return find
