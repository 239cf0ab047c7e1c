"""Writes grafana/dashboards/*.json; with --check writes nothing and fails when a file is not what it would write.

    python -m grafana.build [--check]

Needs `grafana-foundation-sdk==0.0.21`, Grafana's own builder. The pin matters: an unpinned install gets 10.1.0, whose
higher number is an older line, for Grafana 10.1 alone.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path

with warnings.catch_warnings():
    # The SDK calls its classic dashboards deprecated for Grafana 12's; Grafana 10.4 reads nothing else.
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana import backends_and_windows, cost_and_crossover, traffic_and_latency

FOLDER = Path(__file__).parent / "dashboards"


def documents() -> Mapping[str, str]:
    """What each file of the folder must say, by its name."""
    return {part.FILE: part.document() for part in (cost_and_crossover, traffic_and_latency, backends_and_windows)}


def stale(folder: Path, wanted: Mapping[str, str]) -> list[str]:
    """Files that are missing, differ, or are nobody's; in words."""
    found = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    unlike = [f"{name} is not what the program writes" for name in wanted if found.get(name) != wanted[name]]
    return unlike + [f"{name} is not written by the program" for name in sorted(found.keys() - wanted.keys())]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m grafana.build", description="Writes grafana/dashboards/*.json.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is not current")
    checked = parser.parse_args(arguments).check
    wanted = documents()
    if checked:
        wrong = stale(FOLDER, wanted)
        for line in wrong:
            sys.stderr.write(f"{FOLDER}: {line}; run `python -m grafana.build`\n")
        return 1 if wrong else 0
    FOLDER.mkdir(exist_ok=True)
    for name, text in wanted.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
