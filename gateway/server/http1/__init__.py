"""The gateway's own HTTP/1.1 server for the hot path: asyncio and httptools, one parse, one write for a short answer.

A `Server` owns its connections; each request is an `Exchange`, given to the server's handler in a task of its own that
ends when the client leaves. Pipelined requests are answered in turn. What is not on the hot path is ASGI, by a bridge.
"""

from gateway.server.http1.exchange import BodyBroken, BodyTimeout, BodyTooLarge, ClientGone, Exchange
from gateway.server.http1.limits import Limits
from gateway.server.http1.server import Server

__all__ = ["BodyBroken", "BodyTimeout", "BodyTooLarge", "ClientGone", "Exchange", "Limits", "Server"]
