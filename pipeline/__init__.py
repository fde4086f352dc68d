"""zhcorpus: messy Chinese web text into a clean annotated corpus.

>>> import pipeline
>>> nlp = pipeline.load()  # doctest: +SKIP
>>> doc = nlp("一段网页文字。")  # doctest: +SKIP
"""

from __future__ import annotations

from pipeline.doc import Doc, Span

__version__ = "0.1.0"
__all__ = ["Doc", "Span", "__version__"]
