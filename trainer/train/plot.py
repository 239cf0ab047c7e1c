"""`loss.png`: the curve of a run as one picture. The only module that needs matplotlib."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from trainer.train.record import Record

_INK, _QUIET, _TRAIN, _HELD_OUT = "#1f2430", "#6b7280", "#2f6fb3", "#c8541a"
_FEW = 20
"""Fewer steps than this are shown as they are: smoothing would hide what can be seen."""


def plot(record: Record, path: Path) -> None:
    """Draw the training loss (faint, and smoothed), the held-out loss, and the adapter that was kept."""
    figure = Figure(figsize=(8, 4.5), dpi=160, layout="constrained")
    axes = figure.add_subplot()
    steps, losses = [point.step for point in record.curve], [point.loss for point in record.curve]
    smooth = smoothed(losses)
    if len(losses) < _FEW:
        axes.plot(steps, losses, color=_TRAIN, linewidth=2, marker="o", markersize=3, label="training, each step")
    else:
        axes.plot(steps, losses, color=_TRAIN, alpha=0.3, linewidth=1.2, label="training, each step")
        axes.plot(steps, smooth, color=_TRAIN, linewidth=2, label="training, smoothed")
    if record.evaluations:
        places = [taken.step for taken in record.evaluations]
        axes.plot(
            places, [taken.loss for taken in record.evaluations], color=_HELD_OUT, linewidth=1.5, marker="o",
            markersize=5, label="held-out rows",
        )  # fmt: skip
    if record.best is not None:
        label = f"kept: {record.best.loss:.3f} after step {record.best.step}"
        axes.plot(
            [record.best.step], [record.best.loss], linestyle="none", marker="o", markersize=11,
            markerfacecolor="none", markeredgewidth=2, color=_HELD_OUT, label=label,
        )  # fmt: skip
    elif record.curve:
        last = losses[-1] if len(losses) < _FEW else smooth[-1]
        axes.plot(
            [steps[-1]], [last], linestyle="none", marker="o", markersize=6, color=_TRAIN,
            label=f"kept: after step {steps[-1]}",
        )  # fmt: skip
    axes.set_title(record.name, loc="left", color=_INK, fontsize=13, fontweight="bold")
    axes.set_title(_caption(record), loc="right", color=_QUIET, fontsize=9)
    axes.set_xlabel("optimizer step", color=_INK)
    axes.set_ylabel("cross entropy, nats a learned token", color=_INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlim(left=0)
    low, high = axes.get_ylim()
    if low < 0.4 * high:  # a fall as large as that is best seen from 0; a smaller one would be a flat line
        axes.set_ylim(bottom=0)
    axes.grid(color="#e5e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_QUIET)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#d1d5db")
    axes.legend(frameon=False, fontsize=9, labelcolor=_INK)
    figure.savefig(path, format="png", metadata={"Software": None})


def smoothed(losses: list[float]) -> list[float]:
    """An exponential mean over about a tenth of the run, without the pull of its first value."""
    keep = 1.0 - 1.0 / max(1.0, len(losses) / 10)
    mean = weight = 0.0
    result = []
    for loss in losses:
        mean, weight = keep * mean + (1 - keep) * loss, keep * weight + (1 - keep)
        result.append(mean / weight)
    return result


def _caption(record: Record) -> str:
    totals = record.totals
    parts = [Path(str(record.base.get("path"))).name, f"rank {record.adapter.get('rank')}"]
    parts.append(f"{totals.real_tokens:,} tokens")
    if totals.tokens_per_second is not None:
        parts.append(f"{totals.tokens_per_second:,.0f} tok/s")
    return " · ".join(parts)
