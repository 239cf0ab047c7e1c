"""The pictures in docs/: the console and the dashboards, taken while the demo answers recorded traffic.

    make screenshots            # or: python -m scripts.screenshots --out docs/ [--box generator] [--seconds 290]

Starts `crossover demo` and a Prometheus that scrapes it with the shipped rules, waits until the figures of five minutes
are whole, takes the pictures, and ends both.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from tests.prometheus_server import prometheus_server

ROOT = Path(__file__).parents[1]
RULES = [ROOT / "deploy/prometheus/rules" / name for name in ("recording.yml", "alerts.yml")]
BEFORE_THE_END_SECONDS = 70.0
"""All pictures are of traffic under way."""
SCRAPE_SECONDS = 1.0
STARTING_SECONDS = 1800.0
"""The first demo of a machine installs vLLM."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.screenshots", description="The pictures in docs/.")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", metavar="FOLDER", help="where they go (docs/)")
    parser.add_argument("--seconds", type=float, default=290.0, help="length of the traffic (290, the demo's most)")
    parser.add_argument("--rate", type=float, default=2.5, help="requests a second (2.5: more than the box can take)")
    parser.add_argument("--box", choices=("auto", "vllm", "generator"), default="auto", help="what serves the box")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "demo.log"
        with log.open("w") as written:
            demo = subprocess.Popen(
                [ROOT / ".venv/bin/crossover", "demo", "--seconds", str(asked.seconds), "--rate", str(asked.rate),
                 "--box", asked.box],
                cwd=ROOT, stdout=written, stderr=subprocess.STDOUT,
            )  # fmt: skip
        try:
            return _take(asked.out, asked.seconds, demo, log, Path(folder))
        finally:
            demo.terminate()
            demo.wait(30)


def _take(out: Path, seconds: float, demo: subprocess.Popen[bytes], log: Path, folder: Path) -> int:
    console, key = _wait_for(demo, log)
    metrics = _metrics_address(console, key)
    with prometheus_server({"crossover": [metrics]}, folder, rules=RULES, scrape_seconds=SCRAPE_SECONDS) as prometheus:
        time.sleep(seconds - BEFORE_THE_END_SECONDS)
        for command in (
            [sys.executable, "scripts/console_screenshots.py", "--url", console, "--admin-key", key],
            [sys.executable, "-m", "grafana.render", "--prometheus", prometheus.url, "--minutes", "6",
             "--scrape-seconds", str(SCRAPE_SECONDS), "--note", "Traffic of `crossover demo`; Bedrock is simulated."],
        ):  # fmt: skip
            subprocess.run([*command, "--out", str(out)], cwd=ROOT, check=True)
    return 0


def _wait_for(demo: subprocess.Popen[bytes], log: Path) -> tuple[str, str]:
    """The console's address and the admin key, as the demo prints them."""
    deadline = time.monotonic() + STARTING_SECONDS
    while time.monotonic() < deadline and demo.poll() is None:
        said = log.read_text()
        console, key = re.search(r"console +(http\S+)/console", said), re.search(r"admin key +(\S+)", said)
        if console and key:
            return console[1], key[1]
        time.sleep(0.5)
    raise SystemExit(f"the demo did not start:\n{log.read_text()}")


def _metrics_address(root: str, key: str) -> str:
    asked = urllib.request.Request(f"{root}/admin/policy", headers={"authorization": f"Bearer {key}"})
    with urllib.request.urlopen(asked, timeout=10) as answer:
        server = json.load(answer)["policy"]["server"]
    return f"http://{server['metrics_host']}:{server['metrics_port']}/metrics"


if __name__ == "__main__":
    raise SystemExit(main())
