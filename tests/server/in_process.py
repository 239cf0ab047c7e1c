"""A gateway in this loop, on a socket of its own: for tests that give it a router with orders."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import yaml
from msgspec import structs

from gateway.policy import load_policy
from gateway.policy.schema import Policy
from gateway.routing.decision import Decision
from gateway.routing.facts import RequestFacts
from gateway.routing.router import Router
from gateway.routing.snapshot import FleetSnapshot
from gateway.server.core import Core
from gateway.server.gateway import Gateway
from tests.gateway_process import ADMIN_KEY, API_KEY

END_SECONDS = 1.0
Order = Callable[[RequestFacts, Decision], Decision]


class OrderedRouter(Router):
    """The real router, whose decisions a test may change before they are carried out. It keeps what it was told."""

    order: Order = staticmethod(lambda facts, decision: decision)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.noted: list[tuple[RequestFacts, Decision]] = []
        self.verdicts: list[bool] = []

    def decide(self, facts: RequestFacts, fleet: FleetSnapshot) -> Decision:
        return self.order(facts, super().decide(facts, fleet))

    def note(self, facts: RequestFacts, decision: Decision, now: float) -> None:
        self.noted.append((facts, decision))
        super().note(facts, decision, now)

    def ended(self, facts: RequestFacts, bad: bool, now: float) -> None:
        self.verdicts.append(bad)
        super().ended(facts, bad, now)


def hold(seconds: float, until_elapsed: float) -> Order:
    """Keeps a request waiting, in steps of `seconds`, until so long after it came."""

    def order(facts: RequestFacts, decision: Decision) -> Decision:
        if facts.may_hold and facts.elapsed_seconds < until_elapsed:
            return structs.replace(decision, reason="held", hold_seconds=seconds)
        return decision

    return order


@dataclass
class Running:
    core: Core
    router: OrderedRouter
    root: str
    gateway: Gateway

    def client(self) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(base_url=f"{self.root}/v1", api_key=API_KEY, max_retries=0)

    def metric(self, name: str, **labels: str) -> float | None:
        return self.core.series.registry.get_sample_value(name, labels)


def policy_of(settings: Mapping[str, Any], folder: Path) -> Policy:
    file = folder / "policy.yaml"
    auth = {
        "keys": [{"name": "app", "env": "XO_TEST_KEY", "may_pin": True}],
        "admin_keys": [{"name": "owner", "env": "XO_TEST_ADMIN"}],
    }
    ledger = {"path": str(folder / "ledger.sqlite3"), "flush_seconds": 0.05}
    file.write_text(yaml.safe_dump({"version": 1, "auth": auth, "ledger": ledger, **settings}))
    return load_policy(file, {"XO_TEST_KEY": API_KEY, "XO_TEST_ADMIN": ADMIN_KEY})


@asynccontextmanager
async def gateway_in_process(
    settings: Mapping[str, Any], folder: Path, monkeypatch: Any, order: Order | None = None
) -> AsyncIterator[Running]:
    """`settings`: backends, aliases, routing... of the policy. Its ledger is `folder`/ledger.sqlite3."""
    monkeypatch.setenv("XO_TEST_KEY", API_KEY)
    monkeypatch.setenv("XO_TEST_ADMIN", ADMIN_KEY)
    core = Core(policy_of(settings, folder))
    router = OrderedRouter(core.router.settings, core.router.aliases)
    if order is not None:
        router.order = order  # type: ignore[method-assign]
    core.router = router
    gateway = Gateway(core)
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        listener.setblocking(False)
        await gateway.start(listener)
        try:
            yield Running(core, router, f"http://127.0.0.1:{listener.getsockname()[1]}", gateway)
        finally:
            await gateway.end(END_SECONDS)
