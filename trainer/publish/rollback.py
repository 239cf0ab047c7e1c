"""One command back: a canary is ended; without one, what was live before is live again."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from trainer.publish.draining import adapters_of, unload_unused
from trainer.publish.errors import PublishError, UnreachableError
from trainer.publish.gate import note
from trainer.publish.one_at_a_time import one_at_a_time
from trainer.publish.place import Place
from trainer.publish.progress import Say, silent
from trainer.publish.publishing import load_and_warm, named, recorded_version, target_of

DRAIN_SECONDS = 60.0
WAIT_SECONDS = 2.0
"""For another publication that is under way: a rollback is urgent, and the gateway refuses what would harm."""


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
    with one_at_a_time(place, say, wait_seconds=WAIT_SECONDS, or_go_on=True):
        target, done = _flip(place, name, began, say)
    unloaded, draining, said = unload_unused(place, adapters_of(target), drain_seconds, False, say)
    return msgspec.structs.replace(
        done, unloaded=unloaded, draining=draining, warnings=(*done.warnings, *said, *place.warnings)
    )


def _flip(place: Place, name: str | None, began: float, say: Say) -> tuple[dict[str, Any], RolledBack]:
    """(what served before, what was done)"""
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
        state = place.gateway.rollback(place.alias, place.backend, what)
    except UnreachableError as error:
        if not (error.sent and _is_gone(place, what)):
            raise PublishError(
                "gateway", f"{error}: {what} was not rolled back, as far as is known. Say it again when the gateway is "
                "back; to restart it with the policy's own generation, move adapters.state away",
            ) from None  # fmt: skip
        state = {}
    seconds = round(time.monotonic() - began, 3)
    now_live = named(live if canary is not None else previous)
    say(f"{now_live} has all requests of {place.name}")
    warnings = list(state.get("warnings", []))
    if "@" in what:
        facts: dict[str, Any] = {} if canary is not None or "@" not in now_live else {"to": now_live}
        warnings += note(place, what, "rolled_back", **facts)
    return target, RolledBack(
        place.alias, place.backend, what, canary is not None, now_live, reloaded, (), (), tuple(warnings), seconds
    )


def _is_gone(place: Place, what: str) -> bool:
    """No answer came: what serves tells whether the gateway acted all the same."""
    try:
        target = target_of(place)
    except PublishError:
        return False
    return what not in [named(one) for one in (target["live"], target["canary"]) if one is not None]


def _ensure_loaded(place: Place, served: dict[str, Any], say: Say) -> bool:
    """Before the flip, so that it fails nobody."""
    model = served["model"]
    try:
        if model in place.server.loaded():
            return False
        load_and_warm(place, recorded_version(model, place), say)
    except UnreachableError as error:
        say(f"{error}: whether {model} is loaded is not known; the gateway is told all the same")
        return False
    except PublishError as error:
        raise PublishError(
            error.step, f"{model} was live before, is not loaded any more, and could not be loaded again: {error}. "
            f"{place.name} is as it was",
        ) from None  # fmt: skip
    return True
