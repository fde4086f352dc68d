"""HTML to visible text blocks, one a line, in the order of the page, and what the page says of each."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from resiliparse.parse.html import HTMLTree

from pipeline.errors import InputRejectedError
from pipeline.readers.head import read_head
from pipeline.readers.scan import Scan

_UNPARSED = re.compile(r"<!--.*?-->|<(script|style|iframe|noembed|noframes)(?=[ >]).*?</\1>", re.DOTALL)
"""What is written as it stood, so that it may hold anything, and shows nothing."""

_BODY = re.compile(r"<body(?: [^>]*)?>")


class Page(NamedTuple):
    """A page as its reader gives it.

    Parameters
    ----------
    text : str
        The blocks, joined by newlines.
    said : dict
        title, author, published, publisher, url, as far as the page says them.
    blocks : dict of str to list
        ``tag`` and ``link_share``, parallel to the lines of `text`; of HTML also ``box``, the number of the box that
        each stands in, and for each box ``parent``, the number of the one around it.
    """

    text: str
    said: dict[str, Any]
    blocks: dict[str, list[Any]]


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
    >>> page = read_html("<title>页</title><p>正文<a href=x>链接</a></p><p hidden>藏</p>")
    >>> page.text, page.said
    ('正文链接', {'title': '页'})
    >>> page.blocks
    {'tag': ['p'], 'link_share': [0.5], 'box': [0], 'parent': [0]}
    """
    page = _parse(html)
    plain = _UNPARSED.sub("", page)
    body = _BODY.search(plain)
    rest = plain[body.end() :] if body else ""
    scan = Scan(rest, show_invisible=False)
    if scan.n_invisible > sum(map(len, scan.texts)):  # most of it is shown by a script once it is loaded
        scan = Scan(rest, show_invisible=True)
    if not scan.texts:
        raise InputRejectedError("empty", "the page shows no text; its content may be loaded by scripts")
    columns: dict[str, list[Any]] = {"tag": scan.tags, "link_share": scan.shares, "box": scan.boxes}
    return Page("\n".join(scan.texts), read_head(plain, page), {**columns, "parent": scan.parents})
