"""Faults on demand: what to break, how often, and for which model."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from gateway.sandbox.bedrock.errors import BedrockError

FaultKind = Literal[
    "throttle",
    "not_ready",
    "internal",
    "unavailable",
    "validation",
    "model_error",
    "timeout",
    "hang",
    "close",
    "garbage",
    "bad_crc",
    "mid_stream_exception",
    "slow",
]
StreamException = Literal[
    "internalServerException",
    "modelStreamErrorException",
    "validationException",
    "throttlingException",
    "modelTimeoutException",
    "serviceUnavailableException",
]

REFUSALS: dict[str, tuple[str, str]] = {
    "throttle": ("ThrottlingException", "Too many requests (fault injected)."),
    "not_ready": ("ModelNotReadyException", "Model is not ready for inference (fault injected)."),
    "internal": ("InternalServerException", "The request failed inside the service (fault injected)."),
    "unavailable": ("ServiceUnavailableException", "The service is unavailable (fault injected)."),
    "validation": ("ValidationException", "The request is not valid (fault injected)."),
    "model_error": ("ModelErrorException", "The model failed on the request (fault injected)."),
    "timeout": ("ModelTimeoutException", "The model took too long to answer (fault injected)."),
}
"""Kinds that are answered before anything else happens, so they never reach a copy nor the bill."""


class Fault(BaseModel):
    """One thing to break.

    `hang` and `close` act before any byte, or in a stream once `after_tokens` tokens were written when that is set;
    `mid_stream_exception` and `bad_crc` act in a stream only, after `after_tokens`. `garbage` replaces the whole body.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: FaultKind
    model: str | None = None
    """A model's id or ARN as configured; None means every model."""
    count: int | None = Field(1, gt=0)
    """How many requests it hits; None means until it is removed."""
    probability: float = Field(1.0, gt=0, le=1)
    after_tokens: int = Field(0, ge=0)
    exception: StreamException = "modelStreamErrorException"
    factor: float = Field(10.0, gt=0)
    """`slow` divides the speed and multiplies the first token's wait by this."""

    def refusal(self) -> BedrockError | None:
        """The error to answer at once, or None when this kind acts later."""
        if self.kind not in REFUSALS:
            return None
        name, message = REFUSALS[self.kind]
        return BedrockError(name, message)


@dataclass(slots=True)
class _Armed:
    fault: Fault
    left: int | None


class Faults:
    """The faults in force, oldest first; a request takes the first that matches."""

    def __init__(self, initial: tuple[Fault, ...] = (), seed: int = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311
        self._armed: list[_Armed] = []
        for fault in initial:
            self.add(fault)

    def add(self, fault: Fault) -> None:
        self._armed.append(_Armed(fault, fault.count))

    def clear(self) -> None:
        self._armed.clear()

    def listed(self) -> list[dict[str, object]]:
        return [{**armed.fault.model_dump(), "left": armed.left} for armed in self._armed]

    def take(self, model: str, *, streamed: bool) -> Fault | None:
        """The fault that hits this request, used up once; None for none."""
        for armed in self._armed:
            fault = armed.fault
            if fault.model not in (None, model):
                continue
            if not streamed and (fault.kind in ("mid_stream_exception", "bad_crc") or fault.after_tokens):
                continue
            if self._random.random() >= fault.probability:
                continue
            if armed.left is not None:
                armed.left -= 1
                if armed.left == 0:
                    self._armed.remove(armed)
            return fault
        return None
