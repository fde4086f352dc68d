"""Quotation marks by choice: curly (“ ”) or corner (「 」), character for character."""

from __future__ import annotations

import re

from pipeline.clean.layout import HAN

QUOTES = ("keep", "curly", "corner")

_CURLY, _CORNER = "“”‘’", "「」『』"
_TO_CURLY = str.maketrans(_CORNER, _CURLY)
_DOUBLE_TO_CORNER = str.maketrans(_CURLY[:2], _CORNER[:2])
_SINGLE = re.compile("‘([^‘’\n]*)’(?![A-Za-z])")
_STRAIGHT_PAIR = re.compile('"([^"]*)"')
_CHINESE_EDGE = re.compile(f"^[{HAN}《（“‘「]|[{HAN}。！？…，》）]$")
_OPEN_CLOSE = {"curly": "“”", "corner": "「」"}


def choose_quotes(text: str, style: str) -> str:
    """Get the text with its quotation marks in one style; every character keeps its place.

    Straight quotes change only in pairs around Chinese within a line, so that inches and code stay; apostrophes stay.

    Parameters
    ----------
    text : str
    style : str
        One of `QUOTES`.

    Examples
    --------
    >>> choose_quotes("“你说‘好’，don’t”", "corner"), choose_quotes("「他說『好』」", "curly")
    ('「你说『好』，don’t」', '“他說‘好’”')
    >>> choose_quotes('他说"好的"，x = "a"', "curly")
    '他说“好的”，x = "a"'
    """
    if style == "keep":
        return text
    curly = style == "curly"
    text = text.translate(_TO_CURLY) if curly else _SINGLE.sub("『\\1』", text.translate(_DOUBLE_TO_CORNER))
    return _pair_straight(text, _OPEN_CLOSE[style]) if '"' in text else text


def _pair_straight(text: str, marks: str) -> str:
    """Replace the straight quotes of lines that hold an even number of them."""
    lines = text.split("\n")
    for i, line in enumerate(lines):
        if '"' in line and line.count('"') % 2 == 0:
            lines[i] = _STRAIGHT_PAIR.sub(lambda match: _replace_pair(match[1], marks), line)
    return "\n".join(lines)


def _replace_pair(inside: str, marks: str) -> str:
    return f"{marks[0]}{inside}{marks[1]}" if _CHINESE_EDGE.search(inside) else f'"{inside}"'
