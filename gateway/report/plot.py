"""The report as a chart: what a million output tokens cost against how busy the box is. Rows in, SVG text out.

The file holds the chart twice, laid out for a wide page and for a phone; its own style shows the one that fits and
follows the reader's light or dark scheme. Labels are placed by `gateway.report.labels`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from gateway.economics.crossover import Crossover
from gateway.report import svg
from gateway.report.contents import Report
from gateway.report.curves import Curve, caption, crossings, curves_of, description, sentence
from gateway.report.labels import Point, Rect, along, beside, shorten, spread, text_width, wrap
from gateway.report.tables import percent

PLOT_HEIGHT = 380
TITLE = "Where an owned box becomes cheaper"
Y_TITLE = "US$ per 1M output tokens (log scale)"
X_TITLE = "Utilization U of the box (%)"


@dataclass(frozen=True, slots=True)
class Layout:
    """One drawing of the chart: the size of its text and the rectangle of its axes, in SVG units."""

    size: float
    axes: Rect
    usd_low: float
    usd_high: float

    def x(self, utilization: float) -> float:
        return self.axes.left + (self.axes.right - self.axes.left) * utilization

    def y(self, usd: float) -> float:
        share = math.log(usd / self.usd_low) / math.log(self.usd_high / self.usd_low)
        return self.axes.bottom - (self.axes.bottom - self.axes.top) * min(share, 1.0)

    def line(self, usd: float, owned: bool) -> list[Point]:
        """From left to right; an owned box enters where it comes down to the top of the axes."""
        if not owned:
            return [(self.axes.left, self.y(usd)), (self.axes.right, self.y(usd))]
        start = usd / self.usd_high
        return [(self.x(u), self.y(usd / u)) for u in (start ** (1 - k / 80) for k in range(81))]


@dataclass(frozen=True, slots=True)
class Mark:
    """A utilization to point out on the chart, 0 to 1, and its words."""

    utilization: float
    words: str


def plot(report: Report, marks: Sequence[Mark] = ()) -> str:
    """The chart as an SVG document. Raises ValueError when no path has a price above 0 to draw."""
    curves = curves_of(report.rows)
    if not curves:
        raise ValueError("nothing to plot: no path has a known price above 0; give one of them a `cost`")
    words = caption(report, curves)
    rests = {
        name: _drawing(report.crossovers, curves, words, marks, name, size, 0)[1] for name, size in svg.SIZES.items()
    }
    height = math.ceil(max(rests.values()) + PLOT_HEIGHT)  # the one with less text around it has the larger axes
    return svg.document(
        TITLE,
        description(report, curves),
        height,
        [
            _drawing(report.crossovers, curves, words, marks, name, size, height - rests[name])[0]
            for name, size in svg.SIZES.items()
        ],
    )


def _drawing(
    crossovers: Sequence[Crossover],
    curves: Sequence[Curve],
    words: Sequence[str],
    marks: Sequence[Mark],
    name: str,
    size: float,
    plot_height: float,
) -> tuple[str, float]:
    """The SVG of one layout, and the y where it ends; with a plot height of 0, only that."""
    small, margin = 0.86 * size, size
    named = [_label(curve) for curve in curves]
    widest = max(text_width(text, size if bold else small, bold) for label in named for text, bold in label)
    title = wrap(TITLE, svg.WIDTH - 2 * margin, 1.3 * size, bold=True)
    top = margin + 1.6 * size * len(title) + 2.2 * size
    right = svg.WIDTH - 0.5 * margin - 1.6 * size - min(widest, 0.36 * svg.WIDTH)
    axes = Rect(margin + 3.2 * size, top, right, top + plot_height)

    y = axes.bottom + 2.9 * size
    below = [svg.line((axes.left + axes.right) / 2, y, X_TITLE, "small dim", "middle")]
    y += 0.9 * size
    for paragraph in words:
        for line in wrap(paragraph, svg.WIDTH - 2 * margin, 0.8 * size):
            y += 1.1 * size
            below.append(svg.line(margin, y, line, "tiny dim"))
    end = y + margin
    if not plot_height:
        return "", end

    prices = [usd for curve in curves for usd in (curve.usd, *(curve.band or ()))]
    highest = max(curve.usd * (4 if curve.owned else 3) for curve in curves)
    chart = Layout(size, axes, _nice(min(prices) / 1.5, down=True), _nice(max(highest, *prices), down=False))
    out = [f'<g class="{name} ink" font-size="{size}">']
    for number, line in enumerate(title):
        out.append(svg.line(margin, margin + (1.3 + 1.6 * number) * size, line, "title"))
    out.append(svg.line(margin, top - 1.1 * size, Y_TITLE, "small dim"))
    out += _grid(chart)
    for number, curve in enumerate(curves):
        if curve.band:
            low, high = (chart.line(usd, owned=True) for usd in curve.band)
            shape = svg.path([*low, *reversed(high), (low[0][0], axes.top)])
            out.append(f'<path class="{svg.tone(number)} band" d="{shape}Z"/>')
    for number, curve in enumerate(curves):
        kind, shape = f"{svg.tone(number)} line{' dashed' * curve.dashed}", svg.path(chart.line(curve.usd, curve.owned))
        out.append(f'<path class="{kind}" stroke-width="{size / 6:.1f}" d="{shape}"/>')
    out += _names(chart, curves, named)
    out += _marks(chart, marks)
    out += _dots(chart, crossovers, curves, marks)
    return "\n".join([*out, *below, "</g>"]), end


def _grid(chart: Layout) -> Iterator[str]:
    axes, size = chart.axes, chart.size
    for share in (0, 0.2, 0.4, 0.6, 0.8, 1):
        x = chart.x(share)
        yield f'<path class="grid" d="{svg.path([(x, axes.top), (x, axes.bottom)])}"/>'
        yield svg.line(x, axes.bottom + 1.35 * size, f"{share:.0%}", "small dim tick-x", "middle")
    decades = math.log10(chart.usd_high / chart.usd_low)
    for power in range(math.floor(math.log10(chart.usd_low)), math.ceil(math.log10(chart.usd_high)) + 1):
        for digit in (1, 2, 5) if decades <= 4 else (1,):
            usd = digit * 10.0**power
            if not chart.usd_low * 0.999 <= usd <= chart.usd_high * 1.001:
                continue
            y = chart.y(usd)
            yield f'<path class="grid{" minor" * (digit > 1)}" d="{svg.path([(axes.left, y), (axes.right, y)])}"/>'
            label = f"${usd:,.0f}" if usd >= 1 else f"${usd:.2f}" if usd >= 0.01 else f"${usd:g}"
            yield svg.line(axes.left - 0.5 * size, y + 0.3 * size, label, "small dim tick-y", "end")


def _label(curve: Curve) -> list[tuple[str, bool]]:
    """Its lines, each with whether it is bold: the names, the price, and what must be known of it."""
    names = [(f"= {name}" if number else name, True) for number, name in enumerate(curve.names)]
    return [*names, (curve.detail, False), *([(", ".join(curve.notes), False)] if curve.notes else [])]


def _names(chart: Layout, curves: Sequence[Curve], named: Sequence[list[tuple[str, bool]]]) -> Iterator[str]:
    """Each curve's name at its right end, moved up or down where two would touch, then tied to its curve."""
    size, axes = chart.size, chart.axes
    left, ends = axes.right + 1.6 * size, [chart.y(curve.usd) for curve in curves]
    heights = [(1.15 * len(lines) + 0.4) * size for lines in named]
    centers = spread(ends, heights, axes.top - size, axes.bottom + 2 * size)
    for number, (lines, end, center) in enumerate(zip(named, ends, centers, strict=True)):
        tie = [(axes.right + 0.2 * size, end), (axes.right + 0.6 * size, end), (left - 0.6 * size, center)]
        yield f'<path class="{svg.tone(number)} leader" d="{svg.path([*tie, (left - 0.3 * size, center)])}"/>'
        yield f'<g class="name {svg.tone(number)}"><title>{svg.text(", ".join(line for line, _ in lines))}</title>'
        for row, (line, bold) in enumerate(lines):
            y = center + (1.15 * (row - len(lines) / 2) + 0.9) * size
            shown = shorten(line, svg.WIDTH - 0.5 * size - left + 0.01, size if bold else 0.86 * size, bold)
            yield svg.line(left, y, shown, "bold" if bold else "small")
        yield "</g>"


def _marks(chart: Layout, marks: Sequence[Mark]) -> Iterator[str]:
    """Each as a line from top to bottom, its words at the foot on the side that has more room."""
    axes, size = chart.axes, chart.size
    for mark in marks:
        x = chart.x(mark.utilization)
        line = svg.path([(x, axes.top), (x, axes.bottom)])
        yield f'<path class="mark line" stroke-width="{size / 8:.1f}" stroke-dasharray="2 4" d="{line}"/>'
        side, anchor = (0.5 * size, "start") if mark.utilization < 0.5 else (-0.5 * size, "end")
        for y, words in _foot(chart, mark):
            yield svg.line(x + side, y, words, "bold halo", anchor)


def _foot(chart: Layout, mark: Mark) -> list[tuple[float, str]]:
    """The lines of a mark's words, each with its baseline."""
    axes, size = chart.axes, chart.size
    room = max(chart.x(mark.utilization) - axes.left, axes.right - chart.x(mark.utilization)) - size
    lines = wrap(mark.words, room, size, bold=True)
    return [(axes.bottom - (0.6 + 1.2 * (len(lines) - 1 - row)) * size, line) for row, line in enumerate(lines)]


def _covered(chart: Layout, mark: Mark) -> Iterator[Point]:
    """Points of a mark's line and words, which other labels should keep off."""
    x = chart.x(mark.utilization)
    yield from along((x, chart.axes.top), (x, chart.axes.bottom))
    for y, words in _foot(chart, mark):
        width = text_width(words, chart.size, bold=True) * (1 if mark.utilization < 0.5 else -1)
        yield from along((x, y - 0.4 * chart.size), (x + width, y - 0.4 * chart.size))


def _dots(
    chart: Layout, crossovers: Sequence[Crossover], curves: Sequence[Curve], marks: Sequence[Mark]
) -> Iterator[str]:
    tones = {row.path.name: svg.tone(number) for number, curve in enumerate(curves) for row in curve.rows}
    met = crossings(crossovers)
    dots = [
        (chart.x(float(one.utilization or 0)), chart.y(float(one.against_usd_per_1m_tokens or 1))) for one, *_ in met
    ]
    texts = [percent(same[0].utilization) for same in met]
    sizes = [(text_width(text, chart.size, bold=True), 1.1 * chart.size) for text in texts]
    lines = [chart.line(curve.usd, curve.owned) for curve in curves]
    ink = [point for line in lines for start, end in pairwise(line) for point in along(start, end)[:-1]]
    ink += [point for mark in marks for point in _covered(chart, mark)]
    places = beside(dots, sizes, ink, chart.axes, 0.7 * chart.size)
    for dot, place in zip(dots, places, strict=True):
        if math.dist(dot, place.nearest(dot)) > chart.size:
            yield f'<path class="dim leader" d="{svg.path([dot, place.nearest(dot)])}"/>'
    for dot, same, place, text in zip(dots, met, places, texts, strict=True):
        hollow = "" if any(one.same_weights for one in same) else " hollow"
        yield f'<g class="crossover {tones[same[0].box]}"><title>{svg.text(" ".join(map(sentence, same)))}</title>'
        yield f'<circle class="dot{hollow}" cx="{dot[0]:.1f}" cy="{dot[1]:.1f}" r="{0.3 * chart.size:.1f}"/>'
        middle, base = (place.left + place.right) / 2, place.bottom - 0.2 * chart.size
        yield svg.line(middle, base, text, "bold halo", "middle") + "</g>"


def _nice(usd: float, down: bool) -> float:
    """The nearest 1, 2 or 5 times a power of ten at or below (down), or at or above."""
    power = math.floor(math.log10(usd))
    steps = [digit * 10.0**exponent for exponent in (power - 1, power, power + 1) for digit in (1, 2, 5)]
    return (
        max(one for one in steps if one <= usd * 1.0001) if down else min(one for one in steps if one >= usd * 0.9999)
    )
