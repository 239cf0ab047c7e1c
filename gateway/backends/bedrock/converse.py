"""Converse and ConverseStream: Bedrock's own chat shape.

System texts go to `system`; turns of one role that follow one another become one message, since Converse wants them to
alternate. Carried: the limit, temperature, top_p and stop. Tools are not: Llama 3.1 has no tools in a Converse stream.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.backends.bedrock import fields, messages
from gateway.backends.bedrock.answer import Answer, finish_reason
from gateway.backends.bedrock.tally import Tally
from gateway.backends.contract import Operation, UpstreamRequest

_CARRIED = frozenset({"messages", "max_tokens", "max_completion_tokens", "temperature", "top_p", "stop"})


class _Usage(msgspec.Struct):
    inputTokens: int | None = None
    outputTokens: int | None = None


class _Block(msgspec.Struct):
    text: str | None = None


class _Message(msgspec.Struct):
    content: list[_Block]


class _Output(msgspec.Struct):
    message: _Message


class _Converse(msgspec.Struct):
    output: _Output
    stopReason: str
    usage: _Usage | None = None


class _Delta(msgspec.Struct):
    delta: _Block


class _Stop(msgspec.Struct):
    stopReason: str


class _Metadata(msgspec.Struct):
    usage: _Usage | None = None


_decode = msgspec.json.Decoder(_Converse).decode
_decode_delta = msgspec.json.Decoder(_Delta).decode
_decode_stop = msgspec.json.Decoder(_Stop).decode
_decode_metadata = msgspec.json.Decoder(_Metadata).decode


class Converse:
    path = "converse"
    stream_path = "converse-stream"

    def carries(self, operation: Operation) -> frozenset[str] | None:
        return _CARRIED if operation == "chat" else None

    def encode(self, request: UpstreamRequest) -> bytes:
        system: list[dict[str, str]] = []
        turns: list[dict[str, Any]] = []
        for message in messages.read(fields.raw(request, "messages")):
            if not message.text:  # Converse refuses blank text
                continue
            block = {"text": message.text}
            if message.role == "system":
                system.append(block)
            elif turns and turns[-1]["role"] == message.role:
                turns[-1]["content"].append(block)
            else:
                turns.append({"role": message.role, "content": [block]})
        body: dict[str, Any] = {"messages": turns}
        if system:
            body["system"] = system
        inference = _inference_config(request)
        if inference:
            body["inferenceConfig"] = inference
        return msgspec.json.encode(body)

    def translator(self, answer: Answer, tally: Tally) -> _FromConverse:
        return _FromConverse(answer, tally)


def _inference_config(request: UpstreamRequest) -> dict[str, Any]:
    config: dict[str, Any] = {
        "maxTokens": fields.max_tokens(request),
        "temperature": fields.raw(request, "temperature"),
        "topP": fields.raw(request, "top_p"),
    }
    stop = fields.raw(request, "stop")
    if stop is not None:
        config["stopSequences"] = [stop] if bytes(stop).startswith(b'"') else stop
    return {name: value for name, value in config.items() if value is not None}


class _FromConverse:
    __slots__ = ("_answer", "_tally", "finished")

    def __init__(self, answer: Answer, tally: Tally) -> None:
        self._answer = answer
        self._tally = tally
        self.finished = False

    def whole(self, body: bytes, headers: Mapping[str, str]) -> bytes:
        reply = _decode(body)
        text = "".join(block.text or "" for block in reply.output.message.content)
        self._tally.content(text)
        self._usage(reply.usage)
        self._tally.report_headers(headers)
        self._tally.finish()
        return self._answer.whole(text, finish_reason(reply.stopReason), self._tally.usage)

    def event(self, name: str, payload: bytes) -> bytes:
        if name == "contentBlockDelta":
            text = _decode_delta(payload).delta.text or ""
            self._tally.content(text)
            return self._answer.text(text)
        if name == "messageStop":
            self.finished = True
            return self._answer.finish(finish_reason(_decode_stop(payload).stopReason))
        if name == "metadata":
            self._usage(_decode_metadata(payload).usage)
        # messageStart says nothing that the first text does not: the role is sent with that.
        return b""

    def _usage(self, usage: _Usage | None) -> None:
        if usage is not None:
            self._tally.report(usage.inputTokens, usage.outputTokens)
