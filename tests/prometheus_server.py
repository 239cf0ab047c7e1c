"""The real Prometheus for a test, in a process of its own on a free port: Debian's, got by scripts/prometheus.sh.

    from tests.prometheus_server import start_prometheus            # in the folder's conftest.py, with __all__

    def test_it(start_prometheus):                                  # stops whatever was started
        prometheus = start_prometheus({"crossover": [gateway.metrics_url]}, rules=[RECORDING_RULES])
        prometheus.wait_for_scrapes()                               # every target twice: rate() has two samples
        [sample] = prometheus.query("sum(rate(crossover_tokens_total[1m]))")
        sample.labels, sample.value                                 # {} and a float
        prometheus.query_range("up", since, until, step_seconds=1)  # [(labels, [(time, value), ...]), ...]
        prometheus.rules(), prometheus.alerts(), prometheus.targets(), prometheus.url

Outside pytest: `with prometheus_server(targets, folder) as prometheus:`. promtool: `promtool("check", "config", file)`.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import yaml

from gateway.sandbox.hosting import free_port

ROOT = Path(__file__).parents[1]
START_SECONDS = 30.0
STOP_SECONDS = 10.0


@functools.cache
def programs() -> Path:
    """The folder of `prometheus` and `promtool`; gets them first where they are missing."""
    home = Path(os.environ.get("CROSSOVER_HOME") or ROOT / ".crossover")
    got = subprocess.run(
        ["sh", str(ROOT / "scripts/prometheus.sh")],
        env={**os.environ, "CROSSOVER_HOME": str(home)},
        capture_output=True,
        text=True,
    )
    assert got.returncode == 0, got.stderr
    return home / "prometheus"


@dataclass(frozen=True)
class Sample:
    """One series of an instant query."""

    labels: dict[str, str]
    value: float


@dataclass
class PrometheusServer:
    """A running server. Every method raises AssertionError with Prometheus's own words when it refuses."""

    url: str
    process: subprocess.Popen[bytes]
    log_file: Path
    configured_targets: int
    _client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=10, trust_env=False))

    def get(self, path: str, **parameters: Any) -> Any:
        """`data` of an answer of Prometheus's HTTP API; `path` is what follows /api/v1/."""
        answer = self._client.get(f"{self.url}/api/v1/{path}", params=parameters)
        body = answer.json()
        assert body["status"] == "success", f"{parameters}: {body['error']}"
        return body["data"]

    def query(self, expression: str, at: float | None = None) -> list[Sample]:
        """An instant query, at `at` (Unix seconds) or now. A scalar is one sample without labels."""
        data = self.get("query", query=expression, **({} if at is None else {"time": at}))
        if data["resultType"] == "scalar":
            return [Sample({}, float(data["result"][1]))]
        assert data["resultType"] == "vector", f"{expression} is a {data['resultType']}: give it to query_range"
        return [Sample(row["metric"], float(row["value"][1])) for row in data["result"]]

    def value(self, expression: str) -> float:
        """Of a query that must have exactly one sample."""
        samples = self.query(expression)
        assert len(samples) == 1, f"{expression} has {len(samples)} series: {samples}"
        return samples[0].value

    def query_range(
        self, expression: str, since: float, until: float, step_seconds: float
    ) -> list[tuple[dict[str, str], list[tuple[float, float]]]]:
        """Series as (labels, points), a point being (Unix seconds, value)."""
        data = self.get("query_range", query=expression, start=since, end=until, step=step_seconds)
        return [(row["metric"], [(at, float(value)) for at, value in row["values"]]) for row in data["result"]]

    def rules(self) -> list[dict[str, Any]]:
        """Every rule of every file as Prometheus tells it: name, type, health, lastError, query, ..."""
        return [rule for group in self.get("rules")["groups"] for rule in group["rules"]]

    def alerts(self) -> list[dict[str, Any]]:
        """Alerts that are pending or firing: labels, annotations, state."""
        alerts: list[dict[str, Any]] = self.get("alerts")["alerts"]
        return alerts

    def firing(self) -> set[str]:
        """Names of the alerts that fire."""
        return {alert["labels"]["alertname"] for alert in self.alerts() if alert["state"] == "firing"}

    def targets(self) -> list[dict[str, Any]]:
        """What it scrapes: scrapeUrl, health, lastError, lastScrapeDuration, ..."""
        targets: list[dict[str, Any]] = self.get("targets")["activeTargets"]
        return targets

    def wait_for(self, met: Callable[[], bool], what: str, timeout_seconds: float = 30.0) -> None:
        """Until `met()`; AssertionError with `what`, the targets and the alerts when it does not come."""
        deadline = time.monotonic() + timeout_seconds
        while not met():
            if time.monotonic() > deadline:
                seen = {"targets": [(t["scrapeUrl"], t["health"], t["lastError"]) for t in self.targets()]}
                raise AssertionError(f"not within {timeout_seconds:g} s: {what}; {json.dumps(seen)}; {self.alerts()}")
            time.sleep(0.1)

    def wait_for_scrapes(self, count: int = 2, timeout_seconds: float = 30.0) -> None:
        """Until every target answered `count` times."""
        expected = self.configured_targets
        self.wait_for(
            lambda: len(self.query(f"sum_over_time(up[10m]) >= {count}")) >= expected,
            f"{count} scrapes of each of {expected} targets",
            timeout_seconds,
        )

    def log(self) -> str:
        return self.log_file.read_text()


def server_config(
    targets: Mapping[str, Sequence[str]], rules: Sequence[Path], scrape_seconds: float, evaluation_seconds: float
) -> dict[str, Any]:
    """What prometheus.yml says: `targets` are addresses ("127.0.0.1:9464" or whole URLs of pages) by job."""
    jobs = []
    for job, addresses in targets.items():
        pages = [urlsplit(a if "//" in a else f"http://{a}/metrics") for a in addresses]
        paths = {page.path or "/metrics" for page in pages}
        assert len(paths) <= 1, f"the targets of one job share a path: {paths}"
        jobs.append(
            {
                "job_name": job,
                "metrics_path": paths.pop() if paths else "/metrics",
                "static_configs": [{"targets": [page.netloc for page in pages]}],
            }
        )
    return {
        "global": {
            "scrape_interval": f"{round(scrape_seconds * 1000)}ms",
            "scrape_timeout": f"{round(min(scrape_seconds, 10) * 1000)}ms",
            "evaluation_interval": f"{round(evaluation_seconds * 1000)}ms",
        },
        "rule_files": [str(path) for path in rules],
        "scrape_configs": jobs,
    }


@contextlib.contextmanager
def prometheus_server(
    targets: Mapping[str, Sequence[str]],
    folder: Path,
    rules: Sequence[Path] = (),
    *,
    scrape_seconds: float = 1.0,
    evaluation_seconds: float | None = None,
    config: Mapping[str, Any] | None = None,
) -> Iterator[PrometheusServer]:
    """A server that answers queries, with its data under `folder`. It takes Prometheus 5 s more to scrape for the first
    time: `wait_for_scrapes`. `config`: a whole prometheus.yml in place of the rest."""
    program = programs() / "prometheus"
    settings = config or server_config(targets, rules, scrape_seconds, evaluation_seconds or scrape_seconds)
    folder.mkdir(parents=True, exist_ok=True)
    config_file, log_file = folder / "prometheus.yml", folder / "prometheus.log"
    config_file.write_text(yaml.safe_dump(settings, sort_keys=False))
    port = free_port()
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [
                str(program), f"--config.file={config_file}", f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
            ],
            stdout=log, stderr=log, cwd=folder,
        )  # fmt: skip
    groups = [group for job in settings["scrape_configs"] for group in job["static_configs"]]
    targets_in_all = sum(len(group["targets"]) for group in groups)
    server = PrometheusServer(f"http://127.0.0.1:{port}", process, log_file, targets_in_all)
    try:
        _wait_until_ready(server)
        yield server
    finally:
        server._client.close()
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(server: PrometheusServer) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        assert server.process.poll() is None, f"Prometheus did not start: {server.log()}"
        with contextlib.suppress(httpx.TransportError):
            if server._client.get(f"{server.url}/-/ready").status_code == 200:
                return
        assert time.monotonic() < deadline, f"Prometheus was not ready within {START_SECONDS:g} s: {server.log()}"
        time.sleep(0.05)


@pytest.fixture
def start_prometheus(tmp_path: Path) -> Iterator[Callable[..., PrometheusServer]]:
    """Starts servers as `prometheus_server` does, and stops them all at the end of the test."""
    with contextlib.ExitStack() as running:
        started = 0

        def start(
            targets: Mapping[str, Sequence[str]], rules: Sequence[Path] = (), **settings: Any
        ) -> PrometheusServer:
            nonlocal started
            started += 1
            folder = tmp_path / f"prometheus{started}"
            return running.enter_context(prometheus_server(targets, folder, rules, **settings))

        yield start


def promtool(*arguments: str | Path, stdin: bytes | None = None) -> subprocess.CompletedProcess[str]:
    """Runs promtool; whoever asks looks at `returncode` and prints `stdout` and `stderr`."""
    done = subprocess.run(
        [str(programs() / "promtool"), *map(str, arguments)], input=stdin, capture_output=True, timeout=60
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())
