"""A progress bar for training and evaluation."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["WorkBar", "work_bar"]


class WorkBar:
    """A line with a name, a bar and the remaining time; nothing if standard error is not a terminal."""

    def __init__(self, progress: Progress | None) -> None:
        """Store the progress display; `None` draws nothing."""
        self._progress = progress
        self._name = ""

    def show(
        self, name: str, done: int | None = None, total: int | None = None
    ) -> None:
        """Show the current work with its completed and total steps; without these, the bar is indeterminate."""
        if self._progress is None:
            return
        if (
            name != self._name
        ):  # a new bar, whose remaining time does not include earlier work
            for task in self._progress.task_ids:
                self._progress.remove_task(task)
            self._progress.add_task(name, total=total, count="")
            self._name = name
        if total is not None:
            (task,) = self._progress.task_ids
            self._progress.update(task, completed=done, count=f"{done}/{total}")

    def print(self, line: str) -> None:
        """Print a result above the bar."""
        with self.hidden():
            print(line, flush=True)

    @contextlib.contextmanager
    def hidden(self) -> Iterator[None]:
        """Hide the bar while the block prints."""
        if self._progress is not None:
            self._progress.stop()
        try:
            yield
        finally:
            if self._progress is not None:
                self._progress.start()


@contextlib.contextmanager
def work_bar() -> Iterator[WorkBar]:
    """Yield a bar for the block, which draws if standard error is a terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield WorkBar(None)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.table import Column

    progress = Progress(
        SpinnerColumn(),
        TextColumn(
            "{task.description}", markup=False, table_column=Column(no_wrap=True)
        ),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[count]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
        redirect_stderr=True,  # notes and warnings stand above the bar
    )
    with progress:
        yield WorkBar(progress)
