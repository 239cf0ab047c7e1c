"""The gateway's own server with the same answers: `python -m benchmarks.own_server PORT`."""

from __future__ import annotations

import asyncio
import socket
import sys

import uvloop

from benchmarks.asgi_answer import END, EVENTS, JSON, PACE_SECONDS, TOKEN, app, asked_of, whole
from gateway.server.http1 import Exchange, Limits, Server
from gateway.server.http1.asgi import run_asgi


async def answer(exchange: Exchange) -> None:
    asked = asked_of(await exchange.body(30.0))
    if not asked.stream:
        exchange.respond(200, JSON, whole(asked.max_tokens))
        return
    exchange.begin(200, EVENTS)
    for number in range(asked.max_tokens):
        if number:
            await asyncio.sleep(PACE_SECONDS)
        exchange.write(TOKEN)
    exchange.write(END)
    exchange.end()


async def answer_over_asgi(exchange: Exchange) -> None:
    await run_asgi(app, exchange, ("127.0.0.1", 0))


async def main(port: int, *, asgi: bool) -> None:
    with socket.create_server(("127.0.0.1", port), backlog=1024) as listener:
        listener.setblocking(False)
        await Server(answer_over_asgi if asgi else answer, Limits()).start([listener])
        await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1]), asgi=sys.argv[2:] == ["asgi"]))
