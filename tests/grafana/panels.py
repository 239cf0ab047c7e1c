"""Reading the dashboards' files as Grafana does: their panels and queries, and variables put in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from grafana.build import FOLDER

FILES = ("backends-windows-adapters.json", "cost-and-crossover.json", "traffic-and-latency.json")
VARIABLE = re.compile(r"\$\{?(\w+)")


def dashboard(name: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    return read


def panels(name: str) -> list[dict[str, Any]]:
    """All of a file, rows left out."""
    return [panel for panel in dashboard(name)["panels"] if panel["type"] != "row"]


@dataclass(frozen=True)
class Asked:
    """One query of one panel."""

    file: str
    panel: str
    letter: str
    expr: str
    instant: bool

    def __str__(self) -> str:
        return f"{self.file.removesuffix('.json')}: {self.panel} ({self.letter})"


def queries(*files: str) -> Iterator[Asked]:
    """Every query of every panel of the files, or of all."""
    for file in files or FILES:
        for panel in panels(file):
            for target in panel["targets"]:
                yield Asked(file, panel["title"], target["refId"], target["expr"], target.get("instant", False))


def substituted(expr: str, values: Mapping[str, str]) -> str:
    """With each $name and ${name} of `values` put in; the others stay, and Prometheus will not take them."""
    return re.sub(r"\$(?:\{(\w+)\}|(\w+))", lambda found: values.get(found[1] or found[2], found[0]), expr)


def own_variables(expr: str) -> set[str]:
    """Names after a $; not the $1 of label_replace."""
    return {name for name in VARIABLE.findall(expr) if not name.isdigit()}
