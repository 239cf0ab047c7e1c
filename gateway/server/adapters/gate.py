"""What the quality gate said of a generation, as its publisher tells it. The gateway judges nothing itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

import msgspec


class Gate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`none`: it was published though no gate was run."""

    verdict: Literal["pass", "fail", "undecided", "none"]
    plan_sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")] | None = None
    """Of what was registered before the answers were asked for."""
    judged_at: Annotated[str, msgspec.Meta(max_length=40)] | None = None
    """UTC in ISO 8601."""


def known_gates(before: Mapping[str, Gate], models: Collection[str], told: tuple[str, Gate] | None) -> dict[str, Gate]:
    """By model name, of those that are still `models` of a deployment; `told`: a name and what is said of it now."""
    gates = {**before} if told is None else {**before, told[0]: told[1]}
    return {model: gate for model, gate in gates.items() if model in models}


def shown_gate(gate: Gate | None) -> dict[str, Any] | None:
    """For JSON; null: nobody said anything."""
    return None if gate is None else msgspec.to_builtins(gate)
