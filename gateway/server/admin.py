"""The owner's pages: decisions explained, the books, the policy in force. Their own key, apart from the data keys."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from fastapi import APIRouter, Depends, Query, Request
from msgspec import structs

from gateway.economics.money import usd
from gateway.metering.ledger import BackendBooks, books
from gateway.policy.resolved import masked
from gateway.routing.explanation import explanation
from gateway.routing.facts import Operation
from gateway.server.admin_body import admin_body
from gateway.server.core import Core
from gateway.server.decisions import explained
from gateway.server.errors import ApiError
from gateway.server.intake import facts_for
from gateway.server.request import parse_body, read_headers


def owner_only(core: Core) -> Callable[[Request], Coroutine[Any, Any, None]]:
    """What every page of the owner's asks for first."""

    async def owner(request: Request) -> None:
        value = request.headers.get("authorization")
        if core.doors.admin(None if value is None else value.encode("latin-1")) is None:
            raise ApiError(
                401, "This page needs an admin key (auth.admin_keys in the policy) as `Authorization: Bearer KEY`.",
                type="authentication_error", code="invalid_admin_key",
            )  # fmt: skip

    return owner


def admin_routes(core: Core) -> APIRouter:
    routes = APIRouter(prefix="/admin", tags=["admin"], dependencies=[Depends(owner_only(core))])

    @routes.get("/decisions")
    async def decisions(limit: int = Query(50, ge=1, le=1000)) -> dict[str, Any]:
        """The last decisions, newest first."""
        return {"decisions": [explained(kept) for kept in core.decisions.latest(limit)]}

    @routes.get("/decisions/{id}")
    async def decision(id: str) -> dict[str, Any]:
        """Why a request went where it went: the id is in its `x-crossover-decision` header."""
        kept = core.decisions.get(id)
        if kept is None:
            raise ApiError(
                404, f"No decision '{id[:64]}' is kept: the last {core.policy.routing.decisions_kept} are "
                "(routing.decisions_kept).", code="decision_not_found",
            )  # fmt: skip
        return explained(kept)

    @routes.post("/explain")
    async def explain(request: Request, operation: Operation = "chat") -> dict[str, Any]:
        """What would become of this request now: the body, and the x-crossover headers, are as on /v1. Nothing is
        sent to a backend, and nothing is remembered of it."""
        headers = read_headers(request.scope["headers"])
        server = core.policy.server
        body = await admin_body(request, server.max_body_bytes, server.body_timeout_seconds)
        facts, _ = facts_for(core, parse_body(body, operation), operation, headers, "")
        if not core.holds.possible:
            facts = structs.replace(facts, may_hold=False)
        fleet = core.fleet.snapshot(core.clock())
        return {"asked_at": time.time(), **explanation(facts, fleet, core.router.decide(facts, fleet))}

    @routes.get("/books")
    async def the_books(since: float = Query(0.0, description="wall clock, seconds since 1970")) -> dict[str, Any]:
        """Totals by backend from the ledger, in nano-dollars and dollars."""
        ledger = core.ledger
        if ledger is None:
            raise ApiError(404, "This gateway keeps no ledger (ledger.path in the policy).", code="no_ledger")
        core.meter.tick(core.clock())
        if not await asyncio.to_thread(ledger.flush):
            raise ApiError(
                503, f"The ledger cannot be written now ({ledger.failure}): its totals would be old.",
                type="server_error", code="ledger_not_written",
            )  # fmt: skip
        totals = await asyncio.to_thread(books, ledger.path, since)
        return {"run": core.run, "backends": [_row(total) for total in totals]}

    @routes.get("/policy")
    async def policy() -> dict[str, Any]:
        """The settings in force; secrets are masked."""
        return {"hash": core.policy.fingerprint(), "policy": masked(core.policy)}

    return routes


def _row(total: BackendBooks) -> dict[str, Any]:
    row: dict[str, Any] = msgspec.to_builtins(total)
    row["usd"] = usd(total.nanousd)
    known = total.output_tokens and not total.unpriced_tokens  # some without a price: what is left would be too low
    row["usd_per_1m_output_tokens"] = usd(total.nanousd) / total.output_tokens * 1e6 if known else None
    return row
