"""The demo's traffic: recorded arrival times, questions of its own. Pure, and the same in every run."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

DATA = Path(__file__).parent / "data"
MAX_OUTPUT_TOKENS = 48
TUNED_OF_FIVE = 3
"""Three requests in five ask the tuned model."""


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask: `alias` is the model's name at the gateway."""

    alias: str
    text: str


@dataclass(frozen=True, slots=True)
class Planned:
    """One request, `at_seconds` after the start."""

    at_seconds: float
    question: Question
    stream: bool


def questions() -> Mapping[str, Sequence[str]]:
    """The questions by alias."""
    read: dict[str, list[str]] = json.loads((DATA / "questions.json").read_text(encoding="utf-8"))
    return read


def arrivals() -> list[float]:
    """Recorded arrival times in seconds (data/DATA.md says whose)."""
    with (DATA / "arrivals.csv").open(encoding="utf-8", newline="") as file:
        return [float(row["arrival_s"]) for row in csv.DictReader(file)]


def plan(times: Sequence[float], seconds: float, requests_per_second: float) -> list[Planned]:
    """A stretch of `seconds`, thinned evenly to about `requests_per_second`.

    The recorded shape is kept: every n-th of the recorded requests, at its own time. One in four is not streamed."""
    recorded = [time for time in times if time < seconds]
    if not recorded:
        return []
    keep_every = max(1.0, len(recorded) / (seconds * requests_per_second))
    kept = [recorded[round(i * keep_every)] for i in range(len(recorded)) if round(i * keep_every) < len(recorded)]
    texts = questions()
    streams: dict[str, Iterator[str]] = {alias: cycle(listed) for alias, listed in texts.items()}
    planned = []
    for number, time in enumerate(kept):
        alias = "tuned" if number % 5 < TUNED_OF_FIVE else "base"
        planned.append(Planned(time, Question(alias, next(streams[alias])), stream=number % 4 != 3))
    return planned
