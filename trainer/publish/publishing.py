"""Publish and promote. Each step either leaves traffic where it was, or is the one step that moves it."""

from __future__ import annotations

import time
from typing import Any

import msgspec

from trainer.publish.draining import adapters_of, in_use, unload_unused
from trainer.publish.errors import PublishError, UnreachableError
from trainer.publish.gate import note, promoted_although, require_gate
from trainer.publish.one_at_a_time import one_at_a_time
from trainer.publish.place import Place
from trainer.publish.progress import Say, silent
from trainer.publish.same_base import require_same_base
from trainer.registry import RegistryError, Version
from trainer.registry.adapter_files import read_config
from trainer.registry.servable import servable
from trainer.registry.version import parse_id

DRAIN_SECONDS = 300.0


class Published(msgspec.Struct, frozen=True):
    """`share` null: all requests. `unloaded`: versions that the model server does not hold any more; `kept`: loaded and
    live before, for a rollback at once; `draining`: still under way when waiting ended, and left loaded."""

    version: str
    alias: str
    backend: str
    share: float | None
    already_loaded: bool
    before: str | None
    unloaded: tuple[str, ...]
    kept: str | None
    draining: tuple[str, ...]
    warnings: tuple[str, ...]
    seconds: float


def publish(
    version_id: str,
    place: Place,
    *,
    share: float | None = None,
    drain_seconds: float = DRAIN_SECONDS,
    unload_previous: bool = False,
    without_gate: str | None = None,
    say: Say = silent,
) -> Published:
    """Bring a version of the registry to traffic: a `share` of the requests, or all. Said again, it goes on where it
    stopped. `without_gate`: its whole name, to publish it though its gate did not pass; the history tells so. Raises
    PublishError; traffic is then as it was, and the message says what was done."""
    began = time.monotonic()
    version = servable_version(version_id, place)
    if share is not None and not 0 < share < 1:
        raise PublishError("settings", f"the canary's share is {share}: give more than 0 and less than 1", 2)
    require_gate(place, version, without_gate)
    with one_at_a_time(place, say):
        gate = require_gate(place, version, without_gate)  # another command may have been waited for
        before = target_of(place)
        _require_room(place, version, before, share)
        base = require_same_base(place, version)
        loaded, warnings = _load(place, version, share, say)
        state = _move(place, version, share, loaded, gate.told, say)
        warnings += state.get("warnings", [])
        warnings += _noted(place, version, share, gate.facts)
    warnings += [*_without_traffic(place, state), *base, *gate.warnings, *place.warnings]
    unloaded: tuple[str, ...] = ()
    draining: tuple[str, ...] = ()
    if share is None:
        adapters = adapters_of(before) | {version.name}
        unloaded, draining, said = unload_unused(place, adapters, drain_seconds, unload_previous, say)
        warnings += said
    return Published(
        version.id, place.alias, place.backend, share, not loaded, named(before["live"]), unloaded,
        _kept(place, unloaded, state), draining, tuple(warnings), round(time.monotonic() - began, 3),
    )  # fmt: skip


def promote(
    place: Place, *, drain_seconds: float = DRAIN_SECONDS, unload_previous: bool = False,
    say: Say = silent,
) -> Published:  # fmt: skip
    """The canary gets all requests. Raises PublishError."""
    began = time.monotonic()
    with one_at_a_time(place, say):
        before = target_of(place)
        if before["canary"] is None:
            raise PublishError("gateway", f"{place.name} has no canary: {named(before['live'])} has all requests", 2)
        name = named(before["canary"])
        try:
            state = place.gateway.promote(place.alias, place.backend)
        except UnreachableError as error:
            raise PublishError(
                "gateway", _unsure(error, f"the canary {name} may or may not have been promoted")
            ) from None
        say(f"{name} has all requests of {place.name}")
        warnings = [*state.get("warnings", []), *note(place, name, "promoted")]
    warnings += [*_without_traffic(place, state), *promoted_although(place, name), *place.warnings]
    unloaded, draining, said = unload_unused(place, adapters_of(before), drain_seconds, unload_previous, say)
    return Published(
        name, place.alias, place.backend, None, True, named(before["live"]), unloaded, _kept(place, unloaded, state),
        draining, (*warnings, *said), round(time.monotonic() - began, 3),
    )  # fmt: skip


def _noted(place: Place, version: Version, share: float | None, facts: dict[str, Any]) -> list[str]:
    if share is None:
        return note(place, version.id, "published", **facts)
    return note(place, version.id, "canary", share=share, **facts)


def _without_traffic(place: Place, state: dict[str, Any]) -> list[str]:
    """The alias's other backends that get no requests now: where it spilled over to, it does not any more."""
    return [
        f"{target['backend']} gets no requests of {place.alias} now: {target['excluded']}"
        for target in state["backends"]
        if target["backend"] != place.backend and target["excluded"]
    ]


def load_and_warm(place: Place, version: Version, say: Say) -> bool:
    """Whether it had to be loaded. What cannot answer is unloaded again. Raises PublishError, UnreachableError."""
    loaded = place.server.load(version.id, place.folder(version))
    say(f"{version.id} {'is loaded' if loaded else 'was loaded already'} in {place.backend}")
    try:
        place.server.warm_up(version.id)
    except (PublishError, UnreachableError):
        if loaded:
            take_back(place, version.id, say)
        raise
    say(f"{version.id} has given its first answer")
    return loaded


def take_back(place: Place, name: str, say: Say) -> None:
    """After a failure: the model server as it was, if it can be. What another publisher brought to traffic meanwhile,
    or may have, stays."""
    try:
        if name in in_use(place, place.gateway.states()):
            say(f"{name} stays loaded in {place.backend}: an alias of the gateway uses it")
            return
        place.server.unload(name)
    except (PublishError, UnreachableError) as error:
        say(f"{name} stays loaded in {place.backend}: {error}")


def recorded_version(model: str, place: Place) -> Version:
    """Of a model's name as the gateway has it, which is a version's whole name or none. Raises PublishError."""
    try:
        parse_id(model)  # a bare name would be its newest version
    except RegistryError as error:
        raise PublishError("registry", str(error), 2) from None
    return servable_version(model, place)


def servable_version(version_id: str, place: Place) -> Version:
    """As it was made, and as vLLM takes it. Raises PublishError."""
    try:
        version = place.registry.get(version_id)
        config = read_config(version.adapter)
        problems = place.registry.verify(version)
    except (RegistryError, OSError) as error:
        raise PublishError("registry", str(error), 2) from None
    if problems:
        raise PublishError("registry", f"{version} is not as it was made, and is not published: {'; '.join(problems)}")
    reasons = servable(config, place.max_lora_rank)
    if reasons:
        raise PublishError("registry", f"vLLM could not serve {version}: {'; '.join(reasons)}")
    return version


def target_of(place: Place) -> dict[str, Any]:
    """What the gateway says of the place. Raises PublishError: nothing was done."""
    try:
        states = place.gateway.states()
    except UnreachableError as error:
        raise PublishError(
            "gateway", f"{error}: nothing was done. Start the gateway, or say where it is with --gateway"
        ) from None
    for state in states:
        for target in state["backends"]:
            if (state["alias"], target["backend"]) == (place.alias, place.backend):
                if not target["publishable"]:
                    raise PublishError(
                        "gateway", f"the gateway cannot publish to {place.name}: the alias names the backend twice, or "
                        "it is no vLLM server", 2,
                    )  # fmt: skip
                return dict(target)
    raise PublishError(
        "gateway", f"the gateway that answers does not serve {place.name}: it runs another policy. Restart it, or say "
        "which one with --gateway", 2,
    )  # fmt: skip


def _require_room(place: Place, version: Version, target: dict[str, Any], share: float | None) -> None:
    """Before anything is loaded: what the gateway would refuse in the end."""
    canary, live = target["canary"], target["live"]
    if canary is not None and named(canary) != version.id:
        raise PublishError(
            "gateway", f"a canary of {named(canary)} is under way on {place.name}: promote it (`crossover adapter "
            "promote`) or roll it back first. Nothing was done",
        )  # fmt: skip
    if share is not None and live["generation"] == version.id:
        raise PublishError("gateway", f"{version.id} is live on {place.name} already: it can be no canary", 2)
    for known in filter(None, (live, canary, target["previous"])):
        if known["generation"] == version.id and known["model"] != version.id:
            raise PublishError(
                "gateway", f"the policy serves {known['model']} under the generation {version.id} already: generations "
                "are immutable names. Name the generation of the policy's own adapter otherwise. Nothing was done", 2,
            )  # fmt: skip


def _load(place: Place, version: Version, share: float | None, say: Say) -> tuple[bool, list[str]]:
    """(whether it had to be loaded, warnings)."""
    try:
        loaded = load_and_warm(place, version, say)
        slots = place.server.slots()
    except PublishError as error:
        raise PublishError(error.step, f"{error}. Traffic is as it was", error.status) from None
    except UnreachableError as error:
        raise PublishError(
            "model server",
            f"{error}: {version.id} is not published, and traffic is as it was. Start vLLM, then publish again",
        ) from None
    warnings = []
    if share is not None and slots == 1:
        warnings.append("vLLM mixes one adapter in a batch (--max-loras 1): beside a canary both wait for each other")
    return loaded, warnings


def _move(
    place: Place, version: Version, share: float | None, loaded: bool, gate: dict[str, Any], say: Say
) -> dict[str, Any]:
    """The step that moves traffic."""
    try:
        state = place.gateway.publish(place.alias, place.backend, version.id, share, gate)
    except PublishError as error:
        if loaded:
            take_back(place, version.id, say)
        raise PublishError("gateway", f"{error}. Traffic is as it was", error.status) from None
    except UnreachableError as error:
        said = f"{version.id} is loaded in {place.backend} and warm"
        if error.sent:
            raise PublishError("gateway", _unsure(error, said)) from None
        raise PublishError(
            "gateway", f"{error}: {said}, and the gateway was not told, so that traffic is as it was. Publish again "
            "when it is back: nothing is loaded twice",
        ) from None  # fmt: skip
    part = "all requests" if share is None else f"{share:.3g} of the requests"
    say(f"{version.id} has {part} of {place.name}")
    return state


def _unsure(error: UnreachableError, done: str) -> str:
    return (
        f"{error}: {done}. Whether the gateway acted on it shows in `crossover adapter status`; saying the same again "
        "does no harm"
    )


def _kept(place: Place, unloaded: tuple[str, ...], state: dict[str, Any]) -> str | None:
    target = next((one for one in state["backends"] if one["backend"] == place.backend), None)
    previous = None if target is None else target["previous"]
    return None if previous is None or previous["model"] in unloaded else named(previous)


def named(served: dict[str, Any]) -> str:
    """A generation, or the model's name where it has none."""
    return str(served["generation"] or served["model"])
