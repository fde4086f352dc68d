"""Markdown to text blocks, as for HTML."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from pipeline.errors import InputRejectedError
from pipeline.readers.blocks import Page, read_html
from pipeline.readers.scan import is_blank, share_of

_FRONT_MATTER = re.compile(r"\A---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_FRONT_FIELDS = {"title": "title", "author": "author", "date": "published", "publisher": "publisher", "url": "url"}


def _read_front_matter(text: str) -> tuple[str, dict[str, Any]]:
    """Split ``key: value`` lines between --- lines from the text behind them."""
    match = _FRONT_MATTER.match(text)
    if not match:
        return text, {}
    meta = {}
    for line in match.group(1).splitlines():
        key, colon, value = line.partition(":")
        value = value.strip().strip("\"'")
        if colon and value and not line.startswith((" ", "-", "#")):
            meta[_FRONT_FIELDS.get(key.strip().lower(), key.strip())] = value
    return text[match.end() :], meta


_LINE_BREAK = re.compile(r"<br\b", re.IGNORECASE)


def _inline_lines(token: Token) -> list[tuple[str, str]]:
    """Get the visible text of an inline token, and what of it is linked, line by line; a line break stays one."""
    lines, linked, in_link = [""], [""], False
    for child in token.children or []:
        if child.type in ("text", "code_inline"):
            lines[-1] += child.content
            linked[-1] += child.content if in_link else ""
        elif child.type in ("softbreak", "hardbreak") or _LINE_BREAK.match(child.content):
            lines.append("")
            linked.append("")
        elif child.type in ("link_open", "link_close"):
            in_link = child.type == "link_open"
    return list(zip(lines, linked, strict=True))


Block = tuple[str, str, float]
"""A text without line break, its block-level element, and the share of its visible characters that are linked."""


def _block(text: str, tag: str, linked: str) -> Block:
    return text, tag, share_of(linked, text) if linked else 0.0


def _html_blocks(html: str) -> list[Block]:
    try:
        page = read_html(html)
    except InputRejectedError:
        return []
    return list(zip(page.text.split("\n"), page.blocks["tag"], page.blocks["link_share"], strict=True))


_MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def read_markdown(text: str) -> Page:
    r"""Get a Markdown text's blocks and its front matter.

    Returns
    -------
    Page
        Its text: blocks joined by newlines, without markup; table cells of a row by tabs; images leave nothing.

    Examples
    --------
    >>> read_markdown("# 标题\n\n正文[链接](http://a.cn)，**粗**。\n\n- 一\n- 二\n").text
    '标题\n正文链接，粗。\n一\n二'
    """
    text, meta = _read_front_matter(text)
    blocks: list[Block] = []
    row: list[tuple[str, str]] | None = None
    tags = ["p"]
    for token in _MARKDOWN.parse(text):
        if token.nesting > 0:
            tags.append(tags[-1] if token.hidden else token.tag)  # the paragraph of a tight list is hidden
            row = [] if token.type == "tr_open" else row
        elif token.nesting < 0:
            if token.type == "tr_close" and row is not None:
                blocks.append(_row_block(row, tags))
                row = None
            tags.pop()
        elif token.type == "inline":
            lines = _inline_lines(token)
            if row is None:
                blocks += [_block(line, tags[-1], linked) for line, linked in lines]
            else:
                row.append((" ".join(line for line, _ in lines), " ".join(linked for _, linked in lines)))
        elif token.type in ("fence", "code_block"):
            blocks += [(line, "pre", 0.0) for line in token.content.split("\n")]
        elif token.type == "html_block":
            blocks += _html_blocks(token.content)
    kept = [block for block in blocks if not is_blank(block[0])]
    columns: dict[str, list[Any]] = {"tag": [tag for _, tag, _ in kept], "link_share": [share for _, _, share in kept]}
    return Page("\n".join(text for text, _, _ in kept), meta, columns)


def _row_block(row: Sequence[tuple[str, str]], tags: Sequence[str]) -> Block:
    tag = "th" if "thead" in tags else "td"
    return _block("\t".join(cell for cell, _ in row), tag, "\t".join(linked for _, linked in row))
