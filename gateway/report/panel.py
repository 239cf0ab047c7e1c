"""A rectangle with axes to draw in: where a value falls, its grid and tick labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from gateway.report import svg
from gateway.report.labels import Rect

Scale = Callable[[float], float]
"""From a value to its place along the axis: 0 at its start, 1 at its end."""


@dataclass(frozen=True, slots=True)
class Panel:
    """`size`: of the text, in SVG units."""

    axes: Rect
    size: float
    across: Scale
    up: Scale

    def x(self, value: float) -> float:
        return self.axes.left + (self.axes.right - self.axes.left) * self.across(value)

    def y(self, value: float) -> float:
        return self.axes.bottom - (self.axes.bottom - self.axes.top) * self.up(value)

    def grid(self, x_ticks: Sequence[tuple[float, str]], y_ticks: Sequence[tuple[float, str]]) -> Iterator[str]:
        """Lines and labels. Labels of the x axis that would touch the one before are left out."""
        axes, size = self.axes, self.size
        free = -math.inf
        for value, label in x_ticks:
            x = self.x(value)
            yield f'<path class="grid minor" d="{svg.path([(x, axes.top), (x, axes.bottom)])}"/>'
            width = 0.6 * size * len(label)
            if label and x - width / 2 > free:
                yield svg.line(x, axes.bottom + 1.25 * size, label, "small dim tick-x", "middle")
                free = x + width / 2
        for value, label in y_ticks:
            y = self.y(value)
            yield f'<path class="grid" d="{svg.path([(axes.left, y), (axes.right, y)])}"/>'
            yield svg.line(axes.left - 0.5 * size, y + 0.3 * size, label, "small dim tick-y", "end")


def linear(low: float, high: float) -> Scale:
    return lambda value: min(max((value - low) / (high - low), 0.0), 1.0)


def logarithmic(low: float, high: float) -> Scale:
    span = math.log(high / low)
    return lambda value: min(max(math.log(max(value, low) / low) / span, 0.0), 1.0)


def cube_root(high: float) -> Scale:
    """Shares from 0: spreads the small ones without losing 0 itself."""
    return lambda value: min(max(value / high, 0.0) ** (1 / 3), 1.0)


def round_up(value: float) -> float:
    """The nearest round number at or above; 1 for 0."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * power >= value * 0.9999)


def dollars(usd: float) -> str:
    if usd >= 1000 and usd % 1000 == 0:
        return f"${usd / 1000:g}k"
    return f"${usd:,.0f}" if usd >= 10 or usd == round(usd) else f"${usd:.3g}"
