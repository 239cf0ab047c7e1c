"""The folder of one run: its plan, which is written before the first request and never again, and what came of it.

OUT/GATE/CANDIDATE-SET/plan.json  answers/*.jsonl  judgements.jsonl  verdict.json  report.md  report.html
"""

from __future__ import annotations

import fcntl
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from trainer.gate.errors import GateError
from trainer.gate.plan import Plan
from trainer.gate.verdict import Verdict
from trainer.registry.durable import sync_folder, write_file

PLAN, VERDICT, MARKDOWN, PAGE = "plan.json", "verdict.json", "report.md", "report.html"
ANSWERS, JUDGEMENTS = "answers", "judgements.jsonl"
_SHORT = 8


class PlanChangedError(GateError):
    """The settings are not what was registered. The message names each difference."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What `verdict.json` holds."""

    schema: int = 1
    gate: str
    version: str | None
    """The version that was gated, like handbook@v0007; null: a model that is no version."""
    run: str
    """The folder's name."""
    made_at: str
    """UTC in ISO 8601."""
    verdict: Verdict
    simulated: dict[str, str] = {}
    remarks: tuple[str, ...] = ()


def run_folder(out: Path, gate: str, candidate: str, set_sha256: str, *, again: bool = False) -> Path:
    """The newest run of this candidate on this set, or a new one's; nothing is made. `again`: a new one in any case."""
    stem = f"{re.sub(r'[^A-Za-z0-9@._-]+', '-', candidate)[:80]}-{set_sha256[:_SHORT]}"
    number = 1
    while (out / gate / _numbered(stem, number + 1)).exists():
        number += 1
    first = out / gate / _numbered(stem, number)
    return out / gate / _numbered(stem, number + 1) if again and first.exists() else first


def _numbered(stem: str, number: int) -> str:
    return stem if number == 1 else f"{stem}-{number}"


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Makes the folder, and keeps a second run out of it. Raises GateError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise GateError(f"the run's folder {folder} cannot be made: {error.strerror}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise GateError(f"another gate is at work in {folder}: wait until it is over") from None
        yield


def registered_plan(folder: Path) -> Plan | None:
    """What was registered; None: nothing yet. Raises GateError for a plan that was changed by hand."""
    file = folder / PLAN
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return None
    try:
        fields = msgspec.json.decode(content, type=dict[str, Any])
        written = fields.pop("sha256", None)
        plan = msgspec.convert(fields, Plan)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise GateError(f"{file} cannot be read: {error}; begin another run with --again") from None
    if written != plan.sha256():
        raise GateError(f"{file} is not as it was registered (its hash differs): begin another run with --again")
    told = recorded(folder)
    if told is not None and told.verdict.plan_sha256 != plan.sha256():
        raise GateError(
            f"{file} is not the plan that {folder / VERDICT} was given by ({told.verdict.plan_sha256[:12]}): begin "
            "another run with --again"
        )
    return plan


def register_plan(folder: Path, plan: Plan) -> Plan:
    """Write it before anything is asked; where one is registered, it must be the same. Raises PlanChangedError, and
    GateError where there are answers and no plan: one that is written now could be chosen by them."""
    before = registered_plan(folder)
    if before is None:
        if left := [name for name in (ANSWERS, JUDGEMENTS, VERDICT) if (folder / name).exists()]:
            raise GateError(
                f"{folder} holds {' and '.join(left)} and no {PLAN}: a plan is registered before the first request. "
                "Put it back, or begin another run with --again"
            )
        write_whole(folder / PLAN, msgspec.json.encode({"sha256": plan.sha256(), **msgspec.to_builtins(plan)}))
        return plan
    plan = msgspec.structs.replace(plan, earlier_verdicts=before.earlier_verdicts)
    if plan.sha256() != before.sha256():
        raise PlanChangedError(
            f"the settings are not those that {folder / PLAN} registered before the first request:\n"
            + "\n".join(f"  {line}" for line in _differences(before, plan))
            + "\nTake the settings back, or begin another run with --again: the report then counts both"
        )
    return before


def recorded(folder: Path) -> Record | None:
    """The verdict that the run has given; None: none that this program can read."""
    try:
        return msgspec.json.decode((folder / VERDICT).read_bytes(), type=Record)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def earlier_verdicts(out: Path, gate: str, set_sha256: str, besides: Path) -> int:
    """How many runs of this gate have given a verdict on this very set before."""
    count = 0
    for file in sorted((out / gate).glob(f"*/{VERDICT}")):
        told = None if file.parent == besides else recorded(file.parent)
        count += told is not None and told.verdict.set_sha256 == set_sha256
    return count


def write_whole(file: Path, content: bytes) -> None:
    """Whole or not at all, and on the disk when this returns."""
    part = file.with_name(f".{file.name}.part")
    write_file(part, msgspec.json.format(content, indent=1) + b"\n" if file.suffix == ".json" else content)
    part.replace(file)
    sync_folder(file.parent)


def _differences(before: Plan, now: Plan) -> Iterator[str]:
    old, new = msgspec.to_builtins(before), msgspec.to_builtins(now)
    for name in old:
        if name != "tests" and old[name] != new[name]:
            yield f"{name}: {_json(old[name])} was registered, and now it is {_json(new[name])}"


def _json(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 300 else f"{text[:300]}..."
