"""The page that shows what a run made: one HTML file that needs nothing but a browser.

No script, no font or picture from elsewhere, no clock, no path: the same summary gives the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from pipeline.report.figures import compact, percent, view_summary
from pipeline.report.samples import view_sample

__all__ = ["build_report"]

_NOT_HTML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
"""What an HTML file may not hold: controls, lone surrogates, non-characters."""


def _tidy(value: Any) -> Any:
    """Make a value fit for the page: null is nothing, a character that HTML forbids is U+FFFD."""
    if value is None:
        return ""
    # `sub` would turn Markup into a plain string, which is escaped again; what is in it has been here before
    return _NOT_HTML.sub("\ufffd", value) if type(value) is str else value


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("pipeline.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_tidy,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, compact=compact, thousands="{:,}".format)
    return environment


def build_report(summary: Mapping[str, Any], samples: Sequence[Mapping[str, Any]]) -> str:
    """Get the report of a run as one self-contained HTML page.

    Parameters
    ----------
    summary : mapping
        ``n_read``, ``n_written``, ``n_rejected``, ``n_skipped`` (documents; the last: files), ``n_chars``,
        ``n_body_chars`` (code points); ``counts``, a mapping of mappings of int, of which any may be missing;
        ``rejections``, ``publishers``, ``stages``, ``versions``.
    samples : sequence of mapping
        ``doc_id``, ``title``, ``publisher``, and ``sentences``: mappings with ``text``, ``label``, ``role``,
        ``kind``, ``p_claim``, ``p_opinion``, ``p_boilerplate``, ``start``, ``end``, ``starts_line``.

    Returns
    -------
    str
        The same for equal arguments; it can always be encoded as UTF-8.

    Examples
    --------
    >>> page = build_report({}, [{"doc_id": "a", "sentences": [{"text": "<b>天晴。"}]}])
    >>> "No document was written" in page, "&lt;b&gt;天晴。" in page
    (True, True)
    """
    template = _environment().get_template("report.html.j2")
    return template.render(report=view_summary(summary), samples=[view_sample(sample) for sample in samples])
