"""What a refresh changed and what it cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from gateway.economics.prices import CostModel
from trainer.refresh.cost import cost_of
from trainer.refresh.journal import Done
from trainer.refresh.run import Refreshed
from trainer.settings.schema import TrainSettings


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """`minutes` the box trained and exported, all attempts; `usd`: what they are worth, null without a price
    (`cost_basis` says why)."""

    version: str
    changed: bool
    """False: everything had been done before, and nothing was done now."""
    replaces: str | None
    """What served until this version was published; null when it was not."""
    base: str
    rows: int
    loss: tuple[float, float] | None
    """Of the first and the last step, nats a learned token."""
    best_evaluation_loss: float | None
    published: str | None
    """What publishing did when it was done; null when it was not asked for."""
    canary_share: float | None
    minutes: float
    usd: float | None
    cost_basis: str
    steps: list[Done]


def summary(settings: TrainSettings, refreshed: Refreshed) -> Summary:
    record, journal = refreshed.run.record, refreshed.journal
    assert journal.version is not None
    publish = settings.publish
    # A killed attempt could not write down its end: the run's own record then knows more.
    training = max(journal.seconds("train"), record.totals.wall_seconds) if journal.trained else 0.0
    cost = cost_of(
        training + journal.seconds("export"),
        None if publish is None else publish.backend,
        None if publish is None else _cost_model(settings),
    )
    curve = record.curve
    return Summary(
        version=journal.version,
        changed=refreshed.changed,
        replaces=journal.before if journal.before != journal.version else None,
        base=str(refreshed.run.base),
        rows=int(refreshed.run.data["rows"]),
        loss=(curve[0].loss, curve[-1].loss) if curve else None,
        best_evaluation_loss=record.totals.best_evaluation_loss,
        published=next((done.said for done in journal.done if done.step == "publish" and not done.skipped), None),
        canary_share=None if publish is None else publish.canary_share,
        minutes=round(cost.minutes, 3),
        usd=cost.usd,
        cost_basis=cost.basis,
        steps=list(journal.done),
    )


def lines(result: Summary) -> list[tuple[str, str]]:
    """(what, value) for people."""
    out = [("version", result.version + (f", in place of {result.replaces}" if result.replaces else ""))]
    out.append(("learned from", f"{result.rows} rows"))
    if result.loss is not None:
        out.append(("loss", f"{result.loss[0]:.4f} at the first step, {result.loss[1]:.4f} at the last"))
    if result.best_evaluation_loss is not None:
        out.append(("held-out loss", f"{result.best_evaluation_loss:.4f} at its best"))
    out += [(done.step, done.said) for done in result.steps if done.step in ("gate", "export", "publish")]
    worth = "no price" if result.usd is None else f"${result.usd:.4f}"
    out.append(("took from serving", f"{result.minutes:.1f} minutes of the box, {worth} ({result.cost_basis})"))
    return out


def shown(result: Summary) -> None:
    """Print it on standard output."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Refreshed: {result.version}", title_justify="left", show_header=False, box=None)
    for what, value in lines(result):
        table.add_row(what, value)
    Console().print(table)


def _cost_model(settings: TrainSettings) -> CostModel | None:
    from gateway.policy import load_policy

    assert settings.publish is not None
    policy = load_policy(Path(settings.publish.policy), require_environment=False)
    backend: Any = policy.backends.get(settings.publish.backend)
    return None if backend is None or backend.cost is None else backend.cost.model()
