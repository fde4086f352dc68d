"""Who is told how a run goes."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Is told of documents and bytes of input that were done."""


class Watcher:
    """Is told how a run goes; this one keeps it to itself."""

    def tell(self, message: str) -> None:
        """Hear what was found of an earlier run."""

    def begin(self, what: str, n_bytes: int) -> None:
        """Hear that a pass over `n_bytes` of input begins."""

    def advance(self, n_docs: int, n_bytes: int) -> None:
        """Hear of documents and bytes of input that were done."""
