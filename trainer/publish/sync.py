"""After the model server was restarted: load again what the gateway wants and it does not list."""

from __future__ import annotations

from typing import Any

import msgspec

from trainer.publish.errors import PublishError, UnreachableError
from trainer.publish.one_at_a_time import one_at_a_time
from trainer.publish.place import Place
from trainer.publish.progress import Say, silent
from trainer.publish.publishing import load_and_warm, recorded_version


class Synced(msgspec.Struct, frozen=True):
    """By name. `lacking`: wanted, not loaded, and it could not be; in words."""

    loaded: tuple[str, ...]
    there: tuple[str, ...]
    lacking: tuple[str, ...]


def sync(place: Place, *, say: Say = silent) -> Synced:
    """Of all aliases that this model server serves: live ones first, then canaries, then what a rollback would need.
    Raises PublishError when the gateway or the model server cannot be asked."""
    loaded: list[str] = []
    lacking: list[str] = []
    with one_at_a_time(place, say):
        try:
            wanted = wanted_by(place, place.gateway.states())
            held = place.server.loaded()
        except UnreachableError as error:
            raise PublishError("gateway", f"{error}: nothing was loaded") from None
        for model in [model for model in wanted if model not in held]:
            try:
                load_and_warm(place, recorded_version(model, place), say)
                loaded.append(model)
            except (PublishError, UnreachableError) as error:
                lacking.append(f"{model}: {error}")
    if loaded:
        _tell(place, say)
    return Synced(tuple(loaded), tuple(model for model in wanted if model in held), tuple(lacking))


def _tell(place: Place, say: Say) -> None:
    """The gateway looks again when it is asked: requests go there from now on."""
    try:
        place.gateway.states()
    except (PublishError, UnreachableError) as error:
        say(f"{error}: it finds what was loaded by itself, in some seconds")


def wanted_by(place: Place, states: list[dict[str, Any]]) -> list[str]:
    """Names, the most urgent first, each once."""
    backends = place.sharing or {place.backend}
    targets = [target for state in states for target in state["backends"] if target["backend"] in backends]
    found = [t[which]["model"] for which in ("live", "canary", "previous") for t in targets if t[which] is not None]
    return list(dict.fromkeys(found))
