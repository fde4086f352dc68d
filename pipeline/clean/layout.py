"""Repairs of layout: spaces between the characters of a word, lines broken at a fixed width.

Both read text whose white space is folded, and decide by that text alone, so that a second look changes nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from pipeline.clean.edits import Edit
from pipeline.kernels.signs import MAX_CELLS, MAX_LONGER, MIN_CELLS, MIN_SPACES, MIN_WRAPPED

HAN = "\u3007\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U000323af"
"""Han characters, as the inside of a regular expression's set."""

_MARKS = "，。；：、！？（）《》“”"
_MIN_SPACED = 4  # 注 意 事 项; two and three are as often a padded name (王 芳) or a choice (大 中 小)
_LISTED = frozenset(
    "〇零一二三四五六七八九十百千万甲乙丙丁戊己庚辛壬癸子丑寅卯辰巳午未申酉戌亥"
    "日月火水木金土年时分秒周季天东南西北中上下左右前后内外大小高低多少春夏秋冬"
    "红橙黄绿青蓝紫黑白灰粉是否有无男女和或与及至到的生旦净末丑车马炮梅兰竹菊宫商角徵羽"
)
"""Characters that stand alone in lists, tables and choices: a run of nothing else is no spaced-out word."""
_SURNAMES = frozenset(
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范"
    "金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤"
)

_TWO_SPACED = re.compile(f" [{HAN}] [{HAN}]")
_BETWEEN = f"(?: | ?[{_MARKS}]{{1,2}} ?)"
_SPACED = re.compile(
    f"(?<![{HAN}])(?<![{HAN}] )(?P<run>[{HAN}](?>{_BETWEEN}[{HAN}](?![{HAN}]))*+)"
    f"(?![{HAN}])(?! [{HAN}])(?: (?=[{_MARKS}]))?"
)
_RUN_INSIDE = re.compile(
    f" (?:[{_MARKS}]{{0,2}} ?[{HAN}]{_BETWEEN}[{HAN}]{_BETWEEN}[{HAN}](?![{HAN}])|[{_MARKS}]{{1,2}} [{HAN}])"
)
"""What a run of four with three spaces holds: a space with three characters behind it, or else two spaces with a mark
between. It begins with a literal, and so is found far faster."""


def join_spaced_han(text: str) -> Iterator[Edit]:
    """Close the spaces in a run of single Han characters, each set apart from the next.

    Examples
    --------
    >>> [edit.start for edit in join_spaced_han("注 意 事 项")]
    [1, 3, 5]

    A word among them ends the matter, and so does a list of what stands alone, or of names:

    >>> list(join_spaced_han("我 买 的 是 假货 东 南 西 北")), list(join_spaced_han("李 明 王 芳"))
    ([], [])
    """
    clue = _TWO_SPACED.search(text)
    if not clue:
        return
    start = text.rfind("\n", 0, clue.start()) + 1
    for hint in _RUN_INSIDE.finditer(text, start):
        if hint.start() < start:  # its line is done
            continue
        line, start = text.rfind("\n", 0, hint.start()) + 1, text.find("\n", hint.end())
        start = len(text) if start < 0 else start
        for match in _SPACED.finditer(text, line, start):
            chars = [char for char in match["run"] if char not in _MARKS and char != " "]
            if len(chars) < _MIN_SPACED or match["run"].count(" ") < MIN_SPACES or _is_list(chars):
                continue
            yield from (Edit(i, i + 1, "") for i in range(match.start(), match.end()) if text[i] == " ")


def _is_list(chars: list[str]) -> bool:
    """Tell whether characters set apart are a list of such, or of names of two characters."""
    names = len(chars) % 2 == 0 and _SURNAMES.issuperset(chars[::2])
    return names or _LISTED.issuperset(chars) or len(set(chars)) * 2 <= len(chars)


class _Line(NamedTuple):
    """A line: its place in the text, and its width in cells."""

    start: int
    end: int
    width: int


_ENDS_CLOSED = re.compile(r"""[。！？!?；…：:.][”’"'）)」』》】\]]*$|[）)】\]》|｜>]$""")
_OPENS_ITEM = re.compile(
    r"""[-–—*+•●■◆▶·#>|｜※→☆★▪◎○\[【〔（(]|\d{1,3}[、.．)）:：]|[一二三四五六七八九十]{1,3}[、.．）]|第.{1,4}[章节条回部集卷]"""
    r"""|(?:[（(]?责任?编辑|责编|编辑|来源|作者|记者|转自|原标题|附件|摄影|https?:|www\.)"""
)
_PROSE = re.compile("[，。；、：！？]")
_HAN = re.compile(f"[{HAN}]")
_UNIT = re.compile(r"""[!-~]+|.[，。；：、！？”’）》」』】…]*""")


def join_wrapped(text: str) -> Iterator[Edit]:
    r"""Join the lines of a text that was broken at a fixed width, where a sentence runs over a line's end.

    The whole text must show it: at least five lines of prose, and four in five of the longer lines without an end,
    break exactly where the next word would not have fitted.

    Examples
    --------
    >>> text = "这篇文字每二十个字就被断开一次，一行一行都一样长，读起来不便，切分句子也总是出错，" * 4
    >>> lines = [text[i : i + 20] for i in range(0, len(text), 20)]
    >>> len(list(join_wrapped("\n".join(lines)))) == len(lines) - 1
    True

    Headlines and verse are no such text:

    >>> headlines = ["某市今年新增公园绿地，居民出门见绿", "多地发布暴雨预警，出行请注意安全，少去山区"]
    >>> list(join_wrapped("\n".join(headlines * 9)))
    []
    """
    lines = list(_lines(text))
    breaks = [
        i
        for i in range(len(lines) - 1)
        if not _ENDS_CLOSED.search(text, max(lines[i].start, lines[i].end - 6), lines[i].end)
    ]
    width = _wrap_width(lines, breaks)
    if not width:
        return
    forced = [i for i in breaks if _is_forced(text, lines[i], lines[i + 1], width)]
    longer = sum(lines[i].width * 2 >= width for i in breaks)
    prose = sum(_is_prose(text[lines[i].start : lines[i].end]) for i in forced)
    if prose < max(MIN_WRAPPED, 0.5 * len(forced)) or len(forced) < 0.8 * longer:
        return
    for i in forced:
        if not _OPENS_ITEM.match(text, lines[i + 1].start):
            at = lines[i].end
            latin = text[at - 1].isascii() and text[at - 1].isalnum() and text[at + 1].isascii()
            yield Edit(at, at + 1, " " if latin and text[at + 1].isalnum() else "")


def _lines(text: str) -> Iterator[_Line]:
    start = 0
    for line in text.split("\n"):
        yield _Line(start, start + len(line), 2 * len(line) - len(line.encode("ascii", "ignore")))
        start += len(line) + 1


def _wrap_width(lines: list[_Line], breaks: list[int]) -> int:
    """Get the width at which lines break most often, in cells; 0 where many are longer, or too few break there."""
    widths = Counter(lines[i].width for i in breaks)
    best, width = 0, 0
    for candidate in sorted({width + more for width in widths for more in range(3)}):
        if not MIN_CELLS <= candidate < MAX_CELLS:
            continue
        n = sum(widths[candidate - less] for less in range(3))
        if n > best:
            best, width = n, candidate
    if best < MIN_WRAPPED or sum(line.width > width + 2 for line in lines) * MAX_LONGER > len(lines):
        return 0
    return width


def _is_forced(text: str, line: _Line, following: _Line, width: int) -> bool:
    """Tell whether what follows would not have fitted into the line."""
    unit = _UNIT.match(text, following.start, following.end)
    room = width - line.width
    needed = len(unit.group()) * (1 if unit.group().isascii() else 2) if unit else 0
    return -2 <= room < needed


def _is_prose(line: str) -> bool:
    """Tell whether a line is Chinese for the greater part of its width, with a mark inside."""
    return bool(_PROSE.search(line)) and len(_HAN.findall(line)) * 3 > len(line)
