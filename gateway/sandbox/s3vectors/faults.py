"""Faults on demand for S3 Vectors: what to break, how often, and in which operation."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from gateway.sandbox.s3vectors.errors import VectorsError

VectorsFaultKind = Literal[
    "throttle",
    "denied",
    "quota",
    "not_found",
    "conflict",
    "validation",
    "timeout",
    "internal",
    "unavailable",
    "kms_disabled",
    "kms_not_found",
    "kms_invalid_state",
    "kms_invalid_key_usage",
    "slow",
    "hang",
    "close",
    "garbage",
]

REFUSALS: dict[str, tuple[str, str]] = {
    "throttle": ("TooManyRequestsException", "The request was denied due to request throttling (fault injected)."),
    "denied": ("AccessDeniedException", "Access denied (fault injected)."),
    "quota": ("ServiceQuotaExceededException", "Your request exceeds a service quota (fault injected)."),
    "not_found": ("NotFoundException", "The specified resource could not be found (fault injected)."),
    "conflict": ("ConflictException", "The request conflicts with another one (fault injected)."),
    "validation": ("ValidationException", "The requested action isn't valid (fault injected)."),
    "timeout": ("RequestTimeoutException", "The request timed out. Retry your request (fault injected)."),
    "internal": ("InternalServerException", "The request failed due to an internal server error (fault injected)."),
    "unavailable": ("ServiceUnavailableException", "Currently unable to handle the request (fault injected)."),
    "kms_disabled": ("KmsDisabledException", "The KMS key isn't enabled (fault injected)."),
    "kms_not_found": ("KmsNotFoundException", "The KMS key can't be found (fault injected)."),
    "kms_invalid_state": ("KmsInvalidStateException", "The KMS key's state is not valid (fault injected)."),
    "kms_invalid_key_usage": ("KmsInvalidKeyUsageException", "The KMS key's usage is not valid (fault injected)."),
}
"""Kinds that are answered before the operation does anything."""


class VectorsFault(BaseModel):
    """One thing to break. `hang` never answers, `close` drops the connection, `garbage` answers what is no JSON."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: VectorsFaultKind
    operation: str | None = None
    """An operation's name, like `QueryVectors`; None means every one."""
    count: int | None = Field(1, gt=0)
    """How many requests it hits; None means until it is removed."""
    probability: float = Field(1.0, gt=0, le=1)
    seconds: float = Field(1.0, gt=0, le=600)
    """How long `slow` waits before it answers, real time."""

    def refusal(self) -> VectorsError | None:
        """The error to answer at once, or None when this kind acts otherwise."""
        if self.kind not in REFUSALS:
            return None
        name, message = REFUSALS[self.kind]
        return VectorsError(name, message)


@dataclass(slots=True)
class _Armed:
    fault: VectorsFault
    left: int | None


class VectorsFaults:
    """The faults in force, oldest first; a request takes the first that matches."""

    def __init__(self, initial: tuple[VectorsFault, ...] = (), seed: int = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311
        self._armed = [_Armed(fault, fault.count) for fault in initial]

    def add(self, fault: VectorsFault) -> None:
        self._armed.append(_Armed(fault, fault.count))

    def clear(self) -> None:
        self._armed.clear()

    def listed(self) -> list[dict[str, Any]]:
        return [{**armed.fault.model_dump(), "left": armed.left} for armed in self._armed]

    def take(self, operation: str) -> VectorsFault | None:
        """The fault that hits this request, used up once; None for none."""
        for armed in self._armed:
            if armed.fault.operation not in (None, operation) or self._random.random() >= armed.fault.probability:
                continue
            if armed.left is not None:
                armed.left -= 1
                if armed.left == 0:
                    self._armed.remove(armed)
            return armed.fault
        return None
