"""`crossover report`: what a period of real traffic cost, from the ledger."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gateway.statement.table import Document


class Format(StrEnum):
    terminal = "terminal"
    markdown = "markdown"
    csv = "csv"
    html = "html"
    json = "json"


COLUMNS = 120
"""Where words are wrapped: in a pipe, in a file, and in a terminal that is wider."""


def report(
    policy: Annotated[Path, typer.Option("--policy", help="The policy file (YAML).", metavar="FILE")],
    ledger: Annotated[
        Path | None, typer.Option("--ledger", help="The ledger; default: the policy's `ledger.path`.", metavar="FILE")
    ] = None,
    since: Annotated[
        str, typer.Option(metavar="WHEN", help="From here: 24h, 30d, 4w before now, or a day or time in UTC, or `all`.")
    ] = "30d",
    until: Annotated[
        str, typer.Option(metavar="WHEN", help="Up to here, written the same; a day: its midnight.")
    ] = "now",
    form: Annotated[Format, typer.Option("--format", help="How it is written.")] = Format.terminal,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE|FOLDER", help="Write it here; csv into a folder: one file a table."),
    ] = None,
) -> None:
    """What the traffic of a period cost on each path, measured; what routing saved; what is not known.

    Reads the ledger only, beside a running gateway. Exits 2 for wrong arguments, 1 where there is nothing to report.
    """
    import sqlite3

    from gateway.metering.ledger import reading
    from gateway.policy.load import load_policy
    from gateway.policy.problem import PolicyError
    from gateway.statement.figures import EmptyPeriodError, statement
    from gateway.statement.ledger_rows import NoLedgerError
    from gateway.statement.period import PeriodError
    from gateway.statement.period import period as read_period

    try:
        span = read_period(since, until, time.time())
    except PeriodError as error:
        raise typer.BadParameter(str(error)) from None
    _must_be_writable(form, out)
    try:
        settings = load_policy(policy, require_environment=False)
    except PolicyError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    file = _ledger_file(ledger, settings.ledger.path, policy)
    try:
        with reading(file) as connection:
            figures = statement(connection, settings, span)
    except (EmptyPeriodError, NoLedgerError) as error:
        typer.echo(f"crossover report: {file}: {error}", err=True)
        raise typer.Exit(1) from None
    except sqlite3.Error as error:
        typer.echo(f"crossover report: the ledger {file} cannot be read: {error}", err=True)
        raise typer.Exit(1) from None

    from gateway.statement import formats
    from gateway.statement.sections import document

    made = document(figures)
    if form is Format.terminal:
        _show_terminal(made, out)
        return
    if form is Format.csv and out is not None and out.suffix.lower() != ".csv":
        _write_folder(out, formats.csv_tables(made))
        return
    match form:
        case Format.markdown:
            text = formats.markdown(made)
        case Format.csv:
            text = formats.csv_sections(made)
        case Format.html:
            from gateway.statement.page import page

            text = page(made, figures)
        case _:
            text = json.dumps(formats.as_json(made, figures), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if out is None:
        typer.echo(text, nl=False)
    else:
        _write(out, text)


def _ledger_file(given: Path | None, named: str | None, policy: Path) -> Path:
    if given is None and named is None:
        raise typer.BadParameter(f"{policy} keeps no ledger (`ledger.path`): name one with --ledger")
    if given is None and "${" in str(named):
        raise typer.BadParameter(
            f"{policy} has its ledger at {named}, which is not set: set it, or name one with --ledger"
        )
    file = given or Path(str(named))
    if not file.is_file():
        raise typer.BadParameter(
            f"there is no ledger {file}: name one with --ledger (a gateway writes it where the policy's `ledger.path` "
            "says)"
        )
    return file


def _must_be_writable(form: Format, out: Path | None) -> None:
    """Refuse before any work what cannot become the report."""
    if out is None:
        return
    if out.is_dir() and form is not Format.csv:
        raise typer.BadParameter(f"--out {out} is a folder: name a file; only --format csv writes a folder")
    if form is Format.csv and out.suffix.lower() != ".csv" and out.exists() and not out.is_dir():
        raise typer.BadParameter(f"--out {out} is a file: name a folder, or a file that ends in .csv")
    if not out.parent.is_dir():
        raise typer.BadParameter(f"--out {out}: there is no folder {out.parent}; make it first")


def _show_terminal(made: Document, out: Path | None) -> None:
    from rich.console import Console

    from gateway.statement.formats import WIDEST, show

    if out is not None:
        with _writing(out), out.open("w", encoding="utf-8") as file:
            show(made, Console(file=file, highlight=False, width=WIDEST), COLUMNS)
        typer.echo(f"wrote {out}", err=True)
        return
    columns = min(Console().width, COLUMNS) if Console().is_terminal else COLUMNS
    show(made, Console(highlight=False, width=WIDEST), columns)


def _write_folder(folder: Path, tables: dict[str, str]) -> None:
    with _writing(folder):
        folder.mkdir(exist_ok=True)
        for name, text in tables.items():
            (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    typer.echo(f"wrote {len(tables)} tables into {folder}", err=True)


def _write(file: Path, text: str) -> None:
    with _writing(file):
        file.write_text(text, encoding="utf-8")
    typer.echo(f"wrote {file}", err=True)


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise typer.BadParameter(f"--out {target}: cannot be written: {error.strerror}") from None
