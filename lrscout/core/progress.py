"""A progress bar on stderr, and only where somebody watches."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any


class Bar:
    """A progress bar, or none where nobody watches.

    Args:
        shown: the bar of Rich, if there is one.
        total: the number of steps to come.
        label: what is under way.
    """

    def __init__(self, shown: Any, total: int, label: str) -> None:
        self._shown = shown
        self._task = None if shown is None else shown.add_task(label, total=total, news="")

    def advance(self, steps: int = 1) -> None:
        """Note that steps have been taken."""
        if self._shown is not None:
            self._shown.advance(self._task, steps)

    def tell(self, news: str) -> None:
        """Show a word on how things stand."""
        if self._shown is not None:
            self._shown.update(self._task, news=news)


@contextmanager
def progress(label: str, total: int) -> Generator[Bar]:
    """Show a progress bar while the block runs, if stderr is a terminal.

    Args:
        label: what is under way.
        total: the number of steps to come.

    Yields:
        The bar, to be told of each step.
    """
    if not sys.stderr.isatty():
        yield Bar(None, total, label)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Speed(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text("" if task.speed is None else f"{task.speed:,.0f} steps/s")

    label_column, news_column = TextColumn("{task.description}"), TextColumn("{task.fields[news]}")
    columns = label_column, BarColumn(), MofNCompleteColumn(), Speed(), TimeRemainingColumn(), news_column
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        yield Bar(shown, total, label)
