"""What the S3 Vectors stand-in simulates. Part of the sandbox's settings file, under `s3vectors`."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gateway.sandbox.s3vectors.faults import VectorsFault


class VectorsSettings(BaseModel):
    """Unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_bytes: int = Field(256 * 1024 * 1024, gt=0)
    """Of vectors (4 bytes a value), metadata (as JSON) and keys, all indexes together; past it, writes are answered
    ServiceQuotaExceededException. The sandbox's own bound: AWS has another one."""
    vectors_per_second: int | None = Field(2_500, gt=0)
    """Written and deleted in one index in any second of real time; more is TooManyRequestsException. None: no limit."""
    classic_prefix: str = "classic-"
    """Buckets whose names begin with this count as made before 30 September 2026: their indexes are CLASSIC until
    they are changed. All others are ENHANCED, and stay so. Empty: every bucket counts as old."""
    classic_candidates: int = Field(100, gt=0)
    """How many of the nearest vectors a CLASSIC query with a filter looks at before it gives up, topK at least. AWS
    names no figure: it says that such a query may return fewer than topK."""
    denied_actions: tuple[str, ...] = ()
    """Operations answered with AccessDeniedException, as a policy without them would. Without `GetVectors`, a query
    with a filter or metadata and a list with data or metadata are refused as well."""
    faults: tuple[VectorsFault, ...] = ()

    @model_validator(mode="after")
    def _operations_are_known(self) -> Self:
        named = [*self.denied_actions, *(fault.operation for fault in self.faults if fault.operation is not None)]
        if named:
            from gateway.sandbox.s3vectors.shapes import service_model

            known = set(service_model().operation_names)
            unknown = sorted(set(named) - known)
            if unknown:
                raise ValueError(f"unknown operations: {', '.join(unknown)}. Known: {', '.join(sorted(known))}")
        return self
