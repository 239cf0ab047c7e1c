"""Writes burst.csv: `python -m benchmarks.traces.make_burst`. The same bytes each time (DATA.md says what it is)."""

from __future__ import annotations

import csv
import random
from pathlib import Path

SECONDS = 600.0
QUIET, PEAK = 0.6, 6.0
"""Requests a second."""
RAMP_FROM, PEAK_FROM, PEAK_UNTIL, QUIET_FROM = 120.0, 210.0, 390.0, 420.0
TUNED_SHARE = 0.6
SEED = 20261122


def rate(at: float) -> float:
    """Requests a second: quiet, a steady rise, the peak, a quicker fall, quiet."""
    if RAMP_FROM <= at < PEAK_FROM:
        return QUIET + (PEAK - QUIET) * (at - RAMP_FROM) / (PEAK_FROM - RAMP_FROM)
    if PEAK_FROM <= at < PEAK_UNTIL:
        return PEAK
    if PEAK_UNTIL <= at < QUIET_FROM:
        return PEAK - (PEAK - QUIET) * (at - PEAK_UNTIL) / (QUIET_FROM - PEAK_UNTIL)
    return QUIET


def rows() -> list[tuple[str, int, int, int]]:
    """As they stand in the file: arrival_s, in_tokens, out_tokens, tuned."""
    dice = random.Random(SEED)
    made = []
    at = 0.0
    while (at := at + dice.expovariate(PEAK)) < SECONDS:
        if dice.random() < rate(at) / PEAK:  # thinning a steady stream of arrivals gives one whose rate changes
            read = min(160, max(20, round(dice.lognormvariate(3.9, 0.5))))
            written = min(48, max(12, round(dice.lognormvariate(3.6, 0.35))))
            made.append((f"{at:.3f}", read, written, int(dice.random() < TUNED_SHARE)))
    return made


def main() -> None:
    with Path(__file__).with_name("burst.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("arrival_s", "in_tokens", "out_tokens", "tuned"))
        writer.writerows(rows())


if __name__ == "__main__":
    main()
