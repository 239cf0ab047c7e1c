"""The JSON of an answer: whole, and as server-sent events."""

from __future__ import annotations

import secrets
import time
from typing import Any

import msgspec

from gateway.sandbox.generator.questions import Kind, Question

FINGERPRINT = "simulated-generator"
"""`system_fingerprint` of every answer."""
DONE = b"data: [DONE]\n\n"

encode = msgspec.json.Encoder().encode


class Answer:
    """Writes one answer in its endpoint's shape."""

    def __init__(self, question: Question) -> None:
        self._chat = question.kind == "chat"
        prefix, name = _NAMES[question.kind]
        self._common: dict[str, Any] = {
            "id": prefix + secrets.token_hex(12),
            "object": name + ".chunk" if self._chat and question.stream else name,
            "created": int(time.time()),
            "model": question.model,
            "system_fingerprint": FINGERPRINT,
        }

    def whole(self, text: str, finish: str, prompt_tokens: int, output_tokens: int) -> bytes:
        said: dict[str, Any] = {"message": {"role": "assistant", "content": text}} if self._chat else {"text": text}
        choice = {"index": 0, **said, "logprobs": None, "finish_reason": finish}
        return encode({**self._common, "choices": [choice], "usage": usage(prompt_tokens, output_tokens)})

    def opening(self) -> bytes:
        """A chat stream's first event names the role; a text stream has none."""
        return self._event({"delta": {"role": "assistant", "content": ""}}, None) if self._chat else b""

    def piece(self, text: str, finish: str | None = None) -> bytes:
        return self._event({"delta": {"content": text}} if self._chat else {"text": text}, finish)

    def usage_event(self, prompt_tokens: int, output_tokens: int) -> bytes:
        event = {**self._common, "choices": [], "usage": usage(prompt_tokens, output_tokens)}
        return b"data: " + encode(event) + b"\n\n"

    def _event(self, said: dict[str, Any], finish: str | None) -> bytes:
        choice = {"index": 0, **said, "logprobs": None, "finish_reason": finish}
        return b"data: " + encode({**self._common, "choices": [choice]}) + b"\n\n"


_NAMES: dict[Kind, tuple[str, str]] = {
    "chat": ("chatcmpl-", "chat.completion"),
    "completions": ("cmpl-", "text_completion"),
}


def usage(prompt_tokens: int, output_tokens: int) -> dict[str, int]:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": output_tokens,
        "total_tokens": prompt_tokens + output_tokens,
    }
