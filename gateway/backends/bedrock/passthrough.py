"""Answers that are OpenAI's JSON already (a vLLM server behind InvokeModel): passed on, but for what must not pass.

`model` names the account and the imported model, so it becomes the alias; `id` and `created` are the gateway's, the
same in every chunk; `amazon-bedrock-*` fields go; a stream's usage is taken out, to be sent at its end if asked for.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gateway.backends.bedrock.answer import Answer, event, usage_object
from gateway.backends.bedrock.chunk import model_json
from gateway.backends.bedrock.tally import InvocationMetrics, Tally

METRICS = "amazon-bedrock-invocationMetrics"


class _Text(msgspec.Struct):
    role: str | None = None
    content: str | None = None
    reasoning_content: str | None = None


class _Choice(msgspec.Struct):
    finish_reason: str | None = None
    delta: _Text | None = None
    message: _Text | None = None
    text: str | None = None


class OpenAIUsage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_choices = msgspec.json.Decoder(list[_Choice]).decode
_decode_usage = msgspec.json.Decoder(OpenAIUsage | None).decode
_decode_metrics = msgspec.json.Decoder(InvocationMetrics | None).decode
_encode = msgspec.json.encode


class PassThrough:
    """Translates chat.completion(.chunk) of the OpenAI-chat body, and text_completion of the OpenAI-completion body."""

    __slots__ = ("_answer", "_held", "_ours", "_tally", "finished")

    def __init__(self, answer: Answer, tally: Tally) -> None:
        self._answer = answer
        self._tally = tally
        self._ours = {
            "id": msgspec.Raw(_encode(answer.id)),
            "created": msgspec.Raw(_encode(answer.created)),
            "model": msgspec.Raw(_encode(answer.alias)),
        }
        # An opening chunk without text waits for the first text: until then another backend may still be tried.
        self._held = b""
        self.finished = False

    def whole(self, body: bytes, headers: Mapping[str, str]) -> bytes:
        fields, choices, usage_told = self._read(body)
        if usage_told is not None:
            self._tally.report(usage_told.prompt_tokens, usage_told.completion_tokens)
        fields["object"] = msgspec.Raw(b'"chat.completion"' if self._answer.chat else b'"text_completion"')
        for choice in choices:
            self._count(choice.message, choice.text)
        self._tally.report_headers(headers)
        self._tally.finish()
        usage = self._tally.usage
        if "usage" not in fields and usage.certainty != "missing":
            fields["usage"] = msgspec.Raw(_encode(usage_object(usage)))
        return _encode(fields)

    def event(self, name: str, payload: bytes) -> bytes:
        chunk = model_json(name, payload)
        if chunk is None:
            return b""
        fields, choices, usage = self._read(chunk)
        fields.pop("usage", None)
        opening = b""
        for choice in choices:
            self._count(choice.delta, choice.text)
            if choice.finish_reason is not None:
                self.finished = True
            if self._answer.chat and (choice.delta is None or choice.delta.role is None):
                opening = self._answer.role()
            else:
                self._answer.role()  # the backend's own chunk has opened the chat
        if usage is not None:
            self._tally.running_usage(usage.prompt_tokens, usage.completion_tokens, final=self.finished)
        if not choices:
            return b""
        fields.setdefault(
            "object", msgspec.Raw(b'"chat.completion.chunk"' if self._answer.chat else b'"text_completion"')
        )
        out = self._held + opening + event(_encode(fields))
        if not self.finished and not self._tally.content_events:
            self._held = out
            return b""
        self._held = b""
        return out

    def _read(self, body: bytes) -> tuple[dict[str, msgspec.Raw], list[_Choice], OpenAIUsage | None]:
        fields = _decode(body)
        if "choices" not in fields:
            raise ValueError("the model's JSON has no `choices`")
        usage = _decode_usage(fields.get("usage", b"null"))
        metrics = _decode_metrics(fields.get(METRICS, b"null"))
        if metrics is not None:
            self._tally.report(metrics.inputTokenCount, metrics.outputTokenCount)
        for name in [name for name in fields if name.startswith("amazon-bedrock-")]:
            del fields[name]
        fields.update(self._ours)
        return fields, _decode_choices(fields["choices"]), usage

    def _count(self, piece: _Text | None, text: str | None) -> None:
        if piece is not None:
            self._tally.content((piece.content or "") + (piece.reasoning_content or ""))
        if text:
            self._tally.content(text)
