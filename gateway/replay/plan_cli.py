"""`crossover plan`: what would change the bill? Imports lightly; the work later."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.replay.cli import (
    AsJson,
    ErrorBudget,
    Jobs,
    Seed,
    StartDay,
    TraceFile,
    must_have_numpy,
    wide_console,
    write_chart,
)
from gateway.report.cli import must_take_a_chart

if TYPE_CHECKING:
    from gateway.policy.schema import Policy
    from gateway.replay.plan import Plan
    from gateway.replay.requests import Requests
    from gateway.replay.trace import Trace
    from gateway.replay.variations import Variation

DEFAULT_DAYS = 3.0
"""The fewest that give an interval, and a minute or two for a busy trace."""


def plan(
    policy: Annotated[
        Path, typer.Option("--policy", metavar="FILE", help="The policy file (YAML).", show_default=False)
    ],
    trace: TraceFile,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SETTING=V,V",
            help="What to change, and to which values or factors: backends.box.cost.usd_per_month=100,200 or =x0.5,x2; "
            "or boxes, capacity, ceilings, import_price for several settings at once. Repeat it for more. Default: "
            "boxes=0,1,2 and x0.5,x2 of the others.",
        ),
    ] = None,
    grid: Annotated[
        bool, typer.Option("--grid", help="Every combination of the values of all --vary. Default: one at a time.")
    ] = False,
    load: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE",
            help="Traffic as a share of what today's box can do: 0.8 or 80%. It stays the same in every variation. "
            "Default: as recorded.",
        ),
    ] = None,
    days: Annotated[
        float, typer.Option(min=0.001, metavar="N", help="Days of the trace to replay, at most; 3 give intervals.")
    ] = DEFAULT_DAYS,
    start_day: StartDay = 0.0,
    seed: Seed = 0,
    strategy: Annotated[
        str | None, typer.Option(metavar="NAME", help="How a backend is chosen. Default: the policy's own.")
    ] = None,
    error_budget: ErrorBudget = None,
    as_json: AsJson = False,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT.svg",
            help="Draw the costs against the box's utilization here, with this traffic's marked.",
            show_default=False,
        ),
    ] = None,
    jobs: Jobs = None,
) -> None:
    """What would change the bill: replay recorded traffic with more boxes, other prices, capacities and ceilings.

    Everything but the trace is simulated. Says what the cheapest is that keeps to the error budget, whether one more
    box pays, and at which price it would. Exits 2 when something given cannot be used.
    """
    must_have_numpy("plan")
    if plot is not None:
        must_take_a_chart(plot)

    from gateway.replay.inputs import MOST_LOAD, contenders, error_budget_of, refused_politely, share
    from gateway.replay.plan import as_json as json_form
    from gateway.replay.plan_tables import plan_table, sentences
    from gateway.replay.trace import read_trace
    from gateway.replay.variations import variations

    with refused_politely():
        today = contenders([policy], [strategy] if strategy else [])[0]
        budget = error_budget_of(error_budget, today.policy)
        asked = None if load is None else share(load, "--load", MOST_LOAD)
        varied, notes = variations(today.policy, vary or [], grid=grid)
        found = _plan(varied, read_trace(trace), today.strategy, asked, start_day, days, seed, budget, jobs, notes)
    if plot is not None:
        write_chart(plot, _crossover_chart(today.policy, found), "--plot")
    if as_json:
        typer.echo(json.dumps(json_form(found), indent=2, ensure_ascii=False, allow_nan=False))
        return
    console = wide_console()
    console.print(plan_table(found))
    console.print()
    for sentence in sentences(found):
        console.print(sentence, markup=False)


def _plan(
    varied: list[Variation],
    trace: Trace,
    strategy: str,
    load: float | None,
    start_day: float,
    days: float,
    seed: int,
    budget: float,
    jobs: int | None,
    notes: list[str],
) -> Plan:
    from gateway.replay.comparison import title
    from gateway.replay.experiment import Task, cores, perform
    from gateway.replay.inputs import drawn
    from gateway.replay.plan import plan
    from gateway.replay.progress import progress_bar
    from gateway.replay.setting import Setting

    today = varied[0].policy
    lasts = float(trace.arrival_s[-1] - trace.arrival_s[0]) / 86400
    span = days if lasts >= start_day + days else None  # a shorter trace as it is: what it lacks was not quiet
    lists: list[Requests] = []
    places: dict[str, int] = {}
    tasks = []
    measured = None
    for one in varied:
        Setting.of(one.policy)  # its errors before the long work
        asks = f"{one.policy.aliases!r} {one.policy.replay!r}"  # what requests are drawn from
        if asks not in places:
            places[asks] = len(lists)
            requests, share_of_box = drawn(trace, one.policy, load, start_day, span, seed, box_of=today)
            measured = share_of_box if not lists else measured
            lists.append(requests)
        tasks.append(Task(one.name, one.policy, places[asks], "policy", strategy, budget))
    with progress_bar([one.name for one in varied]) as show:
        outcomes = perform(tasks, lists, jobs or cores(), show)
    runs = [(one, out.result) for one, out in zip(varied, outcomes, strict=True) if out.result is not None]
    made, could = _made(runs[0][0].policy, {one.name: one.output_tokens for one in runs[0][1].backends}, lists[0])
    if trace.skipped:
        notes = [*notes, f"{trace.skipped:,} operations of the ledger have no usage to replay and were left out."]
    return plan(
        title(lists[0], load, measured, start_day),
        runs,
        error_budget=budget,
        box_utilization=made / could if could else None,
        offered_utilization=float(lists[0].out_tokens.sum()) / could if could else None,
        input_tokens_per_output_token=float(lists[0].in_tokens.sum() / lists[0].out_tokens.sum()),
        notes=notes,
    )


def _made(policy: Policy, output_tokens: dict[str, int], requests: Requests) -> tuple[float, float]:
    """Output tokens of the owned boxes in the span, and how many they could have made."""
    from gateway.economics.prices import AmortizedCost
    from gateway.replay.experiment import capacity
    from gateway.replay.setting import Setting

    setting = Setting.of(policy)
    speeds = capacity(setting)
    owned = [place.name for place in setting.places if isinstance(place.cost, AmortizedCost)]
    made = sum(output_tokens.get(name, 0) for name in owned)
    return float(made), sum(speeds[name] for name in owned) * requests.span_seconds


def _crossover_chart(policy: Policy, found: Plan) -> str:
    from fractions import Fraction

    from gateway.policy.paths import serving_paths
    from gateway.report.contents import report
    from gateway.report.plot import Mark, plot

    serving = {target.backend for alias in policy.aliases.values() for target in alias.served_by}
    paths = [path for path in serving_paths(policy) if path.name in serving]
    mix = Fraction(round(100 * found.input_tokens_per_output_token), 100)
    marks = []
    if found.box_utilization:
        used = min(found.box_utilization, 1.0)
        marks.append(Mark(used, f"this traffic, simulated: {used:.1%}"))
    try:
        return plot(report(paths, "max", mix), marks)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
