"""A decision on a terminal: the candidates' table, and the reason in a sentence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    for name in ("TTFT", "per token", "latency", "late", "marginal $", "expected $", "busy", "window left"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("why", overflow="fold")
    for candidate in told["candidates"]:
        table.add_row(*_cells(candidate), style="bold" if candidate["chosen"] else None)
    console.print(table)
    console.print(told["sentence"], markup=False, highlight=False)
    for line in _circumstances(told):
        console.print(f"  {line}", markup=False, highlight=False)


def _cells(candidate: Mapping[str, Any]) -> list[str]:
    return [
        ("> " if candidate["chosen"] else "  ") + escape(candidate["backend"]),
        escape(candidate["generation"] or NOTHING),
        _seconds(candidate["predicted_ttft_seconds"]),
        _seconds(candidate["predicted_seconds_per_token"]),
        _seconds(candidate["predicted_latency_seconds"]),
        NOTHING if candidate["late_chance"] is None else f"{candidate['late_chance']:.0%}",
        NOTHING if candidate["marginal_usd"] is None else f"{candidate['marginal_usd']:.6f}",
        NOTHING if candidate["expected_usd"] is None else f"{candidate['expected_usd']:.6f}",
        NOTHING if candidate["utilization"] is None else f"{candidate['utilization']:.0%}",
        _seconds(candidate["window_seconds_left"]),
        escape(candidate["why"]),
    ]


def _circumstances(told: Mapping[str, Any]) -> Iterator[str]:
    now = told.get("circumstances")
    if now is None or not now["answer_in_time_worth_usd"]:
        return
    yield f"an answer in time is worth ${now['answer_in_time_worth_usd']:.6f}"
    yield (
        f"the box has {now['box_requests_over_batch']:.2f} requests for each of its places; those who need it ask for "
        f"{now['captive_demand_ratio']:.0%} of what it can do; it turns somebody away soon with a chance of "
        f"{now['overload_chance']:.0%}"
    )
    if now["turned_away"]:
        yield "the box is too full for this one"
    regret = now["window_regret"]
    if regret is None:
        return
    if regret["regret_usd"]:
        yield (
            f"${regret['regret_usd']:.6f} of ${regret['opens_at_usd']:.6f} until a window of {regret['backend']} is "
            f"opened; it would save {regret['forecast_answers_saved']:.1f} answers by the forecast"
        )
    else:
        yield (
            f"a window of {regret['backend']} is opened: the ${regret['opens_at_usd']:.6f} were reached; it saves "
            f"{regret['forecast_answers_saved']:.1f} answers by the forecast"
        )


def _seconds(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3g} s"


def _ceilings(ceiling: Mapping[str, float | None]) -> str:
    names = {"ttft_seconds": "TTFT", "seconds_per_output_token": "time per token", "latency_seconds": "latency"}
    said = [f"{names[name]} at most {value:g} s" for name, value in ceiling.items() if value is not None]
    return ", ".join(said) if said else "no ceiling"
