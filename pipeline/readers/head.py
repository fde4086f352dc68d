"""What a page says of itself: title, author, date, publisher, address."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

_META_NAMES = {
    "author": ("author", "article:author", "og:article:author", "dc.creator"),
    "published": ("article:published_time", "og:published_time", "publishdate", "pubdate", "og:release_date", "date"),
    "publisher": ("og:site_name", "application-name", "dc.publisher"),
    "url": ("og:url",),
}
"""Fields of the record, and the names under which pages give them, in order of preference."""

_WANTED = {"og:title"}.union(*_META_NAMES.values())

_META = re.compile(r"<meta ([^>]*)>")
_ATTRIBUTE = re.compile(r'([\w:.-]+)="([^"]*)"')
_LINK = re.compile(r"<link ([^>]*)>")
_TITLE = re.compile(r"<title(?: [^<>]*)?>([^<]*)</title>")
_TIME = re.compile(r'<time (?:[^<>]* )?datetime="(\d{4}-\d\d?-\d\d?[^"]*)"')
_SCRIPT = re.compile(r"<!--.*?-->|<script(?: ([^>]*))?>(.*?)</script>", re.DOTALL)


def read_head(page: str, scripts: str = "") -> dict[str, str]:
    """Get what a page says of itself: in meta elements, else as linked data, else in title, link and time.

    Parameters
    ----------
    page : str
        A document as the parser writes it: names in lower case, attributes in double quotes; without comments and
        scripts, which may hold anything.
    scripts : str
        The same document with them, for linked data.

    Returns
    -------
    dict of str to str
        title, author, published, publisher, url, as far as the page says them.

    Examples
    --------
    >>> read_head('<title>标题_某网</title><meta property="og:title" content="标题">')
    {'title': '标题'}
    """
    named = _read_meta(page)
    linked = _read_linked_data(scripts) if "ld+json" in scripts else {}
    title, canonical, time = _TITLE.search(page), _canonical(page), _TIME.search(page)
    said: dict[str, str | None] = {
        "title": named.get("og:title") or linked.get("title") or (_plain(title.group(1)) if title else None),
        **{field: _first(named, names) or linked.get(field) for field, names in _META_NAMES.items()},
    }
    if canonical and not said["url"]:
        said["url"] = canonical
    if time and not said["published"]:
        said["published"] = time.group(1)
    return {field: value for field, value in said.items() if value}


def _plain(value: str) -> str:
    return " ".join(html.unescape(value).split())


def _canonical(page: str) -> str | None:
    """Get the address that a page gives as its own, if it is one by itself."""
    for match in _LINK.finditer(page):
        attributes = dict(_ATTRIBUTE.findall(match.group(1)))
        if attributes.get("rel") == "canonical" and attributes.get("href", "").startswith(("http://", "https://")):
            return _plain(attributes["href"])
    return None


def _first(named: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((named[name] for name in names if name in named), None)


def _read_meta(page: str) -> dict[str, str]:
    """Get the contents of the meta elements asked for, by name; the first of a name counts."""
    named: dict[str, str] = {}
    for match in _META.finditer(page):
        attributes = dict(_ATTRIBUTE.findall(match.group(1)))
        name = (attributes.get("property") or attributes.get("name") or "").lower()
        if name in _WANTED and name not in named and (content := _plain(attributes.get("content", ""))):
            named[name] = content
    return named


def _read_linked_data(page: str) -> dict[str, str]:
    """Get title, author, date and publisher of the first article that JSON-LD describes."""
    for match in _SCRIPT.finditer(page):
        if 'type="application/ld+json"' not in (match.group(1) or ""):
            continue
        try:
            data = orjson.loads(match.group(2))
        except orjson.JSONDecodeError:
            continue
        for item in _items(data):
            if "headline" in item or "datePublished" in item:
                found = {
                    "title": _named(item.get("headline")),
                    "author": _named(item.get("author")),
                    "published": _named(item.get("datePublished")),
                    "publisher": _named(item.get("publisher")),
                }
                return {field: value for field, value in found.items() if value}
    return {}


def _items(data: Any) -> Iterator[dict[str, Any]]:
    """Yield the objects of a list or of a graph, one level deep."""
    graph = data.get("@graph", [data]) if isinstance(data, dict) else data
    yield from (item for item in graph if isinstance(item, dict)) if isinstance(graph, list) else ()


def _named(value: Any) -> str | None:
    """Get a string, or the name of the thing, or of the first of several."""
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, dict):
        value = value.get("name")
    return _plain(value) or None if isinstance(value, str) else None
