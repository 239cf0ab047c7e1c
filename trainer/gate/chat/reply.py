"""A chat completion as it came: what was said, by whom, and how many tokens it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from trainer.gate.errors import ChatError

MAX_TEXT_CHARACTERS = 65_536
"""Of one answer: the longest that may be asked for (8,192 tokens) has about half as many."""
MAX_NAME_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Reply:
    """`latency_seconds`: from sending the request to the answer's last byte, without waits before it and tries that
    failed. `decision`, `backend`, `adapter`: a gateway's headers; None: no gateway, or it did not say."""

    text: str
    model: str | None
    finish_reason: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    latency_seconds: float
    backend: str | None = None
    adapter: str | None = None
    decision: str | None = None


class _Message(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    model: str | None = None
    usage: _Usage | None = None


_decode = msgspec.json.Decoder(_Completion).decode


def read_reply(body: bytes, headers: Mapping[str, str], latency_seconds: float) -> Reply:
    """Raises ChatError for what is no chat completion with a text in it."""
    try:
        completion = _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ChatError(f"the answer is no chat completion ({error}); is this an OpenAI-compatible address?") from None
    if len(completion.choices) != 1:
        raise ChatError(f"the answer holds {len(completion.choices)} choices, not 1")
    choice, usage = completion.choices[0], completion.usage or _Usage()
    text = choice.message.content if choice.message.content is not None else choice.message.refusal
    if text is None:
        raise ChatError("the answer holds no text")
    if len(text) > MAX_TEXT_CHARACTERS:
        raise ChatError(f"the answer has {len(text)} characters; the limit is {MAX_TEXT_CHARACTERS}")
    return Reply(
        text=text,
        model=_name(completion.model),
        finish_reason=_name(choice.finish_reason),
        prompt_tokens=_count(usage.prompt_tokens),
        completion_tokens=_count(usage.completion_tokens),
        latency_seconds=latency_seconds,
        backend=_name(headers.get("x-crossover-backend")),
        adapter=_name(headers.get("x-crossover-adapter")),
        decision=_name(headers.get("x-crossover-decision")),
    )


def _name(value: str | None) -> str | None:
    return value[:MAX_NAME_CHARACTERS] if value and value.isprintable() else None


def _count(value: int | None) -> int | None:
    return value if value is not None and 0 <= value < 2**31 else None
