"""A registry, a model server that loads adapters by name, a gateway before it, and the way from one to the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.server.adapters.places import Place as Served
from tests.server.adapters.places import placed
from tests.trainer.adapters import write_adapter
from trainer.publish.place import Place, find_place
from trainer.registry import Lineage, Registry

NAMES = ONE, TWO, THREE = "handbook@v0001", "handbook@v0002", "handbook@v0003"
PLAN = "ab" * 32


def filled_registry(root: Path, ranks: tuple[int, ...] = (4, 4, 4), *, gated: bool = True) -> Registry:
    """`gated`: each version has passed its gate."""
    registry = Registry(root)
    for seed, rank in enumerate(ranks):
        made = write_adapter(root.parent / f"trained{seed}", rank=rank, seed=seed)
        version = registry.add("handbook", made, Lineage(origin="imported"))
        if gated:
            registry.note(version, "gated", verdict="pass", plan_sha256=PLAN)
    return registry


@dataclass
class Bench:
    """`place` is what the commands work on; `served` asks as an application and as the owner."""

    served: Served
    place: Place
    said: list[str]

    async def run(self, what: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """A publisher's step, in a thread: it blocks, as it does in a command."""
        return await asyncio.to_thread(what, *args, self.place, say=self.said.append, **options)

    async def loaded(self) -> set[str]:
        return set(await asyncio.to_thread(self.place.server.loaded)) - {"base"}

    def events(self, version: str) -> list[str]:
        return [
            event.event for event in self.place.registry.state(version).history if event.event not in ("added", "gated")
        ]

    def at(self, **changed: Any) -> Bench:
        return replace(self, place=replace(self.place, **changed))


Start = Callable[..., AbstractAsyncContextManager[Bench]]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    @asynccontextmanager
    async def start(ranks: tuple[int, ...] = (4, 4, 4), *, gated: bool = True, **options: Any) -> AsyncIterator[Bench]:
        registry = filled_registry(tmp_path / "adapters", ranks, gated=gated)
        async with placed(tmp_path, monkeypatch, **options) as served:
            place = find_place(
                tmp_path / "policy.yaml", "tuned", "box", registry.root, gateway_url=served.gateway.root
            )  # fmt: skip
            yield Bench(served, place, [])

    return start
