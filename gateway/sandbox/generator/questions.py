"""What a body asks for: decoded, checked, and refused in OpenAI's words where the generator cannot do it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import msgspec

from gateway.sandbox.bedrock.text import Message, TextRequest
from gateway.sandbox.generator.settings import GeneratorSettings

Kind: TypeAlias = Literal["chat", "completions"]


class RefusedError(Exception):
    """What a client is told instead of an answer, as OpenAI's error object."""

    def __init__(
        self, status: int, message: str, code: str | None = None, param: str | None = None,
        type: str = "invalid_request_error",
    ) -> None:  # fmt: skip
        super().__init__(message)
        self.status = status
        self.error = {"message": message, "type": type, "param": param, "code": code}


class _Part(msgspec.Struct):
    type: str
    text: str = ""


class _Message(msgspec.Struct):
    role: str
    content: str | list[_Part] | None = None


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Body(msgspec.Struct):
    model: str | None = None
    messages: list[_Message] | None = None
    prompt: str | list[str] | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    ignore_eos: bool | None = None
    """vLLM's own: go on to `max_tokens`."""
    n: int | None = None
    tools: list[Any] | None = None
    response_format: dict[str, Any] | None = None
    logprobs: bool | int | None = None


class Question(msgspec.Struct, frozen=True):
    kind: Kind
    model: str
    text: TextRequest
    stream: bool
    include_usage: bool
    max_tokens_given: bool


_decode = msgspec.json.Decoder(_Body).decode


def read_question(kind: Kind, raw: bytes, settings: GeneratorSettings, knows: Callable[[str], bool]) -> Question:
    """`knows`: whether a name is served, as a base model or as an adapter. `text.max_tokens` is the body's, or all of
    the context. Raises `RefusedError`."""
    try:
        body = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RefusedError(400, f"The request body cannot be read: {error}.", "invalid_json") from None
    if body.model is None:
        raise RefusedError(400, "You must provide a model parameter.", "missing_parameter", "model")
    if not knows(body.model):
        raise RefusedError(404, f"The model '{body.model[:80]}' does not exist.", "model_not_found", "model")
    _refuse_what_cannot_be_done(body)
    given = body.max_tokens if body.max_completion_tokens is None else body.max_completion_tokens
    if given is not None and given < 1:
        raise RefusedError(400, f"max_tokens must be at least 1; it is {given}.", "invalid_value", "max_tokens")
    messages, prompt = _prompt(kind, body)
    text = TextRequest(
        settings.context_tokens if given is None else given, messages, prompt, _stops(body.stop),
        ignore_eos=bool(body.ignore_eos),
    )  # fmt: skip
    options = body.stream_options
    return Question(
        kind, body.model, text, bool(body.stream), bool(options and options.include_usage), given is not None
    )


def fitted(question: Question, prompt_tokens: int, settings: GeneratorSettings) -> TextRequest:
    """The request, within the context. Raises `RefusedError` where it cannot fit."""
    text = question.text
    room = settings.context_tokens - prompt_tokens
    wanted = text.max_tokens if question.max_tokens_given else 1
    if wanted > room:
        raise RefusedError(
            400, f"The context is {settings.context_tokens} tokens; the prompt has {prompt_tokens} and {wanted} are "
            "asked for. Shorten either.", "context_length_exceeded",
        )  # fmt: skip
    return TextRequest(
        min(text.max_tokens, room), text.messages, text.prompt, text.stop, ignore_eos=text.ignore_eos
    )  # fmt: skip


def _refuse_what_cannot_be_done(body: _Body) -> None:
    plain = body.response_format is None or body.response_format.get("type") == "text"
    for name, asked in (
        ("n", body.n not in (None, 1)),
        ("tools", bool(body.tools)),
        ("response_format", not plain),
        ("logprobs", body.logprobs is not None and body.logprobs is not False),
    ):
        if asked:
            raise RefusedError(
                400, f"The simulated generator cannot honour {name}. Leave it out, or ask a real model.",
                "unsupported_parameter", name,
            )  # fmt: skip


def _prompt(kind: Kind, body: _Body) -> tuple[tuple[Message, ...], str]:
    if kind == "chat":
        if not body.messages:
            raise RefusedError(400, "You must provide at least one message.", "missing_parameter", "messages")
        return tuple(Message(message.role, _content(message)) for message in body.messages), ""
    prompts = [body.prompt] if isinstance(body.prompt, str) else body.prompt or []
    if len(prompts) != 1:
        code = "invalid_value" if prompts else "missing_parameter"
        raise RefusedError(400, f"You must provide one prompt; there are {len(prompts)}.", code, "prompt")
    return (), prompts[0]


def _content(message: _Message) -> str:
    if not isinstance(message.content, list):
        return message.content or ""
    for part in message.content:
        if part.type != "text":
            raise RefusedError(
                400, f"The simulated generator reads text only; a message has a part of type '{part.type[:40]}'.",
                "invalid_value", "messages",
            )  # fmt: skip
    return "".join(part.text for part in message.content)


def _stops(stop: str | list[str] | None) -> tuple[str, ...]:
    return () if stop is None else (stop,) if isinstance(stop, str) else tuple(stop)
