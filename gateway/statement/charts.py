"""The charts of the page, drawn by hand as SVG: spend over time, the crossover, utilization by hour, what was saved.

Each is drawn twice, for a wide page and for a phone; the page's style shows the one that fits. Figures in, SVG out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from gateway.economics.money import usd
from gateway.report import svg
from gateway.report.labels import Rect, shorten, spread, text_width
from gateway.report.panel import Panel, dollars, linear, logarithmic, round_up
from gateway.statement.crossing import HOUR, Crossing
from gateway.statement.figures import Statement
from gateway.statement.period import clock, utc
from gateway.statement.savings import Saving
from gateway.statement.table import percent
from gateway.statement.words import per_1m

HEIGHT = 230.0
ROW = 2.0
"""Of a bar that lies, in sizes of the text."""

Draw = Callable[[float], tuple[Sequence[str], float]]
"""Of the size of the text: the drawing, and how high it is."""


def charts(one: Statement, section: str) -> Iterator[str]:
    """Those that belong into a section of the page."""
    tones = {path.name: svg.tone(number) for number, path in enumerate(one.paths)}
    if section == "spend" and len(one.steps) > 1 and one.nanousd > 0:
        yield figure("Cost over time, by path", _said_spend(one), lambda size: _spend(one, tones, size))
    if section == "crossover":
        for box in dict.fromkeys(crossing.box for crossing in one.crossings):
            yield from _crossing_charts(one, [c for c in one.crossings if c.box == box], tones)
    if section == "savings" and one.savings is not None and one.savings.against:
        yield figure(
            "What all traffic would have cost on one path alone",
            "; ".join(f"{s.priced_as}: {dollars(usd(s.elsewhere_nanousd))}" for s in one.savings.against),
            lambda size: _saved(one, tones, size),
        )


def figure(title: str, said: str, draw: Draw) -> str:
    """A chart drawn for a wide page and for a phone. `said`: the chart in words, for those who cannot see it."""
    drawn = []
    for name, size in svg.SIZES.items():
        lines, height = draw(size)
        drawn.append(
            f'<svg class="{name}" viewBox="0 0 {svg.WIDTH} {math.ceil(height)}" role="img" '
            f'aria-label="{svg.text(f"{title}. {said}")}"><g class="ink" font-size="{size:g}">'
        )
        drawn += [*lines, "</g></svg>"]
    return "\n".join([f"<figure><figcaption>{svg.text(title)}</figcaption>", *drawn, "</figure>"])


# -- spend ------------------------------------------------------------------------------------------------------------


def _said_spend(one: Statement) -> str:
    parts = ", ".join(f"{path.name} {dollars(usd(path.nanousd))}" for path in one.paths if path.nanousd)
    return f"{parts}, in {len(one.steps)} steps from {utc(one.covers.since)} to {utc(one.covers.until)}"


def _spend(one: Statement, tones: dict[str, str], size: float) -> tuple[list[str], float]:
    names = [path.name for path in one.paths if path.nanousd]
    out, y = legend([(name, tones[name]) for name in names], size)
    axes = Rect(3.6 * size, y + 0.8 * size, svg.WIDTH - size, y + 0.8 * size + HEIGHT)
    top = round_up(max(usd(sum(step.nanousd.values())) for step in one.steps))
    count, seconds = len(one.steps), one.covers.step_seconds
    panel = Panel(axes, size, linear(0, count), linear(0, top))
    labels = [(number + 0.5, _short(step.at, seconds)) for number, step in enumerate(one.steps)]
    out += panel.grid(_spaced(panel, labels), [(value, dollars(value)) for value in (0, top / 2, top)])
    width = (axes.right - axes.left) / count
    for number, step in enumerate(one.steps):
        base = 0.0
        said = ", ".join(f"{name} {dollars(usd(step.nanousd[name]))}" for name in names if step.nanousd.get(name))
        out.append(f"<g><title>{svg.text(f'{clock(step.at, seconds)} UTC: {said}')}</title>")
        for name in names:
            amount = usd(step.nanousd.get(name, 0))
            if amount <= 0:
                continue
            high, low = panel.y(base + amount), panel.y(base)
            x = axes.left + number * width + 0.1 * width
            out.append(
                f'<g class="{tones[name]}"><rect x="{x:.1f}" y="{high:.1f}" width="{0.8 * width:.1f}" '
                f'height="{low - high:.1f}" fill="currentColor" fill-opacity=".8"/></g>'
            )
            base += amount
        out.append("</g>")
    return out, axes.bottom + 2 * size


def _short(at: int, step_seconds: int) -> str:
    return clock(at, step_seconds)[5:] if step_seconds >= 86_400 else clock(at, step_seconds)


def _spaced(panel: Panel, labels: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """Every so-manieth of them, as many as fit."""
    if not labels:
        return []
    widest = max(text_width(words, 0.86 * panel.size) for _, words in labels) + panel.size
    fit = max(1, int((panel.axes.right - panel.axes.left) / widest))
    return list(labels)[:: math.ceil(len(labels) / fit)]


def legend(entries: Sequence[tuple[str, str]], size: float) -> tuple[list[str], float]:
    """Names with their colours, on as many lines as they need; and the y below them."""
    out = []
    x, y = size, 1.1 * size
    for words, tone in entries:
        width = 1.6 * size + text_width(words, 0.86 * size)
        if x + width > svg.WIDTH - size and x > size:
            x, y = size, y + 1.3 * size
        out.append(
            f'<g class="{tone}"><rect x="{x:.1f}" y="{y - 0.7 * size:.1f}" width="{0.7 * size:.1f}" '
            f'height="{0.7 * size:.1f}" fill="currentColor" fill-opacity=".8"/></g>'
            + svg.line(x + size, y, words, "small")
        )
        x += width
    return out, y


# -- the crossover ----------------------------------------------------------------------------------------------------


def _crossing_charts(one: Statement, found: Sequence[Crossing], tones: dict[str, str]) -> Iterator[str]:
    priced = [crossing for crossing in found if crossing.price_usd_per_1m]
    at = found[0]
    if not priced or not at.utilization or at.box_usd_per_1m is None:
        return
    said = "; ".join(
        f"{c.against} at {per_1m(c.price_usd_per_1m)}, crossover {percent(float(c.crossover or 0))}" for c in priced
    )
    yield figure(
        f"{at.box}: US$ per 1M output tokens by its utilization, and where this period was",
        f"{at.box} was at {percent(at.utilization)} and {per_1m(at.box_usd_per_1m)}; {said}",
        lambda size: _curves(priced, tones, size),
    )
    hours = dict(one.hours).get(at.box, {})
    if len(hours) > 1:
        reached = [c for c in priced if c.reachable]
        lines = ", ".join(f"crossover with {c.against} {percent(float(c.crossover or 0))}" for c in reached)
        yield figure(
            f"{at.box}: utilization by hour",
            f"Between {percent(min(hours.values()))} and {percent(max(hours.values()))}; {lines}",
            lambda size: _hours(hours, reached, tones, at.box, size),
        )


def _curves(found: Sequence[Crossing], tones: dict[str, str], size: float) -> tuple[list[str], float]:
    """Both axes are logarithmic: the box's cost is a straight line there, and small utilizations are seen too."""
    at = found[0]
    here, price = max(at.utilization or 0.0, 1e-6), float(at.box_usd_per_1m or 0)
    full = float(found[0].price_usd_per_1m or 0) * float(found[0].crossover or 0)
    crosses = [float(c.crossover) for c in found if c.crossover is not None and c.reachable]
    left = min(_one_two_five(min([here, 0.1, *crosses]) / 2, down=True), 0.1)
    prices = [float(c.price_usd_per_1m or 0) for c in found]
    low = _one_two_five(min([full, price, *prices]) / 1.6, down=True)
    high = _one_two_five(max([price, full / left, *prices]) * 1.3, down=False)
    names = [(at.box, full, tones.get(at.box, "dim"))]
    names += [(c.against, float(c.price_usd_per_1m or 0), tones.get(c.against, "dim")) for c in found]
    room = min(max(text_width(name, size, bold=True) for name, *_ in names) + 2 * size, 0.34 * svg.WIDTH)
    axes = Rect(3.8 * size, 1.4 * size, svg.WIDTH - room, 1.4 * size + 1.25 * HEIGHT)
    panel = Panel(axes, size, logarithmic(left, 1.0), logarithmic(low, high))
    ticks = [(share, f"{share * 100:g}%") for share in _steps(left, 1.0)]
    out = [*panel.grid(ticks, [(value, _price(value)) for value in _steps(low, high)])]
    out += [f'<g class="{tones.get(at.box, "dim")}">{_stroke(panel, [(left, full / left), (1.0, full)], size)}</g>']
    for crossing in found:
        there = float(crossing.price_usd_per_1m or 0)
        dashed = " dashed" if crossing.simulated else ""
        tone = tones.get(crossing.against, "dim")
        out.append(f'<g class="{tone}">{_stroke(panel, [(left, there), (1.0, there)], size, dashed)}</g>')
    for crossing in found:
        if crossing.crossover is None or not crossing.reachable:
            continue
        x, y = panel.x(float(crossing.crossover)), panel.y(float(crossing.price_usd_per_1m or 0))
        out.append(f'<g class="{tones.get(crossing.against, "dim")}">')
        out.append(f'<circle class="dot hollow" cx="{x:.1f}" cy="{y:.1f}" r="{0.3 * size:.1f}"/></g>')
        out.append(svg.line(x, y - 0.7 * size, percent(float(crossing.crossover)), "small halo", "middle"))
    x, y = panel.x(here), panel.y(price)
    out.append(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="{0.42 * size:.1f}"/>')
    words = f"here: {percent(here)}, {per_1m(at.box_usd_per_1m)}"
    anchor = "start" if x < (axes.left + axes.right) / 2 else "end"
    out.append(svg.line(x + (0.8 if anchor == "start" else -0.8) * size, y + 1.5 * size, words, "bold halo", anchor))
    ends = [panel.y(value) for _, value, _ in names]
    for (name, _, tone), y in zip(
        names, spread(ends, [1.3 * size] * len(names), axes.top - size, axes.bottom + size), strict=True
    ):
        shown = shorten(name, room - 1.2 * size, size, bold=True)
        out.append(f'<g class="{tone}">{svg.line(axes.right + 0.6 * size, y + 0.35 * size, shown, "bold")}</g>')
    out.append(
        svg.line((axes.left + axes.right) / 2, axes.bottom + 2.7 * size, "utilization (log)", "small dim", "middle")
    )
    return out, axes.bottom + 3.4 * size


def _hours(
    hours: dict[int, float], reached: Sequence[Crossing], tones: dict[str, str], box: str, size: float
) -> tuple[list[str], float]:
    first, last = min(hours), max(hours) + HOUR
    # A crossover far above what the box did would press all of its hours to the floor: it is named, and not drawn.
    highest = 3 * max(hours.values())
    drawn = [c for c in reached if float(c.crossover or 0) <= highest]
    lines = [(_crossing_words(c, drawn), c) for c in reached]
    named = [(words, tones.get(c.against, "dim")) for words, c in lines]
    out, y = legend([(f"{box}, each hour", tones.get(box, "dim")), *named], size)
    axes = Rect(3.6 * size, y + 0.8 * size, svg.WIDTH - size, y + 0.8 * size + 0.8 * HEIGHT)
    top = round_up(max([*hours.values(), *(float(c.crossover or 0) for c in drawn)]))
    panel = Panel(axes, size, linear(first, last), linear(0, top))
    step = next((s for s in (HOUR, 3 * HOUR, 6 * HOUR, 86_400) if (last - first) / s <= 40), 86_400)
    marks = [(at, _short(at, step)) for at in range(-(-first // step) * step, last, step)]
    out += panel.grid(_spaced(panel, marks), [(value, percent(value)) for value in (0, top / 2, top)])
    out.append(f'<g class="{tones.get(box, "dim")}">')
    for at, busy in hours.items():
        x, y = panel.x(at), panel.y(busy)
        out.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(panel.x(at + HOUR) - x, 0.6):.2f}" '
            f'height="{axes.bottom - y:.1f}" fill="currentColor" fill-opacity=".7"/>'
        )
    out.append("</g>")
    for crossing in drawn:
        at_height = float(crossing.crossover or 0)
        stroke = _stroke(panel, [(first, at_height), (last, at_height)], size, " dashed")
        out.append(f'<g class="{tones.get(crossing.against, "dim")}">{stroke}</g>')
    return out, axes.bottom + 2 * size


def _crossing_words(crossing: Crossing, drawn: Sequence[Crossing]) -> str:
    above = "" if crossing in drawn else " (above the chart)"
    return f"crossover with {crossing.against} {percent(float(crossing.crossover or 0))}{above}"


def _stroke(panel: Panel, points: Sequence[tuple[float, float]], size: float, kind: str = "") -> str:
    shape = svg.path([(panel.x(x), panel.y(y)) for x, y in points])
    return f'<path class="line{kind}" stroke-width="{size / 6:.1f}" d="{shape}"/>'


def _price(value: float) -> str:
    return f"${value:,.0f}" if value >= 1 else f"${value:g}"


def _steps(low: float, high: float) -> list[float]:
    """1, 2, 5 of each power of ten; fewer over a long way."""
    decades = math.log10(high / low)
    digits = (1, 2, 5) if decades <= 2.5 else (1, 3) if decades <= 4 else (1,)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [digit * 10.0**power for power in powers for digit in digits]
    return [value for value in found if low * 0.999 <= value <= high * 1.001]


def _one_two_five(value: float, down: bool) -> float:
    power = math.floor(math.log10(value))
    steps = [digit * 10.0**at for at in (power - 1, power, power + 1) for digit in (1, 2, 5)]
    if down:
        return max(step for step in steps if step <= value * 1.0001)
    return min(step for step in steps if step >= value * 0.9999)


# -- savings ----------------------------------------------------------------------------------------------------------


def _saved(one: Statement, tones: dict[str, str], size: float) -> tuple[list[str], float]:
    assert one.savings is not None
    against = one.savings.against
    rows: list[tuple[str, int, str, str]] = [("as it was routed", against[0].nanousd, "dim", "")]
    rows += [
        (f"all on {s.priced_as}", s.elsewhere_nanousd, tones.get(s.priced_as, "dim"), _verdict(s)) for s in against
    ]
    most = max(amount for _, amount, *_ in rows) or 1
    room = min(max(text_width(name, size) for name, *_ in rows) + size, 0.42 * svg.WIDTH)
    beside = max(text_width(f"{_amount(amount)}{words}", 0.86 * size) for _, amount, _, words in rows) + 1.5 * size
    out = []
    for number, (name, amount, tone, words) in enumerate(rows):
        y = (number + 0.5) * ROW * size + 0.4 * size
        width = (svg.WIDTH - room - beside) * amount / most
        out.append(svg.line(room - 0.6 * size, y + 0.3 * size, shorten(name, room - size, size), "", "end"))
        out.append(
            f'<g class="{tone}"><rect x="{room:.1f}" y="{y - 0.6 * size:.1f}" width="{max(width, 1):.1f}" '
            f'height="{1.2 * size:.1f}" fill="currentColor" fill-opacity=".8"/></g>'
        )
        said = f"{_amount(amount)}{words}"
        out.append(svg.line(room + width + 0.5 * size, y + 0.3 * size, said, "small"))
    return out, (len(rows) + 0.3) * ROW * size


def _verdict(saving: Saving) -> str:
    if saving.saved_nanousd is None:
        return ""
    amount = _amount(abs(saving.saved_nanousd))
    words = f"routing saved {amount}" if saving.saved_nanousd >= 0 else f"routing cost {amount} more"
    return f": {words}{', simulated' if saving.simulated else ''}"


def _amount(nanousd: int) -> str:
    value = usd(nanousd)
    return f"${value:,.0f}" if value >= 100 else f"${value:,.2f}" if value >= 0.01 or not value else f"${value:.3g}"
