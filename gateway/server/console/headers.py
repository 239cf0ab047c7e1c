"""The console's response headers: on every answer under /console, its pages, its figures and its refusals alike."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
# A form's Origin is "null" under no-referrer, and without Sec-Fetch-Site (plain http, not loopback) it is all there is.
LOGIN_HEADERS = {**HEADERS, "referrer-policy": "same-origin"}
STATIC_HEADERS = {**HEADERS, "cache-control": "no-cache"}
"""Kept by the browser, and asked about each time: a new version of the gateway brings its whole page at once."""

_PAIRS = [(name.encode(), value.encode()) for name, value in HEADERS.items()]


class WithConsoleHeaders:
    """ASGI: `app`, with what an answer under /console lacks of them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(pair for pair in _PAIRS if pair[0] not in given)]
            await send(message)

        path = scope.get("path", "")
        ours = scope["type"] == "http" and (path == "/console" or path.startswith("/console/"))
        await self._app(scope, receive, send_with_headers if ours else send)
