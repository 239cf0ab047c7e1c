"""What `crossover serve` prints when it is up."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from gateway.policy.notes import notes as notes_on
from gateway.policy.schema import BackendSettings, Policy
from gateway.server.run import Addresses


def banner(policy: Policy, addresses: Addresses) -> Group:
    """Addresses, and a table of the backends with what they cost."""
    table = Table(title="backends", title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in ("name", "wire", "where", "cost", "models"):
        table.add_column(column)
    for name, settings in policy.backends.items():
        if settings.wire is None:
            continue
        models = [alias for alias, s in policy.aliases.items() if any(t.backend == name for t in s.served_by)]
        where = settings.base_url or settings.endpoint_url or settings.region or ""
        label = Text(name)
        if settings.simulated:
            label.append(" (simulated)", style="yellow")
        table.add_row(label, settings.wire, where, cost_in_words(settings), ", ".join(models))
    lines = Text.assemble(
        ("Crossover is up\n", "bold green"),
        ("  API      ", "dim"), f"{addresses.api}\n",
        ("  console  ", "dim"), f"{_console(policy, addresses)}\n",
        ("  metrics  ", "dim"), f"{addresses.metrics}\n",
    )  # fmt: skip
    notes = [Text(note, style="yellow") for note in notes_on(policy)]
    return Group(lines, table, *notes)


def _console(policy: Policy, addresses: Addresses) -> str:
    if not policy.console.enabled:
        return "off (console.enabled in the policy)"
    if not policy.auth.admin_keys:
        return "closed: the policy has no auth.admin_keys to log in with"
    return addresses.api.removesuffix("/v1") + "/console"


def cost_in_words(settings: BackendSettings) -> str:
    """One line: what is paid for it, and when the price was read."""
    cost = settings.cost
    if cost is None:
        return "unknown"
    if cost.kind == "amortized":
        month = float(cost.model().nanousd_per_month) / 1e9
        words = f"${month:,.2f} a month"
    elif cost.kind == "window":
        words = f"${cost.model().nanousd_per_window / 1e9:.4f} a window of {float(cost.window_minutes):g} min"
    elif cost.kind == "per_token":
        shown = [
            "unknown" if price is None else f"${price:g}" for price in (cost.input_usd_per_1m, cost.output_usd_per_1m)
        ]
        words = f"{shown[0]} in, {shown[1]} out per 1M tokens"
    else:
        words = "unknown" if cost.usd_per_unit_hour is None else f"${cost.usd_per_unit_hour:g} a unit hour"
    return words if settings.price.as_of is None else f"{words} ({settings.price.as_of})"
