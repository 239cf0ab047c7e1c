"""A progress bar on standard error over tasks that run side by side: one line for each, and none in a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn


@contextmanager
def progress_bar(names: Sequence[str]) -> Iterator[Callable[[int, float], None]]:
    """Yields what is to be called with (number of the task, share of it done, 0 to 1)."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        whole = bar.add_task("all", total=float(len(names)))
        lines = [bar.add_task(escape(name), total=1.0, visible=False) for name in names]
        done = [0.0] * len(names)

        def show(number: int, share: float) -> None:
            done[number] = share
            bar.update(lines[number], completed=share, visible=share < 1.0)
            bar.update(whole, completed=sum(done))

        yield show
