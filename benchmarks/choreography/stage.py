"""The sandbox and the gateway of a performance, with the demo's own policy: a window of 300 s lasts 12."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from gateway.demo.children import Child, wait_for_port, wait_for_words
from gateway.demo.measure import BoxSpeed
from gateway.demo.run import POLICY
from gateway.demo.sandbox_settings import sandbox_settings
from gateway.policy import load_policy
from gateway.policy.schema import Policy
from gateway.sandbox.bedrock.settings import TextSettings
from gateway.sandbox.hosting import free_port


@dataclass(frozen=True, slots=True)
class ServedBox:
    """Where the box answers, and its models' names there."""

    base_url: str
    tuned_model: str
    base_model: str
    engine: str


@dataclass(frozen=True, slots=True)
class Stage:
    """`root`: the gateway without /v1."""

    policy: Policy
    root: str
    sandbox: str
    key: str
    admin_key: str

    @property
    def models(self) -> dict[str, str]:
        """The sandbox's model of each cloud backend."""
        served = {"cmi": "tuned", "bedrock-base": "base"}
        return {name: self.policy.aliases[alias].served_by[1].model for name, alias in served.items()}


@contextmanager
def set_up(box: ServedBox, speed: BoxSpeed, folder: Path) -> Iterator[Stage]:
    """Both run until the end of the block. Their logs and the ledger are in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("ledger.sqlite3*"):
        old.unlink()
    port, metrics_port, sandbox_port = free_port(), free_port(), free_port()
    key, admin_key = (f"xo-{secrets.token_urlsafe(16)}" for _ in range(2))
    sandbox_url = f"http://127.0.0.1:{sandbox_port}"
    environment = {
        "CROSSOVER_DEMO_PORT": str(port),
        "CROSSOVER_DEMO_METRICS_PORT": str(metrics_port),
        "CROSSOVER_DEMO_KEY": key,
        "CROSSOVER_DEMO_ADMIN_KEY": admin_key,
        "CROSSOVER_DEMO_LEDGER": str(folder / "ledger.sqlite3"),
        "CROSSOVER_DEMO_BOX_URL": box.base_url,
        "CROSSOVER_DEMO_BOX_SINGLE": f"{speed.single_stream:.2f}",
        "CROSSOVER_DEMO_BOX_MAX": f"{speed.together:.2f}",
        "CROSSOVER_DEMO_ADAPTER": box.tuned_model,
        "CROSSOVER_DEMO_BASE_MODEL": box.base_model,
        "CROSSOVER_DEMO_BEDROCK_URL": sandbox_url,
    }
    policy = load_policy(POLICY, {**os.environ, **environment})
    settings = folder / "sandbox.yaml"
    settings.write_text(yaml.safe_dump(sandbox_settings(policy, TextSettings(), box), sort_keys=False))  # type: ignore[arg-type]
    children: list[Child] = []
    try:
        sandbox = ["sandbox", "bedrock", "--settings", str(settings), "--port", str(sandbox_port)]
        children.append(Child("the Bedrock sandbox", sandbox, folder / "sandbox.log", {}))
        wait_for_port(children[-1], sandbox_port)
        serve = ["serve", "--policy", str(POLICY), "--json"]
        children.append(Child("the gateway", serve, folder / "gateway.log", environment))
        wait_for_words(children[-1], '"api":')
        yield Stage(policy, f"http://127.0.0.1:{port}", sandbox_url, key, admin_key)
    finally:
        for child in reversed(children):
            child.stop()
