"""The gateway's own server and client with nothing between them: `python -m benchmarks.bare_relay PORT UPSTREAM_PORT`.

What any feature costs is beside this. Streams are pushed as the gateway pushes them, whole chunks with their framing;
nothing is read of them.
"""

from __future__ import annotations

import asyncio
import socket
import sys

import uvloop

from gateway.backends.http1 import Address, Client, Limits
from gateway.backends.http1.chunks import one_chunk
from gateway.server.http1 import Exchange, Server
from gateway.server.http1 import Limits as ServerLimits

KIND = b"content-type"


class Push:
    """What comes for one answer, to its client at once."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def chunks(self, data: bytes) -> bool:
        if not one_chunk(data):
            return False
        self._exchange.write(data, True)
        return True

    def body(self, data: bytes) -> None:
        self._exchange.write(data)

    def over(self) -> None:
        self.ended.set_result(None)


class Relay:
    def __init__(self, upstream: int) -> None:
        self._client = Client(limits=Limits(connections=1024))
        self._address = Address("127.0.0.1", upstream)

    async def __call__(self, exchange: Exchange) -> None:
        body = await exchange.body(30.0)
        headers = ((KIND, b"application/json"),)
        async with await self._client.send(b"POST", self._address, exchange.path, headers, body) as response:
            kind = ((KIND, response.header(KIND) or b"application/json"),)
            if not kind[0][1].startswith(b"text/event-stream"):
                exchange.respond(response.status, kind, await response.read(2**26))
                return
            exchange.begin(response.status, kind)
            push = Push(exchange)
            response.push(push)
            await push.ended
            exchange.end()


async def main(port: int, upstream: int) -> None:
    with socket.create_server(("127.0.0.1", port), backlog=1024) as listener:
        listener.setblocking(False)
        await Server(Relay(upstream), ServerLimits()).start([listener])
        await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1]), int(sys.argv[2])))
