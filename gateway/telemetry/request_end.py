"""A request that has ended, as the log and the traces get it. Never the answer; the prompt only where the policy's
`log.prompts` asks for it."""

from __future__ import annotations

import msgspec

from gateway.economics.money import NanoUsd
from gateway.metering.records import Attempt, OperationRecord


class RequestEnd(msgspec.Struct, frozen=True, gc=False):
    record: OperationRecord
    attempts: tuple[Attempt, ...] = ()
    trace_id: str | None = None
    prompt: bytes | None = None
    """The start of the prompt's JSON, as it came."""

    @property
    def nanousd(self) -> NanoUsd | None:
        """What its attempts were charged by themselves. 0 where time is paid; None: a price or a usage is unknown."""
        total = 0
        for attempt in self.attempts:
            if attempt.nanousd is None:
                return None
            total += attempt.nanousd
        return total

    @property
    def generation(self) -> str | None:
        """Of the adapter that answered."""
        return self.attempts[-1].generation if self.attempts else None
