"""`crossover replay`: recorded traffic through the router, policies side by side. Imports lightly; the work later."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.report.cli import must_take_a_chart

if TYPE_CHECKING:
    from rich.console import Console

    from gateway.replay.comparison import Replayed
    from gateway.replay.gate import Condition
    from gateway.replay.inputs import Contender
    from gateway.replay.requests import Requests

LEAST_COLUMNS = 120
"""What the tables need to show every figure whole."""

TraceFile = Annotated[
    Path,
    typer.Option(
        "--trace",
        metavar="FILE",
        help="Recorded traffic: csv or csv.gz (arrival_s, in_tokens, out_tokens, maybe alias), or a gateway's ledger "
        "(.sqlite3).",
        show_default=False,
    ),
]
Days = Annotated[
    float | None, typer.Option(min=0.001, metavar="N", help="Days of the trace to replay. Default: all of it.")
]
StartDay = Annotated[float, typer.Option(min=0, metavar="N", help="Days of the trace to pass over first.")]
Seed = Annotated[
    int, typer.Option(min=0, help="Of what a trace does not say (who needs the tuned weights) and of load.")
]
Jobs = Annotated[int | None, typer.Option(min=1, help="Processes at once. Default: one for each core.")]
ErrorBudget = Annotated[
    str | None,
    typer.Option(
        metavar="SHARE",
        help="Share of requests that may be bad (late, wrong, refused), for the verdicts here: 0.01 or 1%. Default: "
        "the policy's routing.error_budget.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON: dollars, seconds and shares at full precision.")]


def replay(
    policy: Annotated[
        list[Path],
        typer.Option(
            "--policy",
            metavar="FILE",
            help="The policy file (YAML); repeat it to compare several. The first one says what a box can do and what "
            "requests need.",
            show_default=False,
        ),
    ],
    trace: TraceFile,
    load: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SHARE",
            help="Traffic as a share of what the box can do: 0.8 or 80%; thinned or laid over itself to fit. Repeat it "
            "for more. Default: as recorded.",
        ),
    ] = None,
    days: Days = None,
    start_day: StartDay = 0.0,
    seed: Seed = 0,
    strategy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="crossover, box-only, imported-only, spill, least-busy, lowest-cost, ceiling-greedy, or all; repeat "
            "it to compare. The first is under test. Default: the policy's own.",
        ),
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(metavar="NAME", help="The row that others are compared with. Default: the second.")
    ] = None,
    bound: Annotated[bool, typer.Option(help="Work out the offline lower bound too.")] = True,
    hindsight: Annotated[
        bool, typer.Option("--hindsight", help="Make a plan knowing the whole trace, too. Takes up to 12 replays.")
    ] = False,
    error_budget: ErrorBudget = None,
    change: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="SETTING=VALUE",
            help="Change a setting of every policy, by its path or by a factor: routing.windows.eager=0.5, "
            "backends.box.cost.usd_per_month=x2; repeat it for more.",
        ),
    ] = None,
    learning: Annotated[
        bool,
        typer.Option(
            "--learning",
            help="Show the router what a gateway would have learned (speeds, corrections, margins), not the backends' "
            "true state.",
        ),
    ] = False,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            metavar="EXPR",
            help='Exit 1 when this holds at any load, for example "cost > 1.05 * baseline" or "bad > 1%"; repeat it '
            "for more.",
        ),
    ] = None,
    as_json: AsJson = False,
    plot: Annotated[
        Path | None, typer.Option(metavar="OUT.svg", help="Draw cost against bad share here.", show_default=False)
    ] = None,
    timeline: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT.svg",
            help="Draw load, windows, spend and bad requests over time here: of the policy under test, last load.",
            show_default=False,
        ),
    ] = None,
    explain: Annotated[
        int | None,
        typer.Option(metavar="N", help="Only explain what the first policy does with request N (from 1) and why."),
    ] = None,
    explain_at: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="The same, of the first request at this second of the replay or later."),
    ] = None,
    jobs: Jobs = None,
) -> None:
    """Replay recorded traffic through the router: what would each policy cost, and how often would it be late?

    Everything but the trace is simulated: the backends, from the policy's speeds and prices, and the clock. Exits 1
    when a --fail-if holds, 2 when something given cannot be used.
    """
    must_have_numpy("replay")
    for option, file in (("--plot", plot), ("--timeline", timeline)):
        if file is not None:
            must_take_a_chart(file, option)

    from gateway.replay.comparison import as_json as json_form
    from gateway.replay.gate import GateError, parse
    from gateway.replay.inputs import MOST_LOAD, InputError, contenders, error_budget_of, refused_politely, share

    with refused_politely():
        rivals = contenders(policy, strategy or [], change or [])
        names = tuple(one.name for one in rivals)
        if baseline is not None and baseline not in names:
            raise InputError(f"--baseline {baseline}: not in this replay, which has {', '.join(names)}")
        against = baseline or (names[1] if len(names) > 1 else None)
        loads: list[float | None] = [share(text, "--load", MOST_LOAD) for text in load or []] or [None]
        budget = error_budget_of(error_budget, rivals[0].policy)
        if explain is not None or explain_at is not None:
            told = _explained(rivals[0], trace, loads[0], days, start_day, seed, explain, explain_at, learning)
            _print_explained(told, as_json)
            return
        try:
            conditions = [parse(text, names) for text in fail_if or []]
            _must_be_worked_out(conditions, bound, hindsight, against)
        except GateError as error:
            raise InputError(str(error)) from None
        replays = _replays(
            rivals, trace, loads, days, start_day, seed, against, budget, jobs, bound=bound, hindsight=hindsight,
            learning=learning,
        )  # fmt: skip
        try:
            failed = [
                {
                    "condition": condition.text,
                    "load": one.load,
                    "numbers": condition.in_numbers(one.figures, names[0], against),
                }
                for one in replays
                for condition in conditions
                if condition.holds(one.figures, names[0], against)
            ]
        except GateError as error:
            raise InputError(str(error)) from None
    _draw(replays, plot, timeline)
    if as_json:
        typer.echo(json.dumps(json_form(replays, failed), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        _print(replays)
    for one in failed:
        where = f" at {one['load']:.0%} of the box" if isinstance(one["load"], float) else ""
        typer.echo(f"--fail-if {one['condition']!r} holds for {names[0]}{where}: {one['numbers']}.", err=True)
    if failed:
        raise typer.Exit(1)


def must_have_numpy(command: str) -> None:
    """Exits 2 with the mend where the extra is not installed."""
    if find_spec("numpy") is None:
        typer.echo(f"crossover {command} needs numpy: pip install 'crossover[replay]'", err=True)
        raise typer.Exit(2)


def _must_be_worked_out(conditions: list[Condition], bound: bool, hindsight: bool, against: str | None) -> None:
    """Raises GateError for a condition on what this replay will not have: before the work, not after it."""
    from gateway.replay.gate import BASELINE, GateError

    for condition in conditions:
        for name in condition.names:
            if name.figure.endswith("bound") and not bound:
                raise GateError(f"--fail-if {condition.text!r} names {name.written}: leave --no-bound out")
            if name.figure.endswith("hindsight") and not hindsight:
                raise GateError(f"--fail-if {condition.text!r} names {name.written}: add --hindsight")
            if name.policy == BASELINE and against is None:
                raise GateError(
                    f"--fail-if {condition.text!r} names {name.written}, and there is one policy only: add a second "
                    "--strategy or --policy"
                )


def _replays(
    rivals: list[Contender],
    trace: Path,
    loads: list[float | None],
    days: float | None,
    start_day: float,
    seed: int,
    against: str | None,
    budget: float,
    jobs: int | None,
    *,
    bound: bool,
    hindsight: bool,
    learning: bool,
) -> list[Replayed]:
    from gateway.replay.comparison import replayed
    from gateway.replay.experiment import Outcome, Task, cores, perform
    from gateway.replay.inputs import drawn
    from gateway.replay.progress import progress_bar
    from gateway.replay.setting import Setting
    from gateway.replay.trace import read_trace

    for one in rivals:
        Setting.of(one.policy)  # its errors before the long work
    recorded = read_trace(trace)
    first = rivals[0].policy
    lists: list[tuple[Requests, float | None]] = [drawn(recorded, first, load, start_day, days, seed) for load in loads]
    tasks = []
    for number in range(len(loads)):
        tasks += [Task(one.name, one.policy, number, "policy", one.strategy, budget, learning) for one in rivals]
        # The longest first would be better, but a person reads the policies' bars first.
        tasks += [Task("lower bound", first, number, "bound")] if bound else []
        tasks += [Task("hindsight", first, number, "hindsight", None, budget)] if hindsight else []
    labels = [task.name if len(loads) == 1 else f"{task.name} at {loads[task.requests] or 0:.0%}" for task in tasks]
    with progress_bar(labels) as show:
        outcomes = perform(tasks, [requests for requests, _ in lists], jobs or cores(), show)
    found = []
    for number, (load, (requests, measured)) in enumerate(zip(loads, lists, strict=True)):
        mine = [(task, out) for task, out in zip(tasks, outcomes, strict=True) if task.requests == number]
        pairs = [(out.result, out.timeline) for task, out in mine if task.kind == "policy"]
        best = next((out for task, out in mine if task.kind == "hindsight"), Outcome())
        notes = [f"Hindsight: {out.note}." for _, out in mine if out.note]
        if learning:
            notes.append("The router saw what a gateway would have learned, not the backends' true state.")
        if recorded.skipped:
            notes.append(f"{recorded.skipped:,} operations of the ledger have no usage to replay and were left out.")
        found.append(
            replayed(
                requests,
                [(one, line) for one, line in pairs if one is not None and line is not None],
                load=load,
                measured_load=measured,
                start_day=start_day,
                seed=seed,
                error_budget=budget,
                baseline=against,
                bound=next((out.bound for task, out in mine if task.kind == "bound"), None),
                hindsight=best.result,
                hindsight_kept=best.kept,
                notes=notes,
            )
        )
    return found


def _explained(
    one: Contender,
    trace: Path,
    load: float | None,
    days: float | None,
    start_day: float,
    seed: int,
    number: int | None,
    at_seconds: float | None,
    learning: bool,
) -> list[dict[str, Any]]:
    from gateway.replay.explained import NoSuchRequestError, explained, first_from
    from gateway.replay.inputs import InputError, drawn
    from gateway.replay.setting import Setting
    from gateway.replay.trace import read_trace

    setting = Setting.of(one.policy)
    requests, _ = drawn(read_trace(trace), one.policy, load, start_day, days, seed)
    try:
        wanted = number if number is not None else first_from(requests, at_seconds or 0.0)
        return explained(requests, setting.router(strategy=one.strategy), setting, wanted, learning=learning)
    except NoSuchRequestError as error:
        raise InputError(str(error)) from None


def _print_explained(told: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(told, indent=2))
        return
    from gateway.explain.table import show

    console = wide_console()
    for one in told:
        console.print(f"Simulated, at {one['at_seconds']:.1f} s:", highlight=False)
        show(one, console)
        console.print()


def _draw(replays: list[Replayed], plot: Path | None, timeline: Path | None) -> None:
    from gateway.replay.cost_plot import cost_plot
    from gateway.replay.scatter import scatter
    from gateway.replay.timeline_plot import timeline_plot

    if plot is not None:
        try:
            write_chart(plot, cost_plot([scatter(one) for one in replays]), "--plot")
        except ValueError as error:
            raise typer.BadParameter(f"--plot {plot}: {error}") from None
    if timeline is not None:
        write_chart(timeline, timeline_plot(replays[-1].timelines[0], replays[-1].title), "--timeline")


def write_chart(file: Path, text: str, option: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise typer.BadParameter(f"{option} {file}: cannot be written: {error.strerror}") from None
    typer.echo(f"wrote {file}", err=True)


def wide_console() -> Console:
    """Standard output, wide enough for the tables."""
    from rich.console import Console

    console = Console(highlight=False)
    if console.is_terminal and console.width >= LEAST_COLUMNS:
        return console
    # A pipe has no width; in a narrow terminal a line that wraps is better than a figure that is cut.
    return Console(highlight=False, width=LEAST_COLUMNS if console.is_terminal else 200)


def _print(replays: list[Replayed]) -> None:
    from gateway.replay.tables import tables

    console = wide_console()
    for one in replays:
        for table in tables(one):
            console.print(table)
            console.print()
