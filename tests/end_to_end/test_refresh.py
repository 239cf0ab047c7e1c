"""From data to traffic with the real trainer and vLLM: a run that was killed, a canary, a rollback, all under load."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import yaml

from gateway.sandbox.hosting import free_port
from tests.gateway_process import ADMIN_KEY, API_KEY, GatewayProcess
from tests.server.fleets import box
from tests.vllm_fixture import RunningVllm

pytestmark = pytest.mark.vllm
QUESTION: Any = [{"role": "user", "content": "How many hours is a full working week?"}]
ROWS = Path(__file__).parents[2] / "trainer" / "data" / "handbook_chat.jsonl"
CANARY = 0.1


class Traffic:
    """Short requests for both models, one after the other, until it is stopped; what came of each is kept."""

    def __init__(self, url: str) -> None:
        self._client = openai.OpenAI(base_url=url, api_key=API_KEY, max_retries=0, timeout=60)
        self._stop = threading.Event()
        self.failures: list[str] = []
        self.generations: Counter[str] = Counter()

    def run(self) -> None:
        while not self._stop.is_set():
            for model in ("handbook", "base"):
                try:
                    answer = self._client.chat.completions.with_raw_response.create(
                        model=model, messages=QUESTION, max_tokens=2, temperature=0
                    )
                    self.generations[answer.headers.get("x-crossover-adapter") or model] += 1
                except openai.OpenAIError as error:
                    self.failures.append(f"{model}: {error}")

    @contextmanager
    def flowing(self) -> Iterator[Traffic]:
        threads = [threading.Thread(target=self.run) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            for thread in threads:
                thread.join()

    def counted(self, at_least: int) -> Counter[str]:
        """Which generation answered, over at least so many answers from now on."""
        before = self.generations.copy()
        deadline = time.monotonic() + 240
        while self.generations["base"] - before["base"] < at_least:
            assert time.monotonic() < deadline, f"only {self.generations - before} came"
            time.sleep(0.1)
        return self.generations - before


@pytest.fixture
def gateway(vllm_server: RunningVllm, start_gateway: Callable[..., GatewayProcess], tmp_path: Path) -> GatewayProcess:
    return start_gateway(
        server={"port": free_port(), "metrics_port": 0, "drain_seconds": 2},
        adapters={"state": str(tmp_path / "adapters.json")},
        backends={
            "box": box(vllm_server.base_url, cost={"kind": "amortized", "usd_per_month": 200}),
        },
        aliases={
            "base": {"served_by": [{"backend": "box", "model": vllm_server.base_model}]},
            "handbook": {
                "served_by": [{"backend": "box", "model": vllm_server.tuned_model, "generation": "before@v0001"}]
            },
        },
    )


@pytest.fixture
def settings(vllm_server: RunningVllm, gateway: GatewayProcess, tmp_path: Path) -> Path:
    file = tmp_path / "adapter.yaml"
    file.write_text(
        yaml.safe_dump(
            {
                "version": 1,
                "name": "manual",
                "base": {"model": str(vllm_server.server.settings.model_dir)},
                "data": {"train": str(ROWS), "evaluation_share": 0},
                "sequence": {"max_tokens": 128},
                "lora": {"rank": 4, "alpha": 8},
                "optimizer": {"learning_rate": 4e-3, "schedule": "constant", "warmup_share": 0},
                "batch": {"sequences_per_step": 2},
                "length": {"epochs": None, "max_steps": 5},
                "checkpoint": {"every_steps": 1},
                "device": {"threads": 1},
                "serving": {"max_lora_rank": 8},
                "publish": {
                    "policy": str(gateway.policy_file), "alias": "handbook", "backend": "box", "canary_share": CANARY,
                },
            }
        )
    )  # fmt: skip
    return file


def crossover(*arguments: str, python: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway.cli", *arguments],
        capture_output=True, text=True, timeout=600, env=_environment(python), check=False,
    )  # fmt: skip


def _environment(python: Path | None) -> dict[str, str]:
    named = {} if python is None else {"CROSSOVER_TRAIN_PYTHON": str(python)}
    return {**os.environ, "XO_TEST_ADMIN": ADMIN_KEY, "XO_TEST_KEY": API_KEY, "COLUMNS": "160", **named}


def kill_in_the_middle(settings: Path, python: Path) -> int:
    """Train until the second step is on disk, then SIGKILL; the step it had come to."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", "adapter", "train", "--config", str(settings), "--json"],
        stdout=subprocess.PIPE, text=True, env=_environment(python), start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    step = 0
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "checkpoint" and (step := event["step"]) >= 2:
            break
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    return step


def answer(gateway: GatewayProcess, model: str) -> str:
    client = openai.OpenAI(base_url=gateway.url, api_key=API_KEY, max_retries=0)
    created = client.chat.completions.create(model=model, messages=QUESTION, max_tokens=16, temperature=0)
    return created.choices[0].message.content or ""


def test_refresh_canary_promote_and_rollback_under_traffic(
    vllm_server: RunningVllm, gateway: GatewayProcess, settings: Path
) -> None:
    python = vllm_server.server.settings.python
    base_before, tuned_before = answer(gateway, "base"), answer(gateway, "handbook")
    with Traffic(gateway.url).flowing() as traffic:
        assert 2 <= kill_in_the_middle(settings, python) < 5
        done = crossover("refresh", "--config", str(settings), "--without-gate", "manual", "--json", python=python)
        assert done.returncode == 0, done.stderr
        summary = json.loads(done.stdout)
        assert (summary["version"], summary["canary_share"]) == ("manual@v0001", CANARY)
        assert summary["loss"][1] < summary["loss"][0]
        assert summary["minutes"] > 0
        assert summary["usd"] == pytest.approx(summary["minutes"] / 60 / 730 * 200, rel=0.01)  # minutes are rounded
        assert "no gate was run" in next(step["said"] for step in summary["steps"] if step["step"] == "gate")

        counts = traffic.counted(at_least=20)
        answers = counts["manual@v0001"] + counts["before@v0001"]
        assert counts["manual@v0001"] == pytest.approx(CANARY * answers, abs=2)

        promoted = crossover("adapter", "promote", "--config", str(settings))
        assert promoted.returncode == 0, promoted.stderr
        tuned_after = answer(gateway, "handbook")
        counts = traffic.counted(at_least=6)
        assert counts["before@v0001"] <= 2  # under way when it was promoted
        assert counts["manual@v0001"] > counts["before@v0001"]

        back = crossover("adapter", "rollback", "--config", str(settings))
        assert back.returncode == 0, back.stderr
        assert answer(gateway, "handbook") == tuned_before
    assert traffic.failures == []
    assert tuned_after != base_before
    assert tuned_after != tuned_before
    assert answer(gateway, "base") == base_before


def test_the_gateway_shows_each_generation_by_itself(gateway: GatewayProcess) -> None:
    page = httpx.get(gateway.metrics_url, timeout=10).text
    assert 'crossover_adapter_share{backend="box",generation="before@v0001",model="handbook"} 1.0' in page
