"""Converse and ConverseStream: one message format for every instruct model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.sandbox.bedrock.bodies import Parsed
from gateway.sandbox.bedrock.errors import invalid
from gateway.sandbox.bedrock.eventstream import padding
from gateway.sandbox.bedrock.fields import integer, number, stop_list
from gateway.sandbox.bedrock.settings import GeneratingSettings
from gateway.sandbox.bedrock.shapes import Event, Metrics, Shape, Usage
from gateway.sandbox.bedrock.text import Finish, Message, Piece, TextRequest


def parse_converse(body: dict[str, Any], model: GeneratingSettings) -> Parsed:
    """A Converse body. BedrockError (ValidationException) names the field that is wrong."""
    if not model.instruct_supported:
        raise invalid(
            "This action doesn't support the model that you provided. Try again with a supported text or chat model."
        )
    if body.get("toolConfig"):
        raise invalid("This model doesn't support tool use: leave toolConfig out.")
    config = body.get("inferenceConfig") or {}
    number(config, "temperature", 0, 1)
    number(config, "topP", 0, 1)
    given = body.get("messages")
    if not isinstance(given, list) or not given:
        raise invalid("messages: a conversation needs at least one message.")
    messages = [Message("system", _text(block, f"system.{i}")) for i, block in enumerate(body.get("system") or [])]
    expected = "user"
    for index, entry in enumerate(given):
        role = entry.get("role")
        if role != expected:
            raise invalid(
                "A conversation must start with a user message."
                if index == 0
                else f"messages.{index}: roles must alternate between user and assistant, and this is {role!r} again."
            )
        expected = "assistant" if role == "user" else "user"
        blocks = entry.get("content") or []
        texts = [_text(block, f"messages.{index}.content.{i}") for i, block in enumerate(blocks)]
        if not texts:
            raise invalid(f"messages.{index}.content is empty: add a text block.")
        messages.append(Message(role, "\n".join(texts)))
    request = TextRequest(
        max_tokens=integer(config, "maxTokens", 1, model.max_output_tokens) or model.default_output_tokens,
        messages=tuple(messages),
        stop=stop_list(config, "stopSequences"),
        model=model.text_model,
    )
    return Parsed(request, ConverseShape())


def _text(block: Any, place: str) -> str:
    if not isinstance(block, dict) or not isinstance(block.get("text"), str):
        kinds = ", ".join(block) if isinstance(block, dict) else type(block).__name__
        raise invalid(f"This model takes text content only; {place} holds {kinds or 'nothing'}.")
    text: str = block["text"]
    if not text.strip():
        raise invalid(f"The text field at {place} is blank. Add text to it, and try again.")
    return text


@dataclass(slots=True)
class ConverseShape(Shape):
    """Converse's output and its stream events."""

    def opening(self) -> list[Event]:
        return [("messageStart", {"role": "assistant", "p": padding()})]

    def delta(self, piece: Piece) -> list[Event]:
        return [("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": piece.text}, "p": padding()})]

    def closing(self, finish: Finish, metrics: Metrics) -> list[Event]:
        return [
            ("contentBlockStop", {"contentBlockIndex": 0, "p": padding()}),
            ("messageStop", {"stopReason": stop_reason(finish), "p": padding()}),
            ("metadata", {"usage": _usage(metrics.usage), "metrics": {"latencyMs": metrics.latency_ms}}),
        ]

    def whole(self, pieces: list[Piece], finish: Finish, metrics: Metrics) -> dict[str, Any]:
        text = "".join(piece.text for piece in pieces)
        return {
            "output": {"message": {"role": "assistant", "content": [{"text": text}]}},
            "stopReason": stop_reason(finish),
            "usage": _usage(metrics.usage),
            "metrics": {"latencyMs": metrics.latency_ms},
        }


def stop_reason(finish: Finish) -> str:
    if finish.reason == "length":
        return "max_tokens"
    return "end_turn" if finish.stop_sequence is None else "stop_sequence"


def _usage(usage: Usage) -> dict[str, int]:
    total = usage.input_tokens + usage.output_tokens
    return {"inputTokens": usage.input_tokens, "outputTokens": usage.output_tokens, "totalTokens": total}
