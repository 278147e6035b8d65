"""A progress bar with time left, on the terminal even where pytest holds the output back."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Advance(Protocol):
    """Tell the bar that `count` more are done."""

    def __call__(self, count: int = 1) -> None:
        """Advance the bar."""


@contextmanager
def progress_bar(title: str, total: int, show: bool = True) -> Iterator[Advance]:
    """Show `title`, a bar, how many of `total`, time gone and time left; nothing where no one watches."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(file=sys.__stderr__)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not (show and console.is_terminal)
    ) as progress:
        task = progress.add_task(title, total=total)
        yield lambda count=1: progress.advance(task, count)
