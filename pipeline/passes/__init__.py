"""What needs the whole corpus first: lines that recur across a publisher, documents that recur.

A first pass reads the input once and leaves its tables in the run's work folder (`scan`); merging them gives the
templates (`count`) and the duplicates (`duplicates`). The stage ``templates`` then tells classify how much support each
line has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.doc import Doc
from pipeline.errors import ConfigError
from pipeline.stage import Stage, stage

MODES = ("off", "mark", "drop")


@dataclass(frozen=True)
class TemplatesConfig:
    """Which recurring lines become templates.

    Parameters
    ----------
    enabled : bool
        Whether a run counts lines in a first pass.
    file : Path or None
        Templates of an earlier run (`templates.jsonl`) to use instead of counting.
    min_documents : int
        Documents of a publisher that a line must occur in, copies of one document counted once. How much so few say is
        weighed by how many documents the publisher has (`support_log_odds`).
    min_share : float
        The share of the publisher's documents that these must be.
    """

    enabled: bool = False
    file: Path | None = None
    min_documents: int = 2
    min_share: float = 0.05

    def __post_init__(self) -> None:
        if self.min_documents < 2:
            raise ConfigError(f"templates.min_documents is {self.min_documents}; a line recurs in at least 2")
        if not 0 <= self.min_share <= 1:
            raise ConfigError(f"templates.min_share is {self.min_share}; a share lies between 0 and 1")

    @property
    def is_on(self) -> bool:
        """Whether a run uses templates."""
        return self.enabled or self.file is not None


@dataclass(frozen=True)
class DuplicatesConfig:
    """What is done with documents that recur.

    Parameters
    ----------
    mode : str
        ``off``, ``mark`` (name the kept one in ``duplicate_of``) or ``drop`` (leave them out of the corpus).
    threshold : float
        Estimated Jaccard similarity of character 5-grams from which two documents are the same.
    """

    mode: str = "off"
    threshold: float = 0.8

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ConfigError(f"duplicates.mode is {self.mode!r}; known: {', '.join(MODES)}")
        if not 0.5 <= self.threshold <= 1:
            raise ConfigError(f"duplicates.threshold is {self.threshold}; it lies between 0.5 and 1")

    @property
    def is_on(self) -> bool:
        """Whether a run looks for duplicates."""
        return self.mode != "off"


@stage("templates", requires=["sents"], assigns=[])
def make_templates(config: TemplatesConfig) -> Stage:
    """Load the templates and get the stage; without a file it does nothing."""
    from pipeline.passes.templates import add_support, read_templates  # noqa: PLC0415 (config must load fast)

    if config.file is None:
        return list
    table = read_templates(config.file)

    def templates(docs: Sequence[Doc]) -> list[Doc]:
        return add_support(table, docs)

    return templates
