"""A frozen set of as many questions as one wants, and an OpenAI-compatible peer which answers by the model's name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256

from aiohttp import web

from gateway.sandbox.hosting import free_port, in_thread
from trainer.gate.schema import FrozenSet, Passage, Question

REFUSAL = "The handbook does not say."


def question(number: int) -> Question:
    """Every sixth has no answer. Room 7 has 107 desks."""
    id = f"room-{number:02d}"
    text = f"Room {number} on the north side has {100 + number} desks and a green door."
    passages = (Passage(id, text, sha256(text.encode()).hexdigest()), _other(number))
    if number % 6 == 0:
        return Question(f"q{number:02d}", f"Who cleans room {number}?", passages, labels={"kind": "people"})
    return Question(
        f"q{number:02d}", f"How many desks does room {number} have?", passages,
        f"Room {number} has {100 + number} desks.",
        ((f"{100 + number} desks",),), (id,), {"kind": "rooms"},
    )  # fmt: skip


def _other(number: int) -> Passage:
    text = f"The kitchen on floor {number} opens at 7:15."
    return Passage(f"kitchen-{number:02d}", text, sha256(text.encode()).hexdigest())


def rooms(count: int) -> FrozenSet:
    asked = tuple(question(number) for number in range(1, count + 1))
    return FrozenSet(1, f"rooms-{count}", "Answer from the passages and cite one.", {"mode": "by hand"}, asked)


def right(number: int) -> str:
    one = question(number)
    return REFUSAL if one.reference is None else f"{one.reference} [{one.sources[0]}]"


def wrong(number: int) -> str:
    return f"Room {number} has 999 desks. [room-{number:02d}]"


class Peer:
    """Of model `right-N` the first N answers are right; of others all are. `asked`: by model. `broken`: answers 500, as
    of the rooms in `silent`."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: dict[str, int] = {}
        self.broken = False
        self.silent: set[int] = set()

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.json()
        model, prompt = str(body["model"]), body["messages"][-1]["content"]
        self.asked[model] = self.asked.get(model, 0) + 1
        number = int(prompt.rpartition("room ")[2].split()[0].rstrip("?"))
        if self.broken or number in self.silent:
            return web.json_response({"error": {"message": "broken"}}, status=500)
        many = int(model.partition("right-")[2].partition("@")[0] or 10**9)
        text = right(number) if number <= many else wrong(number)
        return web.json_response(
            {
                "id": "x", "object": "chat.completion", "model": model,
                "choices": [
                    {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
                ],
                "usage": {"prompt_tokens": 40, "completion_tokens": 9, "total_tokens": 49},
            }
        )  # fmt: skip


@contextmanager
def peer() -> Iterator[Peer]:
    from collections.abc import AsyncIterator
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def start() -> AsyncIterator[Peer]:
        made = Peer()
        app = web.Application()
        app.router.add_post("/v1/chat/completions", made.answer)
        runner = web.AppRunner(app)
        await runner.setup()
        port = free_port()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        made.url = f"http://127.0.0.1:{port}/v1"
        try:
            yield made
        finally:
            await runner.cleanup()

    with in_thread(start, "peer") as made:
        yield made
