"""Meta's own body (BedrockCompletion): `prompt` and `max_gen_len`, answered by `generation` and token counts.

It takes temperature and top_p besides, nothing else on the base model. A chat is put through the Llama template. Its
first event tells the prompt's tokens; each event tells how many were generated up to then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.backends.bedrock import fields, llama_template, messages
from gateway.backends.bedrock.answer import Answer, finish_reason
from gateway.backends.bedrock.chunk import model_json
from gateway.backends.bedrock.passthrough import METRICS
from gateway.backends.bedrock.tally import InvocationMetrics, Tally
from gateway.backends.contract import Operation, UpstreamRequest

_COPIED = ("temperature", "top_p")
_CHAT = frozenset({*_COPIED, "messages", "max_tokens", "max_completion_tokens"})
_COMPLETIONS = frozenset({*_COPIED, "prompt", "max_tokens"})


class _Generation(msgspec.Struct):
    generation: str | None
    prompt_token_count: int | None = None
    generation_token_count: int | None = None
    stop_reason: str | None = None
    metrics: InvocationMetrics | None = msgspec.field(default=None, name=METRICS)


_decode = msgspec.json.Decoder(_Generation).decode


class Meta:
    path = "invoke"
    stream_path = "invoke-with-response-stream"

    def carries(self, operation: Operation) -> frozenset[str] | None:
        return {"chat": _CHAT, "completions": _COMPLETIONS}.get(operation)

    def encode(self, request: UpstreamRequest) -> bytes:
        if request.operation == "chat":
            prompt = llama_template.render(messages.read(fields.raw(request, "messages")))
        else:
            prompt = fields.prompt_text(request)
        body: dict[str, Any] = {
            "prompt": prompt,
            "max_gen_len": fields.needed_max_tokens(request),
            **fields.copy(request, _COPIED),
        }
        return msgspec.json.encode(body)

    def translator(self, answer: Answer, tally: Tally) -> _FromMeta:
        return _FromMeta(answer, tally)


class _FromMeta:
    __slots__ = ("_answer", "_filter", "_tally", "finished")

    def __init__(self, answer: Answer, tally: Tally) -> None:
        self._answer = answer
        self._tally = tally
        self._filter = llama_template.SpecialTokenFilter()
        self.finished = False

    def whole(self, body: bytes, headers: Mapping[str, str]) -> bytes:
        piece = self._read(body, final=True)
        self._tally.report_headers(headers)
        self._tally.finish()
        text = self._filter.feed(piece.generation or "") + self._filter.end()
        return self._answer.whole(text, finish_reason(piece.stop_reason or "stop"), self._tally.usage)

    def event(self, name: str, payload: bytes) -> bytes:
        chunk = model_json(name, payload)
        if chunk is None:
            return b""
        piece = self._read(chunk, final=False)
        out = self._answer.text(self._filter.feed(piece.generation or ""))
        if piece.stop_reason is not None and not self.finished:
            self.finished = True
            out += self._answer.text(self._filter.end()) + self._answer.finish(finish_reason(piece.stop_reason))
        return out

    def _read(self, body: bytes, *, final: bool) -> _Generation:
        piece = _decode(body)
        self._tally.content(piece.generation or "")
        if piece.metrics is not None:
            self._tally.report(piece.metrics.inputTokenCount, piece.metrics.outputTokenCount)
        self._tally.running_usage(
            piece.prompt_token_count, piece.generation_token_count, final=final or piece.stop_reason is not None
        )
        return piece
