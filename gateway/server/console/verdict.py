"""The console's first sentence: is the box cheaper than the cloud, at this load? Pure."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

Tone: TypeAlias = Literal["good", "bad", "neutral"]


class Standing(msgspec.Struct, frozen=True):
    """A box and one other path over the same stretch of time. US dollars."""

    box: str
    against: str
    box_usd: float
    """All that the box cost in that time, busy or idle."""
    elsewhere_usd: float | None
    """What the tokens that it served would have cost on the other path alone; None: that has no known price."""
    output_tokens: int
    seconds: float
    box_usd_per_hour: float
    utilization: float
    crossover: float | None
    whole_windows: bool
    """The other path is billed in windows."""
    other_weights: tuple[str, float] | None = None
    """A path with other weights, and what the tokens would have cost there: said where that is the least."""


class Sentence(msgspec.Struct, frozen=True):
    sentence: str
    tone: Tone
    detail: str | None


def verdict(standing: Standing | None) -> Sentence:
    """`None`: there is no owned box, or nothing to hold it against."""
    if standing is None:
        return Sentence("There is no owned box to compare with the cloud.", "neutral", None)
    at = standing
    if not at.output_tokens:
        idle = f"Nothing was served by {at.box} in the last {_span(at.seconds)}."
        return Sentence(idle, "neutral", f"It costs {_usd(at.box_usd_per_hour)} an hour, busy or idle.")
    if not at.elsewhere_usd:
        return Sentence(f"What {at.box} serves has no price yet on {at.against}.", "neutral", _load(at))
    ratio = at.box_usd / at.elsewhere_usd
    here, there = (usd / at.output_tokens * 1e6 for usd in (at.box_usd, at.elsewhere_usd))
    windows = ", in whole windows" if at.whole_windows else ""
    detail = f"{_usd(here)} per 1M output tokens against {_usd(there)} for the same tokens there{windows}. {_load(at)}"
    if at.other_weights is not None and at.other_weights[1] < min(at.box_usd, at.elsewhere_usd):
        name, other = at.other_weights
        detail += f" Other weights, on {name}, would have cost {_usd(other / at.output_tokens * 1e6)}."
    return Sentence(f"{_capital(at.box)} is {_compared(ratio)} {at.against} at this load.", _tone(ratio), detail)


def _compared(ratio: float) -> str:
    if 0.995 <= ratio < 1.005:
        return "as dear as"
    if ratio < 1:
        return f"{1 - ratio:.{1 if ratio < 0.01 else 0}%} cheaper than"
    if ratio < 2:
        return f"{ratio - 1:.0%} dearer than"
    return f"{ratio:.{0 if ratio >= 10 else 1}f} times as dear as"


def _tone(ratio: float) -> Tone:
    return "neutral" if 0.995 <= ratio < 1.005 else "good" if ratio < 1 else "bad"


def _load(at: Standing) -> str:
    load = f"{_capital(at.box)} is at {at.utilization:.1%} of what it can do"
    if at.crossover is None:
        return f"{load}."
    if at.crossover > 1:
        return f"{load}; against a stream of {at.against} it never pays at this capacity."
    return f"{load}; it pays against a busy {at.against} above {at.crossover:.1%}."


def _span(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 120 else f"{seconds / 60:.0f} minutes"


def _usd(amount: float) -> str:
    return f"${amount:,.2f}" if amount >= 0.1 else f"${amount:.3g}"


def _capital(name: str) -> str:
    return "The box" if name == "box" else name
