"""Tables whose cells are exact values, and how each kind of value reads: rounded for people here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Literal, TypeAlias

from gateway.economics.money import NANO, dollars
from gateway.report.tables import money
from gateway.statement.period import iso, utc

Kind: TypeAlias = Literal[
    "text", "path", "count", "money", "signed", "per_1m", "ratio", "rate", "seconds", "factor", "moment", "flag",
    "cell", "bar",
]  # fmt: skip
"""text; path: a name that may carry a mark; count; money: n$; signed: n$ with its sign; per_1m: US$ per 1M output
tokens; ratio: as a percentage; rate: tokens/s; seconds; factor: measured over assumed; moment: seconds since 1970;
flag; cell: each with a kind of its own; bar: a share of the longest one, drawn."""

UNKNOWN = ""
BAR = 24
LEFT = ("text", "path", "moment", "flag", "bar")


@dataclass(frozen=True, slots=True)
class Cell:
    kind: Kind
    value: Any


@dataclass(frozen=True, slots=True)
class Column:
    """`name`: for programs, with its unit where `kind` does not give one. `head`: for people."""

    name: str
    head: str
    kind: Kind = "text"


@dataclass(frozen=True, slots=True)
class Table:
    """`words`: what it says, and on what basis. A cell that is None is unknown, or does not apply."""

    name: str
    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    words: Sequence[str] = ()
    total: bool = False
    """The last row is the sum of the others."""
    folded: bool = False
    """On a page: shown when it is asked for, since a chart shows the same."""


@dataclass(frozen=True, slots=True)
class Section:
    name: str
    title: str
    words: Sequence[str]
    tables: Sequence[Table] = ()


@dataclass(frozen=True, slots=True)
class Document:
    title: str
    words: Sequence[str]
    """Whose, of which time, from what."""
    sections: Sequence[Section]
    marks: Mapping[str, str] = field(default_factory=dict)
    """By path: what its name carries."""
    footnotes: Sequence[str] = ()
    """What the marks mean."""


def tables_for_people(section: Section) -> Iterator[Table]:
    """Those that have rows, without the columns of which nothing is known or which apply to no row."""
    for table in section.tables:
        kept = [place for place in range(len(table.columns)) if any(row[place] is not None for row in table.rows)]
        if kept:
            yield replace(
                table,
                columns=[table.columns[place] for place in kept],
                rows=[[row[place] for place in kept] for row in table.rows],
            )


def texts(table: Table, marks: Mapping[str, str]) -> list[list[str]]:
    """All cells as people read them, money of a column with the same digits."""
    digits = {
        place: money_digits([abs(row[place]) for row in table.rows if row[place] is not None])
        for place, column in enumerate(table.columns)
        if column.kind in ("money", "signed")
    }
    kinds = [column.kind for column in table.columns]
    return [
        [text(kind, row[place], marks, digits.get(place, 4)) for place, kind in enumerate(kinds)] for row in table.rows
    ]


def money_digits(amounts: Sequence[int]) -> int:
    """Cents; more where all amounts are small."""
    most = max(amounts, default=0)
    return 2 if most >= 10 * NANO else 4 if most >= NANO // 10 else 6


def text(kind: Kind, value: Any, marks: Mapping[str, str], digits: int = 4) -> str:
    if value is None:
        return UNKNOWN
    match kind:
        case "cell":
            alone = value.kind in ("money", "signed") and value.value is not None
            return text(value.kind, value.value, marks, money_digits([abs(value.value)]) if alone else digits)
        case "path":
            return f"{value} {marks[value]}" if value in marks else str(value)
        case "count":
            return f"{value:,}"
        case "money":
            return nanousd_text(value, digits)
        case "signed":
            return ("+" if value > 0 else "-" if value < 0 else "") + nanousd_text(abs(value), digits)
        case "per_1m":
            return money(Fraction(value))
        case "ratio":
            return percent(float(value))
        case "rate":
            return three_digits(float(value))
        case "seconds":
            return f"{value:.2f} s" if value < 100 else f"{value:,.0f} s"
        case "factor":
            return factor(float(value))
        case "moment":
            return utc(value)
        case "flag":
            return "yes" if value else "no"
        case "bar":
            return "█" * round(BAR * value) or ("▏" if value > 0 else "")
        case _:
            return str(value)


def nanousd_text(amount: int, digits: int) -> str:
    """'$1,234.56'; '$0' is nothing at all: what is above it is never shown as it."""
    if amount == 0:
        return "$0"
    least = NANO // 10**digits
    if amount <= least // 2:
        return f"<{dollars(least, digits)}"
    return dollars(amount, digits)


def percent(share: float) -> str:
    """'62.2%', '0.31%', '<0.01%'."""
    if 0 < share < 0.00005:
        return "<0.01%"
    return f"{share:.0%}" if share in (0, 1) or share >= 10 else f"{share:.1%}" if share >= 0.01 else f"{share:.2%}"


def three_digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def factor(ratio: float) -> str:
    """'+12%', '-4%', '6.4 times', '1/8'."""
    if abs(ratio - 1) < 0.0005:
        return "the same"
    if ratio >= 2:
        return f"{three_digits(ratio)} times"
    return f"1/{three_digits(1 / ratio)}" if 0 < ratio <= 0.5 else f"{ratio - 1:+.1%}"


def plain(kind: Kind, value: Any) -> Any:
    """For programs: full precision, in the unit that `unit` names. Money as its n$; moments in ISO 8601."""
    if value is None:
        return None
    match kind:
        case "cell":
            return plain(value.kind, value.value)
        case "per_1m" | "ratio" | "rate" | "seconds" | "factor" | "bar":
            return float(value)
        case "moment":
            return iso(value)
        case _:
            return value


def unit(kind: Kind) -> str:
    """What a program must add to a column's name to say its unit."""
    return {"money": "_usd", "signed": "_usd", "per_1m": "_usd_per_1m_output_tokens", "ratio": "_ratio",
            "rate": "_tokens_per_second", "seconds": "_seconds", "factor": "_ratio"}.get(kind, "")  # fmt: skip
