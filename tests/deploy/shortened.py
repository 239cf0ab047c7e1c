"""The shipped rules with shorter times, for a test that cannot wait a day."""

from __future__ import annotations

import re
from pathlib import Path

from tests.prometheus_server import ROOT

RULES = ROOT / "deploy/prometheus/rules"
SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
DURATION = re.compile(r"(?P<before>\[|\bfor: |\boffset )(?P<count>\d+)(?P<unit>[smhd])\b")


def shorter(seconds: float) -> float:
    """A minute becomes 2 s, an hour 5.6 s, a day 12.3 s: the longer, the more; what was longer stays longer."""
    return 2.0 * float((seconds / 60.0) ** 0.25)


def shortened(text: str) -> str:
    """Rules with every range (`[5m]`), `for:` and `offset` shortened. Nothing else is touched: the expressions and
    their thresholds are the shipped ones, and the names of series still say the time that they ship with."""

    def replaced(found: re.Match[str]) -> str:
        seconds = int(found["count"]) * SECONDS[found["unit"]]
        return f"{found['before']}{round(shorter(seconds) * 1000)}ms"

    return DURATION.sub(replaced, text)


def shortened_rules(folder: Path) -> list[Path]:
    """Copies of the shipped rule files with shorter times, in `folder`."""
    copies = []
    for file in sorted(RULES.glob("*.yml")):
        copy = folder / file.name
        copy.write_text(shortened(file.read_text()))
        copies.append(copy)
    return copies
