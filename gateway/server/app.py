"""The HTTP surface: generation on the hot path, all else (models, health, admin, console) by FastAPI behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException

import gateway
from gateway.server.adapters.routes import adapter_routes
from gateway.server.admin import admin_routes
from gateway.server.console.headers import WithConsoleHeaders
from gateway.server.console.routes import console_routes
from gateway.server.copies import copy_observers
from gateway.server.core import Core
from gateway.server.error_shapes import anthropic_body
from gateway.server.errors import ApiError, error_body
from gateway.server.health import health_routes
from gateway.server.http1 import Exchange
from gateway.server.http1.asgi import run_asgi
from gateway.server.observe import observers
from gateway.server.operation import Endpoint
from gateway.server.warmup import Warmups

NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
"""Of FastAPI's own: what this gateway exports is in `gateway.telemetry`, and the policy alone decides it."""


class Application:
    """What answers each exchange. Generation paths are looked up before anything else runs."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._warmups = Warmups(core)
        self._generation = {
            b"/v1/chat/completions": Endpoint(core, "chat", self._warmups),
            b"/v1/completions": Endpoint(core, "completions", self._warmups),
            b"/v1/embeddings": Endpoint(core, "embeddings", self._warmups),
            b"/v1/responses": Endpoint(core, "responses", self._warmups),
            b"/v1/messages": Endpoint(core, "messages", self._warmups),
            b"/v1/messages/count_tokens": Endpoint(core, "count_tokens", self._warmups),
        }
        self._rest = WithConsoleHeaders(_rest(core))
        self._tasks: list[asyncio.Task[None]] = []
        self.address = ("127.0.0.1", 0)
        """Where it listens: what the console's pages are told."""

    def __call__(self, exchange: Exchange) -> Coroutine[Any, Any, None]:
        if exchange.method == b"POST":
            endpoint = self._generation.get(exchange.path)
            if endpoint is not None:
                return endpoint(exchange)
        return run_asgi(self._rest, exchange, self.address)

    def start(self) -> None:
        """On the running loop: what watches the backends, and the books' clock."""
        self._tasks = [*observers(self._core), *copy_observers(self._core)]

    async def aclose(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._warmups.aclose()
        await self._core.aclose()


def _rest(core: Core) -> FastAPI:
    app = FastAPI(
        title="Crossover", version=gateway.__version__, docs_url=None, redoc_url=None, openapi_url="/openapi.json",
        telemetry=NO_TELEMETRY,
    )  # fmt: skip
    app.add_exception_handler(ApiError, _answer_error)
    app.add_exception_handler(HTTPException, _answer_http_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(Exception, _answer_failure)
    app.include_router(health_routes(core))
    app.include_router(admin_routes(core))
    app.include_router(adapter_routes(core))
    app.include_router(console_routes(core))

    async def caller(request: Request) -> None:  # no thread is needed to compare digests
        if core.doors.data(*_keys(request)) is None:
            raise ApiError(
                401, "Incorrect API key provided, or none.", type="authentication_error", code="invalid_api_key"
            )

    @app.get("/v1/models", dependencies=[Depends(caller)])
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": [_model(alias) for alias in core.policy.aliases]}

    @app.get("/v1/models/{alias:path}", dependencies=[Depends(caller)])
    async def model(alias: str) -> dict[str, Any]:
        if alias not in core.policy.aliases:
            raise ApiError(404, f"The model '{alias[:80]}' does not exist.", code="model_not_found", param="model")
        return _model(alias)

    @app.api_route("/v1/responses/{id:path}", methods=["GET", "DELETE"], dependencies=[Depends(caller)])
    @app.post("/v1/responses/{id}/cancel", dependencies=[Depends(caller)])
    async def kept_response(id: str) -> None:
        raise ApiError(
            404, f"No response '{id[:80]}' is kept: the gateway keeps no answers, and cannot know which backend might.",
            code="responses_not_kept",
        )  # fmt: skip

    return app


def _model(alias: str) -> dict[str, Any]:
    return {"id": alias, "object": "model", "created": 0, "owned_by": "crossover"}


def _keys(request: Request) -> tuple[bytes | None, bytes | None]:
    given = (request.headers.get("authorization"), request.headers.get("x-api-key"))
    authorization, api_key = (None if value is None else value.encode("latin-1") for value in given)
    return authorization, api_key


async def _answer_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return Response(error.body(), error.status, media_type="application/json")


async def _answer_invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    name = str(first["loc"][-1])
    body = error_body(f"'{name}': {first['msg']}.", "invalid_request_error", "invalid_value", name)
    return Response(body, 400, media_type="application/json")


async def _answer_failure(_request: Request, _error: Exception) -> Response:
    body = error_body("The gateway failed on this request. Its log says why.", "server_error", "internal_error", None)
    return Response(body, 500, media_type="application/json")


async def _answer_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code in (404, 405):
        message = f"Unknown request URL: {request.method} {request.url.path[:200]}."
        body = error_body(message, "invalid_request_error", "unknown_url", None)
    else:
        message = str(error.detail)
        body = error_body(message, "invalid_request_error", None, None)
    if request.url.path.startswith("/v1/messages"):
        body = anthropic_body(error.status_code, message)
    return Response(body, error.status_code, media_type="application/json", headers=error.headers)
