"""A decision on a terminal: the candidates' table, and the reason in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

NOTHING = "-"


def show(told: Mapping[str, Any], console: Console) -> None:
    """`told`: as `gateway.routing.explanation` gives it."""
    request = told["request"]
    console.print(
        f"{request['model']}, {request['operation']}: about {request['estimated_input_tokens']} prompt tokens, "
        f"{_ceilings(request['ceiling'])}",
        markup=False, highlight=False,
    )  # fmt: skip
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("backend", "generation"):
        table.add_column(name, overflow="fold")
    for name in ("TTFT", "per token", "latency", "marginal $", "busy", "window left"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("in time")
    table.add_column("why", overflow="fold")
    for candidate in told["candidates"]:
        table.add_row(*_cells(candidate), style="bold" if candidate["chosen"] else None)
    console.print(table)
    console.print(told["sentence"], markup=False, highlight=False)
    for name, value in (told.get("notes") or {}).items():
        console.print(f"  {name}: {value:.6g}" if isinstance(value, float) else f"  {name}: {value}", markup=False)


def _cells(candidate: Mapping[str, Any]) -> list[str]:
    excluded = candidate["excluded"] is not None
    return [
        ("> " if candidate["chosen"] else "  ") + escape(candidate["backend"]),
        escape(candidate["generation"] or NOTHING),
        _seconds(candidate["predicted_ttft_seconds"]),
        _seconds(candidate["predicted_seconds_per_token"]),
        _seconds(candidate["predicted_latency_seconds"]),
        NOTHING if candidate["marginal_usd"] is None else f"{candidate['marginal_usd']:.7f}",
        NOTHING if candidate["utilization"] is None else f"{candidate['utilization']:.0%}",
        _seconds(candidate["window_seconds_left"]),
        NOTHING if excluded else "yes" if candidate["in_time"] else "no",
        escape(candidate["why"]),
    ]


def _seconds(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3g} s"


def _ceilings(ceiling: Mapping[str, float | None]) -> str:
    names = {"ttft_seconds": "TTFT", "seconds_per_output_token": "time per token", "latency_seconds": "latency"}
    said = [f"{names[name]} at most {value:g} s" for name, value in ceiling.items() if value is not None]
    return ", ".join(said) if said else "no ceiling"
