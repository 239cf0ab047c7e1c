"""HTTP with a bound on what comes before the body (uvicorn's own protocol keeps headers of any length in memory), and
a way to end a connection."""

from __future__ import annotations

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 64 * 1024
"""Request line and headers of one request."""
ABORT = "crossover.abort"
"""In a request's scope, under `extensions`: `end` ends its connection at once. Closing one waits until its client has
taken what was written; a client that takes nothing would hold up the gateway's end as well."""


class BoundedHttp(HttpToolsProtocol):
    """Answers 400 and closes once a request's head grows beyond `MAX_HEAD_BYTES`."""

    _head_bytes = 0
    _in_head = True

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)  # a request that ends in here sets the count to 0
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response(f"The request's headers are longer than {MAX_HEAD_BYTES} bytes.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {ABORT: {"end": self.transport.abort}}

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        super().on_message_complete()
