"""What is not on the hot path (models, health, admin, console) is an ASGI application: this carries it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias
from urllib.parse import unquote_to_bytes

from gateway.server.http1.exchange import ClientGone, Exchange
from gateway.server.http1.forwarded import client_and_scheme

Message: TypeAlias = MutableMapping[str, Any]
Application: TypeAlias = Callable[
    [MutableMapping[str, Any], Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]
]
ABORT = "crossover.abort"
"""In a request's scope, under `extensions`: `end` ends its connection at once. Closing one waits until its client has
taken what was written; a client that takes nothing would hold up the gateway's end as well."""
_WITHOUT_BODY = frozenset({204, 304})


async def run_asgi(app: Application, exchange: Exchange, server: tuple[str, int]) -> None:
    """Answers one exchange by `app`. `server`: the address it listens on."""
    exchange.cancelled_by_leaving = False  # an application hears of it by `receive`
    carrier = _Carrier(exchange)
    await app(_scope(exchange, server), carrier.receive, carrier.send)


def _scope(exchange: Exchange, server: tuple[str, int]) -> dict[str, Any]:
    client, scheme = client_and_scheme(exchange.headers, exchange.peer)
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": exchange.method.decode("ascii"),
        "scheme": scheme,
        "path": unquote_to_bytes(exchange.path).decode("utf-8", "replace"),
        "raw_path": exchange.path,
        "query_string": exchange.query,
        "root_path": "",
        "headers": exchange.headers,
        "client": client,
        "server": server,
        "state": {},
        "extensions": {ABORT: {"end": exchange.abort}},
    }


class _Carrier:
    """`receive` and `send` of one exchange."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._body_told = False
        self._status = 0
        self._headers: list[tuple[bytes, bytes]] = []

    async def receive(self) -> Message:
        exchange = self._exchange
        if self._body_told:
            await exchange.left_or_answered()
            return {"type": "http.disconnect"}
        data = exchange.take()
        try:
            while not data and not exchange.body_complete:
                await exchange.more()
                data = exchange.take()
        except ClientGone:
            return {"type": "http.disconnect"}
        self._body_told = exchange.body_complete
        return {"type": "http.request", "body": data, "more_body": not exchange.body_complete}

    async def send(self, message: Message) -> None:
        exchange = self._exchange
        if message["type"] == "http.response.start":
            self._status, self._headers = message["status"], list(message["headers"])
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        if not exchange.started:
            framed = self._status in _WITHOUT_BODY or any(
                name.lower() == b"content-length" for name, _ in self._headers
            )
            exchange.begin(self._status, self._headers, framed_by_headers=framed)
        exchange.write(body)
        if not more:
            exchange.end()
        elif exchange.full:
            await exchange.drained()
