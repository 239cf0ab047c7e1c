"""Adapters that are published while the gateway runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from gateway.policy.base import Settings


class AdapterSettings(Settings):
    state: str | None = Field(
        None,
        description="file in which published generations are remembered over a restart; left out: a restart goes back "
        "to the generations of this policy",
        min_length=1,
    )


def other_generations(entries: list[Any]) -> Iterator[tuple[int, str, str]]:
    """Of raw served_by entries that must keep up: (index, its generation, the generation of the first)."""
    first: str | None = None
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict) or entry.get("may_lag") is True:
            continue
        generation = entry.get("generation")
        if not isinstance(generation, str):
            continue
        if first is None:
            first = generation
        elif generation != first:
            yield index, generation, first
