"""A progress bar on stderr."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from pipeline.run.watch import Watcher


class _Speed(ProgressColumn):
    """Documents and megabytes of input a second, since the pass began."""

    def render(self, task: Task) -> Text:
        seconds = task.finished_time or task.elapsed or 0
        if not seconds or not task.completed:
            return Text("")
        return Text(f"{task.fields['docs'] / seconds:,.0f} documents/s, {task.completed / seconds / 1e6:.1f} MB/s")


class ProgressBar(Watcher):
    """Shows what a run is at, how fast it is and how long it will take; to be used as a context."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}% · {task.fields[docs]:,} documents ·"),
            _Speed(),
            TextColumn("·"),
            TimeElapsedColumn(),
            TextColumn("gone,"),
            TimeRemainingColumn(),
            TextColumn("left"),
            console=self._console,
            transient=True,
        )
        self._task = self._bar.add_task("", total=None, visible=False, docs=0)
        self._n_docs = 0

    def tell(self, message: str) -> None:
        """Print what was found of an earlier run."""
        if message:
            self._console.print(message, highlight=False, markup=False, soft_wrap=True)

    def begin(self, what: str, n_bytes: int) -> None:
        """Start the bar anew for a pass over `n_bytes` of input."""
        self._n_docs = 0
        self._bar.reset(self._task, total=n_bytes or 1, description=what, visible=True, docs=0)

    def advance(self, n_docs: int, n_bytes: int) -> None:
        """Move the bar."""
        self._n_docs += n_docs
        self._bar.update(self._task, advance=n_bytes, docs=self._n_docs)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
