"""A document of sections as terminal tables, Markdown, CSV and JSON. HTML has a module of its own (`page`)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.rule import Rule
from rich.table import Table as RichTable
from rich.text import Text

from gateway.economics.money import NANO
from gateway.statement.figures import Statement
from gateway.statement.period import iso
from gateway.statement.table import LEFT, Cell, Column, Document, Section, Table, plain, tables_for_people, texts, unit

WIDEST = 1000
"""Columns of a table, at most."""

# -- terminal ---------------------------------------------------------------------------------------------------------


def show(document: Document, console: Console, columns: int) -> None:
    """Words are wrapped at `columns`. Tables are as wide as they must: a line that the terminal wraps is better than a
    figure that is cut."""

    def say(words: str, style: str = "") -> None:
        console.print(Text(words, style), width=columns)

    say(document.title, "bold")
    for line in document.words:
        say(line)
    for section in document.sections:
        console.print()
        console.print(Rule(Text(section.title, "bold"), align="left", style="dim"), width=columns)
        for line in section.words:
            say(f"- {line}" if len(section.words) > 1 else line)
        for table in tables_for_people(section):
            console.print()
            if table.title:
                say(table.title, "bold")
            console.print(_rich(table, document), width=WIDEST)
            for line in table.words:
                say(line, "dim")
    console.print()
    for line in document.footnotes:
        say(line)


def _rich(table: Table, document: Document) -> RichTable:
    head = any(column.head for column in table.columns)
    made = RichTable(
        box=box.SIMPLE_HEAD if head else None,
        show_header=head,
        pad_edge=False,
    )
    for column in table.columns:
        made.add_column(escape(column.head), justify="left" if column.kind in LEFT else "right", no_wrap=True)
    rows = texts(table, document.marks)
    for number, row in enumerate(rows):
        style = "bold" if table.total and number == len(rows) - 1 else ""
        made.add_row(*(_colored(column, cell, escape(cell)) for column, cell in zip(table.columns, row, strict=True)),
                     style=style)  # fmt: skip
    return made


def _colored(column: Column, cell: str, safe: str) -> str:
    if column.kind == "signed" and cell:
        return f"[green]{safe}[/green]" if cell.startswith("+") else f"[red]{safe}[/red]" if cell[0] == "-" else safe
    return f"[cyan]{safe}[/cyan]" if column.kind == "bar" and cell else safe


# -- Markdown ---------------------------------------------------------------------------------------------------------


def markdown(document: Document) -> str:
    return "\n".join(_markdown(document)) + "\n"


def _markdown(document: Document) -> Iterator[str]:
    yield f"# {_md(document.title)}"
    for line in document.words:
        yield from ("", _md(line))
    for section in document.sections:
        yield from ("", f"## {_md(section.title)}")
        if section.words:
            yield ""
            yield from (f"- {_md(line)}" for line in section.words)
        for table in tables_for_people(section):
            yield ""
            if table.title:
                yield from (f"### {_md(table.title)}", "")
            yield "| " + " | ".join(_md(column.head) for column in table.columns) + " |"
            yield "|" + "|".join("---" if column.kind in LEFT else "---:" for column in table.columns) + "|"
            rows = texts(table, document.marks)
            for number, row in enumerate(rows):
                bold = "**" if table.total and number == len(rows) - 1 else ""
                yield "| " + " | ".join(f"{bold}{_md(cell)}{bold}" if cell else "" for cell in row) + " |"
            for line in table.words:
                yield from ("", f"*{_md(line)}*")
    for line in document.footnotes:
        yield from ("", _md(line))


def _md(words: str) -> str:
    """Text that Markdown and HTML take as it stands: names come from whoever wrote the policy."""
    for sign in "\\`*_[]<>|":
        words = words.replace(sign, f"&{ENTITIES[sign]};")
    return " ".join(words.split("\n"))


ENTITIES = {"\\": "#92", "`": "#96", "*": "#42", "_": "#95", "[": "#91", "]": "#93", "<": "lt", ">": "gt", "|": "#124"}


# -- CSV --------------------------------------------------------------------------------------------------------------


def csv_tables(document: Document) -> dict[str, str]:
    """By name, one table a text: full precision, a header that says units; a cell that is unknown is empty."""
    return {table.name: _csv(table) for section in document.sections for table in section.tables}


def csv_sections(document: Document) -> str:
    """All in one text, each below a line `# name: title`, an empty line between them."""
    titles = {table.name: table.title or section.title for section in document.sections for table in section.tables}
    return "\n".join(f"# {name}: {titles[name]}\n{text}" for name, text in csv_tables(document).items())


def _csv(table: Table) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    columns = [(place, column) for place, column in enumerate(table.columns) if column.kind != "bar"]
    writer.writerow([_name(column) for _, column in columns])
    for row in table.rows:
        writer.writerow([_csv_cell(column, row[place]) for place, column in columns])
    return out.getvalue()


def _name(column: Column) -> str:
    return column.name + unit(column.kind)


def _csv_cell(column: Column, value: Any) -> Any:
    if isinstance(value, Cell):
        return _csv_cell(Column(column.name, "", value.kind), value.value)
    if value is None:
        return ""
    if column.kind in ("money", "signed"):
        return usd_exactly(value)
    found = plain(column.kind, value)
    if isinstance(found, str) and found[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{found}"  # a spreadsheet would take it for a formula
    return found


def usd_exactly(amount: int) -> str:
    """'-1.500000001': every nano-dollar."""
    whole, rest = divmod(abs(amount), NANO)
    return f"{'-' if amount < 0 else ''}{whole}.{rest:09d}"


# -- JSON -------------------------------------------------------------------------------------------------------------


def as_json(document: Document, statement: Statement) -> dict[str, Any]:
    """Each table by its name, as objects: money as an integer of nano-dollars and as a float of dollars beside it, "
    "other
    figures at full precision, null where unknown."""
    return {
        "period": {
            "since": iso(statement.covers.since),
            "until": iso(statement.covers.until),
            "asked_since": iso(statement.period.since),
            "seconds": statement.covers.seconds,
            "gateway_seconds": statement.gateway_time.seconds,
            "time_zone": "UTC",
        },
        "policy_hash": statement.policy_hash,
        "ledger_schema_version": statement.abilities.version,
        "simulated": [path.name for path in statement.all_paths if path.simulated],
        "notes": list(document.footnotes),
        "sections": [_json_section(section) for section in document.sections],
    }


def _json_section(section: Section) -> dict[str, Any]:
    return {
        "name": section.name,
        "title": section.title,
        "words": list(section.words),
        "tables": {
            table.name: {
                "title": table.title,
                "words": list(table.words),
                "rows": [_object(table, row) for row in table.rows],
            }
            for table in section.tables
        },
    }


def _object(table: Table, row: Any) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for column, value in zip(table.columns, row, strict=True):
        kind, known = (value.kind, value.value) if isinstance(value, Cell) else (column.kind, value)
        if kind == "bar":
            continue
        if kind in ("money", "signed"):
            made[f"{column.name}_nanousd"] = known
            made[f"{column.name}_usd"] = None if known is None else known / NANO
        else:
            made[column.name + unit(column.kind)] = plain(kind, known)
    return made
