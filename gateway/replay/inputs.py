"""What `crossover replay` and `crossover plan` are given: policies, a trace, loads; each checked before any work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import get_args

import typer

from gateway.policy.load import load_policy
from gateway.policy.problem import PolicyError
from gateway.policy.schema import Policy, RoutingSettings
from gateway.replay.requests import LoadError, Requests, draw, load_of
from gateway.replay.setting import Setting, UnpricedError
from gateway.replay.trace import Trace, TraceError
from gateway.replay.variations import VariationError, changed

STRATEGIES: tuple[str, ...] = get_args(RoutingSettings.model_fields["strategy"].annotation)
ALL = "all"
MOST_LOAD = 50.0


class InputError(ValueError):
    """Something given cannot be used: says what, and the mend."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One row of the table."""

    name: str
    policy: Policy
    strategy: str


@contextmanager
def refused_politely() -> Iterator[None]:
    """Everything that can be wrong with what was given becomes a sentence and exit status 2."""
    try:
        yield
    except (PolicyError, TraceError, LoadError, UnpricedError, VariationError, InputError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None


def contenders(files: Sequence[Path], strategies: Sequence[str], changes: Sequence[str] = ()) -> list[Contender]:
    """Each policy with each strategy (none given: its own); the first is the one under test. `changes`
    (`setting=value`) are made to every policy. Raises PolicyError, InputError, VariationError."""
    if unknown := [name for name in strategies if name not in (*STRATEGIES, ALL)]:
        raise InputError(f"--strategy {unknown[0]}: not one of {', '.join(STRATEGIES)}, or {ALL}")
    wanted: list[str] = []
    for name in strategies:
        wanted += STRATEGIES if name == ALL else (name,)
    found = []
    for file in dict.fromkeys(files):
        policy = load_policy(file, require_environment=False)
        if not policy.aliases:
            raise InputError(f"{file}: has no aliases, so nothing can be asked of it; policies/replay-lab.yaml has")
        policy = changed(policy, changes)
        name = file.stem if sum(other.stem == file.stem for other in dict.fromkeys(files)) == 1 else str(file)
        for strategy in dict.fromkeys(wanted or [policy.routing.strategy]):
            one = len(set(files)) == 1
            label = strategy if one else f"{name}:{strategy}" if wanted else name
            found.append(Contender(label, policy, strategy))
    first = found[0].policy
    for other in found:
        if missing := [alias for alias in first.aliases if alias not in other.policy.aliases]:
            raise InputError(
                f"{other.name}: has no alias {missing[0]!r}, which the first policy has: all serve the same requests"
            )
    return found


def share(text: str, option: str, most: float = 1.0) -> float:
    """'0.8' or '80%'. Raises InputError outside 0 (left out) to `most`."""
    try:
        value = float(text.strip().removesuffix("%")) / (100 if text.strip().endswith("%") else 1)
    except ValueError:
        raise InputError(f"{option} is {text!r}: write a share, for example 0.8 or 80%") from None
    if not isfinite(value) or not 0 < value <= most:
        raise InputError(f"{option} is {text}: it must be above 0 and at most {most:g} ({most:.0%})")
    return value


def error_budget_of(text: str | None, policy: Policy) -> float:
    """What --error-budget says, else the policy. Raises InputError."""
    return policy.routing.error_budget if text is None else share(text, "--error-budget")


def drawn(
    trace: Trace,
    policy: Policy,
    load: float | None,
    start_day: float,
    days: float | None,
    seed: int,
    box_of: Policy | None = None,
) -> tuple[Requests, float | None]:
    """The requests, and their load as a share of what the box can do (None: there is none).

    `box_of`: whose box the load is a share of; default: the policy's own.
    """
    box = Setting.of(box_of or policy).box
    requests = draw(trace, policy.replay, policy.aliases, box=box, load=load, start_day=start_day, days=days, seed=seed)
    if box is None:
        return requests, None
    return requests, load_of(requests.in_tokens, requests.out_tokens, requests.span_seconds, box)
