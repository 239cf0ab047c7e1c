"""The HTTP surface: generation by pure ASGI, all else (models, health, admin) by FastAPI behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
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
from gateway.server.errors import ApiError, error_body
from gateway.server.health import health_routes
from gateway.server.observe import observers
from gateway.server.operation import Endpoint
from gateway.server.request import Receive, Scope, Send
from gateway.server.warmup import Warmups

NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
"""Of FastAPI's own: what this gateway exports is in `gateway.telemetry`, and the policy alone decides it."""


class Application:
    """The ASGI application. Generation paths are looked up before anything else runs."""

    def __init__(self, core: Core) -> None:
        warmups = Warmups(core)
        self._generation = {
            "/v1/chat/completions": Endpoint(core, "chat", warmups),
            "/v1/completions": Endpoint(core, "completions", warmups),
            "/v1/embeddings": Endpoint(core, "embeddings", warmups),
        }
        self._rest = WithConsoleHeaders(_rest(core, warmups))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            endpoint = self._generation.get(scope["path"])
            if endpoint is not None:
                await endpoint(scope, receive, send)
                return
        await self._rest(scope, receive, send)


def _rest(core: Core, warmups: Warmups) -> FastAPI:
    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        tasks = [*observers(core), *copy_observers(core)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await warmups.aclose()
            await core.aclose()

    app = FastAPI(
        title="Crossover", version=gateway.__version__, lifespan=lifespan, docs_url=None, redoc_url=None,
        openapi_url="/openapi.json", telemetry=NO_TELEMETRY,
    )  # fmt: skip
    app.add_exception_handler(ApiError, _answer_error)
    app.add_exception_handler(HTTPException, _answer_http_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(Exception, _answer_failure)
    app.include_router(health_routes(core))
    app.include_router(admin_routes(core))
    app.include_router(adapter_routes(core))
    app.include_router(console_routes(core))

    def caller(request: Request) -> None:
        if core.doors.data(_authorization(request)) is None:
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

    return app


def _model(alias: str) -> dict[str, Any]:
    return {"id": alias, "object": "model", "created": 0, "owned_by": "crossover"}


def _authorization(request: Request) -> bytes | None:
    value = request.headers.get("authorization")
    return None if value is None else value.encode("latin-1")


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
        body = error_body(str(error.detail), "invalid_request_error", None, None)
    return Response(body, error.status_code, media_type="application/json", headers=error.headers)
