"""The processes under measurement, each started alone and ended for certain, and what the kernel says they used."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

TICKS = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
CPU_SOURCE = "schedstat of every thread (ns)" if Path("/proc/self/schedstat").exists() else "stat (ticks of 10 ms)"
KEY_VARIABLE = "XO_BENCHMARK_KEY"
ALIAS = "tuned"


@dataclass(frozen=True)
class Peer:
    """A running server: the address of its `/v1`, and the key it takes."""

    process: subprocess.Popen[str]
    api: str
    key: str

    def cpu_seconds(self) -> float:
        """User and system time of all its threads so far."""
        folder = Path("/proc") / str(self.process.pid)
        if CPU_SOURCE.startswith("schedstat"):
            return sum(int(p.read_text().split()[0]) for p in folder.glob("task/*/schedstat")) / 1e9
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def rss_bytes(self) -> int:
        return int((Path("/proc") / str(self.process.pid) / "statm").read_text().split()[1]) * PAGE_BYTES


@contextmanager
def box(folder: Path, *options: str) -> Iterator[Peer]:
    """The simulated box, `crossover sandbox generator`, on a free port."""
    run = "from gateway.sandbox.generator.cli import app; app()"
    with _started("box", ["-c", run, "--port", "0", "--json", *options], folder, "none", {}) as peer:
        yield peer


@contextmanager
def gateway(folder: Path, box_url: str, speed: Mapping[str, Any]) -> Iterator[Peer]:
    """`crossover serve` with one alias on the box: keys, ledger, metrics scrape and all, as anyone would run it."""
    key = "xo-" + secrets.token_hex(16)
    policy = {
        "version": 1,
        "server": {"port": 0, "metrics_port": 0, "drain_seconds": 1},
        "auth": {"keys": [{"name": "benchmark", "env": KEY_VARIABLE}]},
        "ledger": {"path": str(folder / "ledger.sqlite3")},
        "backends": {
            "box": {
                "wire": "openai",
                "base_url": box_url,
                "cost": {"kind": "amortized", "usd_per_month": 200},
                "speed": dict(speed),
            }
        },
        "aliases": {ALIAS: {"served_by": [{"backend": "box", "model": ALIAS}]}},
    }
    file = folder / "policy.yaml"
    file.write_text(yaml.safe_dump(policy))
    command = ["-m", "gateway.cli", "serve", "--policy", str(file), "--json"]
    with _started("gateway", command, folder, key, {KEY_VARIABLE: key}) as peer:
        yield peer


@contextmanager
def _started(name: str, command: list[str], folder: Path, key: str, environment: Mapping[str, str]) -> Iterator[Peer]:
    log_file = folder / f"{name}.log"
    with log_file.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, *command], stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, **environment}
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the {name} did not start: {log_file.read_text()[-2000:]}")
        yield Peer(process, json.loads(line)["api"], key)
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
