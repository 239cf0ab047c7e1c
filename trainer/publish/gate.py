"""What the registry's history says of a version before it serves, and what it is told after."""

from __future__ import annotations

import re
import warnings as python_warnings
from dataclasses import dataclass, field
from typing import Any

from trainer.publish.errors import PublishError
from trainer.publish.place import Place
from trainer.registry import Event, RegistryError, Version
from trainer.registry.version import parse_id


@dataclass(frozen=True, slots=True)
class Gate:
    """`facts`: for the event of the publication; `told`: what the gateway is told of it, and shows."""

    warnings: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    told: dict[str, Any] = field(default_factory=dict)


def require_gate(place: Place, version: Version, without_gate: str | None) -> Gate:
    """Raises PublishError for a version without a passing verdict, unless `without_gate` is its very name."""
    if without_gate is not None and without_gate != version.id:
        raise PublishError(
            "settings", f"--without-gate names {without_gate!r}, and {version} is what would be published: nothing was "
            "done. It must be the version's whole name", 2,
        )  # fmt: skip
    event = _deciding(place, version.id)
    verdict = None if event is None else str(event.facts.get("verdict"))
    other = _other_terms(place, event) if event is not None and verdict == "pass" else []
    if other:
        event, verdict = None, None
    told: dict[str, Any] = {"verdict": verdict or "none"}
    if event is not None:
        plan = event.facts.get("plan_sha256")
        told |= {"judged_at": event.at} | ({"plan_sha256": plan} if _is_sha256(plan) else {})
    if verdict == "pass":
        return Gate(_earlier(place, version), told=told)
    said = _said(version.id, event)
    if other:
        said = f"{version} passed a gate that asked for something else ({'; '.join(other)})"
    said += f" (of the gate {place.gate!r}, which the settings name)" if place.gate is not None else ""
    if without_gate is None:
        raise PublishError(
            "registry", f"{said}, and it is not published. `crossover adapter gate` judges it (`crossover adapter show "
            f"{version}` tells what was found so far). To publish it all the same: --without-gate {version}, which its "
            "history will tell", 2,
        )  # fmt: skip
    facts = {"without_gate": True, "verdict": verdict or "none"}
    return Gate((f"{said}, and it is published all the same",), facts, told)


def _is_sha256(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value) is not None


def _earlier(place: Place, version: Version) -> tuple[str, ...]:
    """A warning where a gate was asked until it passed: the last word is not the only one."""
    said = [str(event.facts.get("verdict")) for event in _verdicts(place, version.id)]
    if set(said) == {"pass"}:
        return ()
    return (f"{version} was gated {len(said)} times, and the last one passed: {', '.join(said)}",)


def _said(version: str, event: Event | None) -> str:
    """Of a verdict that is no pass, or of none."""
    verdict = "" if event is None else str(event.facts.get("verdict"))
    said = _SAID.get(verdict, f"the gate on {version} said {verdict}").format(version=version)
    return f"{said} (on the sealed questions)" if event is not None and event.facts.get("holdout") is True else said


_SAID = {
    "": "no gate was run on {version}: nothing says that it is as good as what it replaces",
    "fail": "{version} failed its gate",
    "undecided": "the gate on {version} is undecided: nothing says that it is as good as what it replaces",
}


def promoted_although(place: Place, version: str) -> list[str]:
    """A warning for a canary whose gate did not pass."""
    try:
        parse_id(version)
        event = _deciding(place, version)
    except (RegistryError, PublishError):
        return []
    if event is not None and event.facts.get("verdict") == "pass":
        return []
    return [f"{_said(version, event)}, and it is promoted all the same"]


def note(place: Place, version: str, event: str, **facts: Any) -> list[str]:
    """Writes it into the registry's history. Traffic has moved by then: what cannot be noted is a warning."""
    try:
        parse_id(version)  # a bare name would be its newest version
        with python_warnings.catch_warnings():
            python_warnings.simplefilter("ignore")  # a torn line of an earlier death: `adapter show` tells of it
            place.registry.note(version, event, alias=place.alias, backend=place.backend, **facts)
    except (RegistryError, ValueError, OSError) as error:
        return [f"the registry's history does not say that {version} was {event.replace('_', ' ')}: {error}"]
    return []


def _deciding(place: Place, version: str) -> Event | None:
    """The last verdict on the ordinary questions and the last on the sealed ones must both be passes: the one that is
    not, else the newest. What the sealed questions refused is not passed by the others."""
    newest: dict[bool, Event] = {}
    for event in reversed(_verdicts(place, version)):
        newest.setdefault(event.facts.get("holdout") is True, event)
    last = list(newest.values())
    return next((event for event in last if event.facts.get("verdict") != "pass"), last[0] if last else None)


def _other_terms(place: Place, event: Event) -> list[str]:
    """In what the gate that passed it differs from the one that the settings describe now."""
    if place.asks is None:
        return []
    told = event.facts.get("terms")
    told = told if isinstance(told, dict) else {}
    other = [
        f"{name}: {told.get(name)} then, {now} now" for name, now in place.asks.terms.items() if told.get(name) != now
    ]
    sets = (event.facts.get("set_sha256"), place.asks.set_sha256)
    if event.facts.get("holdout") is not True and sets[1] is not None and sets[0] != sets[1]:
        other.append(f"questions: the set {str(sets[0])[:12]} then, {sets[1][:12]} now")
    return other


def _verdicts(place: Place, version: str) -> list[Event]:
    """Of the place's own gate: what passed an easier one has not passed this."""
    gated = [event for event in _history(place, version) if event.event == "gated"]
    return [event for event in gated if place.gate is None or event.facts.get("gate") == place.gate]


def _history(place: Place, version: str) -> tuple[Event, ...]:
    try:
        with python_warnings.catch_warnings():
            python_warnings.simplefilter("ignore")
            return place.registry.state(version).history
    except (RegistryError, ValueError, OSError) as error:
        raise PublishError("registry", f"the history of {version} cannot be read: {error}. Nothing was done") from None
