"""The climb on a terminal: a line for each rung as it is done, then the walls and the verdicts."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table
from rich.text import Text

from trainer.preflight.ladder import HELD, Watcher
from trainer.preflight.rung import Report, Rung, Wall

_MARKS = {"passed": "[green]✓[/]", "failed": "[red]✗[/]", "not asked": "[yellow]–[/]"}
_ANSWERS = {"yes": "[green]yes[/]", "no": "[red]no[/]", "not asked": "[yellow]not asked[/]"}
_PLAIN_WIDTH = 10_000  # to a file or a pipe: one line each, whatever its length
_NAME_WIDTH = 10


class Shown(Watcher):
    """Prints to a console; on a terminal a spinner says what is done just now."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._width = None if console.is_terminal else _PLAIN_WIDTH
        self._status: Status | None = console.status("") if console.is_terminal else None
        self._seen: set[Wall] = set()

    def doing(self, rung: str, step: str) -> None:
        if self._status is not None:
            self._status.update(f"{escape(rung)}: {escape(step)}")
            self._status.start()

    def climbed(self, rung: Rung) -> None:
        if self._status is not None:
            self._status.stop()
        time = f" [dim]{rung.seconds:.1f} s[/]" if rung.seconds >= 0.05 else ""
        self._row(_MARKS[rung.status], f"[bold]{rung.name}[/]", f"{escape(rung.said)}{time}")
        for wall in rung.walls:
            self._wall(wall)
        for note in rung.notes:
            self._row("", "", f"[dim]{escape(note)}[/]")

    def _wall(self, wall: Wall) -> None:
        if wall in self._seen:
            self._row("", "", f"[red]{escape(wall.name)}[/], as above")
            return
        self._seen.add(wall)
        packages = f" [bold]{escape(', '.join(wall.packages))}[/]" if wall.packages else ""
        self._row("", "", f"[red]{escape(wall.name)}[/]{packages}")
        self._row("", "", escape(wall.what))
        self._row("", "", f"[dim]{escape(wall.line)}[/]")
        self._row("", "mend", f"[cyan]{escape(wall.mend)}[/]")

    def verdicts(self, report: Report) -> None:
        if self._status is not None:
            self._status.stop()
        self._console.print()
        for verdict in report.verdicts:
            held = verdict.answer == "yes" and any(verdict.why in (rung.said, HELD) for rung in report.rungs)
            why = "" if held else escape(verdict.why)
            self._row("", f"[bold]{verdict.name}[/]", f"{_ANSWERS[verdict.answer]}  {why}".rstrip())
        self._console.print(f"[dim]{report.seconds:.1f} s[/]", highlight=False)

    def _row(self, mark: str, name: str, said: str) -> None:
        table = Table.grid(padding=(0, 1))
        table.add_column(width=1)
        table.add_column(width=_NAME_WIDTH)
        table.add_column(overflow="fold")
        table.add_row(mark, name, said)
        if self._width is None:
            self._console.print(table)
            return
        line = f"{Text.from_markup(mark).plain:<1} {Text.from_markup(name).plain:<{_NAME_WIDTH}} "
        self._console.print(Text(line + Text.from_markup(said).plain), soft_wrap=True, highlight=False)
