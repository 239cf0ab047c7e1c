"""Everything that the console shows, as one JSON-ready value: worked out from memory when somebody looks. The shape is
what `static/` draws; amounts are US dollars, times are seconds, moments wall clock (seconds since 1970)."""

from __future__ import annotations

from typing import Any

import gateway
from gateway.economics.money import usd
from gateway.economics.prices import AmortizedCost, ProvisionedCost, WindowCost
from gateway.routing.explanation import sentence as why
from gateway.server.adapters.status import target_state
from gateway.server.console.paths import TRAILING_SECONDS, Now, box_rows, path_rows, rival, sentence
from gateway.server.core import Core
from gateway.server.decisions import Kept

DECISIONS_SHOWN = 50


def state(core: Core) -> dict[str, Any]:
    now = Now(core)
    said = sentence(now)
    return {
        "at": core.meter.wall(now.at),
        "run": core.run,
        "version": gateway.__version__,
        "policy_hash": core.policy.fingerprint(),
        "started_at": core.started_at,
        "window_seconds": TRAILING_SECONDS,
        "covered_seconds": now.lately.seconds,
        "verdict": {"sentence": said.sentence, "tone": said.tone, "detail": said.detail},
        "tiles": _tiles(now),
        "boxes": box_rows(now),
        "paths": path_rows(now),
        "backends": _backends(now),
        "adapters": _adapters(core),
        "decisions": [_decision(kept) for kept in core.decisions.latest(DECISIONS_SHOWN)],
        "history_version": core.meter.totals.minutes,
    }


def _tiles(now: Now) -> dict[str, Any]:
    core, totals = now.core, now.core.meter.totals
    box = now.boxes[0] if now.boxes else None
    found = None if box is None else rival(now, box)
    hour, minute = totals.over(3600.0), totals.over(60.0)
    spent = sum(totals["cost", name] for name in now.paths)
    # What was spent is not known where some of it has no price: then no saving is, either.
    unknown = any(totals["unpriced", name] for name in now.paths)
    saved: list[dict[str, Any]] = [
        {
            "against": name,
            "usd": None if unknown else usd(totals["alone", name] - spent),
            "simulated": path.simulated,
        }
        for name, path in now.paths.items()
        if not isinstance(path.cost, AmortizedCost) and core.meter.prices_everything(name)
    ]
    against = next((one for one in saved if found is not None and one["against"] == found.against), None)
    judged = {verdict: totals["judged", verdict] for verdict in ("in_time", "late", "wrong")}
    bad = judged["late"] + judged["wrong"]
    lately = sum(now.lately["cost", name] for name in now.paths)
    return {
        "usd_per_1m": {row["name"]: row["usd_per_1m"]["reservation"] for row in path_rows(now)},
        "utilization": None if box is None else now.utilization(box.name),
        "crossover_utilization": None if found is None or found.utilization is None else float(found.utilization),
        "crossover_against": None if found is None else found.against,
        "spent_usd": {
            "since_start": usd(spent),
            "last_hour": usd(sum(hour["cost", name] for name in now.paths)),
            "per_hour_now": usd(lately) / now.lately.seconds * 3600 if now.lately.seconds else 0.0,
        },
        "saved_usd": against and {"against": against["against"], "since_start": against["usd"]},
        "saved": saved,
        "in_time_ratio": judged["in_time"] / (judged["in_time"] + bad) if judged["in_time"] + bad else None,
        "error_budget_ratio": (
            bad / (judged["in_time"] + bad) / core.policy.routing.error_budget if judged["in_time"] + bad else 0.0
        ),
        "requests_per_second": (
            sum(minute["answers", name] for name in now.paths) / minute.seconds if minute.seconds else 0.0
        ),
        "loop_lag_seconds": core.loop_lag_seconds,
    }


def _backends(now: Now) -> list[dict[str, Any]]:
    core = now.core
    fleet = core.fleet.snapshot(now.at)
    rows = []
    for name, at in fleet.backends.items():
        tracker, path = core.fleet.trackers[name], now.paths[name]
        load, cost = tracker.load, path.cost
        up = at.up and not at.circuit_open
        fixed = cost.nanousd_per_second if isinstance(cost, AmortizedCost | ProvisionedCost) else None
        rows.append(
            {
                "name": name,
                "up": up,
                "why_down": None if up else tracker.last_failure or "it does not answer",
                "simulated": path.simulated,
                "wire": core.settings[name].wire,
                "in_flight": at.in_flight,
                "running": None if load is None else load.requests - load.waiting,
                "waiting": None if load is None else load.waiting,
                "kv_cache_usage_ratio": at.kv_cache_usage,
                "utilization": now.utilization(name),
                "capacity_tokens_per_second": now.capacity[name],
                "ttft_seconds": _quantiles(core.latencies.ttft(name, now.at)),
                "time_per_token_seconds": _quantiles(core.latencies.per_token(name, now.at)),
                "ceilings": _ceilings(core, name),
                "windows": _windows(now, name),
                "fixed_usd_per_hour": None if fixed is None else float(fixed) * 3600 / 1e9,
            }
        )
    return rows


def _quantiles(found: tuple[float, float] | None) -> dict[str, float] | None:
    return None if found is None else {"p50": found[0], "p95": found[1]}


def _ceilings(core: Core, backend: str) -> list[dict[str, Any]]:
    """Of the models that it serves."""
    return [
        {
            "model": alias,
            "ttft_seconds": settings.ceiling.ttft_seconds,
            "time_per_token_seconds": settings.ceiling.seconds_per_output_token,
            "latency_seconds": settings.ceiling.latency_seconds,
        }
        for alias, settings in core.policy.aliases.items()
        if any(target.backend == backend for target in settings.served_by)
    ]


def _windows(now: Now, backend: str) -> dict[str, Any] | None:
    """An imported model's billing windows."""
    meter = now.core.meter
    view, cost = meter.window_view(backend, now.at), now.paths[backend].cost
    if view is None or not isinstance(cost, WindowCost):
        return None
    paid = [window for window in meter.last_windows[backend] if window.ends_at > now.at]
    return {
        "copies": view.copies,
        "copies_elsewhere": now.core.copies_elsewhere.get(backend, 0),
        "in_flight": view.in_flight,
        "room": view.room,
        # A copy may have gone before the end of its last window, which is paid all the same.
        "open": max(view.copies, len(paid)),
        "seconds_left": max([view.seconds_left, *(window.ends_at - now.at for window in paid)]),
        "free_seconds": view.free_seconds,
        "usd_per_window": usd(cost.nanousd_per_window),
        "next_window_usd": usd(view.next_window_nanousd),
        "opened_since_start": meter.totals["windows", backend],
        "cost_usd_since_start": usd(meter.totals["cost", backend]),
        "recent": [
            {
                "copy": window.copy,
                "number": window.number,
                "opened_at": meter.wall(window.opened_at),
                "ends_at": meter.wall(window.ends_at),
                "usd": usd(window.nanousd),
                "open": window.ends_at > now.at,
            }
            for window in reversed(meter.last_windows[backend])
        ],
    }


def _adapters(core: Core) -> list[dict[str, Any]]:
    return [_adapter(alias, target_state(core, alias, r)) for alias, s in core.router.aliases.items() for r in s.routes]


_OF_A_CANARY = ("model", "generation", "share", "missing", "gate")


def _adapter(alias: str, at: dict[str, Any]) -> dict[str, Any]:
    live, canary, previous = at["live"], at["canary"], at["previous"]
    return {
        "model": alias,
        "backend": at["backend"],
        "served_model": live["model"],
        "generation": live["generation"],
        "canary": None if canary is None else {key: canary[key] for key in _OF_A_CANARY},
        "previous": None if previous is None else previous["generation"],
        "excluded": at["excluded"],
        "changed_at": at.get("changed_at"),
        "gate": live["gate"],
    }


def _decision(kept: Kept) -> dict[str, Any]:
    chosen = None if kept.decision.hold_seconds is not None else kept.decision.chosen
    return {
        "id": kept.id,
        "at": kept.decided_at,
        "model": kept.facts.alias,
        "backend": None if chosen is None else chosen.backend,
        "reason": kept.decision.reason,
        "sentence": why(kept.decision),
        "expected_usd": None if chosen is None else usd(round(chosen.expected_nanousd)),
        "late_chance": None if chosen is None else chosen.late_chance,
    }
