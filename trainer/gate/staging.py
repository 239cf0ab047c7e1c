"""A version that nobody has judged yet is brought to where only the gate asks it."""

from __future__ import annotations

from trainer.publish.errors import PublishError, UnreachableError
from trainer.publish.one_at_a_time import one_at_a_time
from trainer.publish.place import Place
from trainer.publish.progress import Say
from trainer.publish.publishing import load_and_warm, servable_version, take_back
from trainer.publish.same_base import require_same_base


def stage(place: Place, version_id: str, alias: str | None, say: Say) -> bool:
    """Load it into the model server and, with `alias`, let the gateway answer that alias with it on the place's
    backend. Whether it had to be loaded. Raises PublishError: applications' traffic is as it was."""
    version = servable_version(version_id, place)
    with one_at_a_time(place, say):
        if alias is not None:
            _require_staging_alias(place, alias)
        for warning in require_same_base(place, version):
            say(f"warning: {warning}")
        try:
            loaded = load_and_warm(place, version, say)
            if alias is not None:
                place.gateway.publish(alias, place.backend, version.id, None)
                say(f"{alias} on {place.backend}, which only the gate asks, is {version.id} now")
        except UnreachableError as error:
            raise PublishError("model server", f"{error}: {version.id} cannot be asked, so it was not gated") from None
    return loaded


def unstage(place: Place, version_id: str, alias: str | None, say: Say) -> None:
    """After a refusal, or where no verdict came: without an alias nobody needs it any more. With one it stays there
    until the next is staged."""
    if alias is None:
        take_back(place, version_id, say)


def _require_staging_alias(place: Place, alias: str) -> None:
    if alias == place.alias:
        raise PublishError(
            "settings", f"{alias} is what applications ask for: a version is gated before it answers them. Name an "
            "alias that only the gate asks as gate.alias", 2,
        )  # fmt: skip
    try:
        states = place.gateway.states()
    except UnreachableError as error:
        raise PublishError("gateway", f"{error}: nothing was done. Start the gateway") from None
    for state in states:
        for target in state["backends"]:
            if (state["alias"], target["backend"]) == (alias, place.backend) and target["publishable"]:
                return
    raise PublishError(
        "settings", f"the gateway has no alias {alias} on {place.backend} that a version can be published to: add it "
        "to the policy, or name another as gate.alias", 2,
    )  # fmt: skip
