"""What the books hold: an operation (what an application asked for) and its attempts (what was sent to whom)."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from gateway.backends.usage import Certainty
from gateway.economics.money import NanoUsd

Verdict: TypeAlias = Literal["in_time", "late", "wrong"]
VERDICTS: tuple[Verdict, ...] = ("in_time", "late", "wrong")
"""What a request counts as in the error budget. late: also turned away, because nobody would have been in time."""
ALL_BACKENDS = "*"
"""In place of a backend's name: all of them together."""
Outcome: TypeAlias = Literal["ok", "client_error", "upstream_error", "timeout", "cancelled", "refused"]
OUTCOMES: tuple[Outcome, ...] = ("ok", "client_error", "upstream_error", "timeout", "cancelled", "refused")


class Attempt(msgspec.Struct, frozen=True, gc=False):
    """One request to one backend. `nanousd` is what it was charged by itself: its tokens at list price. Backends that
    are paid by time charge nothing here (their cost accrues), and None is an unknown price."""

    operation_id: str
    number: int
    backend: str
    model: str
    started_at: float
    """Wall clock, seconds since 1970."""
    outcome: Outcome
    status: int
    input_tokens: int
    output_tokens: int
    certainty: Certainty
    nanousd: NanoUsd | None
    ttft_seconds: float | None
    """Streams only."""
    seconds: float
    generation: str | None = None


class OperationRecord(msgspec.Struct, frozen=True, gc=False):
    """One request of an application, with what it got in the end."""

    id: str
    key: str
    alias: str
    operation: str
    stream: bool
    started_at: float
    outcome: Outcome
    status: int
    backend: str | None
    reason: str
    attempts: int
    input_tokens: int
    output_tokens: int
    certainty: Certainty
    ttft_seconds: float | None
    seconds: float
    in_time: bool | None
    """None: it had no ceiling, or it was not answered."""
    held_seconds: float = 0.0
    """Of `seconds`: how long the gateway kept it waiting for a cheaper moment."""
    verdict: Verdict | None = None
    """None: it says nothing of the error budget (the client's mistake, the client went, a backend broke)."""


class WindowRecord(msgspec.Struct, frozen=True):
    """One billed window of one copy of an imported model, whole, written when it opens."""

    run: str
    """The run that saw the copy first: a copy keeps its name over restarts."""
    backend: str
    copy: int
    number: int
    opened_at: float
    ends_at: float
    nanousd: NanoUsd


class CopyRecord(msgspec.Struct, frozen=True):
    """A copy of an imported model as it stands: what a later run must know of it. `origin_run` and `copy` are what its
    windows go by, in whichever run they opened. `booked` 0: it turned out to be part of another copy."""

    origin_run: str
    backend: str
    copy: int
    first_call: float
    last_call: float
    booked: int


class AccrualRecord(msgspec.Struct, frozen=True):
    """What an owned box or a provisioned unit cost from `since` to `until`, in one run of the gateway. (An imported
    model's money is in its windows.)"""

    run: str
    backend: str
    cost_kind: str
    since: float
    until: float
    nanousd: NanoUsd
    busy_nanousd: NanoUsd = 0
    """Of `nanousd`: in time with at least one attempt under way (the usage basis)."""


class WindowBusyRecord(msgspec.Struct, frozen=True):
    """What an imported model's windows cost, from `since` to `until`, while at least one attempt was under way."""

    run: str
    backend: str
    since: float
    until: float
    nanousd: NanoUsd


class CounterfactualRecord(msgspec.Struct, frozen=True):
    """What the tokens that `served_by` served would have cost on `priced_as` alone, as it accrued from `since` to
    `until`. `served_by` may be `ALL_BACKENDS`."""

    run: str
    served_by: str
    priced_as: str
    since: float
    until: float
    nanousd: NanoUsd


Record: TypeAlias = (
    Attempt | OperationRecord | WindowRecord | CopyRecord | AccrualRecord | WindowBusyRecord | CounterfactualRecord
)
