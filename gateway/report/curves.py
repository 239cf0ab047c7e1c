"""The report's rows as the curves of a chart, and the words that must stand beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.economics.crossover import Crossover
from gateway.economics.serving import ServingRow
from gateway.report.contents import Report
from gateway.report.tables import money, percent, price_source


@dataclass(frozen=True, slots=True)
class Curve:
    """Rows that cost the same at every utilization: one line on the chart. Amounts are US$ per 1M output tokens."""

    rows: tuple[ServingRow, ...]
    usd: float
    """At full use; an owned box's is divided by its utilization, any other is flat."""
    band: tuple[float, float] | None
    owned: bool
    detail: str
    """Its price as its label says it."""

    @property
    def names(self) -> list[str]:
        return [row.path.name for row in self.rows]

    @property
    def notes(self) -> list[str]:
        """What a reader must know of the figure: said beside it, and the line is dashed where it is not measured."""
        said = ["base weights"] if not any(row.path.custom_weights for row in self.rows) else []
        said += ["speed assumed"] if any(_assumed(row) for row in self.rows) else []
        return said + (["simulated"] if any(row.path.simulated for row in self.rows) else [])

    @property
    def dashed(self) -> bool:
        return any(_assumed(row) or row.path.simulated for row in self.rows)


def curves_of(rows: Sequence[ServingRow]) -> list[Curve]:
    """One curve for each different cost, in the order of the rows; unknown and free have no place on a log axis."""
    alike: dict[object, list[ServingRow]] = {}
    for row in rows:
        if row.average.usd_per_1m_tokens:
            alike.setdefault((row.cost_kind, row.average, row.usd_per_month, row.band), []).append(row)
    return [_curve(same) for same in alike.values()]


def _curve(same: Sequence[ServingRow]) -> Curve:
    price, band, kind = same[0].average.usd_per_1m_tokens, same[0].band, same[0].cost_kind
    assert price is not None
    how = {"amortized": " / U", "window": " while active", "provisioned": " at full duty"}
    return Curve(
        rows=tuple(same),
        usd=float(price),
        band=(float(band.low_usd_per_1m_tokens), float(band.high_usd_per_1m_tokens)) if band else None,
        owned=kind == "amortized",
        detail=money(price) + how.get(kind or "", " by the token"),
    )


def caption(report: Report, curves: Sequence[Curve]) -> list[str]:
    """Paragraphs: whose prices and of which day, the basis, and what the chart leaves out or rests on."""
    shown = [row for curve in curves for row in curve.rows]
    mix = float(report.input_tokens_per_output_token)
    said = [
        "Average cost, reservation basis",
        "one stream alone" if report.capacity == "single" else "all streams together",
        *([f"{mix:g} input tokens with each output token"] if mix else []),
        "730 hours a month",
    ]
    text = f"{'; '.join(said)}."
    if bands := dict.fromkeys((row.band.low_usd_per_month, row.band.high_usd_per_month) for row in shown if row.band):
        spans = " and ".join(f"${float(low):,.0f} to ${float(high):,.0f}" for low, high in bands)
        text += f" Shaded: a box at {spans} a month."
    if any(curve.dashed for curve in curves):
        text += " Dashed: assumed or simulated, as labelled."
    if not all(any(one.same_weights for one in same) for same in crossings(report.crossovers)):
        text += " Hollow dot: one of the two serves only the base weights."
    never: dict[str, list[str]] = {}
    for one in report.crossovers:
        if one.wins is False:
            above = "it is free" if one.utilization is None else f"crossover {percent(one.utilization)}"
            never.setdefault(one.against, []).append(f"{one.box} ({above})")
    for against, boxes in never.items():
        text += f" Never cheaper than {against} at this capacity: {', '.join(boxes)}."
    drawn = {row.path.name for row in shown}
    out = [row for row in report.rows if row.path.name not in drawn]
    for why, names in (
        ("price unknown", [row.path.name for row in out if row.average.usd_per_1m_tokens is None]),
        ("free, and the axis is logarithmic", [row.path.name for row in out if row.average.usd_per_1m_tokens == 0]),
    ):
        text += f" Left out ({why}): {', '.join(names)}." if names else ""
    return [*(f"Prices: {source}." for source in dict.fromkeys(price_source(row.path.price) for row in shown)), text]


def description(report: Report, curves: Sequence[Curve]) -> str:
    """The whole chart in words, for those who cannot see it."""
    lines = [f"{' and '.join(curve.names)}: {', '.join([curve.detail, *curve.notes])}." for curve in curves]
    return " ".join([*lines, *(sentence(one) for one in report.crossovers if one.wins), *caption(report, curves)])


def crossings(crossovers: Sequence[Crossover]) -> list[list[Crossover]]:
    """The crossovers that are on the chart, those of one spot together."""
    spots: dict[object, list[Crossover]] = {}
    for one in crossovers:
        if one.wins:
            spots.setdefault((one.utilization, one.against_usd_per_1m_tokens), []).append(one)
    return list(spots.values())


def sentence(one: Crossover) -> str:
    """A crossover that the box reaches, in words."""
    span = f" ({percent(one.low)} to {percent(one.high)} over its band)" if one.low is not None else ""
    return f"{one.box} is cheaper than {one.against} above {percent(one.utilization)} utilization{span}."


def _assumed(row: ServingRow) -> bool:
    """Whether the figure rests on a speed nobody measured; a list price rests on none."""
    return row.path.speed_assumed and row.cost_kind != "per_token"
