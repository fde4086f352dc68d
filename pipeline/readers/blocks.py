"""HTML to visible text blocks, one a line, in the order of the page, each with its tag and how much of it is linked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Self

from resiliparse.parse.html import HTMLTree

from pipeline.errors import InputRejectedError
from pipeline.readers.head import read_head


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

_INLINE, _EMPTY, _BREAK, _LINK, _SKIP, _HIDDEN_BLOCK, _BLOCK, _ROW, _CELL, _PRE = range(10)
"""What an element is; from `_BLOCK` on it ends the block before it."""

_KINDS = {
    **dict.fromkeys(_BLOCKS, _BLOCK),
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

_UNPARSED = re.compile(r"<!--.*?-->|<(script|style|iframe|noembed|noframes)(?=[ >]).*?</\1>", re.DOTALL)
"""What is written as it stood, so that it may hold anything, and shows nothing."""

_BODY = re.compile(r"<body(?: [^>]*)?>")
_TAG = re.compile(r"<(/?[a-z][^ />]*)([^>]*)>")
_SPACES = re.compile(r"[ \t\n\r\f]+")
_HIDDEN = re.compile(r'\s(?:hidden="|aria-hidden="true")')
_STYLE = re.compile(r'\sstyle="([^"]*)"')
_DISPLAY_NONE = re.compile(r"(?:^|;)\s*display\s*:\s*none", re.IGNORECASE)
_INVISIBLE = re.compile(r"(?:^|;)\s*visibility\s*:\s*hidden", re.IGNORECASE)
_DISPLAY_BLOCK = re.compile(r"(?:^|;)\s*display\s*:\s*(?:block|flex|grid|table|list-item)", re.IGNORECASE)
_BLANK = "".join(filter(str.isspace, map(chr, range(0x3001)))) + "\u200b\u200c\u200d\u2060\ufeff"

_CHUNK = 1 << 20
"""Characters that are cut into tags at a time: it bounds the memory that a large page takes."""


class Block(NamedTuple):
    """A block of text without line break, its nearest block-level tag, and the share of its characters in links."""

    text: str
    tag: str
    link_share: float

    @classmethod
    def of(cls, text: str, tag: str, linked: str) -> Self:
        """Get a block of which the characters of `linked` stand in links."""
        n_linked = len("".join(linked.split())) if linked else 0
        return cls(text, tag, round(n_linked / max(len("".join(text.split())), 1), 2) if n_linked else 0.0)


class Page(NamedTuple):
    """A page as its reader gives it.

    Parameters
    ----------
    text : str
        The blocks, joined by newlines.
    said : dict
        title, author, published, publisher, url, as far as the page says them.
    blocks : dict of str to list
        ``tag`` and ``link_share``, parallel to the lines of `text`.
    """

    text: str
    said: dict[str, Any]
    blocks: dict[str, list[Any]]


def to_page(blocks: Iterable[Block], said: dict[str, Any]) -> Page:
    """Get the page that has these blocks; those without a visible character are left out."""
    kept = [block for block in blocks if block.text[:1] not in _BLANK or block.text.strip(_BLANK)]
    columns: dict[str, list[Any]] = {
        "tag": [block.tag for block in kept],
        "link_share": [block.link_share for block in kept],
    }
    return Page("\n".join(block.text for block in kept), said, columns)


def _decode_entities(text: str) -> str:
    """Decode the four entities that the parser writes."""
    text = text.replace("&nbsp;", "\xa0").replace("&lt;", "<").replace("&gt;", ">")
    return text.replace("&amp;", "&")


class _Row:
    """A table row: its cells' blocks, kept until it is known whether it is data or layout."""

    def __init__(self) -> None:
        self.cells: list[list[Block]] = []
        self.is_layout = False

    def blocks(self) -> list[Block]:
        """Get one block, cells by tabs, of a row of data; of one that makes up the page's layout, what it holds."""
        filled = [cell for cell in self.cells if cell]
        if len(filled) < 2 or self.is_layout or any(self._is_layout(cell) for cell in filled):
            return [block for cell in filled for block in cell]
        texts = [" ".join(block.text for block in cell) for cell in self.cells]
        sizes = [len(block.text) for cell in filled for block in cell]
        shares = [block.link_share for cell in filled for block in cell]
        share = sum(size * part for size, part in zip(sizes, shares, strict=True)) / sum(sizes)
        tag = "th" if all(block.tag == "th" for cell in filled for block in cell) else "td"
        return [Block("\t".join(texts).strip("\t"), tag, round(share, 2))]

    @staticmethod
    def _is_layout(cell: list[Block]) -> bool:
        return len(cell) > 1 and sum(len(block.text) for block in cell) > MAX_CELL


def _squeeze(text: str) -> str:
    """Collapse white space as browsers do; looking first is cheaper, for most text has none to collapse."""
    if "\n" in text or "  " in text or "\t" in text or "\r" in text or "\f" in text:
        text = _SPACES.sub(" ", text)
    return text.strip(" ")


class _Scanner:
    """Collects blocks tag by tag.

    Parameters
    ----------
    show_invisible : bool
        Read what `visibility: hidden` hides.
    """

    def __init__(self, *, show_invisible: bool) -> None:
        self.blocks: list[Block] = []
        self.n_invisible = 0
        self._show_invisible = show_invisible
        self._buffer: list[str] = []
        self._linked: list[str] = []
        self._open_kinds: list[int] = []  # of each open element, what it is
        self._tags = ["body"]
        self._rows: list[_Row] = []
        self._n_links = self._n_pre = 0
        self._n_skipped = 0  # open elements within what is left out, that one included
        self._counts_skipped = False

    def text(self, text: str) -> None:
        """Take text as it stands between two tags."""
        if self._n_skipped:
            if self._counts_skipped:
                self.n_invisible += len(text.strip())
            return
        if not self._buffer and text.isspace() and not self._n_pre:
            return
        if "&" in text:
            text = _decode_entities(text)
        self._buffer.append(text)
        if self._n_links:
            self._linked.append(text)

    def start(self, name: str, attributes: str) -> None:
        """Take the tag that opens an element."""
        kind = _KINDS.get(name, _INLINE)
        if kind == _EMPTY or kind == _BREAK:
            if kind == _BREAK and not self._n_skipped:
                self.flush()
            return
        if self._n_skipped:
            self._n_skipped += 1
            return
        if attributes:
            if self._is_hidden(attributes):
                kind = _HIDDEN_BLOCK if kind >= _BLOCK else _SKIP
            elif kind == _INLINE and "display" in attributes and self._is_shown_as_block(attributes):
                name, kind = "div", _BLOCK
        if kind == _SKIP or kind == _HIDDEN_BLOCK:
            if kind == _HIDDEN_BLOCK:
                self.flush()
            self._n_skipped = 1
            return
        self._open_kinds.append(kind)
        if kind == _LINK:
            self._n_links += 1
        elif kind >= _BLOCK:
            if self._buffer:
                self.flush()
            self._tags.append(name)
            if kind > _BLOCK:
                self._start_special(kind)

    def _start_special(self, kind: int) -> None:
        if kind == _ROW:
            for row in reversed(self._rows):
                if row.is_layout:  # then those around it are, too
                    break
                row.is_layout = True
            self._rows.append(_Row())
        elif kind == _CELL and self._rows:
            self._rows[-1].cells.append([])
        elif kind == _PRE:
            self._n_pre += 1

    def end(self) -> None:
        """Take the tag that closes the innermost open element."""
        if self._n_skipped:
            self._n_skipped -= 1
            if not self._n_skipped:
                self._counts_skipped = False
            return
        kind = self._open_kinds.pop() if self._open_kinds else _INLINE
        if kind == _LINK:
            self._n_links -= 1
        elif kind >= _BLOCK:
            if self._buffer:
                self.flush()
            self._tags.pop()
            if kind == _ROW:
                self._emit(self._rows.pop().blocks())
            elif kind == _PRE:
                self._n_pre -= 1

    def _is_hidden(self, attributes: str) -> bool:
        if "hidden" not in attributes and "none" not in attributes and "NONE" not in attributes:
            return False
        if _HIDDEN.search(attributes):
            return True
        style = _STYLE.search(attributes)
        if not style:
            return False
        if _DISPLAY_NONE.search(style.group(1)):
            return True
        self._counts_skipped = not self._show_invisible and bool(_INVISIBLE.search(style.group(1)))
        return self._counts_skipped

    @staticmethod
    def _is_shown_as_block(attributes: str) -> bool:
        style = _STYLE.search(attributes)
        return bool(style and _DISPLAY_BLOCK.search(style.group(1)))

    def flush(self) -> None:
        """End a block."""
        if not self._buffer:
            return
        text, linked, tag = "".join(self._buffer), "".join(self._linked), self._tags[-1]
        self._buffer.clear()
        self._linked.clear()
        if self._n_pre:
            share = Block.of(text, tag, linked).link_share
            lines = (line.rstrip() for line in text.replace("\r", "\n").split("\n"))
            self._emit([Block(line, tag, share) for line in lines if line])
        elif text := _squeeze(text):
            block = Block.of(text, tag, linked) if linked else Block(text, tag, 0.0)
            if self._rows:
                self._emit([block])
            else:
                self.blocks.append(block)

    def _emit(self, blocks: list[Block]) -> None:
        if self._rows:
            cells = self._rows[-1].cells or [[]]
            self._rows[-1].cells = cells
            cells[-1] += (block for block in blocks if block.text.strip())
        else:
            self.blocks += blocks


def _tags_of(body: str) -> Iterator[tuple[str, str, str]]:
    """Yield name, attributes and the text behind each tag; the text in front of the first has none."""
    start = 0
    while start < len(body):
        end = body.find("<", start + _CHUNK)
        end = len(body) if end < 0 else end
        parts = _TAG.split(body[start:end])
        yield "", "", parts[0]
        yield from zip(parts[1::3], parts[2::3], parts[3::3], strict=True)
        start = end


def _scan(body: str, *, show_invisible: bool) -> _Scanner:
    scanner = _Scanner(show_invisible=show_invisible)
    start, end, take_text = scanner.start, scanner.end, scanner.text
    for name, attributes, text in _tags_of(body):
        if name and name[0] == "/":
            end()
        elif name:
            start(name, attributes)
        if text:
            take_text(text)
    scanner.flush()
    return scanner


def _parse(html: str) -> str:
    """Repair a page as browsers do, and write it anew: every element closed, names in lower case, attributes quoted."""
    try:
        return str(HTMLTree.parse(html))
    except UnicodeEncodeError:  # lone surrogates
        return str(HTMLTree.parse(html.encode("utf-8", "replace").decode()))


def read_html(html: str) -> Page:
    """Get a page's visible blocks and what its head says.

    Parameters
    ----------
    html : str
        A page or a fragment; broken nesting is repaired as browsers do.

    Returns
    -------
    Page
        Its text: the blocks in page order, joined by newlines; table cells by tabs.

    Raises
    ------
    InputRejectedError
        With code ``empty`` if the page shows no text without running scripts.

    Examples
    --------
    >>> read_html("<title>页</title><p>正文<a href=x>链接</a></p><p hidden>藏</p>")
    Page(text='正文链接', said={'title': '页'}, blocks={'tag': ['p'], 'link_share': [0.5]})
    """
    page = _parse(html)
    plain = _UNPARSED.sub("", page)
    body = _BODY.search(plain)
    rest = plain[body.end() :] if body else ""
    scanner = _scan(rest, show_invisible=False)
    n_visible = sum(len(block.text) for block in scanner.blocks)
    if scanner.n_invisible > n_visible:  # most of it is shown by a script once it is loaded
        scanner = _scan(rest, show_invisible=True)
    read = to_page(scanner.blocks, read_head(plain, page))
    if not read.text:
        raise InputRejectedError("empty", "the page shows no text; its content may be loaded by scripts")
    return read
