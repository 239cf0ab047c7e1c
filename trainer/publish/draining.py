"""Unloading what nobody is sent to any more, once its last request is over."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any

from trainer.publish.errors import PublishError, UnreachableError
from trainer.publish.one_at_a_time import one_at_a_time
from trainer.publish.place import Place
from trainer.publish.progress import Say
from trainer.registry import RegistryError
from trainer.registry.version import parse_id

POLL_SECONDS = 0.2
SAID_EVERY_SECONDS = 5.0


def unload_unused(
    place: Place, adapters: Collection[str], drain_seconds: float, unload_previous: bool, say: Say
) -> tuple[tuple[str, ...], tuple[str, ...], list[str]]:
    """Of the versions of `adapters` that the model server holds: those that no alias needs are unloaded when nothing is
    under way with them. Returns (unloaded, those that still drain after `drain_seconds`, warnings).

    What is live, a canary or named by the policy stays; the previous one too, unless `unload_previous`. Of aliases only
    this gateway is asked. Traffic has moved by then: whatever fails here is a warning."""
    unloaded: list[str] = []
    try:
        held = [one for one in place.server.loaded() if adapter_of(one) in adapters]
        deadline = time.monotonic() + drain_seconds
        said_at = float("-inf")
        while True:
            with one_at_a_time(place, say):
                busy = in_use(place, place.gateway.states(), unload_previous)
                for one in [one for one in held if one not in busy]:
                    held.remove(one)
                    if place.server.unload(one):
                        unloaded.append(one)
                        say(f"{one} is unloaded from {place.backend}")
            waiting = {one: busy[one] for one in held if busy[one]}
            now = time.monotonic()
            if not waiting:
                return tuple(unloaded), (), []
            under_way = ", ".join(f"{count} with {one}" for one, count in waiting.items())
            if now >= deadline:
                left = tuple(waiting)
                return tuple(unloaded), left, [
                    f"after {drain_seconds:g} s there are still requests under way: {under_way}. It stays loaded, "
                    "and is unloaded with the next publication"
                ]  # fmt: skip
            if now - said_at >= SAID_EVERY_SECONDS:
                said_at = now
                say(f"waiting for requests under way: {under_way}")
            time.sleep(POLL_SECONDS)
    except (PublishError, UnreachableError) as error:
        return tuple(unloaded), (), [f"what is not used any more was not unloaded: {error}"]


def adapter_of(model: str) -> str | None:
    """The adapter whose version a model's name is; None: it is no version's."""
    try:
        return parse_id(model)[0]
    except RegistryError:
        return None


def adapters_of(target: dict[str, Any]) -> set[str]:
    """Those whose versions serve, or served, a place: publishing there may have been the end of their use."""
    served = (target["live"], target["canary"], target["previous"], *target["draining"])
    return {name for one in served if one is not None and (name := adapter_of(one["model"])) is not None}


def in_use(place: Place, states: list[dict[str, Any]], unload_previous: bool = False) -> dict[str, int]:
    """Names that must stay loaded in this model server. 0: for as long as an alias wants it; above: only until so many
    requests are over. What any backend of the gateway uses counts: one server may have several addresses."""
    used: dict[str, int] = {}
    for state in states:
        for target in state["backends"]:
            mine = (state["alias"], target["backend"]) == (place.alias, place.backend)
            previous = target["previous"]
            for served in target["draining"]:
                if served["in_flight"]:
                    used.setdefault(served["model"], served["in_flight"])
            if previous is not None and mine and unload_previous:
                if previous["in_flight"]:
                    used.setdefault(previous["model"], previous["in_flight"])
                previous = None
            for served in (target["live"], target["canary"], previous, target["policy"]):
                if served is not None:
                    used[served["model"]] = 0
    return used
