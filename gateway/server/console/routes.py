"""The console over HTTP: its page, its login, its figures. All of it only for holders of an admin key."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import parse_qs

import msgspec
from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect

from gateway.server.console.files import File, read_files, with_message
from gateway.server.console.headers import HEADERS, LOGIN_HEADERS, STATIC_HEADERS
from gateway.server.console.history import SPANS, history
from gateway.server.console.origin import from_own_page
from gateway.server.console.replay_report import ReplayReport
from gateway.server.console.sessions import LONGEST_SECONDS, Sessions, WrongKeys
from gateway.server.console.state import state
from gateway.server.console.stream import MOST_LISTENERS, EventStream, Stream
from gateway.server.core import Core
from gateway.server.decisions import explained
from gateway.server.errors import ApiError
from gateway.server.http1 import BodyBroken, BodyTooLarge
from gateway.server.request import body_broken

log = logging.getLogger(__name__)

MOST_LOGIN_BYTES = 4096
LOGIN_SECONDS = 10.0
MOST_ADDRESS = 64
"""Characters of a client's address: a longer one is none."""
WRONG_KEY = "That is not an admin key of this gateway. Its policy lists them in auth.admin_keys."

_encode = msgspec.json.Encoder().encode


class _Key(msgspec.Struct):
    key: str


class _ConsoleRoute(APIRoute):
    """Refusals as the rest of the gateway words them, with what a client is to do then."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                answer = await handle(request)
            except ApiError as error:
                answer = Response(error.body(), error.status, media_type="application/json")
                if error.retry_after_seconds is not None:
                    answer.headers["retry-after"] = str(round(error.retry_after_seconds) + 1)
            return answer

        return handled


def console_routes(core: Core) -> APIRouter:
    """Reads the page's files; call it before the event loop runs."""
    routes = APIRouter(prefix="/console", include_in_schema=False, route_class=_ConsoleRoute)
    why_not = _why_not(core)
    if why_not is not None:
        _refuse_all(routes, why_not)
        return routes
    files = read_files()
    sessions, wrong_keys = Sessions(), WrongKeys()
    stream = Stream(lambda: _encode(state(core)), lambda: core.draining)
    report = ReplayReport(core.policy.console.replay_report)

    def logged_in(request: Request) -> bool:
        return sessions.use(_token(request), core.clock())

    def owner(request: Request) -> None:
        if not logged_in(request):
            raise ApiError(
                401, "The console's session has ended, or there was none. Log in at /console/login.",
                type="authentication_error", code="no_session",
            )  # fmt: skip

    @routes.get("")
    async def page(request: Request) -> Response:
        if not logged_in(request):
            return RedirectResponse("/console/login", 303)
        return _html(files["index.html"].body)

    @routes.get("/login")
    async def login_page(request: Request) -> Response:
        if logged_in(request):
            return RedirectResponse("/console", 303)
        return Response(files["login.html"].body, 200, LOGIN_HEADERS, "text/html")

    @routes.post("/login")
    async def login(request: Request) -> Response:
        """A form or JSON with `key`. 303 to the page, or 204; 401 with a wrong key; 429 after too many."""
        _require_own_page(request)
        as_json = request.headers.get("content-type", "").startswith("application/json")
        key = await _key(request, as_json)
        # Behind a proxy the address is what somebody wrote into X-Forwarded-For.
        address, now = request.client.host[:MOST_ADDRESS] if request.client else "", core.clock()
        # The right key opens at any time: others at this address must not be able to keep its owner out.
        if core.doors.admin(b"Bearer " + key) is None:
            wait = wrong_keys.wait_seconds(address, now)
            if wait > 0:
                why = f"Too many wrong keys. The next is looked at in {round(wait) + 1} s."
                return _login_refused(files["login.html"], as_json, 429, why, wait)
            wrong_keys.note(address, now)
            log.warning("a wrong admin key was shown to the console from %s", address)
            return _login_refused(files["login.html"], as_json, 401, WRONG_KEY, None)
        wrong_keys.forgive(address)
        sessions.close(_token(request))
        answer: Response = Response(None, 204) if as_json else RedirectResponse("/console", 303)
        answer.set_cookie(
            _cookie(request), sessions.open(now), max_age=round(LONGEST_SECONDS), path="/console", httponly=True,
            samesite="strict", secure=request.url.scheme == "https",
        )  # fmt: skip
        return answer

    @routes.post("/logout")
    async def logout(request: Request) -> Response:
        _require_own_page(request)
        sessions.close(_token(request))
        answer = Response(None, 204)
        answer.delete_cookie(_cookie(request), path="/console", httponly=True, samesite="strict")
        return answer

    @routes.get("/static/{name:path}")
    async def static(name: str, request: Request) -> Response:
        file = files.get(name)
        if file is None or name.endswith(".html"):
            raise ApiError(404, f"The console has no file '{name[:100]}'.", code="unknown_url")
        headers = {**STATIC_HEADERS, "etag": file.etag}
        if file.is_what(request.headers.get("if-none-match")):
            return Response(None, 304, headers)
        return Response(file.body, 200, {**headers, "content-type": file.kind})

    @routes.get("/api/state")
    async def the_state(request: Request) -> Response:
        owner(request)
        return _json(_encode(state(core)))

    @routes.get("/api/history")
    async def the_history(request: Request, span: str = Query("15m")) -> Response:
        owner(request)
        if span not in SPANS:
            raise ApiError(400, f"'span' must be {' or '.join(SPANS)}.", code="invalid_value", param="span")
        return _json(_encode(history(core, span)))

    @routes.get("/api/stream")
    async def the_stream(request: Request) -> Response:
        """Server-sent events: `state` once a second, `end` with `session` or `shutdown` before it closes."""
        owner(request)
        if core.draining:
            raise ApiError(503, "The gateway is shutting down.", type="server_error", code="shutting_down")
        if stream.full:
            raise ApiError(
                503, f"{MOST_LISTENERS} pages of the console are open already: close one.", type="server_error",
                code="too_many_consoles", retry_after_seconds=30,
            )  # fmt: skip
        token = _token(request)
        return EventStream(stream, lambda: sessions.use(token, core.clock()), HEADERS)

    @routes.get("/api/decisions/{id}")
    async def decision(id: str, request: Request) -> Response:
        owner(request)
        kept = core.decisions.get(id)
        if kept is None:
            raise ApiError(
                404, f"This decision is not kept any more: the last {core.policy.routing.decisions_kept} are "
                "(routing.decisions_kept).", code="decision_not_found",
            )  # fmt: skip
        return _json(_encode(explained(kept)))

    @routes.get("/api/replay")
    async def replay(request: Request) -> Response:
        """204 without a report (console.replay_report): that is no error, which a browser would write to its log."""
        owner(request)
        body = await asyncio.to_thread(report.read)
        return Response(None, 204) if body is None else _json(body)

    return routes


def _why_not(core: Core) -> str | None:
    """Why there is no console; None: there is one."""
    if not core.policy.console.enabled:
        return "The console is off (console.enabled in the policy)."
    if not core.policy.auth.admin_keys:
        return (
            "There is no console without an admin key: add one to auth.admin_keys in the policy "
            "(`crossover policy hash-key` makes it)."
        )
    return None


def _refuse_all(routes: APIRouter, why: str) -> None:
    @routes.api_route("", methods=["GET", "POST"])
    @routes.api_route("/{rest:path}", methods=["GET", "POST"])
    async def refuse() -> Response:
        raise ApiError(404, why, code="no_console")


def _cookie(request: Request) -> str:
    """Cookies know no ports: gateways on one host would end each other's sessions under one name."""
    server = request.scope.get("server")
    return f"crossover_session_{server[1]}" if server and server[1] else "crossover_session"


def _token(request: Request) -> str | None:
    token = request.cookies.get(_cookie(request))
    return token if token is None or len(token) <= 64 else None


def _require_own_page(request: Request) -> None:
    headers = request.headers
    if not from_own_page(headers.get("sec-fetch-site"), headers.get("origin"), headers.get("host")):
        raise ApiError(
            403, "The console takes this only from its own page: the request's Origin must be the gateway's address.",
            type="permission_error", code="cross_site",
        )  # fmt: skip


async def _key(request: Request, as_json: bool) -> bytes:
    """The key that was sent; empty where none was."""
    body = bytearray()
    too_large = ApiError(413, f"A login has at most {MOST_LOGIN_BYTES} bytes.", code="request_too_large")
    try:
        async with asyncio.timeout(LOGIN_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > MOST_LOGIN_BYTES:
                    raise too_large
    except TimeoutError:
        raise ApiError(408, f"The login did not arrive within {LOGIN_SECONDS:g} s.", code="body_timeout") from None
    except BodyTooLarge:
        raise too_large from None
    except BodyBroken as error:
        raise body_broken(error) from None
    except ClientDisconnect:
        raise ApiError(400, "The connection was closed before the whole login had come.") from None
    try:
        if as_json:
            return msgspec.json.decode(body, type=_Key).key.strip().encode()
        fields = parse_qs(body.decode(), max_num_fields=8)
    except (ValueError, msgspec.MsgspecError, RecursionError):
        raise ApiError(400, "The login must be a form or a JSON object with `key`.", code="invalid_login") from None
    return fields.get("key", [""])[0].strip().encode()


def _login_refused(page: File, as_json: bool, status: int, why: str, wait_seconds: float | None) -> Response:
    if as_json:
        raise ApiError(
            status, why, type="authentication_error", code="invalid_admin_key" if status == 401 else "too_many_tries",
            retry_after_seconds=wait_seconds,
        )  # fmt: skip
    answer = Response(with_message(page, why), status, LOGIN_HEADERS, "text/html")
    if wait_seconds is not None:
        answer.headers["retry-after"] = str(round(wait_seconds) + 1)
    return answer


def _html(body: bytes) -> Response:
    return Response(body, 200, media_type="text/html")


def _json(body: bytes) -> Response:
    return Response(body, 200, media_type="application/json")
