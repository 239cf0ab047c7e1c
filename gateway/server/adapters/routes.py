"""/admin/adapters: see which generation serves, publish one, try it as a canary, promote it, roll it back.

The gateway is told names alone. Which file a name stands for is between the publisher and the model server: no path
ever comes in here, and nothing is loaded."""

from __future__ import annotations

import time
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, Request

from gateway.routing.deployment import (
    Deployment,
    DeploymentError,
    Served,
    canaried,
    promoted,
    published,
    rolled_back,
)
from gateway.server.adapters.deployments import NotKeptError, NotLoadedError, Transition
from gateway.server.adapters.gate import Gate
from gateway.server.adapters.slot import Slot
from gateway.server.adapters.state_file import NAME
from gateway.server.adapters.status import alias_state, all_states
from gateway.server.admin import owner_only
from gateway.server.admin_body import admin_body
from gateway.server.core import Core
from gateway.server.errors import ApiError

MAX_BODY_BYTES = 4096
Name = Annotated[str, msgspec.Meta(pattern=NAME)]


class Publication(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`generation` left out: the model's name is its generation, as immutable names are. `share` below 1: a canary.
    `gate`: what the quality gate said of it, which is shown and not acted upon."""

    model: Name
    generation: Name | None = None
    share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    gate: Gate | None = None


class Rollback(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`expected`: the generation that shall go, or the model's name where it has none. Left out: whatever is there."""

    expected: Annotated[str, msgspec.Meta(max_length=512)] | None = None


_decode = msgspec.json.Decoder(Publication).decode
_decode_rollback = msgspec.json.Decoder(Rollback).decode


def adapter_routes(core: Core) -> APIRouter:
    routes = APIRouter(prefix="/admin/adapters", tags=["admin"], dependencies=[Depends(owner_only(core))])

    async def change(
        slot: Slot, transition: Transition, *, at_once: bool = False, gate: tuple[str, Gate] | None = None
    ) -> dict[str, Any]:
        try:
            warnings = await core.deployments.change(slot, transition, at_once=at_once, gate=gate)
        except DeploymentError as error:
            raise ApiError(409, f"{slot.alias} on {slot.backend}: {error}.", code="adapter_conflict") from None
        except NotLoadedError as error:
            raise ApiError(409, f"{error}. Nothing was changed.", code="adapter_not_loaded") from None
        except NotKeptError as error:
            raise ApiError(
                500, f"{error}. Nothing was changed: mend the file's place, or take adapters.state out of the policy.",
                type="server_error", code="adapter_state_not_written",
            ) from None  # fmt: skip
        return {**alias_state(core, slot.alias), "warnings": warnings}

    async def body_of(request: Request) -> bytes:
        return await admin_body(request, MAX_BODY_BYTES, core.policy.server.body_timeout_seconds)

    @routes.get("")
    async def everything() -> dict[str, Any]:
        """What serves each alias now: live, canary, previous, and how many requests are under way with each. Backends
        that lack an adapter are asked again."""
        await core.deployments.look_again()
        return all_states(core)

    @routes.put("/{place:path}")
    async def publish(place: str, request: Request) -> dict[str, Any]:
        """ALIAS/BACKEND gets another generation: all requests at once, or with `share` below 1 that part of them.
        The backend must have loaded it. Requests under way stay where they are."""
        slot = _slot(core, place)
        try:
            asked = _decode(await body_of(request))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ApiError(
                400, f'The body must be {{"model": NAME, "generation": NAME, "share": above 0, at most 1}}: {error}.',
                code="invalid_value",
            ) from None  # fmt: skip
        served = Served(asked.model, asked.generation or asked.model)

        def transition(deployment: Deployment, turn: int) -> Deployment:
            if asked.share < 1:
                return canaried(deployment, served, asked.share, time.time(), slot.lanes)
            return published(deployment, served, time.time(), turn, slot.lanes)

        told = None if asked.gate is None else (asked.model, asked.gate)
        return await change(slot, transition, gate=told)

    @routes.post("/{place:path}/promote")
    async def promote(place: str) -> dict[str, Any]:
        """The canary gets all requests."""
        return await change(_slot(core, place), lambda deployment, turn: promoted(deployment, time.time(), turn))

    @routes.post("/{place:path}/rollback")
    async def rollback(place: str, request: Request) -> dict[str, Any]:
        """Ends the canary; without one, what was live before is live again. At once. With `expected` it takes back that
        generation or none, so that it can be said again."""
        slot = _slot(core, place)
        body = await body_of(request)
        try:
            expected = _decode_rollback(body).expected if body else None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ApiError(
                400, f'The body must be empty, or {{"expected": NAME}}: {error}.', code="invalid_value"
            ) from None

        def transition(deployment: Deployment, turn: int) -> Deployment:
            return rolled_back(deployment, time.time(), turn, expected)

        return await change(slot, transition, at_once=True)

    return routes


def _slot(core: Core, place: str) -> Slot:
    """Both names may hold a /, so that the pair is looked up and not taken apart."""
    slots = core.deployments.slots
    found = next((slot for (alias, backend), slot in slots.items() if place == f"{alias}/{backend}"), None)
    if found is None:
        known = ", ".join(f"{alias}/{backend}" for alias, backend in slots) or "none"
        raise ApiError(
            404, f"No adapter can be published to '{place[:140]}' (ALIAS/BACKEND). Places: {known}. (A backend of wire "
            "openai that serves the alias once; a model of Bedrock's is changed in the policy.)",
            code="adapter_place_not_found",
        )  # fmt: skip
    return found
