"""Repairs of words disguised from a filter: pinyin put between characters, characters split into their halves.

Numbers and ids in disguise are left as they are: `pipeline.privacy` marks them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import product

from pipeline.clean.convert import load_conversion
from pipeline.clean.edits import Edit
from pipeline.clean.layout import HAN
from pipeline.tables import read_rows

_SYLLABLE = "([^\\W\\d_A-Z]{1,6})"
# a bracket comes first: what begins with a set of few characters is found fast
_GLOSS = re.compile(f"[（(【\\[](?:(?<=[{HAN}][（(]){_SYLLABLE}[）)]|(?<=[{HAN}][【\\[]){_SYLLABLE}[】\\]])")
_TONES = {ord(accent): None for accent in "\u0300\u0301\u0304\u030c"}


@cache
def _chars_read_so() -> Mapping[str, str]:
    """Get the common characters, simplified ones, by their syllables without tones."""
    return dict(read_rows("pinyin.tsv"))


def _is_reading(char: str, syllable: str) -> bool:
    """Tell whether a syllable, with or without its tone, is how a common character of either script is read."""
    plain = unicodedata.normalize("NFC", unicodedata.normalize("NFD", syllable).translate(_TONES))
    chars = _chars_read_so().get(plain, "")
    return char in chars or chr(load_conversion("t2s")[-1][-1].chars[ord(char)]) in chars


def drop_pinyin(text: str) -> Iterator[Edit]:
    """Drop the pinyin that stands in brackets inside a word, behind the common character that it spells.

    A gloss of a rare character stays: it is meant for the reader. So does one that ends the word, one that spells
    another word, and an abbreviation.

    Examples
    --------
    >>> [text[edit.start:edit.end] for text in ["内(nèi)容(róng)，微（wēi）信"] for edit in drop_pinyin(text)]
    ['(nèi)', '(róng)', '（wēi）']
    >>> list(drop_pinyin("荨(qián)麻，好（hun）意，虚拟机（vm）的，矗(chù)。"))
    []
    """
    dropped_to = -1
    for match in _GLOSS.finditer(text):
        start, end = match.span()
        if not _is_reading(text[start - 1], match[1] or match[2]):
            continue
        if start - 1 == dropped_to or _HAN.match(text, end):
            yield Edit(start, end, "")
            dropped_to = end


_HAN = re.compile(f"[{HAN}]")


@cache
def split_chars() -> Mapping[str, str]:
    """Get the halves of each character that `join_parts` knows."""
    return {char: halves for char, halves, _ in read_rows("parts.tsv")}


@cache
def _split_words() -> tuple[re.Pattern[str], Mapping[str, str]]:
    """Get every spelling of the table's words with a character split, longest first, and the words."""
    halves = split_chars()
    words = {word for _, _, words in read_rows("parts.tsv") for word in words.split("|")}
    spellings = {}
    for word in words:
        for parts in product(*[(char, halves[char]) if char in halves else (char,) for char in word]):
            if "".join(parts) != word:
                spellings["".join(parts)] = word
    pattern = "|".join(sorted(spellings, key=lambda spelling: (-len(spelling), spelling)))
    return re.compile(pattern), spellings


def join_parts(text: str) -> Iterator[Edit]:
    """Join the halves of a split character where the word around it proves what was meant.

    Examples
    --------
    >>> [edit.replacement for edit in join_parts("办讠正，木仓支，马扁子，弓虽大")]
    ['证', '枪', '骗', '强']

    Halves that are words, or explain a character, stay:

    >>> list(join_parts("妇女干部，弓虽为强，姓章的立早章"))
    []
    """
    pattern, words = _split_words()
    halves = split_chars()
    for match in pattern.finditer(text):
        at = match.start()
        for char in words[match.group()]:
            pair = halves.get(char)
            if pair and text.startswith(pair, at):
                yield Edit(at, at + 2, char)
                at += 2
            else:
                at += 1
