"""A decision and its whole explanation: what was chosen, what else could have been, and the numbers of each."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from gateway.economics.money import NanoUsd
from gateway.policy.schema import ServedBy
from gateway.routing.predict import Prediction

Reason: TypeAlias = Literal[
    "cheapest_in_time",
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


class Refusal(msgspec.Struct, frozen=True):
    """No backend can take it: the OpenAI-shaped answer to give."""

    status: int
    type: str
    code: str
    message: str
    param: str | None = None
    retry_after_seconds: float | None = None


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

    @property
    def chosen(self) -> Candidate | None:
        return self.order[0] if self.order else None
