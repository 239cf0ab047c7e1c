"""The timeline of a replay as an SVG: four panels over one time axis. Timeline in, SVG text out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from gateway.replay.timeline import Floats, Timeline
from gateway.report import svg
from gateway.report.labels import Point, Rect, text_width, wrap
from gateway.report.panel import Panel, dollars, linear, round_up

HEIGHTS = {"load": 130.0, "windows": 60.0, "spend": 120.0, "bad": 90.0}
"""Of each panel, in SVG units."""
TITLE = "Load, windows and spend over time (simulated)"
DAY, HOUR = 86400, 3600


def timeline_plot(timeline: Timeline, heading: str) -> str:
    """The chart as an SVG document. `heading`: whose traffic this is."""
    drawings = [_drawing(timeline, heading, name, size) for name, size in svg.SIZES.items()]
    height = math.ceil(max(end for _, end in drawings))
    return svg.document(TITLE, description(timeline), height, [drawn for drawn, _ in drawings])


def description(timeline: Timeline) -> str:
    """The chart in words."""
    hours = timeline.bin_seconds / HOUR
    spent = sum(float(rate.sum()) * hours for rate in timeline.usd_per_hour.values())
    bad = sum(float(rate.sum()) * hours for rate in timeline.bad_per_hour.values())
    windows = sum(span.windows for span in timeline.spans)
    return (
        f"Simulated. Policy {timeline.policy} over {_length(timeline.span_seconds)}: ${spent:,.2f} spent, "
        f"{windows} windows billed, {bad:,.0f} bad requests. Each point is {_length(timeline.bin_seconds)}."
    )


def _drawing(timeline: Timeline, heading: str, name: str, size: float) -> tuple[str, float]:
    """The SVG of one layout, and the y where it ends."""
    margin = size
    out = [f'<g class="{name} ink" font-size="{size}">']
    y = margin
    for line in wrap(TITLE, svg.WIDTH - 2 * margin, 1.3 * size, bold=True):
        y += 1.5 * size
        out.append(svg.line(margin, y - 0.2 * size, line, "title"))
    for line in wrap(
        f"{heading}. {description(timeline).removeprefix('Simulated. ')}", svg.WIDTH - 2 * margin, 0.86 * size
    ):
        y += 1.15 * size
        out.append(svg.line(margin, y, line, "small dim"))
    left, right = margin + 3.4 * size, svg.WIDTH - 1.6 * margin
    ticks = time_ticks(timeline.span_seconds)
    tones = {backend: number for number, backend in enumerate(timeline.usd_per_hour)}
    drawn = [kind for kind in HEIGHTS if kind != "load" or not np.isnan(timeline.offered).any()]
    for kind in drawn:
        legend = list(_legend(kind, timeline, tones))
        y += 1.9 * size
        lines, y = _heading(margin, y, _heading_text(kind), legend, size)
        out += lines
        axes = Rect(left, y + 0.6 * size, right, y + 0.6 * size + HEIGHTS[kind])
        labelled = ticks if kind == drawn[-1] else [(at, "") for at, _ in ticks]
        out += _panel(kind, timeline, axes, size, labelled, tones)
        y = axes.bottom
    out.append(svg.line((left + right) / 2, y + 2.7 * size, _axis_title(timeline.span_seconds), "small dim", "middle"))
    return "\n".join([*out, "</g>"]), y + 2.7 * size + margin


def _heading_text(kind: str) -> str:
    return {
        "load": "Load, % of the box's capacity",
        "windows": "Copies of an imported model, billed",
        "spend": "Spend, $ an hour",
        "bad": "Bad requests an hour",
    }[kind]


def _legend(kind: str, timeline: Timeline, tones: dict[str, int]) -> Iterator[tuple[str, str]]:
    """(tone, words) of what a panel shows."""
    if kind == "load":
        yield "dim", "all that came"
        yield "t0", "answered by the box"
    elif kind == "windows":
        for backend in dict.fromkeys(span.backend for span in timeline.spans):
            yield svg.tone(tones[backend]), backend
        if not timeline.spans:
            yield "dim", "none was opened"
    elif kind == "spend":
        for backend, rate in timeline.usd_per_hour.items():
            if rate.any():
                yield svg.tone(tones[backend]), backend
    else:
        causes = [cause for cause, rate in timeline.bad_per_hour.items() if rate.any()]
        for cause in causes:
            yield CAUSE_TONES[cause], cause
        if not causes:
            yield "dim", "none"


CAUSE_TONES = {"late": "t1", "wrong": "t3", "refused": "t4"}


def _heading(
    left: float, y: float, words: str, legend: Sequence[tuple[str, str]], size: float
) -> tuple[list[str], float]:
    """A panel's name with its legend behind it, on as many lines as they need; and the last line's y."""
    out = [svg.line(left, y, words, "bold")]
    x = left + text_width(words, size, bold=True) + size
    for tone, label in legend:
        width = 1.4 * size + text_width(label, 0.86 * size)
        if x + width > svg.WIDTH - left:
            x, y = left, y + 1.25 * size
        out.append(
            f'<g class="{tone}"><rect class="dot" x="{x:.1f}" y="{y - 0.62 * size:.1f}" width="{0.6 * size:.1f}" '
            f'height="{0.5 * size:.1f}"/>{svg.line(x + 0.9 * size, y, label, "small")}</g>'
        )
        x += width + 0.8 * size
    return out, y


def _panel(
    kind: str,
    timeline: Timeline,
    axes: Rect,
    size: float,
    ticks: Sequence[tuple[float, str]],
    tones: dict[str, int],
) -> Iterator[str]:
    across = linear(0, timeline.span_seconds)
    if kind == "windows":
        lanes = max([span.lane for span in timeline.spans], default=0) + 1
        panel = Panel(axes, size, across, linear(0, lanes))
        yield from panel.grid(ticks, [])
        for span in timeline.spans:
            x, end = panel.x(span.opens_s), panel.x(span.ends_s)
            top, bottom = panel.y(span.lane + 0.9), panel.y(span.lane + 0.1)
            said = f"{span.backend}: {span.windows} windows, {span.calls} calls"
            yield (
                f'<g class="{svg.tone(tones[span.backend])}"><rect x="{x:.1f}" y="{top:.1f}" '
                f'width="{max(end - x, 1):.1f}" height="{bottom - top:.1f}" fill="currentColor">'
                f"<title>{svg.text(said)}</title></rect></g>"
            )
        yield svg.line(axes.left - 0.5 * size, axes.top + 0.8 * size, str(lanes), "small dim tick-y", "end")
        yield svg.line(axes.left - 0.5 * size, axes.bottom, "0", "small dim tick-y", "end")
    elif kind == "load":
        top = round_up(max(1.0, float(timeline.offered.max())))
        panel = Panel(axes, size, across, linear(0, top))
        yield from panel.grid(ticks, [(share, f"{share:.0%}") for share in _quarters(top)])
        yield _area(panel, timeline, timeline.offered, 0 * timeline.offered, "dim")
        yield _area(panel, timeline, np.minimum(timeline.boxed, top), 0 * timeline.boxed, "t0", opaque=True)
        line = [(axes.left, panel.y(1)), (axes.right, panel.y(1))]
        yield f'<path class="ink line dashed" stroke-width="{size / 10:.1f}" d="{svg.path(line)}"/>'
    else:
        rates = timeline.usd_per_hour if kind == "spend" else timeline.bad_per_hour
        total = np.sum(list(rates.values()), axis=0)
        top = round_up(float(total.max()))
        panel = Panel(axes, size, across, linear(0, top))
        words = dollars if kind == "spend" else "{:,g}".format
        yield from panel.grid(ticks, [(value, words(value)) for value in _quarters(top)])
        base = 0 * total
        for backend, rate in rates.items():
            if rate.any():
                tone = svg.tone(tones[backend]) if kind == "spend" else CAUSE_TONES[backend]
                yield _area(panel, timeline, base + rate, base, tone, opaque=True)
            base = base + rate


def _area(panel: Panel, timeline: Timeline, high: Floats, low: Floats, tone: str, *, opaque: bool = False) -> str:
    """Steps between two curves, filled."""
    over, under = ([*_steps(panel, timeline, values)] for values in (high, low))
    opacity = 0.75 if opaque else 0.3
    shape = svg.path([*over, *reversed(under)])
    return f'<g class="{tone}"><path fill="currentColor" fill-opacity="{opacity}" d="{shape}Z"/></g>'


def _steps(panel: Panel, timeline: Timeline, values: Iterable[float]) -> Iterator[Point]:
    for number, value in enumerate(values):
        y = panel.y(value)
        yield panel.x(number * timeline.bin_seconds), y
        yield panel.x(min((number + 1) * timeline.bin_seconds, timeline.span_seconds)), y


def _quarters(top: float) -> list[float]:
    return [0, top / 2, top]


def time_ticks(span_seconds: float) -> list[tuple[float, str]]:
    """About eight places on the time axis, in the unit that `_axis_title` names."""
    unit = _unit(span_seconds)
    steps = (1, 2, 3, 6, 12, 24, 48) if unit == HOUR else (1, 2, 5, 10, 20, 30, 60, 120, 365)
    step = next((step for step in steps if span_seconds / unit / step <= 9), 1000)
    return [(k * step * unit, f"{k * step:g}") for k in range(int(span_seconds / unit / step + 1e-9) + 1)]


def _unit(span_seconds: float) -> int:
    return DAY if span_seconds > 3 * DAY else HOUR if span_seconds > 3 * HOUR else 60 if span_seconds > 180 else 1


def _axis_title(span_seconds: float) -> str:
    unit = {DAY: "days", HOUR: "hours", 60: "minutes", 1: "seconds"}[_unit(span_seconds)]
    return f"{unit} from the start"


def _length(seconds: float) -> str:
    for unit, name in ((DAY, "day"), (HOUR, "hour"), (60, "minute")):
        if seconds >= unit and (seconds % unit == 0 or seconds > 10 * unit):
            return f"{seconds / unit:.3g} {name}{'s' if seconds != unit else ''}"
    return f"{seconds:.3g} s"
