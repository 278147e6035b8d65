"""A progress bar with time left, on the terminal even where pytest holds the output back."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

SECONDS = 0.5  # between two looks at the news


class Advance(Protocol):
    """Tell the bar that `count` more are done."""

    def __call__(self, count: int = 1) -> None:
        """Advance the bar."""


# What goes on at this moment: a few words, and how much is done besides what was advanced.
News = Callable[[], tuple[str, float]]


@contextmanager
def progress_bar(
    title: str, total: int, show: bool = True, news: News = lambda: ("", 0.0)
) -> Iterator[Advance]:
    """Show `title`, a bar, how many of `total`, time gone, time left and the news; nothing where no one watches."""
    drawn = random.getstate()  # rich draws a number as it is imported, and the caller's are left alone
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    random.setstate(drawn)
    console = Console(file=sys.__stderr__)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[words]}"),
    )
    watched = show and console.is_terminal
    over = threading.Event()
    done = 0
    with Progress(*columns, console=console, transient=True, disable=not watched) as progress:
        task = progress.add_task(title, total=total, words="")

        def look() -> None:
            while not over.wait(SECONDS):
                words, more = news()
                progress.update(task, completed=done + more, words=words)

        def advance(count: int = 1) -> None:
            nonlocal done
            done += count
            progress.update(task, completed=max(done, progress.tasks[0].completed))

        watcher = threading.Thread(target=look, daemon=True)
        if watched:
            watcher.start()
        try:
            yield advance
        finally:
            over.set()
            if watched:
                watcher.join()
