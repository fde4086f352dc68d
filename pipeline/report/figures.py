"""What the report's charts and tables show, computed from a run's summary."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from pipeline.doc import LABELS

GLOSSES: Mapping[str, Mapping[str, str]] = {
    "label": {
        "claim": "says something that could be checked",
        "opinion": "judges, explains, advises or predicts",
        "boilerplate": "added by the publisher around the article",
        "none": "titles, headings, captions and code",
    },
    "role": {
        "body": "running text of the article",
        "title": "headlines",
        "heading": "headings within the article",
        "caption": "what stands under a picture",
        "code": "program text",
        "boilerplate": "not the article",
    },
    "kind": {
        "credit": "bylines, editors, sources, dates",
        "author_bio": "about the author or the outlet",
        "follow_cta": "follow us: codes, apps, accounts, paywalls",
        "repost_terms": "rules for reprinting",
        "copyright": "rights notices",
        "disclaimer": "no liability, no advice",
        "nav_prev_next": "previous, next, page numbers",
        "related": "other articles, hot lists",
        "share_nav": "menus, breadcrumbs, share buttons",
        "tags": "lists of keywords",
        "ad": "advertisements",
        "comment_ui": "comment forms and comments",
        "other": "licence numbers, hotlines, read counts",
    },
    "ent_labels": {"PER": "people", "LOC": "places", "ORG": "organisations"},
    "script": {
        "hans": "simplified",
        "hant": "traditional",
        "mixed": "simplified and traditional",
        "none": "not told",
    },
    "lang": {
        "zh": "Chinese",
        "en": "English",
        "ja": "Japanese",
        "ko": "Korean",
        "und": "undetermined",
        "none": "not told",
    },
    "encoding": {"none": "not told"},
    "repairs": {
        "line_break": "line and page breaks made one newline",
        "space": "exotic white space made a plain space",
        "control": "control characters",
        "zero_width": "invisible characters",
        "full_width": "full-width Latin letters and digits",
        "look_alike": "radicals and compatibility ideographs",
        "surrogate": "broken halves of characters",
        "html_entity": "HTML entities left in the text",
        "script": "characters converted to the other script",
    },
}
"""In a few words, what each name in the counts means; a name that is not here stands alone."""

_ALL_STAGES = ("clean", "segment", "tag", "classify")


class Bar(NamedTuple):
    """One row of a bar chart."""

    name: str
    gloss: str
    n: int
    share: float
    length: float


class Publisher(NamedTuple):
    """One row of the table of publishers; the name is None where it is not known."""

    name: str | None
    n_docs: int
    n_chars: int
    n_body_chars: int
    share: float


class Step(NamedTuple):
    """A stage, and whether the run had it."""

    name: str
    was_run: bool


class View(NamedTuple):
    """All that the page shows apart from the samples."""

    n_read: int
    n_written: int
    n_rejected: int
    n_skipped: int
    n_dropped: int
    n_chars: int
    n_body_chars: int
    n_removed_chars: int
    body_share: float
    n_sents: int
    n_tokens: int
    sentence_note: str
    word_note: str
    charts: Mapping[str, list[Bar]]
    publishers: list[Publisher]
    rejections: Sequence[Mapping[str, Any]]
    templates: Sequence[Mapping[str, Any]]
    stages: list[Step]
    tells_boilerplate: bool
    versions: Mapping[str, Any]


def share_of(part: int, whole: int) -> float:
    """Get a share between 0 and 1, also of nothing.

    Examples
    --------
    >>> share_of(1, 4), share_of(0, 0), share_of(5, 4)
    (0.25, 0.0, 1.0)
    """
    return min(part / whole, 1.0) if whole > 0 else 0.0


def percent(share: float) -> str:
    r"""Write a share so that neither a little looks like nothing nor nearly all like all.

    Examples
    --------
    >>> [percent(share).replace("\N{NO-BREAK SPACE}", " ") for share in (0.0, 0.0001, 0.614, 0.9999, 1.0)]
    ['0 %', '<0.1 %', '61.4 %', '>99.9 %', '100 %']
    """
    value = 100 * share
    if value in (0, 100):
        text = f"{value:.0f}"
    elif value < 0.1:
        text = "<0.1"
    elif value > 99.9:
        text = ">99.9"
    else:
        text = f"{value:.1f}"
    return f"{text}\N{NO-BREAK SPACE}%"


def compact(n: int) -> str:
    r"""Write a large number in words.

    Examples
    --------
    >>> [compact(n).replace("\N{NO-BREAK SPACE}", " ") for n in (9_812, 48_210, 999_999, 3_120_000, 2_400_000_000)]
    ['9,812', '48 thousand', '1.0 million', '3.1 million', '2.4 billion']
    """
    if n < 10_000:
        return f"{n:,}"
    if n < 999_500:  # from here on it would round to 1000 thousand
        return f"{n / 1e3:.0f}\N{NO-BREAK SPACE}thousand"
    if n < 999_950_000:
        return f"{n / 1e6:.1f}\N{NO-BREAK SPACE}million"
    return f"{n / 1e9:,.1f}\N{NO-BREAK SPACE}billion"


def make_bars(
    counts: Mapping[str, int], glosses: Mapping[str, str], without: Collection[str] = (), order: Sequence[str] = ()
) -> list[Bar]:
    """Get the rows of a bar chart.

    Parameters
    ----------
    counts : mapping of str to int
    glosses : mapping of str to str
        What a name means.
    without : collection of str
        Names that are left out, also of the whole.
    order : sequence of str
        Names that come first, in this order; the others follow, the largest first.

    Returns
    -------
    list of Bar
        `share` is of the whole, `length` of the longest bar.

    Examples
    --------
    >>> [(bar.name, bar.share, bar.length) for bar in make_bars({"ad": 1, "tags": 3, "none": 9}, {}, {"none"})]
    [('tags', 0.75, 1.0), ('ad', 0.25, 0.3333333333333333)]
    """
    shown = {name: n for name, n in counts.items() if name not in without and n > 0}
    whole, longest = sum(shown.values()), max(shown.values(), default=0)
    ranks = {name: i for i, name in enumerate(order)}
    names = sorted(shown, key=lambda name: (ranks.get(name, len(ranks)), -shown[name], name))
    return [
        Bar(name, glosses.get(name, ""), shown[name], share_of(shown[name], whole), share_of(shown[name], longest))
        for name in names
    ]


def view_summary(summary: Mapping[str, Any]) -> View:
    """Get what the page shows of a summary; whatever is missing counts as none."""
    counts: Mapping[str, Mapping[str, int]] = summary.get("counts") or {}
    totals = counts.get("totals") or {}
    n_sents, n_tokens = totals.get("sents", 0), totals.get("tokens", 0)
    names = ("n_read", "n_written", "n_rejected", "n_skipped", "n_dropped")
    n_of = {name: int(summary.get(name) or 0) for name in names}
    n_chars, n_body_chars = int(summary.get("n_chars") or 0), int(summary.get("n_body_chars") or 0)
    charts = {name: _chart(name, counts.get(name) or {}) for name in GLOSSES}
    return View(
        **n_of,
        n_chars=n_chars,
        n_body_chars=n_body_chars,
        n_removed_chars=max(n_chars - n_body_chars, 0),
        body_share=share_of(n_body_chars, n_chars),
        n_sents=n_sents,
        n_tokens=n_tokens,
        sentence_note=_note_labels(charts["label"]) if n_sents else "not counted",
        word_note=f"{n_tokens / n_sents:.1f} a sentence" if n_tokens and n_sents else "not counted",
        charts=charts,
        publishers=[_publisher(row) for row in summary.get("publishers") or ()],
        rejections=summary.get("rejections") or (),
        templates=summary.get("templates") or (),
        stages=_steps(summary.get("stages") or ()),
        tells_boilerplate="classify" in (summary.get("stages") or ()) or "role" in counts,
        versions=summary.get("versions") or {},
    )


def _chart(name: str, counts: Mapping[str, int]) -> list[Bar]:
    if name == "label":
        return make_bars(counts, GLOSSES[name], order=LABELS)
    return make_bars(counts, GLOSSES[name], without={"none"} if name in ("role", "kind", "ent_labels") else ())


def _note_labels(bars: Sequence[Bar]) -> str:
    shares = {bar.name: percent(bar.share) for bar in bars}
    if "claim" not in shares and "opinion" not in shares:
        return "not labelled"
    nothing = percent(0)
    return f"{shares.get('claim', nothing)} claims, {shares.get('opinion', nothing)} opinions"


def _publisher(row: Mapping[str, Any]) -> Publisher:
    n_chars, n_body_chars = int(row.get("n_chars") or 0), int(row.get("n_body_chars") or 0)
    share = share_of(n_body_chars, n_chars)
    return Publisher(row.get("publisher"), int(row.get("n_docs") or 0), n_chars, n_body_chars, share)


def _steps(stages: Sequence[str]) -> list[Step]:
    """The usual stages in order, run or not, then any others."""
    others = [name for name in stages if name not in _ALL_STAGES]
    return [Step(name, name in stages) for name in (*_ALL_STAGES, *others)]
