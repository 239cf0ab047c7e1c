"""How far a gate has come: bars on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

Tell: TypeAlias = Callable[[str, int, int], None]
"""Called with what is being done (answers of a generator, judgements of a judge), how much is done, and of how much."""
PLAIN_LINE_SECONDS = 10.0


@contextmanager
def shown_progress(console: Console) -> Iterator[Tell]:
    """Gives a function to tell it to."""
    if not console.is_terminal:
        yield _lines(console)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        tasks = {}

        def tell(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what.replace("[", "\\["), total=total)
            progress.update(tasks[what], completed=done, total=total)

        yield tell


def _lines(console: Console) -> Tell:
    said_at: dict[str, float] = {}

    def tell(what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if done < total and now - said_at.setdefault(what, now) < PLAIN_LINE_SECONDS:
            return
        if said_at.get(what) != float("inf"):
            console.print(f"  {what}: {done} of {total}", markup=False, highlight=False)
        said_at[what] = float("inf") if done >= total else now

    return tell


def silent(what: str, done: int, total: int) -> None:
    """Nobody waits."""
    del what, done, total
