"""What a run says while it trains: a bar on a terminal, a plain line every few seconds, or JSON lines."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol, TextIO

LINE_SECONDS = 5.0


class Reporter(Protocol):
    def note(self, text: str) -> None:
        """A sentence for a person."""

    def event(self, kind: str, **facts: Any) -> None:
        """settings, start, step, evaluation, checkpoint, stopped or done, with its facts."""

    def close(self) -> None: ...


class Silent:
    """Every process but the first."""

    def note(self, text: str) -> None:
        del text

    def event(self, kind: str, **facts: Any) -> None:
        del kind, facts

    def close(self) -> None: ...


class JsonLines:
    """One JSON object a line; notes are events too."""

    def __init__(self, out: TextIO) -> None:
        self.out = out

    def note(self, text: str) -> None:
        self.event("note", text=text)

    def event(self, kind: str, **facts: Any) -> None:
        facts.pop("lines", None)  # the same in words
        print(json.dumps({"event": kind, **facts}), file=self.out, flush=True)

    def close(self) -> None: ...


class PlainLines:
    """For logs: steps as one line every few seconds, everything else at once."""

    def __init__(self, out: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self.out, self.clock = out, clock
        self.quiet_until = 0.0

    def note(self, text: str) -> None:
        print(text, file=self.out, flush=True)

    def event(self, kind: str, **facts: Any) -> None:
        if kind == "step":
            if self.clock() < self.quiet_until and facts["step"] != facts["steps"]:
                return
            self.quiet_until = self.clock() + LINE_SECONDS
        if line := sentence(kind, facts):
            self.note(line)

    def close(self) -> None: ...


class Bar:
    """rich's progress bar, with everything but steps printed above it."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self.console = Console(highlight=False)
        self.progress = Progress(
            TextColumn("training"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeElapsedColumn(),
            console=self.console,
        )
        self.task = self.progress.add_task("training", total=None, figures="", start=False)

    def note(self, text: str) -> None:
        self.console.print(text, markup=False, soft_wrap=True)

    def event(self, kind: str, **facts: Any) -> None:
        if kind == "start":
            self.progress.update(self.task, total=facts["steps"], completed=facts["step"])
        if kind == "step":
            if not self.progress.live.is_started:
                self.progress.start()
                self.progress.start_task(self.task)
            self.progress.update(self.task, total=facts["steps"], completed=facts["step"], figures=_figures(facts))
        elif line := sentence(kind, facts):
            self.note(line)

    def close(self) -> None:
        self.progress.stop()


def reporter(*, first: bool, as_json: bool) -> Reporter:
    """The reporter for this process's standard output."""
    if not first:
        return Silent()
    if as_json:
        return JsonLines(sys.stdout)
    return Bar() if sys.stdout.isatty() else PlainLines(sys.stdout)


def sentence(kind: str, facts: dict[str, Any]) -> str | None:
    """An event in words; None for one that needs none."""
    if kind == "step":
        of = f"/{facts['steps']}" if facts["steps"] else ""
        return f"step {facts['step']}{of}  {_figures(facts)}"
    if kind == "evaluation":
        which = "the base, before any step" if facts["step"] == 0 else f"after step {facts['step']}"
        best = ", the best so far" if facts["best"] else ""
        return f"held-out loss {facts['loss']:.4f} ({which}{best})"
    if kind == "settings":
        return "\n".join(facts["lines"])
    if kind == "checkpoint":
        return f"checkpoint after step {facts['step']}"
    return None


def duration(seconds: float) -> str:
    """45 s, 12 min, 3 h 5 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _figures(facts: dict[str, Any]) -> str:
    parts = [f"loss {facts['loss']:.4f}", f"{facts['tokens_per_second']:,.0f} tok/s"]
    if facts.get("model_flops_utilization") is not None:
        parts.append(f"MFU {facts['model_flops_utilization']:.0%}")
    if facts.get("seconds_left") is not None:
        parts.append(f"{duration(facts['seconds_left'])} left")
    return "  ".join(parts)
