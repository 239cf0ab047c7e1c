"""A decision and its whole explanation: what was chosen, what else could have been, and the numbers of each."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from gateway.economics.money import NanoUsd
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


class Candidate(msgspec.Struct, frozen=True):
    """One backend as it stood in one decision. `excluded` is None for those that could have been chosen."""

    backend: str
    target: ServedBy
    excluded: str | None
    predicted: Prediction | None
    in_time: bool
    marginal_nanousd: NanoUsd | None
    utilization: float | None
    window_seconds_left: float | None
    why: str
    late_chance: float = 0.0
    """That the answer would come later than the ceilings allow, 0 to 1."""
    congestion_nanousd: float = 0.0
    """Worth of the room that it takes there from requests without another cheap home."""
    expected_nanousd: float = 0.0
    """What the choice goes by: marginal cost, lateness and wrong quality at the worth of an answer in time, congestion."""


class Refusal(msgspec.Struct, frozen=True):
    """No backend can take it: the OpenAI-shaped answer to give."""

    status: int
    type: str
    code: str
    message: str
    param: str | None = None
    retry_after_seconds: float | None = None


class Circumstances(msgspec.Struct, frozen=True):
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


class Decision(msgspec.Struct, frozen=True):
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
