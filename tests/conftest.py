"""What tests share: where things are, and Docs built by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from pipeline.clean import clean_doc
from pipeline.doc import Doc

settings.register_profile("zhcorpus", deadline=None)  # the first call of a kernel compiles it
settings.load_profile("zhcorpus")

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"


def read_cases(name: str) -> list[Any]:
    """Get the rows of a case file as pytest parameters; known failures are strict xfails."""
    rows = [json.loads(line) for line in (ROOT / "tests" / "cases" / name).read_text(encoding="utf-8").splitlines()]
    return [
        pytest.param(row, id=row["label"], marks=[pytest.mark.xfail(strict=True)] if row["expect"] == "fail" else [])
        for row in rows
    ]


def cleaned(text: str, **meta: Any) -> Doc:
    """Get a cleaned document."""
    return clean_doc(Doc.from_text(text, **meta))


@pytest.fixture
def shared() -> Path:
    """The folder of development data; tests that need it skip without it."""
    if not SHARED.is_dir():
        pytest.skip("the development data are not beside this checkout")
    return SHARED
