"""Stages of a long start, shown as they pass: a spinner with the latest line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape

PLAIN_LINE_SECONDS = 5.0
"""Off a terminal at most one line of progress in so many seconds."""


class Stages:
    """Times each stage. `seconds` holds them by name, in order."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self.began = time.monotonic()
        """Monotonic seconds."""
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str, doing: str) -> Iterator[Callable[[str], None]]:
        """Gives a function that shows a line of progress within the stage."""
        began = time.monotonic()
        if self._console.is_terminal:
            with self._console.status(f"[bold]{escape(doing)}") as status:
                yield lambda line: status.update(f"[bold]{escape(doing)}[/] [dim]{escape(line)}")
        else:
            self._console.print(f"… {doing}", markup=False, highlight=False)
            last = began

            def say(line: str) -> None:
                nonlocal last
                if time.monotonic() - last >= PLAIN_LINE_SECONDS:
                    last = time.monotonic()
                    self._console.print(f"    {line}", markup=False, highlight=False)

            yield say
        self.seconds[name] = round(time.monotonic() - began, 2)
        self._console.print(f"[green]✓[/] {escape(doing)} [dim]{self.seconds[name]:.1f} s")
