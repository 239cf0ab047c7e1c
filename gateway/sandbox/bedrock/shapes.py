"""How an answer looks in each of the three InvokeModel formats.

A shape turns a text stream into events: `(event type, JSON)` pairs. For InvokeModel every event is a `chunk`.
"""

from __future__ import annotations

import abc
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from gateway.sandbox.bedrock.text import Finish, Piece, TokenLogprob

Event = tuple[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Usage:
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Metrics:
    """Milliseconds, as the last chunk of a stream tells them."""

    usage: Usage
    latency_ms: int
    first_byte_ms: int

    def json(self) -> dict[str, Any]:
        return {
            "inputTokenCount": self.usage.input_tokens,
            "outputTokenCount": self.usage.output_tokens,
            "invocationLatency": self.latency_ms,
            "firstByteLatency": self.first_byte_ms,
        }


@dataclass(slots=True)
class Shape(abc.ABC):
    """One way to write an answer. Built from a request's body, for that one answer."""

    input_tokens: int = field(default=0, init=False)
    """Set once the text source has counted them, before the first event."""

    @abc.abstractmethod
    def opening(self) -> list[Event]:
        """Events before the first token."""

    @abc.abstractmethod
    def delta(self, piece: Piece) -> list[Event]:
        """Events of one piece."""

    @abc.abstractmethod
    def closing(self, finish: Finish, metrics: Metrics) -> list[Event]:
        """Events at the end."""

    @abc.abstractmethod
    def whole(self, pieces: list[Piece], finish: Finish, metrics: Metrics) -> dict[str, Any]:
        """The unstreamed body."""


@dataclass(slots=True)
class MetaShape(Shape):
    """Meta's native body (`generation`); also what a base Llama speaks on InvokeModel."""

    logprobs: bool
    _written: int = field(default=0, init=False)
    _input_told: bool = field(default=False, init=False)

    def opening(self) -> list[Event]:
        return []

    def delta(self, piece: Piece) -> list[Event]:
        self._written += piece.tokens
        chunk = self._json(piece.text, self._input_once(), self._written, None)
        if self.logprobs:
            chunk["logprobs"] = self._logprobs([piece])
        return [("chunk", chunk)]

    def closing(self, finish: Finish, metrics: Metrics) -> list[Event]:
        return [("chunk", self._json("", self._input_once(), metrics.usage.output_tokens, finish.reason))]

    def whole(self, pieces: list[Piece], finish: Finish, metrics: Metrics) -> dict[str, Any]:
        usage = metrics.usage
        text = "".join(piece.text for piece in pieces)
        body = self._json(text, usage.input_tokens, usage.output_tokens, finish.reason)
        return body | {"logprobs": self._logprobs(pieces) if self.logprobs else None}

    def _input_once(self) -> int | None:
        """The input's tokens on the first chunk, null on the later ones."""
        told, self._input_told = self._input_told, True
        return None if told else self.input_tokens

    def _json(self, text: str, inputs: int | None, outputs: int, stop_reason: str | None) -> dict[str, Any]:
        return {
            "generation": text,
            "prompt_token_count": inputs,
            "generation_token_count": outputs,
            "stop_reason": stop_reason,
        }

    def _logprobs(self, pieces: list[Piece]) -> list[dict[str, float]]:
        return [{told.token.removeprefix("token_id:"): told.logprob} for piece in pieces for told in piece.logprobs]


@dataclass(slots=True)
class _OpenAIShape(Shape):
    model: str
    include_usage: bool
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    created: int = field(default_factory=lambda: int(time.time()))

    _prefix = ""
    _object = ""
    _chunk_object = ""

    def _head(self, *, streamed: bool) -> dict[str, Any]:
        return {
            "id": f"{self._prefix}-{self.id}",
            "object": self._chunk_object if streamed else self._object,
            "created": self.created,
            "model": self.model,
        }

    def _usage(self, usage: Usage) -> dict[str, Any]:
        return {
            "prompt_tokens": usage.input_tokens,
            "completion_tokens": usage.output_tokens,
            "total_tokens": usage.input_tokens + usage.output_tokens,
        }

    @abc.abstractmethod
    def _last_choice(self, finish: Finish) -> dict[str, Any]: ...

    def closing(self, finish: Finish, metrics: Metrics) -> list[Event]:
        chunks = [self._head(streamed=True) | {"choices": [self._last_choice(finish)]}]
        if self.include_usage:
            chunks.append(self._head(streamed=True) | {"choices": [], "usage": self._usage(metrics.usage)})
        return [("chunk", chunk) for chunk in chunks]


@dataclass(slots=True)
class ChatShape(_OpenAIShape):
    """OpenAI's chat completion."""

    _prefix = "chatcmpl"
    _object = "chat.completion"
    _chunk_object = "chat.completion.chunk"

    def opening(self) -> list[Event]:
        return [self._chunk({"role": "assistant", "content": ""}, [])]

    def delta(self, piece: Piece) -> list[Event]:
        return [self._chunk({"content": piece.text}, [piece])]

    def _chunk(self, delta: dict[str, Any], pieces: list[Piece]) -> Event:
        choice = {"index": 0, "delta": delta, "logprobs": self._logprobs(pieces), "finish_reason": None}
        return "chunk", self._head(streamed=True) | {"choices": [choice]}

    def _last_choice(self, finish: Finish) -> dict[str, Any]:
        end = {"finish_reason": finish.reason, "stop_reason": finish.stop_sequence}
        return {"index": 0, "delta": {}, "logprobs": None, **end}

    def whole(self, pieces: list[Piece], finish: Finish, metrics: Metrics) -> dict[str, Any]:
        message: dict[str, Any] = {
            "role": "assistant",
            "content": "".join(piece.text for piece in pieces),
            "refusal": None,
            "annotations": None,
            "audio": None,
            "function_call": None,
            "tool_calls": [],
            "reasoning_content": None,
        }
        choice = {
            "index": 0,
            "message": message,
            "logprobs": self._logprobs(pieces),
            "finish_reason": finish.reason,
            "stop_reason": finish.stop_sequence,
            "token_ids": None,
        }
        return self._head(streamed=False) | {
            "choices": [choice],
            "service_tier": None,
            "system_fingerprint": None,
            "usage": self._usage(metrics.usage) | {"prompt_tokens_details": None},
            "prompt_logprobs": None,
            "prompt_token_ids": None,
            "kv_transfer_params": None,
        }

    def _logprobs(self, pieces: list[Piece]) -> dict[str, Any] | None:
        told = [entry for piece in pieces for entry in piece.logprobs]
        if not told:
            return None

        def entry_of(token: str, logprob: float) -> dict[str, Any]:
            return {"token": token, "logprob": logprob, "bytes": list(token.encode())}

        def full(entry: TokenLogprob) -> dict[str, Any]:
            top = [entry_of(token, logprob) for token, logprob in entry.top]
            return entry_of(entry.token, entry.logprob) | {"top_logprobs": top}

        return {"content": [full(entry) for entry in told]}


@dataclass(slots=True)
class CompletionShape(_OpenAIShape):
    """OpenAI's legacy completion."""

    offset: int = field(default=0, init=False)

    _prefix = "cmpl"
    _object = "text_completion"
    _chunk_object = "text_completion"

    def opening(self) -> list[Event]:
        return []

    def delta(self, piece: Piece) -> list[Event]:
        choice = {"index": 0, "text": piece.text, "logprobs": self._logprobs([piece]), "finish_reason": None}
        return [("chunk", self._head(streamed=True) | {"choices": [choice]})]

    def _last_choice(self, finish: Finish) -> dict[str, Any]:
        end = {"finish_reason": finish.reason, "stop_reason": finish.stop_sequence}
        return {"index": 0, "text": "", "logprobs": None, **end}

    def whole(self, pieces: list[Piece], finish: Finish, metrics: Metrics) -> dict[str, Any]:
        choice = {
            "index": 0,
            "text": "".join(piece.text for piece in pieces),
            "logprobs": self._logprobs(pieces),
            "finish_reason": finish.reason,
            "stop_reason": finish.stop_sequence,
        }
        return self._head(streamed=False) | {"choices": [choice], "usage": self._usage(metrics.usage)}

    def _logprobs(self, pieces: list[Piece]) -> dict[str, Any] | None:
        told = [entry for piece in pieces for entry in piece.logprobs]
        if not told:
            return None
        offsets = []
        for entry in told:
            offsets.append(self.offset)
            self.offset += len(entry.token)
        return {
            "tokens": [entry.token for entry in told],
            "token_logprobs": [entry.logprob for entry in told],
            "top_logprobs": [dict(entry.top) or None for entry in told],
            "text_offset": offsets,
        }
