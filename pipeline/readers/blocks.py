"""HTML and Markdown to visible text blocks, one a line, in the order of the page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.html import HTMLTree

from pipeline.errors import InputRejectedError

_HIDDEN = [
    "[hidden]",
    "[aria-hidden=true]",
    '[style*="display:none"]',
    '[style*="display: none"]',
    '[style*="visibility:hidden"]',
    '[style*="visibility: hidden"]',
    "template",
    "select",
    "svg",
]

_META_NAMES = {
    "author": ("author", "article:author"),
    "published": ("article:published_time", "publishdate", "pubdate", "og:release_date", "date"),
    "publisher": ("og:site_name", "application-name"),
    "url": ("og:url",),
}
"""Fields of the record, and the names under which pages give them, in order of preference."""


def _read_head(tree: HTMLTree) -> dict[str, Any]:
    """Get what the page says of itself."""
    said: dict[str, str] = {}
    for element in tree.document.get_elements_by_tag_name("meta") if tree.document else ():
        name = (element.getattr("property") or element.getattr("name") or "").lower()
        content = (element.getattr("content") or "").strip()
        if name and content:
            said.setdefault(name, content)
    fields = {field: next((said[name] for name in names if name in said), None) for field, names in _META_NAMES.items()}
    title = said.get("og:title") or " ".join((tree.title or "").split())
    return {key: value for key, value in {"title": title, **fields}.items() if value}


def read_html(html: str) -> tuple[str, dict[str, Any]]:
    """Get a page's visible blocks and what its head says.

    Parameters
    ----------
    html : str
        A page or a fragment; broken nesting is repaired as browsers do.

    Returns
    -------
    text : str
        The blocks in page order, joined by newlines; table cells by tabs.
    meta : dict
        title, author, published, publisher, url, as far as the page says them.

    Raises
    ------
    InputRejectedError
        With code ``empty`` if the page shows no text without running scripts.
    """
    tree = HTMLTree.parse(html)
    text = extract_plain_text(
        tree,
        preserve_formatting=True,
        list_bullets=False,
        alt_texts=False,
        skip_elements=_HIDDEN,
    )
    lines = (line.strip(" ") for line in text.split("\n"))
    text = "\n".join(line for line in lines if line)
    if not text.strip():
        raise InputRejectedError("empty", "the page shows no text; its content may be loaded by scripts")
    return text, _read_head(tree)


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


def _inline_text(token: Token) -> str:
    """Get the visible text of an inline token; a line break in the source stays one."""
    pieces = []
    for child in token.children or []:
        if child.type in ("text", "code_inline"):
            pieces.append(child.content)
        elif child.type in ("softbreak", "hardbreak") or _LINE_BREAK.match(child.content):
            pieces.append("\n")
    return "".join(pieces)


_MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def read_markdown(text: str) -> tuple[str, Mapping[str, Any]]:
    r"""Get a Markdown text's blocks and its front matter.

    Returns
    -------
    text : str
        Blocks joined by newlines, without markup; table cells of a row by tabs; images leave nothing.
    meta : mapping

    Examples
    --------
    >>> read_markdown("# 标题\n\n正文[链接](http://a.cn)，**粗**。\n\n- 一\n- 二\n")[0]
    '标题\n正文链接，粗。\n一\n二'
    """
    text, meta = _read_front_matter(text)
    blocks: list[str] = []
    row: list[str] | None = None
    for token in _MARKDOWN.parse(text):
        if token.type == "tr_open":
            row = []
        elif token.type == "tr_close" and row is not None:
            blocks.append("\t".join(row))
            row = None
        elif token.type == "inline" and row is not None:
            row.append(_inline_text(token).replace("\n", " "))
        elif token.type == "inline":
            blocks.append(_inline_text(token))
        elif token.type in ("fence", "code_block"):
            blocks.append(token.content.rstrip("\n"))
        elif token.type == "html_block":
            blocks.append(_html_block_text(token.content))
    return "\n".join(block for block in blocks if block.strip()), meta


def _html_block_text(html: str) -> str:
    try:
        return read_html(html)[0]
    except InputRejectedError:
        return ""
