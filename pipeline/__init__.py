"""zhcorpus: messy Chinese web text into a clean annotated corpus.

>>> import pipeline
>>> nlp = pipeline.load()  # doctest: +SKIP
>>> doc = nlp("一段网页文字。")  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.config import Config
    from pipeline.doc import Doc, Span
    from pipeline.pipe import Pipeline

__version__ = "0.1.0"
__all__ = ["Doc", "Span", "__version__", "load"]


def __getattr__(name: str) -> Any:
    """Import the record when it is asked for: numpy is half of what ``zhcorpus --help`` would wait for."""
    if name not in ("Doc", "Span"):
        raise AttributeError(f"module 'pipeline' has no attribute {name!r}")
    from pipeline import doc  # noqa: PLC0415 (importing the package must stay cheap)

    return getattr(doc, name)


def load(config: str | Config = "default") -> Pipeline:
    """Load a pipeline with its models.

    Parameters
    ----------
    config : str or Config
        ``default``, ``fast`` (no words and tags), the path of a TOML file, or a Config.

    Returns
    -------
    Pipeline
        Call it with a text, or use its `pipe` for many.

    Raises
    ------
    ConfigError
        If there is no such config, or it is wrong.
    ModelError
        If a model is missing or damaged.
    """
    from pipeline import pipe  # noqa: PLC0415 (importing the package must stay cheap)

    return pipe.load(config)
