"""The performance as a timeline: what went where, the load of the box, the windows that were paid."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.choreography.play import Performance
from gateway.report.svg import WIDTH, document, line, path

LEFT, RIGHT, TOP, LANE, GAP = 110.0, 20.0, 56.0, 84.0, 26.0
HEIGHT = TOP + 3 * (LANE + GAP) + 24.0


def timeline(performance: Performance, seconds: float, title: str) -> str:
    """One SVG file: three lanes over time."""
    ends = max([seconds, *(until for _, until in performance.windows)])

    def x(at: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * max(0.0, at) / ends

    drawn = [line(LEFT, 30, title, "title ink")]
    drawn += _arrivals(performance, x)
    drawn += _lane(1, "box, in flight", [(s.at, float(s.box_in_flight)) for s in performance.samples], x, "t0")
    drawn += _windows(performance, x)
    for minute in range(0, int(ends) + 1, 60 if ends > 120 else 10):
        drawn.append(line(x(minute), HEIGHT - 6, f"{minute} s", "small dim", "middle"))
    described = (
        f"{len(performance.answers)} requests in {seconds:.0f} seconds. The imported model was called "
        f"{len(performance.cmi_calls)} times in {len(performance.windows)} billed windows."
    )
    return document(title, described, HEIGHT, drawn)


def _base(lane: int) -> float:
    return TOP + lane * (LANE + GAP) + LANE


def _arrivals(performance: Performance, x: object) -> list[str]:
    """A dot for each request, in a row for each backend that answered it."""
    assert callable(x)
    names = sorted({answer.backend for answer in performance.answers if answer.backend}, key=_order)
    drawn = []
    for row, name in enumerate(names):
        y = TOP + 16 + row * (LANE - 12) / max(1, len(names))
        drawn.append(line(LEFT - 10, y + 4, name, "small ink", "end"))
        for answer in performance.answers:
            if answer.backend == name:
                tone = "t0" if name == "box" else "t1" if name == "cmi" else "t2"
                drawn.append(f'<circle class="dot {tone}" cx="{x(answer.at):.1f}" cy="{y:.1f}" r="1.5" stroke="none"/>')
    return drawn


def _order(name: str) -> tuple[int, str]:
    return {"box": 0, "cmi": 1}.get(name, 2), name


def _lane(lane: int, name: str, points: Sequence[tuple[float, float]], x: object, tone: str) -> list[str]:
    assert callable(x)
    base, most = _base(lane), max((value for _, value in points), default=0.0) or 1.0
    drawn = [
        line(LEFT - 10, base, name, "small ink", "end"),
        line(LEFT - 10, base - LANE + 12, f"{most:g}", "small dim", "end"),
        f'<path class="grid" d="{path([(LEFT, base), (WIDTH - RIGHT, base)])}"/>',
    ]
    if len(points) > 1:
        curve = path([(x(at), base - (LANE - 8) * value / most) for at, value in points])
        drawn.append(f'<g class="{tone}"><path class="line" stroke-width="1.5" d="{curve}"/></g>')
    return drawn


def _windows(performance: Performance, x: object) -> list[str]:
    """The windows on the bill as blocks, and over them the calls in flight on the copies."""
    assert callable(x)
    base = _base(2)
    drawn = []
    for opened, ended in performance.windows:
        width = max(1.0, x(ended) - x(opened) - 1)
        drawn.append(
            f'<g class="t1"><rect class="band" x="{x(opened):.1f}" y="{base - LANE + 8:.1f}" width="{width:.1f}" '
            f'height="{LANE - 8:.1f}"/></g>'
        )
    in_flight = [(sample.at, float(sample.cmi["in_flight"])) for sample in performance.samples]
    return drawn + _lane(2, "cmi, in flight", in_flight, x, "t1")
