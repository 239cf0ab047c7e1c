"""The burst: a trace thinned and quickened to what this machine's box can be overloaded with."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from gateway.demo.traffic import DATA, questions

TRACE = Path(__file__).parents[1] / "traces" / "burst.csv"
BYTES_PER_TOKEN = 4
PEAK_SHARE = 0.1
"""The peak is the tenth of the trace with most tokens asked for."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, `at_seconds` after the start. `alias`: tuned or base."""

    at_seconds: float
    alias: str
    prompt: str
    max_tokens: int
    stream: bool


@dataclass(frozen=True, slots=True)
class Burst:
    """`seconds`: how long it lasts; `peak_tokens_per_second`: output tokens asked for at its peak, after thinning."""

    requests: Sequence[Asked]
    seconds: float
    peak_tokens_per_second: float


def read_burst(seconds: float, peak_tokens_per_second: float, trace: Path = TRACE) -> Burst:
    """The whole trace played in `seconds`, every n-th request of it, so that its peak asks for about so many output
    tokens a second. ValueError where the trace has too few requests for that."""
    with trace.open(encoding="utf-8", newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    quicker = rows[-1]["arrival_s"] / seconds
    peak = _peak(rows) * quicker
    keep_every = peak / peak_tokens_per_second
    if keep_every < 1:
        raise ValueError(
            f"{trace} asks for {peak:.0f} tokens/s at its peak when played in {seconds:g} s, and "
            f"{peak_tokens_per_second:.0f} are needed: play it more quickly, or ask for less"
        )
    kept = [rows[round(i * keep_every)] for i in range(int(len(rows) / keep_every))]
    return Burst(list(_ask(kept, quicker)), seconds, _peak(kept) * quicker)


def _peak(rows: Sequence[Mapping[str, float]]) -> float:
    """Output tokens a second over the busiest tenth of the time."""
    span = rows[-1]["arrival_s"] * PEAK_SHARE
    most, first, tokens = 0.0, 0, 0.0
    for row in rows:
        tokens += row["out_tokens"]
        while rows[first]["arrival_s"] < row["arrival_s"] - span:
            tokens -= rows[first]["out_tokens"]
            first += 1
        most = max(most, tokens)
    return most / span


def _ask(rows: Sequence[Mapping[str, float]], quicker: float) -> list[Asked]:
    handbook = (DATA / "handbook.md").read_text(encoding="utf-8")
    texts = {alias: cycle(listed) for alias, listed in questions().items()}
    asked = []
    for number, row in enumerate(rows):
        alias = "tuned" if row["tuned"] else "base"
        question = next(texts[alias])
        start = (number * 397) % (len(handbook) // 2)  # each its own part: nothing comes out of a prefix cache
        room = max(0, round(row["in_tokens"]) * BYTES_PER_TOKEN - len(question))
        prompt = f"{handbook[start : start + room]}\n\n{question}"
        stream = number % 4 != 3  # one in four is not streamed
        asked.append(Asked(row["arrival_s"] / quicker, alias, prompt, round(row["out_tokens"]), stream))
    return asked
