"""What `crossover bench speed` prints and draws."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from rich.table import Table

from gateway.bench.speed import Curve, Level, Measured, Speed, curve
from gateway.report.svg import WIDTH, document, line, path

HEIGHT = 440.0
LEFT, RIGHT, TOP, BOTTOM = 80.0, 80.0, 70.0, 60.0


def table(measured: Measured, ceiling_seconds: float | None) -> Table:
    shown = Table()
    for name in ("at once", "decoding", "tok/s each", "tok/s together", "ms a token", "TTFT ms"):
        shown.add_column(name, justify="right")
    if ceiling_seconds is not None:
        shown.add_column("in time")
    for level in measured.levels:
        row = [
            f"{level.concurrency}", f"{level.streams:.1f}", f"{1 / level.seconds_per_token:.1f}",
            f"{level.tokens_per_second:.1f}", f"{level.seconds_per_token * 1e3:.1f}", f"{level.ttft_seconds * 1e3:.0f}",
        ]  # fmt: skip
        if ceiling_seconds is not None:
            row.append("yes" if level.seconds_per_token <= ceiling_seconds else "no")
        shown.add_row(*row)
    return shown


def remarks(measured: Measured, ceiling_seconds: float | None) -> Iterator[str]:
    """Sentences: the prompt speed, the first token, the knee, and what makes the figures doubtful."""
    rate = measured.prompt_tokens_per_second
    if rate is None:
        yield f"A prompt of {measured.prompt_tokens} tokens took no longer than a tiny one: its speed is unknown."
    else:
        yield f"Prompts are read at {rate:.0f} tok/s (one of {measured.prompt_tokens} tokens)."
    yield f"The first token of a tiny prompt comes after {measured.first_token_seconds * 1e3:.0f} ms."
    if ceiling_seconds is not None:
        yield _knee(measured, ceiling_seconds)
    top = measured.levels[-1]
    if top.peak_streams < top.concurrency:
        yield f"Of {top.concurrency} at once only {top.peak_streams} decoded at the same time: the others waited."
    if not measured.ignores_eos:
        yield "The server does not take ignore_eos: answers ended when they liked, and the levels are less comparable."
    if any(level.cut for level in measured.levels):
        yield "Some answers were cut by --seconds: those tokens were counted by chunks."


def knee(measured: Measured, ceiling_seconds: float) -> float | None:
    """Streams at which the fitted time per token reaches the ceiling; None: not within what was measured."""
    at = curve(measured.levels).knee(ceiling_seconds)
    return None if at > max(level.streams for level in measured.levels) else at


def _knee(measured: Measured, ceiling_seconds: float) -> str:
    at = knee(measured, ceiling_seconds)
    limit = f"{ceiling_seconds:g} s a token"
    if at is None:
        return f"{limit} is kept at every level measured."
    if at < 1:
        return f"{limit} is missed even by one stream alone."
    return f"{limit} is kept up to {int(at)} at once: the knee."


def as_json(measured: Measured, block: Speed, ceiling_seconds: float | None) -> dict[str, Any]:
    fitted = curve(measured.levels)
    return {
        "speed": asdict(block),
        "levels": [asdict(level) for level in measured.levels],
        "step_seconds": {"base": fitted.base, "each": fitted.each},
        "tpot_ceiling_seconds": ceiling_seconds,
        "knee_streams": None if ceiling_seconds is None else knee(measured, ceiling_seconds),
        "prompt_tokens": measured.prompt_tokens,
        "ignores_eos": measured.ignores_eos,
    }


def plot(measured: Measured, model: str, ceiling_seconds: float | None) -> str:
    """An SVG: tokens/s together and milliseconds a token, against streams decoding. Dots: measured; lines: fitted."""
    levels, fitted = measured.levels, curve(measured.levels)
    most = max(level.streams for level in levels)
    rate = 1.15 * max(level.tokens_per_second for level in levels)
    slowest = max(level.seconds_per_token for level in levels)
    slowest = 1.15 * max(slowest, ceiling_seconds or 0.0)
    said = "; ".join(f"{level.streams:.1f} decoding: {level.tokens_per_second:.0f} tok/s" for level in levels)
    body = list(_drawing(levels, fitted, most, rate, slowest, ceiling_seconds, model))
    return document(f"Speed of {model}", said, HEIGHT, [f'<g font-size="15">{"".join(body)}</g>'])


def _drawing(
    levels: tuple[Level, ...], fitted: Curve, most: float, rate: float, slowest: float, ceiling: float | None,
    model: str,
) -> Iterator[str]:  # fmt: skip
    def x(streams: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * streams / max(most, 1.0)

    def y(share: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    yield line(LEFT, 32, f"Speed of {model}", "ink title")
    yield line(LEFT, TOP - 14, "tok/s together", "t0 small", "middle")
    yield line(WIDTH - RIGHT, TOP - 14, "ms a token", "t1 small", "middle")
    yield line((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, "streams decoding", "dim small", "middle")
    for part in (0.0, 0.25, 0.5, 0.75, 1.0):
        yield f'<path class="grid" d="{path([(LEFT, y(part)), (WIDTH - RIGHT, y(part))])}"/>'
        yield line(LEFT - 8, y(part) + 5, f"{rate * part:.3g}", "t0 small", "end")
        yield line(WIDTH - RIGHT + 8, y(part) + 5, f"{slowest * part * 1e3:.3g}", "t1 small")
        yield line(x(most * part), HEIGHT - BOTTOM + 22, f"{most * part:.3g}", "dim small", "middle")
    if ceiling is not None:
        at = y(ceiling / slowest)
        yield f'<path class="line dashed t1" stroke-width="1.5" d="{path([(LEFT, at), (WIDTH - RIGHT, at)])}"/>'
        yield line(LEFT + 8, at - 6, f"ceiling {ceiling * 1e3:g} ms", "t1 small")
    steps = [1 + (most - 1) * number / 60 for number in range(61)]
    together = [(x(b), y(min(1.0, b / fitted.step(b) / rate))) for b in steps]
    each = [(x(b), y(min(1.0, fitted.step(b) / slowest))) for b in steps]
    yield f'<path class="line t0" stroke-width="2" d="{path(together)}"/>'
    yield f'<path class="line t1" stroke-width="2" d="{path(each)}"/>'
    for level in levels:
        yield f'<circle class="dot t0" r="4" cx="{x(level.streams):.1f}" cy="{y(level.tokens_per_second / rate):.1f}"/>'
        yield (
            f'<circle class="dot t1" r="4" cx="{x(level.streams):.1f}" '
            f'cy="{y(level.seconds_per_token / slowest):.1f}"/>'
        )
