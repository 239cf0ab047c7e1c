"""`crossover economics`: the serving table, the crossovers and the decision table of a policy."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer


class CapacityBasis(StrEnum):
    single = "single"
    max = "max"


LEAST_COLUMNS = 116
"""What the tables need to show every figure whole."""


def economics(
    policy: Annotated[Path, typer.Option("--policy", help="The policy file (YAML).", metavar="FILE")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON at full precision.")] = False,
    capacity: Annotated[
        CapacityBasis,
        typer.Option(help="Speed of a path: `single` stream alone, or `max`, all its streams together (tokens/s)."),
    ] = CapacityBasis.single,
    input_tokens_per_output_token: Annotated[
        str,
        typer.Option(metavar="R", help="Input tokens that come with each output token, for list prices of the mix."),
    ] = "0",  # noqa: S107  (tokens, not a password)
    utilization: Annotated[
        str,
        typer.Option(metavar="U", help="Share of its time a path is busy, for cost per accepted answer: 0.3 or 30%."),
    ] = "1",
    only: Annotated[
        list[str] | None,
        typer.Option("--path", metavar="NAME", help="Only this path of the policy; repeat it for more. Default: all."),
    ] = None,
    chart: Annotated[
        Path | None,
        typer.Option("--plot", metavar="OUT.svg", help="Draw the costs against utilization here, in place of tables."),
    ] = None,
) -> None:
    """What 1M output tokens cost on each path, and where the owned box becomes the cheapest.

    Reads prices only: variables that the policy names need not be set. Exits 2 when the policy is wrong.
    """
    if chart is not None:
        must_take_a_chart(chart)
    mix = _number(input_tokens_per_output_token, "--input-tokens-per-output-token")
    busy = _number(utilization, "--utilization")
    if mix < 0:
        raise typer.BadParameter(f"--input-tokens-per-output-token is {float(mix):g}: it must be 0 or more")
    if not 0 < busy <= 1:
        raise typer.BadParameter(f"--utilization is {float(busy):g}: it must be above 0 and at most 1 (or 100%)")

    from gateway.policy.load import load_policy
    from gateway.policy.paths import serving_paths
    from gateway.policy.problem import PolicyError
    from gateway.report.contents import as_json as json_form
    from gateway.report.contents import report

    try:
        settings = load_policy(policy, require_environment=False)
    except PolicyError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    paths = serving_paths(settings)
    if unknown := [name for name in only or () if name not in settings.backends]:
        raise typer.BadParameter(
            f"--path {', '.join(unknown)}: not in {policy}, which has {', '.join(settings.backends)}"
        )
    result = report([path for path in paths if not only or path.name in only], capacity.value, mix, busy)
    if chart is not None:
        from gateway.report.plot import plot

        try:
            chart.write_text(plot(result), encoding="utf-8")
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
        except OSError as error:
            raise typer.BadParameter(f"--plot {chart}: cannot be written: {error.strerror}") from None
        typer.echo(f"wrote {chart}", err=True)
    if as_json:
        typer.echo(json.dumps(json_form(result), indent=2, ensure_ascii=False, allow_nan=False))
    if as_json or chart is not None:
        return

    from rich.console import Console

    from gateway.report.tables import tables

    console = Console(highlight=False)
    if not console.is_terminal or console.width < LEAST_COLUMNS:
        # A pipe has no width; in a narrow terminal a line that wraps is better than a figure that is cut.
        console = Console(highlight=False, width=LEAST_COLUMNS if console.is_terminal else 160)
    for table in tables(result, console.width):
        console.print(table)
        console.print()


def _number(text: str, option: str) -> Fraction:
    """'0.3' or '30%', exactly."""
    try:
        number = Decimal(text.strip().removesuffix("%"))
        if not number.is_finite() or abs(number.adjusted()) > 30:
            raise InvalidOperation
    except InvalidOperation:
        raise typer.BadParameter(f"{option} is {text!r}: write a number, for example 0.3") from None
    return Fraction(number) / (100 if text.strip().endswith("%") else 1)


def must_take_a_chart(file: Path, option: str = "--plot") -> None:
    """Refuse before any work a file that cannot become the chart."""
    if file.suffix.lower() != ".svg":
        raise typer.BadParameter(f"{option} {file}: the chart is an SVG, so its name must end in .svg")
    if file.exists() and not file.is_file():
        raise typer.BadParameter(f"{option} {file}: not a file, and never overwritten; name a file that ends in .svg")
    if not file.parent.is_dir():
        raise typer.BadParameter(f"{option} {file}: there is no folder {file.parent}; make it first")
