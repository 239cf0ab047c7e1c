"""One command back: a canary is ended; without one, what was live before is live again."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from trainer.publish.draining import unload_unused
from trainer.publish.errors import PublishError, UnreachableError
from trainer.publish.place import Place
from trainer.publish.progress import Say, silent
from trainer.publish.publishing import load_and_warm, named, note, target_of
from trainer.registry import RegistryError

DRAIN_SECONDS = 60.0


class RolledBack(msgspec.Struct, frozen=True):
    """`what`: the version that gets no requests any more; `live`: who has them; `reloaded`: it had to be loaded."""

    alias: str
    backend: str
    what: str
    canary: bool
    live: str
    reloaded: bool
    unloaded: tuple[str, ...]
    draining: tuple[str, ...]
    warnings: tuple[str, ...]
    seconds_to_effect: float


def rollback(
    place: Place, *, name: str | None = None, drain_seconds: float = DRAIN_SECONDS, say: Say = silent
) -> RolledBack:
    """At once: what drains and is unloaded comes after. `name`: the adapter that is meant; another one there is left
    alone. Raises PublishError."""
    began = time.monotonic()
    target = target_of(place)
    canary, live, previous = target["canary"], target["live"], target["previous"]
    goes = live if canary is None else canary
    what = named(goes)
    if name is not None and what.partition("@")[0] != name:
        raise PublishError(
            "settings", f"{place.name} is served by {what}, not by a version of {name}: nothing was done", 2
        )
    reloaded = False
    if canary is None:
        if previous is None:
            raise PublishError(
                "gateway", f"{what} is live on {place.name}, and nothing before it is known: publish the version that "
                "you want (`crossover adapter list` shows them)", 2,
            )  # fmt: skip
        reloaded = _ensure_loaded(place, previous, say)
    try:
        state = place.gateway.rollback(place.alias, place.backend)
    except UnreachableError as error:
        raise PublishError(
            "gateway", f"{error}: {what} was not rolled back, as far as is known. Say it again when the gateway is "
            "back; to restart it with the policy's own generation, move adapters.state away",
        ) from None  # fmt: skip
    seconds = round(time.monotonic() - began, 3)
    now_live = named(live if canary is not None else previous)
    say(f"{now_live} has all requests of {place.name}")
    warnings = list(state.get("warnings", []))
    if "@" in what:
        facts: dict[str, Any] = {} if canary is not None or "@" not in now_live else {"to": now_live}
        warnings += note(place, what, "rolled_back", **facts)
    unloaded, draining, said = unload_unused(place, what.partition("@")[0], drain_seconds, False, say)
    return RolledBack(
        place.alias, place.backend, what, canary is not None, now_live, reloaded, unloaded, draining,
        (*warnings, *said), seconds,
    )  # fmt: skip


def _ensure_loaded(place: Place, served: dict[str, Any], say: Say) -> bool:
    """Before the flip, so that it fails nobody."""
    model = served["model"]
    try:
        if model in place.server.loaded():
            return False
        version = place.registry.get(model)
        load_and_warm(place, version, say)
    except RegistryError as error:
        raise PublishError(
            "registry", f"{model} was live before, is not loaded any more, and cannot be loaded from the registry: "
            f"{error}. {place.name} is as it was",
        ) from None  # fmt: skip
    except UnreachableError as error:
        say(f"{error}: whether {model} is loaded is not known; the gateway is told all the same")
        return False
    except PublishError as error:
        raise PublishError(error.step, f"{error}. {place.name} is as it was", error.status) from None
    return True
