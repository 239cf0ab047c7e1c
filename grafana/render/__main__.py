"""Pictures of the dashboards, drawn with Grafana's own components from a live Prometheus.

    python -m grafana.render --prometheus http://127.0.0.1:9090 --out docs/

Needs Node 20 with npm, Chromium, and Playwright for Python. The first run installs Grafana's components (445 MB) into
.crossover/grafana-render.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import urllib.request
from pathlib import Path

from grafana.build import FOLDER
from grafana.render.bundle import BundleError, bundle, icons
from grafana.render.pictures import NotDrawnError, take
from grafana.render.server import serve


class NoFiguresError(RuntimeError):
    """There is nothing to draw: no Prometheus at the address, or one that has never seen a gateway."""


def _check(prometheus: str) -> None:
    """Raises `NoFiguresError`."""
    address = f"{prometheus}/api/v1/query?query=crossover_build_info"
    try:
        with urllib.request.urlopen(address, timeout=10) as reply:
            found = json.load(reply)["data"]["result"]
    except (OSError, ValueError, KeyError) as error:
        raise NoFiguresError(f"no Prometheus answers at {prometheus} ({error}): --prometheus is its address") from error
    if not found:
        raise NoFiguresError(f"the Prometheus at {prometheus} scrapes no gateway now: it has no crossover_build_info")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m grafana.render", description="Pictures of the dashboards.")
    parser.add_argument("--prometheus", required=True, metavar="URL", help="of the server that scrapes the gateway")
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="where grafana-*.png are written")
    parser.add_argument("--minutes", type=int, default=60, help="the time range shown, up to now (60)")
    parser.add_argument("--scrape-seconds", type=float, default=5.0, help="Prometheus's scrape interval (5)")
    parser.add_argument("--theme", choices=("dark", "light"), default="dark")
    parser.add_argument("--note", default="", help="a sentence added to the pictures' caption")
    asked = parser.parse_args(arguments)
    home = Path(os.environ.get("CROSSOVER_HOME", ".crossover")).absolute() / "grafana-render"
    names = sorted(path.name for path in FOLDER.glob("*.json"))
    asked.out.mkdir(parents=True, exist_ok=True)
    prometheus = asked.prometheus.rstrip("/")
    try:
        _check(prometheus)
        page = bundle(home)
        folders = {"/": page, "/dashboards/": FOLDER, "/public/build/": icons(home)}
        with serve(prometheus, folders) as address:
            made = take(
                address, names, asked.out, minutes=asked.minutes, scrape_seconds=asked.scrape_seconds,
                theme=asked.theme, note=asked.note,
            )  # fmt: skip
    except (NoFiguresError, BundleError, NotDrawnError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for picture in made:
        sys.stdout.write(f"{picture} ({picture.stat().st_size // 1024} KB)\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
