"""After a restart: billing windows that an earlier run opened may still be paid. The ledger remembers their copies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gateway.metering.ledger import reading
from gateway.metering.meter import Meter
from gateway.policy.schema import BackendSettings


def restore_windows(meter: Meter, path: Path, backends: Mapping[str, BackendSettings], now: float) -> int:
    """Tells the meter of copies that may still be up, that have a window still open, or that opened windows while no
    gateway ran. Returns how many."""
    wall = meter.wall(now)
    restored = 0
    with reading(path) as connection:
        for backend, settings in backends.items():
            if settings.cost is None or settings.cost.kind != "window":
                continue
            cost = settings.cost.model()
            # The last test: a copy that outlived its last booked window has opened more since. A millisecond of
            # tolerance, because sums of wall-clock times are only exact to a fraction of a microsecond.
            rows = connection.execute(
                """
                SELECT origin_run, copy, first_call, last_call, booked FROM copies AS c
                WHERE backend = :backend AND booked > 0 AND (
                  last_call + :idle > :now
                  OR EXISTS (SELECT 1 FROM windows AS w WHERE w.run = c.origin_run AND w.backend = c.backend
                    AND w.copy = c.copy AND w.ends_at > :now)
                  OR (:tail AND last_call + :idle > first_call + booked * :length + 1e-3))
                ORDER BY first_call, copy
                """,
                {
                    "backend": backend, "now": wall, "idle": float(cost.idle_seconds),
                    "length": float(cost.window_seconds), "tail": cost.idle_tail_billed,
                },
            ).fetchall()  # fmt: skip
            for run, copy, first_call, last_call, booked in rows:
                numbers = connection.execute(
                    "SELECT number FROM windows WHERE run = ? AND backend = ? AND copy = ?", (run, backend, copy)
                ).fetchall()
                meter.restore_window(
                    backend, first_call, last_call, booked, now, origin=(run, copy), numbers=[n for (n,) in numbers]
                )
                restored += 1
    return restored
