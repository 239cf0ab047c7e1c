"""A decision and its whole explanation: what was chosen, what else could have been, and the numbers of each."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from gateway.economics.money import NanoUsd
from gateway.economics.windows import WindowView
from gateway.policy.schema import ServedBy
from gateway.routing.predict import Prediction

Reason: TypeAlias = Literal[
    "cheapest_in_time",
    "window_is_paid",
    "window_pays",
    "only_choice",
    "fastest_though_late",
    "cheapest_though_late",
    "pinned",
    "fallback",
    "held",
    "lower_quality_though_wrong",
    "none",
]


class Candidate(msgspec.Struct, frozen=True, gc=False):
    """One backend as it stood in one decision. `excluded` is None for those that could have been chosen."""

    backend: str
    target: ServedBy
    excluded: str | None
    predicted: Prediction | None
    in_time: bool
    marginal_nanousd: NanoUsd | None
    utilization: float | None
    window: WindowView | None
    said: str | None = None
    """Of it in words, where the numbers do not say it all."""
    late_chance: float = 0.0
    """That the answer would come later than the ceilings allow, 0 to 1."""
    congestion_nanousd: float = 0.0
    """Worth of the room that it takes there from requests without another cheap home."""
    expected_nanousd: float = 0.0
    """What the choice goes by: marginal cost, lateness and wrong quality at the worth of an answer in time, and
    congestion."""
    below: str | None = None
    """Its answers are below the quality needed, in words; it could have been chosen all the same."""

    @property
    def window_seconds_left(self) -> float | None:
        return None if self.window is None else self.window.seconds_left

    @property
    def why(self) -> str:
        """In words. Put together when somebody asks: most decisions are never explained."""
        if self.said is not None:
            return self.said
        if self.excluded is not None:
            return self.excluded
        late = "in time" if self.late_chance < 0.005 else f"{self.late_chance:.0%} likely to be late"
        if self.below is not None:
            late = f"{late}, but {self.below}"
        marginal, window = self.marginal_nanousd, self.window
        if marginal is None:
            return f"{late}; its price is unknown"
        if window is None:
            return f"{late}; adds ${marginal / 1e9:.6f}"
        if marginal == 0:
            return f"{late}; its window is open and paid"
        if window.copies and not window.room:
            return f"{late}; its copies are full"
        return f"{late}; would open a window of ${marginal / 1e9:.4f}"


class Refusal(msgspec.Struct, frozen=True):
    """No backend can take it: the OpenAI-shaped answer to give."""

    status: int
    type: str
    code: str
    message: str
    param: str | None = None
    retry_after_seconds: float | None = None


class Circumstances(msgspec.Struct, frozen=True, gc=False):
    """What a decision was made under, beside the candidates. n$ and shares."""

    worth_nanousd: float
    """Of one answer in time: the shadow price of the error budget."""
    captive: bool
    """Only a box or an imported model answers it well."""
    pressure: float
    """Requests at the boxes over their batch."""
    demand: float
    """Work that captive requests bring per second, over what the boxes can do."""
    overload_chance: float
    """That the boxes turn a captive request away within the next minute or so."""
    turned_away: bool = False
    """The boxes were too full for it."""
    regret_backend: str | None = None
    regret_nanousd: float = 0.0
    """Of that backend's windows that were not opened lately, this request included; 0 where one is now."""
    threshold_nanousd: float = 0.0
    """The regret at which one is."""
    forecast_saved: float = 0.0
    """Answers that a window would save from now on, if demand stays."""


class Decision(msgspec.Struct, frozen=True, gc=False):
    """`order`: the chosen candidate first, then the fallbacks, best first. Empty when `refusal` says why nobody can."""

    order: tuple[Candidate, ...]
    candidates: tuple[Candidate, ...]
    reason: Reason
    refusal: Refusal | None = None
    hold_seconds: float | None = None
    """Send nothing now; ask again after so long."""
    warm: str | None = None
    """A backend whose copy is to be started now by a one-token call of the gateway's own, apart from this request."""
    notes: Circumstances | None = None
    mean_output_tokens: float = 0.0
    """Of its alias, as it was believed then."""

    @property
    def chosen(self) -> Candidate | None:
        return self.order[0] if self.order else None
