"""The period of a statement, in UTC: `30d`, `24h`, `2026-11-01`, `2026-11-01T08:30+02:00`, `all`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

UNITS = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
FORMS = "write a span before now (90m, 24h, 30d, 4w), a day or a time in UTC (2026-11-01, 2026-11-01T08:30), or `all`"
STEPS = (10, 60, 300, 3600, 86_400)
MOST_STEPS = 48


class PeriodError(ValueError):
    """A moment that cannot be read, or a period that is empty."""


@dataclass(frozen=True, slots=True)
class Period:
    """From `since` up to, and not including, `until`: seconds since 1970."""

    since: float
    until: float

    @property
    def seconds(self) -> float:
        return self.until - self.since

    @property
    def step_seconds(self) -> int:
        """Of a chart over time: the finest of `STEPS` that gives no more than `MOST_STEPS` bars; days at the most."""
        return next((step for step in STEPS if self.seconds / step <= MOST_STEPS), STEPS[-1])

    def share(self, since: float, until: float) -> float:
        """Of a span, the seconds that lie in this period."""
        return max(0.0, min(until, self.until) - max(since, self.since))


def moment(text: str, now: float) -> float:
    """Seconds since 1970. `now`: what spans count back from. Raises PeriodError."""
    said = text.strip()
    if said == "all":
        return 0.0
    if said == "now":
        return now
    if span := re.fullmatch(r"(\d{1,6})([mhdw])", said):
        return now - int(span[1]) * UNITS[span[2]]
    try:
        at = datetime.fromisoformat(said)
    except ValueError:
        raise PeriodError(f"{text!r} is no moment: {FORMS}") from None
    return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()


def period(since: str, until: str, now: float) -> Period:
    """Raises PeriodError, also where nothing lies between the two."""
    start, end = moment(since, now), moment(until, now)
    if start >= end:
        raise PeriodError(f"the period is empty: it begins {utc(start)} and ends {utc(end)}")
    return Period(start, end)


def utc(at: float, *, seconds: bool = False) -> str:
    """'2026-11-01 08:30 UTC'."""
    return f"{_read(at):%Y-%m-%d %H:%M:%S} UTC" if seconds else f"{_read(at):%Y-%m-%d %H:%M} UTC"


def iso(at: float) -> str:
    """For programs: '2026-11-01T08:30:00Z', with a fraction where there is one."""
    return _read(at).isoformat().replace("+00:00", "Z")


def clock(at: float, step_seconds: int) -> str:
    """A bar's label, as fine as its step: '2026-11-01', '11-01 08:00', '08:30', '08:30:10'."""
    form = "%Y-%m-%d" if step_seconds >= 86_400 else "%m-%d %H:%M" if step_seconds >= 3600 else "%H:%M"
    return _read(at).strftime("%H:%M:%S" if step_seconds < 60 else form)


def stamp(at: float, step_seconds: int) -> str:
    """A row's label, whole: '2026-11-01', '2026-11-01 08:00', '2026-11-01 08:30:10'."""
    form = "%Y-%m-%d" if step_seconds >= 86_400 else "%Y-%m-%d %H:%M" if step_seconds >= 60 else "%Y-%m-%d %H:%M:%S"
    return _read(at).strftime(form)


def length(seconds: float) -> str:
    """'3.0 days', '5.0 hours', '12 min', '40 s'."""
    if seconds >= 2 * 86_400:
        return f"{seconds / 86_400:.1f} days"
    if seconds >= 7200:
        return f"{seconds / 3600:.1f} hours"
    return f"{seconds / 60:.0f} min" if seconds >= 120 else f"{seconds:.0f} s"


def _read(at: float) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=at)
