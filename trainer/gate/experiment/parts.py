"""What the experiment runs beside itself: vLLM, a stand-in for Bedrock, the gateway. None of it outlives it."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from gateway.demo.children import Child, wait_for_port, wait_for_words
from gateway.policy import load_policy
from gateway.sandbox.hosting import free_port
from gateway.sandbox.vllm.server import VllmServer
from gateway.sandbox.vllm.settings import VllmSettings
from trainer.environment import root

POLICY = root() / "policies" / "experiment.yaml"
KEY, ADMIN_KEY = "CROSSOVER_EXPERIMENT_KEY", "CROSSOVER_EXPERIMENT_ADMIN_KEY"
GATEWAY_SECONDS = 60.0
_VARIABLE = re.compile(r"\$\{(\w+):-[^}]*\}")


@dataclass(frozen=True, slots=True)
class Box:
    """A vLLM server that takes adapters by name. `base_url` ends in /v1."""

    base_url: str
    base_model: str
    model_dir: Path
    python: Path
    """Of the environment that has torch."""


@dataclass(frozen=True, slots=True)
class Parts:
    """`gateway_url` ends in /v1; `policy`: the gateway's file, with every address in it."""

    box: Box
    gateway_url: str
    policy: Path
    ledger: Path


@contextmanager
def started_box(python: Path, model_dir: Path, log: Path, max_lora_rank: int) -> Iterator[Box]:
    """vLLM with the base model alone; adapters are loaded while it runs. Raises VllmFailedError."""
    settings = VllmSettings(
        python=python, model_dir=model_dir, port=free_port(), log_file=log, max_adapter_rank=max_lora_rank
    )
    server = VllmServer(settings)
    try:
        server.start()
        asyncio.run(server.wait_ready())
        yield Box(settings.base_url, settings.served_name, model_dir, python)
    finally:
        server.stop()


@contextmanager
def started_parts(box: Box, work: Path, *, cloud: bool) -> Iterator[Parts]:
    """The gateway and, with `cloud`, the Bedrock sandbox. The keys are in this process's environment meanwhile: whoever
    reads the policy finds them there. Raises PartFailedError."""
    keys = {name: f"xo-experiment-{secrets.token_urlsafe(16)}" for name in (KEY, ADMIN_KEY)}
    with ExitStack() as ends:
        ends.enter_context(_environment(keys))
        sandbox_port, port = free_port(), free_port()  # two experiments at once want none that is the same
        values = {
            "PORT": str(port),
            "METRICS_PORT": str(free_port()),
            "LEDGER": str(work / "ledger.sqlite3"),
            "STATE": str(work / "adapters.json"),
            "BOX_URL": box.base_url,
            "BASE_MODEL": box.base_model,
            "BEDROCK_URL": f"http://127.0.0.1:{sandbox_port}",
        }
        policy = _policy(work / "policy.yaml", values, cloud=cloud)
        if cloud:
            settings = work / "sandbox.yaml"
            settings.write_text(yaml.safe_dump(_sandbox(policy, box), sort_keys=False))
            arguments = ["sandbox", "bedrock", "--settings", str(settings), "--port", str(sandbox_port)]
            sandbox = Child("the Bedrock sandbox", arguments, work / "logs" / "sandbox.log", {})
            ends.callback(sandbox.stop)
            wait_for_port(sandbox, sandbox_port)
        gateway = Child(
            "the gateway", ["serve", "--policy", str(policy), "--json"], work / "logs" / "gateway.log", keys
        )
        ends.callback(gateway.stop)
        wait_for_words(gateway, '"api":', GATEWAY_SECONDS)
        yield Parts(box, f"http://127.0.0.1:{port}/v1", policy, work / "ledger.sqlite3")


def _policy(file: Path, values: Mapping[str, str], *, cloud: bool) -> Path:
    """The shipped policy with these values in it: other processes of the experiment then need none of them."""
    text = _VARIABLE.sub(
        lambda found: values[found[1].removeprefix("CROSSOVER_EXPERIMENT_")], POLICY.read_text("utf-8")
    )
    settings = yaml.safe_load(text)
    if not cloud:
        del settings["backends"]["bedrock-base"], settings["aliases"]["cloud"]
    file.write_text(yaml.safe_dump(settings, sort_keys=False))
    return file


def _sandbox(policy: Path, box: Box) -> dict[str, object]:
    """Settings of the stand-in: the policy's own model and prices; its words are the box's base model's."""
    read = load_policy(policy, require_environment=False)
    cost = read.backends["bedrock-base"].cost
    assert cost is not None
    assert cost.kind == "per_token"
    return {
        "region": read.backends["bedrock-base"].region,
        "text": {"source": "openai", "base_url": box.base_url, "model": box.base_model},
        "models": [
            {
                "kind": "foundation",
                "id": read.aliases["cloud"].served_by[0].model,
                "input_usd_per_1m": str(cost.input_usd_per_1m),
                "output_usd_per_1m": str(cost.output_usd_per_1m),
                "text_model": box.base_model,
            }
        ],
    }


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
