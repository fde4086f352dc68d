"""Repairs that look at more than one character; each yields edits and changes nothing itself.

Repairs of single characters (controls, zero-width, full-width Latin and digits, look-alikes, known private use, white
space) are rows of ``tables/folds.tsv``, made before. Chinese punctuation and quotation marks stay as they are; NFKC is
never applied. A repair reads folded text and decides by that text alone: this is what makes clean idempotent.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from itertools import takewhile
from typing import NamedTuple

from pipeline.clean.disguise import drop_pinyin, join_parts
from pipeline.clean.edits import Edit
from pipeline.clean.layout import HAN, join_spaced_han, join_wrapped
from pipeline.kernels.signs import AMPERSAND, BRACKETED, PARTED, REPEATED, SPACED, TWINNED, WRAPPED
from pipeline.tables import read_rows

_ENTITY = re.compile(r"&(?:amp;)*(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")


def unescape_entities(text: str) -> Iterator[Edit]:
    r"""Decode the HTML entities that a scraper left in the text.

    Examples
    --------
    >>> [edit.replacement for edit in unescape_entities("A&amp;B&nbsp;&#20013;")]
    ['&', '\xa0', '中']

    Doubly escaped ones become what they meant; what is no entity stays:

    >>> [edit.replacement for edit in unescape_entities("&amp;lt; R&D; AT&T")]
    ['<']
    """
    for match in _ENTITY.finditer(text):
        entity = re.sub(r"^&(?:amp;)+(?!$)", "&", match.group())
        replacement = html.unescape(entity)
        if replacement != match.group() and "&" not in replacement[:-1]:
            # what stays at the end keeps its place: "&nbspA1;" is a space and "A1;"
            n_kept = _common_end(replacement[1:], match.group())
            yield Edit(match.start(), match.end() - n_kept, replacement[: len(replacement) - n_kept])


def _common_end(text: str, other: str) -> int:
    """Count the characters with which both texts end."""
    pairs = zip(reversed(text), reversed(other), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


_REPEATED = re.compile(
    rf"(?P<mark>[。！？；，…～!?~.·])(?:(?<=[。！？；，…～])(?P=mark){{3,}}|(?<=[{HAN}。！？；，…～”）」』][!?~])(?P=mark){{3,}}"
    rf"|(?<=[{HAN}][.·])[.·]{{6,}})"
)
"""It begins with a set of characters, and so is found far faster."""


def shorten_marks(text: str) -> Iterator[Edit]:
    """Shorten a run of one mark to three, of dots and ellipses to six.

    Three say all that ten say, and a sentence still ends where it ended. Marks between Latin letters are code; the
    marks of a list without its items (、、、、) and rules across the page (----) are no sentence's.

    Examples
    --------
    >>> [(edit.start, edit.end) for edit in shorten_marks("真的！！！！！！好。。。。")]
    [(5, 8), (12, 13)]
    >>> list(shorten_marks("走！！！好………………… x = a????b"))
    [Edit(start=11, end=12, replacement='')]
    """
    for match in _REPEATED.finditer(text):
        keep = 6 if match.group()[0] in "….·" else 3
        if match.end() - match.start() > keep:
            yield Edit(match.start() + keep, match.end(), "")


@cache
def latin_twins() -> Mapping[str, str]:
    """Get the Greek and Cyrillic letters that look like Latin ones, and which."""
    return {
        letter: twin for letters, twins in read_rows("twins.tsv") for letter, twin in zip(letters, twins, strict=True)
    }


_MIXED_WORD = re.compile("[A-Za-z\u0370-\u03ff\u0400-\u052f]{3,}")


def latinise_twins(text: str) -> Iterator[Edit]:
    """Replace Greek and Cyrillic letters in a word of otherwise Latin letters that they look like.

    At least two letters must be Latin, and every other one a look-alike: units, formulas and Russian words stay.

    Examples
    --------
    >>> [edit.replacement for edit in latinise_twins("раypal与Аpple")]
    ['p', 'a', 'A']
    >>> list(latinise_twins("10μs，ΔHm，КАМАЗ，αβc"))
    []
    """
    twins = latin_twins()
    for match in _MIXED_WORD.finditer(text):
        others = [i for i in range(match.start(), match.end()) if not text[i].isascii()]
        if others and match.end() - match.start() - len(others) >= 2 and all(text[i] in twins for i in others):
            for i in others:
                yield Edit(i, i + 1, twins[text[i]])


class Repair(NamedTuple):
    """What finds the edits, and the bit of `survey` without which there are none."""

    sign: int
    find: Callable[[str], Iterator[Edit]]


REPAIRS: dict[str, Repair] = {
    "html_entity": Repair(AMPERSAND, unescape_entities),
    "homoglyph": Repair(TWINNED, latinise_twins),
    "spaced_han": Repair(SPACED, join_spaced_han),
    "pinyin": Repair(BRACKETED, drop_pinyin),
    "split_char": Repair(PARTED, join_parts),
    "repeated_mark": Repair(REPEATED, shorten_marks),
    "wrapped_line": Repair(WRAPPED, join_wrapped),
}
"""The repairs by name, in their order: decode first, so that the others see the characters; lines last."""
