"""One HTTP exchange as the operations see it: headers, bytes, and whether it is over."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

TRANSPORT = "sandbox.transport"
"""Key of the connection's transport in the scope's extensions, put there by the server."""


class Exchange:
    """Writes the answer. `done` is set just before the last bytes, so that a closing connection is not a cancel."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.request_id = str(uuid.uuid4())
        self.started = False
        self.done = False
        self._scope = scope
        self._send = send

    async def start(self, status: int, content_type: str, headers: Mapping[str, str] | None = None) -> None:
        self.started = True
        lines = {"x-amzn-requestid": self.request_id, "content-type": content_type, **(headers or {})}
        await self._send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [(name.encode(), value.encode()) for name, value in lines.items()],
            }
        )

    async def send(self, data: bytes) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes = b"") -> None:
        self.done = True
        await self._send({"type": "http.response.body", "body": data, "more_body": False})

    def drop(self) -> None:
        """Drop the connection as it is, in the middle of whatever was sent."""
        transport = self._scope.get("extensions", {}).get(TRANSPORT)
        if transport is None:
            raise RuntimeError("the server gave no transport to close: run the sandbox with its own `serve`")
        transport.abort()
