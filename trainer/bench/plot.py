"""The speeds of a benchmark's cases as bars: `python -m trainer.bench.plot RESULTS.json PLOT.svg`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

_BAR, _WRONG, _GOAL = "#2a6f97", "#c9c9c9", "#b5483a"


def plot(report: dict[str, Any], file: Path, goal: float | None = None) -> None:
    """Bars of real tokens a second; a case that was wrong or failed has its verdict in place of a bar.

    report: `trainer.bench.report.Report` as JSON.
    """
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "training-speed"  # the same bytes each time
    from matplotlib import pyplot

    results = list(reversed(report["results"]))
    figure, axes = pyplot.subplots(figsize=(9.5, 1.1 + 0.38 * len(results)))
    largest = max([found["tokens_per_second"] or 0.0 for found in results] + [goal or 0.0])
    for place, found in enumerate(results):
        speed = found["tokens_per_second"]
        if speed is None:
            words = "wrong: its loss departs from plain's" if found["verdict"] == "WRONG" else found["verdict"]
            axes.text(largest * 0.01, place, words, va="center", color="#6b6b6b", fontsize=9)
            continue
        axes.barh(place, speed, color=_BAR, height=0.62)
        axes.text(speed - largest * 0.01, place, f"{speed:,.0f}", va="center", ha="right", color="white", fontsize=9)
    if goal is not None:
        axes.axvline(goal, color=_GOAL, linewidth=1, linestyle="--")
        axes.text(goal, len(results) - 0.45, f"goal {goal:,.0f}", color=_GOAL, ha="center", va="bottom", fontsize=8)
    axes.set_yticks(range(len(results)), [_label(found["case"]) for found in results], fontsize=9)
    axes.set_xlim(0, largest * 1.06)
    shape = "Llama 3.1 8B's shape, LoRA rank 16 on all layers"
    axes.set_xlabel(f"real tokens a second\n{report['device']['name']}, {shape}")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
    pyplot.close(figure)


def _label(case: dict[str, Any]) -> str:
    parts = [f"{case['variant']}, {case['sequences']} x {case['tokens']:,}"]
    if case["documents"] > 1:
        parts.append(f"{case['documents']} documents each")
    if case["checkpointing"]:
        parts.append("checkpointing")
    return ", ".join(parts)


def main() -> None:
    if len(sys.argv) not in (3, 4):
        sys.exit("say RESULTS.json PLOT.svg [GOAL]")
    report = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    plot(report.get("main", report), Path(sys.argv[2]), float(sys.argv[3]) if len(sys.argv) == 4 else None)


if __name__ == "__main__":
    main()
