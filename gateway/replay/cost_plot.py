"""Cost against bad share as an SVG: one point a policy, what nobody can beat below, the error budget as a line."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from gateway.report import svg
from gateway.report.labels import Rect, along, beside, text_width, wrap
from gateway.report.panel import Panel, cube_root, dollars, logarithmic

PLOT_HEIGHT = 330.0
TITLE = "What each policy costs, and how often it is late or wrong (simulated)"
X_TITLE = "Bad requests: late, wrong or refused (% of all, cube-root scale)"
Y_TITLE = "$ a month, box included (log scale)"
SHARES = (0, 0.001, 0.01, 0.05, 0.1, 0.2, 0.5, 1.0)
TOP_ROOM = 1.25
"""The axes end this far above the dearest point, and as far below the cheapest."""


@dataclass(frozen=True, slots=True)
class Point:
    """One policy. `usd_low`, `usd_high`: the ends of its whisker; None without one."""

    name: str
    bad: float
    usd: float
    usd_low: float | None = None
    usd_high: float | None = None
    hollow: bool = False
    """A yardstick, not a policy that could run: the plan made in hindsight."""


@dataclass(frozen=True, slots=True)
class Scatter:
    """One panel: one list of requests."""

    heading: str
    points: tuple[Point, ...]
    budget: float
    """Share of requests that may be bad."""
    bound: tuple[tuple[float, float], ...]
    """The lower bound: ($ a month) at each bad share, by share; empty: not computed."""
    whiskers: str | None
    """What the whiskers are; None: there are none."""


def cost_plot(panels: Sequence[Scatter]) -> str:
    """The chart as an SVG document, the panels one below the other. Raises ValueError without a cost to draw."""
    if not panels or any(point.usd <= 0 for panel in panels for point in panel.points):
        raise ValueError("nothing to plot: the axis is logarithmic, and a policy costs nothing at all")
    drawings = [_drawing(panels, name, size) for name, size in svg.SIZES.items()]
    height = math.ceil(max(end for _, end in drawings))
    return svg.document(TITLE, description(panels), height, [drawn for drawn, _ in drawings])


def description(panels: Sequence[Scatter]) -> str:
    """The chart in words."""
    said = []
    for panel in panels:
        points = "; ".join(f"{one.name} ${one.usd:,.0f} a month, {one.bad:.2%} bad" for one in panel.points)
        said.append(f"{panel.heading}: {points}.")
    return "Simulated. " + " ".join(said)


def _drawing(panels: Sequence[Scatter], name: str, size: float) -> tuple[str, float]:
    """The SVG of one layout, and the y where it ends."""
    margin = size
    out = [f'<g class="{name} ink" font-size="{size}">']
    y = margin
    for line in wrap(TITLE, svg.WIDTH - 2 * margin, 1.3 * size, bold=True):
        y += 1.5 * size
        out.append(svg.line(margin, y - 0.2 * size, line, "title"))
    for panel in panels:
        y += 1.6 * size
        for line in wrap(panel.heading, svg.WIDTH - 2 * margin, size, bold=True):
            out.append(svg.line(margin, y, line, "bold"))
            y += 1.25 * size
        out.append(svg.line(margin, y, Y_TITLE, "small dim"))
        axes = Rect(margin + 3.6 * size, y + 2 * size, svg.WIDTH - 1.6 * margin, y + 2 * size + PLOT_HEIGHT)
        out += _panel(panel, axes, size)
        y = axes.bottom + 2.7 * size
        out.append(svg.line((axes.left + axes.right) / 2, y, X_TITLE, "small dim", "middle"))
    y += 0.6 * size
    for words in _caption(panels):
        for line in wrap(words, svg.WIDTH - 2 * margin, 0.8 * size):
            y += 1.1 * size
            out.append(svg.line(margin, y, line, "tiny dim"))
    return "\n".join([*out, "</g>"]), y + margin


def _caption(panels: Sequence[Scatter]) -> Iterator[str]:
    if any(panel.bound for panel in panels):
        yield "Dashed: the offline lower bound, which no policy can be below."
    if any(point.hollow for panel in panels for point in panel.points):
        yield "Hollow: a plan made knowing the whole trace; it could be reached, but not chosen beforehand."
    yield from dict.fromkeys(panel.whiskers for panel in panels if panel.whiskers)


def _panel(panel: Scatter, axes: Rect, size: float) -> Iterator[str]:
    lowest = min([point.usd for point in panel.points] + [usd for _, usd in panel.bound if usd > 0])
    highest = max([point.usd_high or point.usd for point in panel.points])
    most = max([point.bad for point in panel.points] + [2 * panel.budget])
    right = next((share for share in SHARES if share >= most * 1.05), 1.0)
    chart = Panel(axes, size, cube_root(right), logarithmic(lowest / TOP_ROOM, highest * TOP_ROOM))
    ticks = [(share, f"{share:.3g}" if share == 0 else f"{share * 100:g}%") for share in SHARES if share <= right]
    yield from chart.grid(ticks, list(_usd_ticks(lowest / TOP_ROOM, highest * TOP_ROOM)))
    limit = chart.x(panel.budget)
    yield (
        f'<g class="t1"><path class="band" d="{svg.path([(limit, axes.top), (axes.right, axes.top)])}'
        f'L{axes.right:.1f} {axes.bottom:.1f}L{limit:.1f} {axes.bottom:.1f}Z"/>'
        f'<path class="line" stroke-width="{size / 10:.1f}" d="{svg.path([(limit, axes.top), (limit, axes.bottom)])}"/>'
    )
    words = f"over the budget of {panel.budget * 100:g}% →"
    yield svg.line(limit, axes.top - 0.4 * size, words, "small") + "</g>"
    taken = along((limit, axes.top), (limit, axes.bottom))
    if panel.bound:
        bound = [(chart.x(share), chart.y(usd)) for share, usd in panel.bound if share <= right]
        yield f'<path class="dim line dashed" stroke-width="{size / 8:.1f}" d="{svg.path(bound)}"/>'
        taken += [point for start, end in pairwise(bound) for point in along(start, end)]
    yield from _points(panel, chart, taken)


def _points(panel: Scatter, chart: Panel, taken: list[tuple[float, float]]) -> Iterator[str]:
    size, axes = chart.size, chart.axes
    dots = [(chart.x(point.bad), chart.y(point.usd)) for point in panel.points]
    for number, (point, (x, _)) in enumerate(zip(panel.points, dots, strict=True)):
        if point.usd_low is not None and point.usd_high is not None:
            ends = [(x, chart.y(point.usd_low)), (x, chart.y(point.usd_high))]
            taken += along(*ends)
            yield f'<path class="{svg.tone(number)} line" stroke-width="{size / 10:.1f}" d="{svg.path(ends)}"/>'
            for _, end in ends:
                cap = svg.path([(x - 0.3 * size, end), (x + 0.3 * size, end)])
                yield f'<path class="{svg.tone(number)} line" stroke-width="{size / 10:.1f}" d="{cap}"/>'
    texts = [f"{point.name} {dollars(point.usd)}" for point in panel.points]
    sizes = [(text_width(text, 0.86 * size), size) for text in texts]
    # Room beside the axes' edges: a point at 0 bad stands on the left one.
    places = beside(dots, sizes, taken, Rect(axes.left + 2, axes.top, axes.right, axes.bottom), 0.7 * size)
    for number, (dot, place) in enumerate(zip(dots, places, strict=True)):
        if math.dist(dot, place.nearest(dot)) > 0.9 * size:
            yield f'<path class="{svg.tone(number)} leader" d="{svg.path([dot, place.nearest(dot)])}"/>'
    for number, (point, dot, place, text) in enumerate(zip(panel.points, dots, places, texts, strict=True)):
        hollow = " hollow" if point.hollow else ""
        yield f'<g class="policy {svg.tone(number)}"><title>{svg.text(text)}, {point.bad:.2%} bad</title>'
        yield f'<circle class="dot{hollow}" cx="{dot[0]:.1f}" cy="{dot[1]:.1f}" r="{0.32 * size:.1f}"/>'
        yield svg.line(place.left, place.bottom - 0.2 * size, text, "small halo") + "</g>"


def _usd_ticks(low: float, high: float) -> Iterator[tuple[float, str]]:
    for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
        for digit in (1, 2, 5) if high / low < 1000 else (1,):
            usd = digit * 10.0**power
            if low <= usd <= high:
                yield usd, dollars(usd)
