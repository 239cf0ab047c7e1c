"""PromQL as the dashboards use it: rates before sums, both sides of a ratio summed first, idle a gap and never NaN."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

HOUR = 3600
NOTE = "{{note}}"
"""In a legend, after a backend's name: ' (simulated)' where it is one. Needs `noted`."""


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a panel. `legend`: Grafana's template of a series' name. `format` 'table': one row a series."""

    expr: str
    legend: str = ""
    format: Literal["time_series", "table"] = "time_series"


def selected(series: str, matchers: str = "") -> str:
    """`crossover_<series>` of the gateways that the dashboard's `instance` variable names."""
    chosen = 'instance=~"$instance"'
    return f"crossover_{series}{{{chosen}{matchers and ', '}{matchers}}}"


def rate(series: str, by: str = "", matchers: str = "", window: str = "$__rate_interval") -> str:
    """A counter's increase in one second, summed over everything but `by`."""
    return f"sum{_by(by)} (rate({selected(series, matchers)}[{window}]))"


def increase(series: str, by: str = "", matchers: str = "") -> str:
    """How much a counter rose within the time range that the dashboard shows."""
    return f"sum{_by(by)} (increase({selected(series, matchers)}[$__range]))"


def gauge(series: str, by: str = "", matchers: str = "", over: Literal["sum", "max", "min"] = "sum") -> str:
    """A gauge over the chosen gateways: `sum` what adds up, `max` what each of them says alike."""
    return f"{over}{_by(by)} ({selected(series, matchers)})"


def ratio(part: str, whole: str) -> str:
    """Nothing where the whole is 0."""
    return f"{part}\n/\n({whole} > 0)"


def quantile(share: float, histogram: str, by: str = "", window: str = "$__rate_interval") -> str:
    """Of `crossover_<histogram>`. `>= 0` drops the NaN of a label set without an observation in the window."""
    summed = rate(f"{histogram}_bucket", f"{by}, le" if by else "le", window=window)
    return f"histogram_quantile({share:g}, {summed}) >= 0"


def noted(expr: str, label: str = "backend") -> str:
    """Gives each series the label `note`, ' (simulated)', where the backend that `label` names is simulated."""
    info = "max by (backend, simulated) (crossover_backend_info)"
    if label != "backend":
        named = f'label_replace(crossover_backend_info, "{label}", "$1", "backend", "(.+)")'
        info = f"max by ({label}, simulated) ({named})"
    joined = f"({expr})\n* on ({label}) group_left (simulated)\n{info}"
    return f'label_replace(\n{joined},\n"note", " (simulated)", "simulated", "true")'


def _by(labels: str) -> str:
    return f" by ({labels})" if labels else ""
