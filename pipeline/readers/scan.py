"""The tags of a page, read once from its beginning to its end: its visible blocks, and the boxes that they stand in."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from typing import TypeVar

Value = TypeVar("Value")
Event = tuple[str, str]
"""A tag as it stands between its brackets, and the text behind it."""


def _names(names: str) -> frozenset[str]:
    return frozenset(names.split())


_BLOCKS = _names(
    "address article aside blockquote body button caption center dd details dialog dir div dl dt fieldset figcaption "
    "figure footer form h1 h2 h3 h4 h5 h6 header hgroup hr legend li listing main marquee menu nav ol p plaintext pre "
    "search section summary table tbody td tfoot th thead tr ul xmp"
)
"""Elements that browsers show as blocks of their own, or as a row, cell or button."""

_SKIPPED = _names(
    "audio canvas datalist embed frameset head iframe map math-annotation noembed noframes noscript object optgroup "
    "option select svg template textarea title video"
)
"""Elements that show no text of the page, or none that is a block of it: form fields, players, drawings."""

_VOID = _names("area base basefont bgsound br col embed frame hr img input keygen link meta param source track wbr")
"""Elements that have no end tag."""

_PARTS = _names("body caption dd dt figcaption figure h1 h2 h3 h4 h5 h6 legend li p pre summary tbody tfoot thead tr")
"""Blocks that are parts of the box that they stand in, not boxes of their own."""

(
    _INLINE, _LINK, _PART, _BOX, _CELL, _ROW, _PRE, _EMPTY, _BREAK, _SKIP, _HIDDEN_BLOCK, _UNSEEN, _UNSEEN_BLOCK,
) = range(13)  # fmt: skip
"""What a tag does. Those up to `_PRE` open an element; from `_PART` on they end the block before; `_BOX` and `_CELL`
are boxes; those from `_SKIP` on open what is left out."""

_KINDS = {
    **dict.fromkeys(_BLOCKS, _BOX),
    **dict.fromkeys(_PARTS, _PART),
    **dict.fromkeys(_SKIPPED, _SKIP),
    **dict.fromkeys(_VOID, _EMPTY),
    **dict.fromkeys(("br", "hr"), _BREAK),
    **dict.fromkeys(("td", "th"), _CELL),
    **dict.fromkeys(("pre", "listing", "plaintext", "xmp"), _PRE),
    "a": _LINK,
    "tr": _ROW,
}

MAX_CELL = 50
"""Characters of a table cell of several lines that is still read as a cell; longer ones hold the page's layout."""

_TAG = re.compile(r"<(/?[a-z][^>]*)>")
_NO_TAG = "wbr"
"""Stands for the tag in front of a piece of text that has none: it does nothing."""
_SPACES = re.compile(r"[ \t\n\r\f]+")
_HIDDEN = re.compile(r'\s(?:hidden="|aria-hidden="true")')
_STYLE = re.compile(r'\sstyle="([^"]*)"')
_DISPLAY_NONE = re.compile(r"(?:^|;)\s*display\s*:\s*none", re.IGNORECASE)
_INVISIBLE = re.compile(r"(?:^|;)\s*visibility\s*:\s*hidden", re.IGNORECASE)
_DISPLAY_BLOCK = re.compile(r"(?:^|;)\s*display\s*:\s*(?:block|flex|grid|table|list-item)", re.IGNORECASE)

_CHUNK = 1 << 20
"""Characters that are cut into tags at a time: it bounds the memory that a large page takes."""
_MAX_KNOWN, _MAX_KEPT = 1 << 13, 100
"""Tags of so many characters that are remembered as they stand, so that their attributes are looked at once."""


Block = tuple[str, str, float, int]
"""A text without line break, its nearest block-level element, the share of its visible characters that stand in links,
and the number of the box that it stands in."""


def share_of(linked: str, text: str) -> float:
    """Get the share of the visible characters of `text` that those of `linked` make up."""
    return 1.0 if linked == text else round(len("".join(linked.split())) / max(len("".join(text.split())), 1), 2)


_BLANK = "".join(filter(str.isspace, map(chr, range(0x3001)))) + "\u200b\u200c\u200d\u2060\ufeff"


def is_blank(text: str) -> bool:
    """Whether a text has no visible character."""
    return text[:1] in _BLANK and not text.strip(_BLANK)


def _decode_entities(text: str) -> str:
    """Decode the four entities that the parser writes."""
    if "&" not in text:
        return text
    text = text.replace("&nbsp;", "\xa0").replace("&lt;", "<").replace("&gt;", ">")
    return text.replace("&amp;", "&")


def _kind_of(tag: str, *, show_invisible: bool) -> int:
    """Get what a tag that opens an element does.

    Examples
    --------
    >>> _kind_of("p", show_invisible=False) == _PART, _kind_of('p hidden=""', show_invisible=False) == _HIDDEN_BLOCK
    (True, True)
    """
    name, space, _ = tag.partition(" ")
    kind = _KINDS.get(name, _INLINE)
    if not space or kind in (_EMPTY, _BREAK):
        return kind
    if "hidden" in tag or "none" in tag or "NONE" in tag:
        style = _STYLE.search(tag)
        if _HIDDEN.search(tag) or (style and _DISPLAY_NONE.search(style.group(1))):
            return _HIDDEN_BLOCK if _PART <= kind <= _PRE else _SKIP
        if style and not show_invisible and _INVISIBLE.search(style.group(1)):
            return _UNSEEN_BLOCK if _PART <= kind <= _PRE else _UNSEEN
    if kind == _INLINE and "display" in tag:
        style = _STYLE.search(tag)
        return _BOX if style and _DISPLAY_BLOCK.search(style.group(1)) else _INLINE
    return kind


def _name_of(tag: str) -> str:
    """Get the name of a block that a tag opens; an inline element that is shown as a block is a div."""
    name = tag.partition(" ")[0]
    return name if name in _BLOCKS else "div"


class _Known(dict[str, Value]):
    """What tags are, by the tag as it stands; worked out when it is first asked for."""

    def __init__(self, work_out: Callable[[str], Value]) -> None:
        self._work_out = work_out

    def __missing__(self, tag: str) -> Value:
        value = self._work_out(tag)
        if len(tag) <= _MAX_KEPT:
            if len(self) >= _MAX_KNOWN:
                self.clear()
            self[tag] = value
        return value


_SEEN = _Known(partial(_kind_of, show_invisible=False))
_ALL = _Known(partial(_kind_of, show_invisible=True))
_NAMES = _Known(_name_of)


class _Row:
    """A table row: its cells' blocks, kept until it is known whether it is data or layout.

    Parameters
    ----------
    n_boxes : int
        Boxes that were numbered when it began.
    """

    def __init__(self, n_boxes: int) -> None:
        self.n_boxes = n_boxes
        self.cells: list[list[Block]] = []
        self.is_layout = False

    def add(self, block: Block) -> None:
        """Take what stands in the cell that is open."""
        if not self.cells:
            self.cells.append([])
        self.cells[-1].append(block)

    def is_data(self) -> bool:
        """Whether its cells are read as one line."""
        n_filled = 0
        for cell in self.cells:
            n_filled += bool(cell)
            if len(cell) > 1 and sum([len(block[0]) for block in cell]) > MAX_CELL:
                return False
        return n_filled > 1 and not self.is_layout

    def join(self, box: int) -> Block:
        """Get a row of data as one block, cells by tabs."""
        texts = [cell[0][0] if len(cell) == 1 else " ".join([block[0] for block in cell]) for cell in self.cells]
        blocks = list(chain.from_iterable(self.cells))
        linked = sum([len(text) * share for text, _, share, _ in blocks if share])
        share = round(linked / sum([len(block[0]) for block in blocks]), 2) if linked else 0.0
        tag = "th" if all(block[1] == "th" for block in blocks) else "td"
        return "\t".join(texts).strip("\t"), tag, share, box


class Scan:
    """Collects blocks tag by tag.

    Parameters
    ----------
    body : str
        What stands in the body of a page as the parser writes it, without scripts and comments.
    show_invisible : bool
        Read what `visibility: hidden` hides.

    Attributes
    ----------
    texts, tags, shares, boxes : list
        Of each block that has a visible character, as `Block` has them.
    parents : list of int
        The box around each box, whose number is smaller; the body, number 0, has itself.
    n_invisible : int
        Characters that `visibility: hidden` hid.
    """

    def __init__(self, body: str, *, show_invisible: bool) -> None:
        self.texts: list[str] = []
        self.tags: list[str] = []
        self.shares: list[float] = []
        self.boxes: list[int] = []
        self.parents, self.n_invisible = [0], 0
        self._kinds = _ALL if show_invisible else _SEEN
        self._buffer: list[str] = []
        self._linked: list[str] = []
        self._opened = ["body"]  # tags of the open blocks
        self._boxes = [0]  # numbers of the open boxes; those that hold nothing yet have -1
        self._rows: list[_Row] = []
        self._n_pre = 0
        self._read(chain.from_iterable(_cut(body)))

    def _read(self, events: Iterator[Event]) -> None:  # noqa: PLR0912 - a call for each tag would double the time
        """Take all tags; the loop that counts for speed."""
        kinds, buffer, linked, opened, boxes = self._kinds, self._buffer, self._linked, self._opened, self._boxes
        open_kinds: list[int] = []  # of each open element
        n_links = 0
        for tag, behind in events:
            text = behind
            if tag[0] == "/":
                kind = open_kinds.pop() if open_kinds else _INLINE
                if kind == _LINK:
                    n_links -= 1
                elif kind:
                    if buffer:
                        self._flush()
                    opened.pop()
                    if kind >= _BOX:
                        if kind <= _CELL:
                            boxes.pop()
                        else:
                            self._end_special(kind)
            else:
                kind = kinds[tag]
                if kind <= _PRE:
                    open_kinds.append(kind)
                    if kind == _LINK:
                        n_links += 1
                    elif kind:
                        if buffer:
                            self._flush()
                        opened.append(tag)
                        if kind >= _BOX:
                            if kind <= _CELL:
                                boxes.append(-1)
                            if kind >= _CELL:
                                self._start_special(kind)
                elif kind != _EMPTY:
                    if buffer and kind != _SKIP and kind != _UNSEEN:
                        self._flush()
                    if kind != _BREAK:
                        text = self._skip(events, counts=kind >= _UNSEEN)
            if text and (buffer or self._n_pre or not text.isspace()):
                buffer.append(text)
                if n_links:
                    linked.append(text)
        self._flush()

    def _skip(self, events: Iterator[Event], *, counts: bool) -> str:
        """Pass over an element that is left out; get the text behind it."""
        depth = 1
        for tag, text in events:
            if tag[0] == "/":
                depth -= 1
                if not depth:
                    return text
            elif self._kinds[tag] not in (_EMPTY, _BREAK):
                depth += 1
            if counts:
                self.n_invisible += len(text.strip())
        return ""

    def _start_special(self, kind: int) -> None:
        if kind == _ROW:
            if self._rows:  # the only one that may not be known yet to be layout: those around it hold it
                self._lay_out(self._rows[-1])
            self._box()
            self._rows.append(_Row(len(self.parents)))
        elif kind == _CELL and self._rows:
            self._rows[-1].cells.append([])
        elif kind == _PRE:
            self._n_pre += 1

    def _end_special(self, kind: int) -> None:
        if kind == _ROW:
            row = self._rows.pop()
            if row.is_data():
                del self.parents[row.n_boxes :]  # its cells are no boxes then
                self._give(row.join(self._box()))
            else:
                self._lay_out(row)
        elif kind == _PRE:
            self._n_pre -= 1

    def _lay_out(self, row: _Row) -> None:
        """Give the blocks of a row as blocks of the page; those that follow in it go there at once."""
        row.is_layout = True
        for block in chain.from_iterable(row.cells):
            self._give(block)
        row.cells.clear()

    def _flush(self) -> None:
        """End a block."""
        buffer, linked = self._buffer, self._linked
        text = buffer[0] if len(buffer) == 1 else "".join(buffer)
        buffer.clear()
        if "&" in text:
            text = _decode_entities(text)
        share = 0.0
        if linked:
            share = share_of(_decode_entities("".join(linked)), text)
            linked.clear()
        name, box = _NAMES[self._opened[-1]], self._boxes[-1]
        if box < 0:
            box = self._box()
        if self._n_pre:
            for line in text.replace("\r", "\n").split("\n"):
                self._emit((line.rstrip(), name, share, box))
            return
        text = text.strip(" \n\t\r\f")  # white space is collapsed as browsers do
        if "\n" in text or "  " in text or "\t" in text or "\r" in text or "\f" in text:
            text = _SPACES.sub(" ", text)
        self._emit((text, name, share, box))

    def _emit(self, block: Block) -> None:
        text = block[0]
        if text[:1] in _BLANK and not text.strip(_BLANK):
            return
        if self._rows and not self._rows[-1].is_layout:
            self._rows[-1].add(block)
        else:
            self._give(block)

    def _give(self, block: Block) -> None:
        self.texts.append(block[0])
        self.tags.append(block[1])
        self.shares.append(block[2])
        self.boxes.append(block[3])

    def _box(self) -> int:
        """Get the number of the innermost open box; those that have none yet get one."""
        boxes = self._boxes
        first = len(boxes)
        while boxes[first - 1] < 0:
            first -= 1
        for i in range(first, len(boxes)):
            self.parents.append(boxes[i - 1])
            boxes[i] = len(self.parents) - 1
        return boxes[-1]


def _cut(body: str) -> Iterator[Iterator[Event]]:
    """Yield the tags of a piece at a time, each with the text behind it."""
    start = 0
    while start < len(body):
        end = body.find("<", start + _CHUNK)
        end = len(body) if end < 0 else end
        parts = _TAG.split(body[start:end])
        yield zip([_NO_TAG, *parts[1::2]], parts[::2], strict=True)
        start = end
