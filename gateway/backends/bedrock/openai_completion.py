"""The OpenAICompletion body of an imported model: `prompt` and `max_tokens`, answered by a text_completion.

A chat is put through the Llama template first and its text turned into chat chunks; its `logprobs` have another form
here, so they are not carried for a chat.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.backends.bedrock import fields, llama_template, messages
from gateway.backends.bedrock.answer import Answer, finish_reason
from gateway.backends.bedrock.chunk import model_json
from gateway.backends.bedrock.passthrough import METRICS, OpenAIUsage, PassThrough
from gateway.backends.bedrock.tally import InvocationMetrics, Tally
from gateway.backends.contract import Operation, UpstreamRequest

_COPIED = (
    "temperature", "top_p", "stop", "seed", "frequency_penalty", "presence_penalty", "logit_bias", "response_format",
    "structured_outputs",
)  # fmt: skip
_CHAT = frozenset({*_COPIED, "messages", "max_tokens", "max_completion_tokens"})
_COMPLETIONS = frozenset({*_COPIED, "prompt", "max_tokens", "logprobs"})


class _Choice(msgspec.Struct):
    text: str = ""
    finish_reason: str | None = None


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    usage: OpenAIUsage | None = None
    metrics: InvocationMetrics | None = msgspec.field(default=None, name=METRICS)


_decode = msgspec.json.Decoder(_Completion).decode


class OpenAICompletion:
    path = "invoke"
    stream_path = "invoke-with-response-stream"

    def carries(self, operation: Operation) -> frozenset[str] | None:
        return {"chat": _CHAT, "completions": _COMPLETIONS}.get(operation)

    def encode(self, request: UpstreamRequest) -> bytes:
        # The limit is always written: Bedrock tells this body from Meta's by it.
        body: dict[str, Any] = {"max_tokens": fields.needed_max_tokens(request), **fields.copy(request, _COPIED)}
        if request.operation == "chat":
            body["prompt"] = llama_template.render(messages.read(fields.raw(request, "messages")))
        else:
            body["prompt"] = fields.prompt_text(request)
            body.update(fields.copy(request, ("logprobs",)))
        return msgspec.json.encode(body)

    def translator(self, answer: Answer, tally: Tally) -> PassThrough | _ChatFromCompletion:
        return _ChatFromCompletion(answer, tally) if answer.chat else PassThrough(answer, tally)


class _ChatFromCompletion:
    __slots__ = ("_answer", "_filter", "_tally", "finished")

    def __init__(self, answer: Answer, tally: Tally) -> None:
        self._answer = answer
        self._tally = tally
        self._filter = llama_template.SpecialTokenFilter()
        self.finished = False

    def whole(self, body: bytes, headers: Mapping[str, str]) -> bytes:
        completion = self._read(body)
        if not completion.choices:
            raise ValueError("the model's JSON has no choice")
        choice = completion.choices[0]
        self._tally.content(choice.text)
        if completion.usage is not None:
            self._tally.report(completion.usage.prompt_tokens, completion.usage.completion_tokens)
        self._tally.report_headers(headers)
        self._tally.finish()
        text = self._filter.feed(choice.text) + self._filter.end()
        return self._answer.whole(text, finish_reason(choice.finish_reason or "stop"), self._tally.usage)

    def event(self, name: str, payload: bytes) -> bytes:
        chunk = model_json(name, payload)
        if chunk is None:
            return b""
        completion = self._read(chunk)
        out = b""
        for choice in completion.choices:
            self._tally.content(choice.text)
            out += self._answer.text(self._filter.feed(choice.text))
            if choice.finish_reason is not None and not self.finished:
                self.finished = True
                out += self._answer.text(self._filter.end()) + self._answer.finish(finish_reason(choice.finish_reason))
        if completion.usage is not None:
            self._tally.running_usage(
                completion.usage.prompt_tokens, completion.usage.completion_tokens, final=self.finished
            )
        return out

    def _read(self, body: bytes) -> _Completion:
        completion = _decode(body)
        if completion.metrics is not None:
            self._tally.report(completion.metrics.inputTokenCount, completion.metrics.outputTokenCount)
        return completion
