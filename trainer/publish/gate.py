"""What the registry's history says of a version before it serves, and what it is told after."""

from __future__ import annotations

import warnings as python_warnings
from dataclasses import dataclass, field
from typing import Any

from trainer.publish.errors import PublishError
from trainer.publish.place import Place
from trainer.registry import RegistryError, Version
from trainer.registry.version import parse_id


@dataclass(frozen=True, slots=True)
class Gate:
    """`facts`: for the event of the publication."""

    warnings: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)


def require_gate(place: Place, version: Version, although_failed: bool) -> Gate:
    """Raises PublishError for a version that failed its gate, unless `although_failed`."""
    verdict = _verdict(place, version.id)
    if verdict == "fail" and not although_failed:
        raise PublishError(
            "registry", f"{version} failed its gate, and is not published (`crossover adapter show {version}` says "
            "more). Publish another version, or this one with --although-failed, which its history will tell", 2,
        )  # fmt: skip
    if verdict == "fail":
        return Gate((f"{version} failed its gate, and is published all the same",), {"although_failed": True})
    if verdict is None:
        return Gate((f"no gate was run on {version}: nothing says that it is as good as what it replaces",))
    if verdict != "pass":
        return Gate((f"the gate on {version} is {verdict}: nothing says that it is as good as what it replaces",))
    return Gate()


def promoted_although(place: Place, version: str) -> list[str]:
    """A warning for a canary whose gate failed."""
    try:
        parse_id(version)
        failed = _verdict(place, version) == "fail"
    except (RegistryError, PublishError):
        return []
    return [f"{version} failed its gate, and is promoted all the same"] if failed else []


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


def _verdict(place: Place, version: str) -> str | None:
    try:
        with python_warnings.catch_warnings():
            python_warnings.simplefilter("ignore")
            return place.registry.state(version).verdict
    except (RegistryError, ValueError, OSError) as error:
        raise PublishError("registry", f"the history of {version} cannot be read: {error}. Nothing was done") from None
