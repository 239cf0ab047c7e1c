"""The charts of a gate's report, drawn by hand as SVG: accepted shares, what changed between two generators, costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.report import svg
from gateway.report.labels import Rect, shorten, text_width
from gateway.report.panel import Panel, linear, round_up
from gateway.statement.charts import figure, legend
from trainer.gate.report.figures import dollars, percent
from trainer.gate.report.view import Compared, Row, View

ROW = 2.4
"""Of a generator's line, in sizes of the text."""
Drawing = tuple[list[str], float]


def charts(view: View, section: str) -> Iterator[str]:
    """Those that belong into a section of the page."""
    tones = {row.name: svg.tone(number) for number, row in enumerate(view.rows)}
    if section == "accepted" and view.rows:
        yield figure(
            "Accepted share of each generator, against the bar", _said_accepted(view),
            lambda size: _accepted(view, tones, size),
        )  # fmt: skip
    if section == "comparison":
        for compared in view.comparisons:
            yield figure(
                f"{compared.before} to {compared.after}, question by question", _said_compared(compared),
                lambda size, one=compared: _compared(one, size),  # type: ignore[misc]
            )  # fmt: skip
    priced = [row for row in view.rows if row.usd_per_accepted is not None]
    if section == "cost" and priced:
        yield figure(
            "US$ per accepted answer", "; ".join(f"{row.name}: {dollars(row.usd_per_accepted or 0)}" for row in priced),
            lambda size: _costs(priced, tones, size),
        )  # fmt: skip


# -- accepted shares --------------------------------------------------------------------------------------------------


def _said_accepted(view: View) -> str:
    parts = (
        f"{row.name}: {row.accepted} of {row.questions} accepted, 95 % interval {percent(row.interval_low)} to "
        f"{percent(row.interval_high)}"
        for row in view.rows
    )
    return f"{'; '.join(parts)}; the bar is {percent(view.bar)}"


def _accepted(view: View, tones: dict[str, str], size: float) -> Drawing:
    names, counts = [row.name for row in view.rows], [f"{row.accepted} of {row.questions}" for row in view.rows]
    room = min(max(text_width(name, size, bold=True) for name in names) + size, 0.3 * svg.WIDTH)
    beside = max(text_width(words, 0.86 * size) for words in counts) + 1.4 * size
    top = 2.2 * size
    axes = Rect(room, top, svg.WIDTH - beside, top + ROW * size * len(names))
    panel = Panel(axes, size, linear(0, 1), linear(0, 1))
    out = list(panel.grid([(share, percent(share)) for share in (0, 0.25, 0.5, 0.75, 1)], []))
    x = panel.x(view.bar)
    out.append(
        f'<path class="mark line" stroke-width="{size / 7:.1f}" stroke-dasharray="5 4" '
        f'd="{svg.path([(x, axes.top - 0.5 * size), (x, axes.bottom)])}"/>'
    )
    anchor = "start" if view.bar < 0.2 else "end" if view.bar > 0.85 else "middle"
    out.append(svg.line(x, axes.top - 0.9 * size, f"bar {percent(view.bar)}", "small bold", anchor))
    for number, row in enumerate(view.rows):
        y = axes.top + (number + 0.5) * ROW * size
        out.append(svg.line(axes.left - 0.6 * size, y + 0.35 * size, _fitting(row.name, room, size), "bold", "end"))
        out.append(f'<g class="{tones[row.name]}">')
        out += _interval(panel, row.interval_low, row.interval_high, y, size)
        low, high = panel.x(row.low), panel.x(row.high)
        if high > low:
            out.append(
                f'<rect x="{low:.1f}" y="{y - 0.35 * size:.1f}" width="{high - low:.1f}" height="{0.7 * size:.1f}" '
                'fill="currentColor" fill-opacity=".35"/>'
            )
        out.append(f'<circle class="dot" cx="{low:.1f}" cy="{y:.1f}" r="{0.45 * size:.1f}"/>')
        out.append(f"<title>{svg.text(row.name)}</title></g>")
        out.append(svg.line(axes.right + 0.7 * size, y + 0.3 * size, counts[number], "small"))
    return out, axes.bottom + 2 * size


def _interval(panel: Panel, low: float, high: float, y: float, size: float) -> Iterator[str]:
    ends = [panel.x(low), panel.x(high)]
    width = f'stroke-width="{size / 7:.1f}"'
    yield f'<path class="line" {width} d="{svg.path([(ends[0], y), (ends[1], y)])}"/>'
    for x in ends:
        yield f'<path class="line" {width} d="{svg.path([(x, y - 0.45 * size), (x, y + 0.45 * size)])}"/>'


def _fitting(name: str, room: float, size: float) -> str:
    return shorten(name, room - 0.9 * size, size, bold=True)


# -- two generators on the same questions -----------------------------------------------------------------------------


def _said_compared(one: Compared) -> str:
    return (
        f"accepted from both {one.both}, gained {one.gains}, lost {one.losses}, from neither {one.neither}; difference "
        f"{_signed(one.difference)}, 95 % interval {_signed(one.low)} to {_signed(one.high)}"
    )


def _compared(one: Compared, size: float) -> Drawing:
    parts: Sequence[tuple[str, int, str, str]] = (
        ("accepted from both", one.both, "t2", ".75"),
        ("gained", one.gains, "t0", ".9"),
        ("lost", one.losses, "t1", ".9"),
        ("from neither", one.neither, "dim", ".3"),
    )
    out, y = legend([(f"{words}: {count}", tone) for words, count, tone, _ in parts], size)
    total = sum(count for _, count, _, _ in parts) or 1
    x, width, y = size, svg.WIDTH - 2 * size, y + 0.9 * size
    for words, count, tone, strength in parts:
        if not count:
            continue
        span = width * count / total
        out.append(
            f'<g class="{tone}"><title>{svg.text(f"{words}: {count}")}</title><rect x="{x:.1f}" y="{y:.1f}" '
            f'width="{span:.1f}" height="{1.7 * size:.1f}" fill="currentColor" fill-opacity="{strength}"/></g>'
        )
        if span > text_width(str(count), size) + 0.4 * size:
            out.append(svg.line(x + span / 2, y + 1.2 * size, str(count), "bold halo", "middle"))
        x += span
    low, high = _ends(one)
    axes = Rect(2.5 * size, y + 5.6 * size, svg.WIDTH - 2.5 * size, y + 7.6 * size)
    panel = Panel(axes, size, linear(low, high), linear(0, 1))
    ticks = [low + (high - low) * step / 4 for step in range(5)]
    out.append(svg.line(size, y + 3.2 * size, "Difference of accepted shares, and its 95 % interval", "small dim"))
    out += panel.grid([(value, _signed(value)) for value in ticks], [])
    for value, words in ((0.0, ""), (one.wanted, f"wanted {_signed(one.wanted)}")):
        at = panel.x(value)
        line = svg.path([(at, axes.top - 0.2 * size), (at, axes.bottom)])
        dashed = ' stroke-dasharray="5 4"' if words else ""
        out.append(f'<path class="mark line" stroke-width="{size / 8:.1f}"{dashed} d="{line}"/>')
        if words:
            out.append(svg.line(at, axes.top - 0.5 * size, words, "small bold", "middle"))
    middle = (axes.top + axes.bottom) / 2
    out.append('<g class="t0">')
    out += _interval(panel, one.low, one.high, middle, size)
    out.append(f'<circle class="dot" cx="{panel.x(one.difference):.1f}" cy="{middle:.1f}" r="{0.45 * size:.1f}"/></g>')
    return out, axes.bottom + 2 * size


def _ends(one: Compared) -> tuple[float, float]:
    """Of the axis: whole steps of 10 % around all that is shown, as far to either side."""
    most = max(abs(value) for value in (one.low, one.high, one.difference, one.wanted))
    end = min(max(0.2, -(-most * 10 // 2) * 2 / 10), 1.0)
    return -end, end


def _signed(share: float) -> str:
    return f"{'+' if share > 0 else ''}{share * 100:.0f}%"


# -- costs ------------------------------------------------------------------------------------------------------------


def _costs(rows: Sequence[Row], tones: dict[str, str], size: float) -> Drawing:
    most = round_up(max(row.usd_per_accepted or 0 for row in rows))
    words = [dollars(row.usd_per_accepted or 0) + (" (simulated)" if row.simulated else "") for row in rows]
    room = min(max(text_width(row.name, size, bold=True) for row in rows) + size, 0.3 * svg.WIDTH)
    beside = max(text_width(one, 0.86 * size) for one in words) + 1.4 * size
    out: list[str] = []
    for number, row in enumerate(rows):
        y = (number + 0.5) * ROW * size
        width = (svg.WIDTH - room - beside) * (row.usd_per_accepted or 0) / most
        out.append(svg.line(room - 0.6 * size, y + 0.35 * size, _fitting(row.name, room, size), "bold", "end"))
        out.append(
            f'<g class="{tones[row.name]}"><rect x="{room:.1f}" y="{y - 0.6 * size:.1f}" '
            f'width="{max(width, 1.0):.1f}" height="{1.2 * size:.1f}" fill="currentColor" fill-opacity=".8"/></g>'
        )
        out.append(svg.line(room + width + 0.6 * size, y + 0.3 * size, words[number], "small"))
    return out, ROW * size * len(rows) + 0.3 * size
