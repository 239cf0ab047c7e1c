"""A real gateway for a test: `crossover serve` as its own process, on ports of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import yaml

API_KEY = "xo-test-key"
ADMIN_KEY = "xo-test-admin"
FAST_BOX = {
    "single_stream_tokens_per_second": 50,
    "max_tokens_per_second": 400,
    "at_concurrency": 16,
    "first_token_seconds": 0.05,
}


class GatewayProcess:
    """`url` ends in /v1. `stop` is a SIGTERM; `kill` a SIGKILL."""

    def __init__(self, policy: dict[str, Any], folder: Path) -> None:
        self.folder = folder
        self.policy_file = folder / "policy.yaml"
        self.ledger = folder / "ledger.sqlite3"
        settings: dict[str, Any] = {
            "version": 1,
            "server": {"port": 0, "metrics_port": 0, "drain_seconds": 2},
            "auth": {
                "keys": [{"name": "app", "env": "XO_TEST_KEY", "may_pin": True}],
                "admin_keys": [{"name": "owner", "env": "XO_TEST_ADMIN"}],
            },
            "ledger": {"path": str(self.ledger), "flush_seconds": 0.05},
        }
        for name, value in policy.items():
            settings[name] = {**settings[name], **value} if isinstance(settings.get(name), dict) else value
        self.policy_file.write_text(yaml.safe_dump(settings))
        self._start()

    def _start(self) -> None:
        self._log = (self.folder / "gateway.log").open("a+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gateway.cli", "serve", "--policy", str(self.policy_file), "--json"],
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, "XO_TEST_KEY": API_KEY, "XO_TEST_ADMIN": ADMIN_KEY},
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the gateway did not start: {self.log()}"
        addresses = json.loads(line)
        self.url, self.metrics_url = addresses["api"], addresses["metrics"]
        self.root = self.url.removesuffix("/v1")

    def log(self) -> str:
        self._log.seek(0)
        return self._log.read()

    def restart(self) -> None:
        self._start()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=20)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        if self.process.poll() is None:
            self.stop()
        self._log.close()

    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {API_KEY}"}

    def admin(self, path: str) -> Any:
        answer = httpx.get(f"{self.root}/admin/{path}", headers={"authorization": f"Bearer {ADMIN_KEY}"}, timeout=10)
        answer.raise_for_status()
        return answer.json()

    def books(self) -> dict[str, dict[str, Any]]:
        """The ledger's totals by backend."""
        return {row["backend"]: row for row in self.admin("books")["backends"]}

    def metrics(self) -> str:
        return httpx.get(self.metrics_url, timeout=10).text

    def metric(self, series: str) -> float:
        """The value of one series as written on the page, labels and all."""
        for line in self.metrics().splitlines():
            if line.startswith(series + " "):
                return float(line.rpartition(" ")[2])
        raise AssertionError(f"no series {series}")

    def wait_for_metric(self, series: str, wanted: float, timeout_seconds: float = 10.0) -> None:
        deadline = time.monotonic() + timeout_seconds
        while (value := self.metric(series)) != wanted:
            assert time.monotonic() < deadline, f"{series} is {value}, not {wanted}"
            time.sleep(0.05)
