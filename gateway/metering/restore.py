"""After a restart: billing windows that an earlier run opened may still be paid. The ledger remembers them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path

from gateway.metering.ledger import reading
from gateway.metering.meter import Meter
from gateway.policy.schema import BackendSettings


def restore_windows(meter: Meter, path: Path, backends: Mapping[str, BackendSettings], now: float) -> int:
    """Tells the meter of copies that may still be up. Returns how many.

    A copy's last call is not in the ledger; the backend's last answered attempt stands for it."""
    restored = 0
    with reading(path) as connection:
        for backend, settings in backends.items():
            if settings.cost is None or settings.cost.kind != "window":
                continue
            idle = float(settings.cost.idle_minutes) * 60
            last = _last_call(connection, backend)
            if last is None or last + idle < meter.wall(now):
                continue
            rows = connection.execute(
                "SELECT MIN(opened_at), MAX(number) FROM windows WHERE backend = ? GROUP BY run, copy "
                "HAVING MAX(ends_at) >= ?",
                (backend, last),
            ).fetchall()
            for first_call, booked in rows:
                meter.restore_window(backend, first_call, max(last, first_call), booked, now)
                restored += 1
    return restored


def _last_call(connection: sqlite3.Connection, backend: str) -> float | None:
    row = connection.execute(
        "SELECT MAX(started_at) FROM attempts WHERE backend = ? AND (outcome = 'ok' OR ttft_seconds IS NOT NULL)",
        (backend,),
    ).fetchone()
    return None if row is None else row[0]
