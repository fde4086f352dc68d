"""The register of stages, and the check that their order makes sense.

A stage takes a batch of documents and returns the batch with further layers. What it requires and assigns is
declared, so that a wrong order is refused before any model loads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.doc import Doc
from pipeline.errors import ConfigError

Stage = Callable[[Sequence[Doc]], Sequence[Doc]]
"""A batch of documents in, the same documents with further layers out, in the same order."""


@dataclass(frozen=True)
class StageSpec:
    """What the register knows of a stage."""

    name: str
    requires: tuple[str, ...]
    assigns: tuple[str, ...]
    make: Callable[[Any], Stage]


STAGES: dict[str, StageSpec] = {}


def stage(name: str, *, requires: Sequence[str], assigns: Sequence[str]) -> Callable[..., Any]:
    """Register a factory ``config -> Stage`` under `name`."""

    def register(make: Callable[[Any], Stage]) -> Callable[[Any], Stage]:
        STAGES[name] = StageSpec(name, tuple(requires), tuple(assigns), make)
        return make

    return register


def check_order(names: Sequence[str]) -> None:
    """Raise ConfigError unless every stage finds the layers it requires.

    Examples
    --------
    >>> check_order(["segment"])  # doctest: +IGNORE_EXCEPTION_DETAIL
    Traceback (most recent call last):
    pipeline.errors.ConfigError: stage 'segment' requires 'sents', which no stage before it assigns
    """
    present = {"source", "text", "meta"}
    for i, name in enumerate(names):
        if name not in STAGES:
            raise ConfigError(f"unknown stage {name!r}; known: {', '.join(STAGES)}")
        if name in names[:i]:
            raise ConfigError(f"stage {name!r} stands twice in the list of stages")
        for layer in STAGES[name].requires:
            if layer not in present:
                raise ConfigError(f"stage {name!r} requires {layer!r}, which no stage before it assigns")
        present.update(STAGES[name].assigns)
