"""Which generation of an adapter serves a model on a backend: the live one, the one before, a canary beside it. Pure.

An adapter has an immutable name for each generation (`handbook@v0007`); an alias moves from one to the next. Every
transition takes a `Deployment` and gives another; the old value stays as it was.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

import msgspec


class DeploymentError(Exception):
    """A transition that makes no sense now. The message says why, and the mend."""


class Served(msgspec.Struct, frozen=True):
    """`model`: the name that the backend is asked for; `generation` None: weights without a generation of their own."""

    model: str
    generation: str | None

    def __str__(self) -> str:
        return self.generation or self.model


class Canary(msgspec.Struct, frozen=True):
    served: Served
    share: float
    """Of the backend's requests for the alias, above 0 and below 1."""


class Deployment(msgspec.Struct, frozen=True):
    """Of one alias on one backend."""

    live: Served
    previous: Served | None = None
    """What was live before: a rollback brings it back."""
    canary: Canary | None = None
    changed_at: float = 0.0
    """Wall clock, seconds since 1970. 0: it is as the policy has it."""
    turn: int = 0
    """Rises with each change of a live generation, over all deployments of a gateway: the highest is the newest. 0: it
    was never changed, and the policy's holds. (A clock could be set back.)"""

    @property
    def all(self) -> tuple[Served, ...]:
        """Live first, then canary and previous."""
        beside = (None if self.canary is None else self.canary.served, self.previous)
        return (self.live, *(served for served in beside if served is not None))

    def shares(self) -> dict[Served, float]:
        """Of the requests, by what may be asked or was."""
        found = dict.fromkeys(self.all, 0.0)
        canary = 0.0 if self.canary is None else self.canary.share
        if self.canary is not None:
            found[self.canary.served] = canary
        found[self.live] = 1.0 - canary
        return found


def published(
    deployment: Deployment, served: Served, now: float, turn: int, draining: Iterable[Served] = ()
) -> Deployment:
    """All requests go to `served` from here on. Said twice, it changes nothing. `draining`: what still answers requests
    though it is none of the deployment's any more. Raises `DeploymentError`."""
    if served == deployment.live:
        if deployment.canary is None:
            return deployment
        raise DeploymentError(
            f"{served} is live already, beside a canary of {deployment.canary.served}: roll back to end the canary"
        )
    _one_name((*deployment.all, *draining), served)
    canary = deployment.canary
    if canary is not None and canary.served != served:
        raise DeploymentError(
            f"a canary of {canary.served} is under way ({canary.share:.0%}): promote it or roll it back before "
            f"{served} is published"
        )
    return Deployment(served, deployment.live, None, now, turn)


def canaried(
    deployment: Deployment, served: Served, share: float, now: float, draining: Iterable[Served] = ()
) -> Deployment:
    """A share of the requests goes to `served`; a canary of the same gets another share. Raises `DeploymentError`."""
    if not 0 < share < 1:
        raise DeploymentError(f"share is {share}: give more than 0 and less than 1, or leave it out to publish to all")
    if served == deployment.live:
        raise DeploymentError(f"{served} is live already: it can be no canary beside itself")
    _one_name((*deployment.all, *draining), served)
    canary = deployment.canary
    if canary is not None and canary.served != served:
        raise DeploymentError(
            f"a canary of {canary.served} is under way ({canary.share:.0%}): promote it or roll it back before one of "
            f"{served} begins"
        )
    if canary is not None and canary.share == share:
        return deployment
    return msgspec.structs.replace(deployment, canary=Canary(served, share), changed_at=now)


def promoted(deployment: Deployment, now: float, turn: int) -> Deployment:
    """The canary gets all requests. Raises `DeploymentError`."""
    canary = deployment.canary
    if canary is None:
        raise DeploymentError(
            f"no canary is under way, {deployment.live} is live: publish one with a share below 1 first"
        )
    return Deployment(canary.served, deployment.live, None, now, turn)


def rolled_back(deployment: Deployment, now: float, turn: int, expected: str | None = None) -> Deployment:
    """Ends the canary; without one, the previous generation is live again. `expected`: the generation that shall go (a
    model's name where it has none): said twice, it takes back nothing else. Raises `DeploymentError`.

    What was rolled back is not kept as `previous`: a second rollback must not bring it back."""
    goes = deployment.live if deployment.canary is None else deployment.canary.served
    if expected is not None and expected != str(goes):
        raise DeploymentError(
            f"{expected} was to be rolled back, and a rollback now would take {goes} back: look at what serves first"
        )
    if deployment.canary is not None:
        return msgspec.structs.replace(deployment, canary=None, changed_at=now)
    if deployment.previous is None:
        raise DeploymentError(
            f"{deployment.live} is live, and nothing before it is known: publish the version that you want"
        )
    return Deployment(deployment.previous, None, None, now, turn)


def _one_name(all_known: Iterable[Served], served: Served) -> None:
    """One generation has one name, and one name one generation: else a series or a header would lie."""
    for known in all_known:
        if (known.model == served.model) != (known.generation == served.generation):
            raise DeploymentError(
                f"the name {served.model} with generation {served.generation} does not agree with {known.model}, whose "
                f"generation is {known.generation}: names are immutable, publish a new one"
            )


class Split:
    """Meets a share exactly, without chance: after N calls, floor(share * N) of them went to the canary."""

    __slots__ = ("_due", "_of", "_step")

    def __init__(self, share: float) -> None:
        exact = Fraction(str(share))  # 0.1 as it was written, not the binary fraction beside it
        self._step, self._of, self._due = exact.numerator, exact.denominator, 0

    def canary(self) -> bool:
        """Whether this request goes to the canary."""
        self._due += self._step
        if self._due < self._of:
            return False
        self._due -= self._of
        return True


class Standing(msgspec.Struct, frozen=True):
    """What one target of an alias serves, for telling which generation is the newest."""

    generation: str | None
    may_lag: bool
    turn: int = 0


def newest(targets: Iterable[Standing]) -> str | None:
    """The generation that an alias's targets should serve: the one that was made live last; where nothing was ever
    published, the policy's. What may lag leads nobody, unless all may. None: none is known, and nobody lags."""
    targets = tuple(targets)
    targets = tuple(one for one in targets if not one.may_lag) or targets
    last = max(targets, key=lambda one: one.turn, default=None)
    if last is not None and last.turn:
        return last.generation
    named = {one.generation for one in targets if one.generation is not None and not one.may_lag}
    return named.pop() if len(named) == 1 else None


def lags(target: Standing, newest_generation: str | None) -> str | None:
    """Why a target is behind, in words; None: it is not, or it may be. Weights without a generation cannot lag."""
    if newest_generation is None or target.may_lag or target.generation in (None, newest_generation):
        return None
    return (
        f"it serves {target.generation}, and {newest_generation} is live: publish that here too, or set may_lag for it "
        "in served_by"
    )
