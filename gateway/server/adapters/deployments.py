"""All deployments of one gateway: changed by the owner, swapped on the event loop, kept in a file, checked against what
the backends have loaded."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import msgspec

from gateway.metering.adapter_series import AdapterSeries
from gateway.policy.schema import Policy
from gateway.routing.deployment import Deployment, Served, Standing, lags, newest
from gateway.routing.route import AliasRoutes, Route
from gateway.server.adapters.gate import Gate, known_gates
from gateway.server.adapters.slot import Slot
from gateway.server.adapters.state_file import Remembered, read_state, write_state

log = logging.getLogger(__name__)

FORGOTTEN = (
    "adapters.state is not set in the policy: at a restart this is forgotten, and the policy's generation serves again"
)
UNVERIFIED = (
    "the backend does not tell which models it has loaded: whether it has this one will show at the first request"
)
TRY_AGAIN_SECONDS = 10.0
"""A model that a backend said it lacks gets a request again after so long, where the backend lists no models."""

Transition = Callable[[Deployment, int], Deployment]
"""(as it is, the turn of a live generation that changes now) -> as it shall be. Raises `DeploymentError`."""


class NotLoadedError(Exception):
    """The backend does not have what would be live, or a canary. Nothing was changed."""


class NotKeptError(Exception):
    """The state file could not be written. Nothing was changed."""


class Deployments:
    """Everything runs on the event loop but the writing of the file. `swap`: puts an alias's routes in the router's
    place; `ask`: what a backend has loaded now, None where it does not tell."""

    def __init__(
        self,
        policy: Policy,
        routes: Mapping[str, AliasRoutes],
        series: AdapterSeries,
        swap: Callable[[str, AliasRoutes], None],
        ask: Callable[[str], Awaitable[frozenset[str] | None]],
        clock: Callable[[], float],
    ) -> None:
        """Raises ValueError for a state file that cannot be read."""
        self.path = None if policy.adapters.state is None else Path(policy.adapters.state)
        self._routes = routes
        self._series = series
        self._swap = swap
        self._ask = ask
        self._clock = clock
        self._lock = asyncio.Lock()
        self._turn = 0
        self._lagging: dict[tuple[str, str], str] = {}
        """Why, by alias and backend: said once in the log."""
        self.slots: dict[tuple[str, str], Slot] = {}
        """By alias and backend: those where an adapter can be published."""
        for alias, settings in policy.aliases.items():
            names = [target.backend for target in settings.served_by]
            for target in settings.served_by:
                if policy.backends[target.backend].wire == "openai" and names.count(target.backend) == 1:
                    self.slots[alias, target.backend] = Slot(alias, target.backend, target, self._gone)
        if self.path is not None:
            self._restore(read_state(self.path))

    # -- changes ---------------------------------------------------------------------------------------------------

    async def change(
        self, slot: Slot, transition: Transition, *, at_once: bool = False, gate: tuple[str, Gate] | None = None
    ) -> list[str]:
        """One at a time. Returns warnings for whoever asked. `at_once`: it takes effect before it is written down, and
        even where it cannot be. `gate`: a model, and what the quality gate said of it.

        Raises `DeploymentError`, `NotLoadedError`, `NotKeptError`: then nothing changed."""
        async with self._lock:
            after = transition(slot.deployment, self._turn + 1)
            gates = known_gates(slot.gates, {served.model for served in after.all}, gate)
            same = after == slot.deployment
            warnings = await (self._look_for_live(slot) if same else self._check_loaded(slot, after))
            if same and gates == slot.gates:
                return [*warnings, *self._standing_warnings()]
            if at_once:
                self._apply(slot, after, gates)
            try:
                await self._keep(slot, after, gates)
            except OSError as error:
                said = f"adapters.state {self.path} cannot be written ({error.strerror or error})"
                if not at_once:
                    raise NotKeptError(said) from error
                warnings.append(f"{said}: at a restart this is forgotten")
            if not at_once:
                self._apply(slot, after, gates)
            return [*warnings, *self._standing_warnings()]

    async def _check_loaded(self, slot: Slot, after: Deployment) -> list[str]:
        """What starts to get requests must be there, so that the swap fails none of them."""
        before, shares = slot.deployment, slot.deployment.shares()
        new = [one for one, share in after.shares().items() if one != before.live and share > shares.get(one, 0.0)]
        if not new:
            return []
        models = await self._ask(slot.backend)
        if models is None:
            return [UNVERIFIED]
        absent = sorted(served.model for served in new if served.model not in models)
        if absent:
            raise _not_loaded(slot, absent)
        slot.saw(models)
        self._set_missing(slot, slot.missing - models)
        return []

    async def _look_for_live(self, slot: Slot) -> list[str]:
        """Published again after the backend lost it: whoever does so has loaded it, and requests go there at once."""
        model = slot.deployment.live.model
        if model not in slot.missing:
            return []
        asked_at = self._clock()
        models = await self._ask(slot.backend)
        self.listed(slot.backend, models, asked_at)
        if models is None:
            self._set_missing(slot, slot.missing - {model})
            return [UNVERIFIED]
        if model in slot.missing:
            raise _not_loaded(slot, [model])
        return []

    def _standing_warnings(self) -> list[str]:
        return [FORGOTTEN] if self.path is None else []

    async def _keep(self, slot: Slot, deployment: Deployment, gates: dict[str, Gate]) -> None:
        if self.path is None:
            return
        kept = [
            Remembered(one.alias, one.backend, one.policy, deployment, gates)
            if one is slot
            else Remembered(one.alias, one.backend, one.policy, one.deployment, one.gates)
            for one in self.slots.values()
            if one is slot or one.deployment.changed_at
        ]
        await asyncio.to_thread(write_state, self.path, kept)

    def _apply(self, slot: Slot, after: Deployment, gates: dict[str, Gate]) -> None:
        before = slot.deployment
        slot.gates = gates
        self._turn = max(self._turn, after.turn)
        slot.swap(after, self._clock())
        self._show(slot)
        self._route(slot.alias)
        log.info(
            "%s on %s: %s is live, canary %s (before: %s, canary %s)", slot.alias, slot.backend, after.live,
            _said(after), before.live, _said(before),
        )  # fmt: skip

    def _restore(self, remembered: tuple[Remembered, ...]) -> None:
        for one in remembered:
            slot = self.slots.get((one.alias, one.backend))
            where = f"{one.deployment.live} of {one.alias} on {one.backend}, remembered in {self.path}, is ignored"
            if slot is None:
                log.warning("%s: the policy does not serve that alias there any more", where)
            elif slot.policy != one.policy:
                log.warning(
                    "%s: the policy names %s there now, and named %s when it was published; the policy holds",
                    where, slot.policy, one.policy,
                )  # fmt: skip
            else:
                self._turn = max(self._turn, one.deployment.turn)
                slot.gates = one.gates
                slot.swap(one.deployment, self._clock())
                self._show(slot)
        for alias in {slot.alias for slot in self.slots.values() if slot.deployment.changed_at}:
            self._route(alias)

    # -- what the backends have ------------------------------------------------------------------------------------

    def watches(self, backend: str, *, scraped: bool) -> bool:
        """Whether its list matters: it serves an adapter. A backend whose metrics nobody reads (not `scraped`) is left
        alone until an adapter was published to it, or lost by it."""
        return any(
            (scraped and slot.deployment.live.generation is not None) or slot.deployment.changed_at or slot.missing
            for slot in self.slots.values()
            if slot.backend == backend
        )

    async def look_again(self) -> None:
        """Asks the backends that lack something: whoever loaded it, or looks, need not wait for the next list."""
        for backend in {slot.backend for slot in self.slots.values() if slot.missing}:
            asked_at = self._clock()
            self.listed(backend, await self._ask(backend), asked_at)

    def listed(self, backend: str, models: frozenset[str] | None, asked_at: float) -> None:
        """A backend's list, asked for at `asked_at`; None: it cannot be asked now, or does not tell."""
        for slot in self.slots.values():
            if slot.backend != backend or asked_at < slot.swapped_at:
                continue
            slot.listed = models
            if models is None:
                continue
            slot.saw(models)
            judged = {
                served.model
                for served in slot.deployment.all
                if served.model in slot.seen or served.model in slot.missing or served != slot.policy
            }
            self._set_missing(slot, frozenset(judged - models))

    def lost(self, alias: str, backend: str, model: str) -> bool:
        """The backend answered that it does not have the model. False: it is none of a deployment's."""
        slot = self.slots.get((alias, backend))
        if slot is None:
            return False
        if model in slot.missing:
            return True
        slot.listed = None  # what it said before is old: only a list from here on keeps it from being tried again
        self._set_missing(slot, slot.missing | {model})
        asyncio.get_running_loop().call_later(TRY_AGAIN_SECONDS, self._try_again, slot, model)
        return True

    def _try_again(self, slot: Slot, model: str) -> None:
        if slot.listed is None:
            self._set_missing(slot, slot.missing - {model})

    def _set_missing(self, slot: Slot, missing: frozenset[str]) -> None:
        before = slot.missing
        slot.lost(missing)
        if slot.missing == before:
            return
        asked = {served.model for served, share in slot.deployment.shares().items() if share}
        for model in sorted((slot.missing - before) & asked):
            log.warning(
                "%s has lost %s of %s (was it restarted?): it gets no requests there until it is loaded again; "
                "`crossover adapter sync` does that", slot.backend, model, slot.alias,
            )  # fmt: skip
        for model in sorted(before - slot.missing):
            log.info("%s has %s of %s, or may have it again", slot.backend, model, slot.alias)
        self._route(slot.alias)

    # -- to the router and the series ------------------------------------------------------------------------------

    def newest(self, alias: str) -> str | None:
        """The generation that the alias's targets should serve; None: none is known."""
        return newest(self._standing(alias, route) for route in self._routes[alias].routes)

    def _standing(self, alias: str, route: Route) -> Standing:
        target, slot = route.target, self.slots.get((alias, route.backend))
        if slot is None:
            return Standing(target.generation, target.may_lag)
        return Standing(slot.deployment.live.generation, target.may_lag, slot.deployment.turn)

    def excluded(self, alias: str, route: Route) -> str | None:
        """Why a target serves nobody for now, in words; None: it does."""
        slot = self.slots.get((alias, route.backend))
        if slot is not None and (model := slot.deployment.live.model) in slot.missing:
            return f"its server does not have {model} loaded"
        return lags(self._standing(alias, route), self.newest(alias))

    def _route(self, alias: str) -> None:
        routes = self._routes[alias]
        replaced = []
        for route in routes.routes:
            slot = self.slots.get((alias, route.backend))
            target = route.target if slot is None else slot.live.target
            replaced.append(msgspec.structs.replace(route, target=target, barred=self.excluded(alias, route)))
            self._tell_lagging(alias, route)
        self._swap(alias, AliasRoutes(routes.settings, tuple(replaced)))

    def _tell_lagging(self, alias: str, route: Route) -> None:
        place, why = (alias, route.backend), lags(self._standing(alias, route), self.newest(alias))
        if why is None:
            self._lagging.pop(place, None)
        elif self._lagging.get(place) != why:
            self._lagging[place] = why
            log.warning("%s gets no requests of %s from now on: %s", route.backend, alias, why)

    def _show(self, slot: Slot) -> None:
        shares = {served.generation or "": share for served, share in slot.deployment.shares().items()}
        self._series.serves(slot.backend, slot.alias, shares)
        verdicts = {served.generation or "": slot.gates.get(served.model) for served in slot.deployment.all}
        self._series.judged(
            slot.backend, slot.alias, {name: gate.verdict for name, gate in verdicts.items() if gate is not None}
        )

    def _gone(self, slot: Slot, served: Served) -> None:
        if any(served.generation == known.generation for known in (*slot.deployment.all, *slot.lanes)):
            return  # another name of a generation that still serves: the series is its
        self._series.forget(slot.backend, slot.alias, served.generation or "")


def _not_loaded(slot: Slot, models: list[str]) -> NotLoadedError:
    return NotLoadedError(
        f"{slot.backend} does not list {', '.join(models)} among its models: load it there first (`crossover adapter "
        "publish` and `crossover adapter sync` do)"
    )


def _said(deployment: Deployment) -> str:
    canary = deployment.canary
    return "none" if canary is None else f"{canary.served} {canary.share:.0%}"
