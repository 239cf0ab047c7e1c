"""The measurements as a table, and as JSON."""

from __future__ import annotations

import msgspec
from rich.console import Console
from rich.table import Table

from trainer.bench.cases import Result
from trainer.estimate.device import Device
from trainer.model.shape import ModelShape


class Report(msgspec.Struct):
    """All cases of one run of the benchmark."""

    device: Device
    shape: ModelShape
    versions: dict[str, str]
    steps: int
    results: list[Result]
    schema: int = 1


def print_report(report: Report) -> None:
    """A table for people. The rates are of real tokens, and utilization is of the product measured here."""
    console = Console(width=None if Console().is_terminal else 150)
    device = report.device
    console.print(
        f"{device.name}: {device.matmul_flops / 1e12:.3g} TFLOP/s in a large product, "
        f"{device.copy_bytes_per_second / 1e9:.4g} GB/s in a copy; random weights and tokens, every token learned"
    )
    table = Table(header_style="bold")
    for heading in ("case", "tokens/s", "MFU", "step s", "peak GiB", "loss", "differs by", "verdict"):
        table.add_column(heading, justify="left" if heading in ("case", "verdict") else "right")
    for found in report.results:
        table.add_row(*_row(found))
    console.print(table)
    for found in report.results:
        if found.problem:
            console.print(f"{found.case.name}: {found.problem}", markup=False)
        if found.kernel_seconds:
            parts = ", ".join(f"{kind} {seconds * 1e3:.1f} ms" for kind, seconds in found.kernel_seconds.items())
            console.print(f"{found.case.name}: {parts}", markup=False)


def _row(found: Result) -> list[str]:
    seconds = sorted(found.step_seconds)
    differs = "" if found.largest_difference is None else f"{found.largest_difference:.4f}"
    return [
        found.case.name,
        "" if found.tokens_per_second is None else f"{found.tokens_per_second:,.0f}",
        "" if found.model_flops_utilization is None else f"{found.model_flops_utilization:.1%}",
        f"{seconds[len(seconds) // 2]:.3f}" if seconds else "",
        "" if found.peak_bytes is None else f"{found.peak_bytes / 2**30:.1f}",
        f"{found.losses[0]:.3f} → {found.losses[-1]:.3f}" if found.losses else "",
        differs,
        found.verdict,
    ]
