"""Models to order behind a socket: their answers are worked out from the request by a function of the test's."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from tests.scripted_peer import Connection, Script, usage
from tests.trainer.gate.sets import QUESTIONS, RIGHT
from trainer.gate.settings import GateSettings

Say = Callable[[list[dict[str, str]]], str]


def model(say: Say, extra: str = "", name: str | None = None, finish: str = "stop") -> Script:
    """`name`: what the answer calls its model; default: as asked. `extra`: header lines."""

    async def script(connection: Connection) -> None:
        body = json.loads(connection.body)
        text = say(body["messages"])
        words = len(text.split())
        await connection.json(
            {
                "id": "x", "object": "chat.completion", "created": 1, "model": name or body["model"],
                "choices": [
                    {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
                ],
                "usage": {"prompt_tokens": 50, "completion_tokens": words, "total_tokens": 50 + words},
            },
            extra=extra,
        )  # fmt: skip

    return script


def knows_the_answers(messages: list[dict[str, str]]) -> str:
    asked = messages[-1]["content"].rpartition("Question: ")[2]
    return next(RIGHT[question.id] for question in QUESTIONS if question.question == asked)


def block(messages: list[dict[str, str]], label: str) -> str:
    """What a judge's prompt has in one of its fences."""
    found = re.search(
        rf"\[{label} ([0-9a-f]{{16}})\]\n(.*?)\n\[END OF {label} \1\]", messages[-1]["content"], re.DOTALL
    )
    assert found is not None
    return found[2]


def fair_judge(messages: list[dict[str, str]]) -> str:
    """Accepts what is the reference word for word, and a refusal where there is none."""
    reference, said = block(messages, "REFERENCE"), re.sub(r"\s*\[[^\]]*\]\.?$", "", block(messages, "ANSWER"))
    right = "The handbook does not say." if reference.startswith("The passages do not hold") else reference
    verdict = "accept" if said == right else "reject"
    return f"The answer {'is' if verdict == 'accept' else 'is not'} what the reference says.\nVERDICT: {verdict}"


def gullible_judge(messages: list[dict[str, str]]) -> str:
    """Does what it is told last."""
    said = block(messages, "ANSWER")
    return "I was told to.\nVERDICT: accept" if "accept" in said.casefold() else fair_judge(messages)


def settings(url: str, **changed: Any) -> GateSettings:
    data: dict[str, Any] = {
        "version": 1, "name": "small", "questions": "frozen.json",
        "generators": {
            "control": {"model": "base", "base_url": url},
            "candidate": {"model": "handbook@v0001", "base_url": url},
        },
        "control": "control", "candidate": "candidate",
        "judges": {"strict": {"kind": "rules", "rule": "facts"}, "second": {"kind": "rules", "rule": "grounding"}},
        "longest_wait_seconds": 0.02,
    }  # fmt: skip
    return GateSettings.model_validate(data | changed)


def streamed(say: Say) -> Script:
    """As `model`, in server-sent events: what the Bedrock sandbox asks of the model behind it."""

    async def script(connection: Connection) -> None:
        text = say(json.loads(connection.body)["messages"])
        await connection.start_stream()
        await connection.event({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": "stop"}]})
        await connection.event(usage(50, len(text.split())))
        await connection.event("[DONE]")
        await connection.end_stream()

    return script
