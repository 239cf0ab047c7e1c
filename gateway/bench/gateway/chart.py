"""The figures as bars on a log scale, one panel for each of six."""

from __future__ import annotations

import math
from collections.abc import Iterator

from gateway.bench.gateway.figures import NAMES, Figure, Figures
from gateway.bench.gateway.page import number
from gateway.bench.gateway.systems import ALL, CROSSOVER, DIRECT
from gateway.report.svg import WIDTH, document, line

PANELS = ("cpu_request_32", "cpu_long", "cpu_chunk_64", "ttft_32_p50", "streams", "rss_idle")
TITLE = "The gateway beside its peers"
_SIZE = 14.0
_ROW = 21.0
_NAMES_WIDTH = 98.0
_VALUE_WIDTH = 58.0
_COLUMNS = 2
_MARGIN = 16.0


def chart(found: Figures) -> str:
    """An SVG document, without going direct, whose second time shows what chance does. Raises ValueError where there is
    nothing to draw."""
    panels = [name for name in PANELS if any(_shown(found[name]))]
    if not panels:
        raise ValueError("no figure to draw")
    width = (WIDTH - (_COLUMNS + 1) * _MARGIN) / _COLUMNS
    body = [line(_MARGIN, 32, TITLE, "ink title")]
    said = []
    y = 62.0
    for first in range(0, len(panels), _COLUMNS):
        beside = panels[first : first + _COLUMNS]
        for column, name in enumerate(beside):
            body += _panel(found[name], NAMES[name], _MARGIN + column * (width + _MARGIN), y, width)
            said.append(NAMES[name] + ": " + ", ".join(f"{s} {number(f.median)}" for s, f in _shown(found[name])))
        y += 40 + _ROW * max(len(list(_shown(found[name]))) for name in beside)
    height = y + 24
    foot = "Medians over the rounds, on log scales; the thin line is from the lower to the upper quartile."
    body.append(line(_MARGIN, height - 16, foot, "dim tiny"))
    return document(TITLE, ". ".join(said), height, [f'<g class="ink" font-size="{_SIZE}">{"".join(body)}</g>'])


def _shown(by_system: dict[str, Figure]) -> Iterator[tuple[str, Figure]]:
    return ((name, by_system[name]) for name in ALL if name in by_system and name != DIRECT)


def _panel(by_system: dict[str, Figure], title: str, x: float, y: float, width: float) -> Iterator[str]:
    shown = list(_shown(by_system))
    above = [figure.median for _, figure in shown if figure.median > 0]
    low, high = (min(above) / 2, max(above)) if above else (1.0, 1.0)
    room = width - _NAMES_WIDTH - _VALUE_WIDTH
    start = x + _NAMES_WIDTH

    def length(value: float) -> float:
        if value <= low or high <= low:
            return 0.0
        return room * min(1.0, math.log(value / low) / math.log(high / low))

    yield line(x, y + 14, title[0].upper() + title[1:], "bold")
    for row, (name, figure) in enumerate(shown):
        top = y + 26 + row * _ROW
        tone = "t0" if name == CROSSOVER else "dim"
        yield line(start - 8, top + 13, name, "small bold t0" if name == CROSSOVER else "small", "end")
        end = max(1.0, length(figure.median))
        opacity = "1" if name == CROSSOVER else ".55"
        yield (
            f'<rect class="{tone}" x="{start:.1f}" y="{top + 2:.1f}" width="{end:.1f}" height="{_ROW - 7:.1f}" '
            f'fill="currentColor" fill-opacity="{opacity}"/>'
        )
        if figure.low < figure.high:
            middle, left = top + 2 + (_ROW - 7) / 2, start + length(figure.low)
            right = start + min(room + 6, length(figure.high))
            yield f'<path class="ink line" stroke-width="1" d="M{left:.1f} {middle:.1f}H{right:.1f}"/>'
            end = max(end, right - start)
        yield line(start + end + 6, top + 13, number(figure.median), "small")
