"""Writing OpenAI answers: chat.completion, chat.completion.chunk and text_completion, as bytes."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.backends.contract import UpstreamRequest
from gateway.backends.usage import Usage

DONE = b"data: [DONE]\n\n"

_FINISH_REASONS = {
    "stop": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "content_filtered": "content_filter",
    "guardrail_intervened": "content_filter",
}
_json = msgspec.json.encode


def finish_reason(stop_reason: str) -> str:
    """OpenAI's word for a stop reason of Bedrock's; one it has no word for (`malformed_model_output`) is a `stop`."""
    return _FINISH_REASONS.get(stop_reason, "stop")


def event(payload: bytes) -> bytes:
    """One server-sent event."""
    return b"data: " + payload + b"\n\n"


class Answer:
    """One answer's envelope (`id`, `created`, `model` = the alias) and everything written in it."""

    __slots__ = ("_after_choices", "_before_choices", "_begun", "alias", "chat", "created", "id")

    def __init__(self, request: UpstreamRequest, created: int) -> None:
        self.chat = request.operation == "chat"
        self.id = f"{'chatcmpl' if self.chat else 'cmpl'}-{request.request_id}"
        self.created = created
        self.alias = request.alias
        self._begun = False
        kind = "chat.completion.chunk" if self.chat else "text_completion"
        head = {"id": self.id, "object": kind, "created": created, "model": request.alias}
        self._before_choices = b"data: " + _json(head)[:-1] + b',"choices":['
        self._after_choices = b"]}\n\n"

    def text(self, text: str) -> bytes:
        """A piece of a streamed answer; before the first one of a chat comes the chunk with the role."""
        if not text:
            return b""
        if self.chat:
            delta = b'{"index":0,"delta":{"content":' + _json(text) + b'},"logprobs":null,"finish_reason":null}'
            return self.role() + self._before_choices + delta + self._after_choices
        choice = b'{"index":0,"text":' + _json(text) + b',"logprobs":null,"finish_reason":null}'
        return self._before_choices + choice + self._after_choices

    def role(self) -> bytes:
        """The chunk that opens a chat; nothing the second time."""
        if self._begun or not self.chat:
            return b""
        self._begun = True
        opening = b'{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}'
        return self._before_choices + opening + self._after_choices

    def finish(self, reason: str) -> bytes:
        """The chunk with the finish reason (already in OpenAI's words)."""
        body = b'"delta":{}' if self.chat else b'"text":""'
        choice = b'{"index":0,' + body + b',"logprobs":null,"finish_reason":' + _json(reason) + b"}"
        return self.role() + self._before_choices + choice + self._after_choices

    def usage_event(self, usage: Usage) -> bytes:
        """A stream's last chunk: no choices, only the usage. Nothing when the usage is not known."""
        if usage.certainty == "missing":
            return b""
        return self._before_choices + b'],"usage":' + _json(usage_object(usage)) + b"}\n\n"

    def whole(self, text: str, reason: str, usage: Usage) -> bytes:
        """The answer of a request that did not ask for a stream."""
        content: dict[str, Any]
        if self.chat:
            content = {"message": {"role": "assistant", "content": text, "refusal": None}}
        else:
            content = {"text": text}
        body: dict[str, Any] = {
            "id": self.id,
            "object": "chat.completion" if self.chat else "text_completion",
            "created": self.created,
            "model": self.alias,
            "choices": [{"index": 0, **content, "logprobs": None, "finish_reason": reason}],
        }
        if usage.certainty != "missing":
            body["usage"] = usage_object(usage)
        return _json(body)


def usage_object(usage: Usage) -> dict[str, int]:
    """OpenAI's `usage`."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
