"""InvokeModel bodies: which of the three formats one is, and what it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.sandbox.bedrock.errors import BedrockError, invalid
from gateway.sandbox.bedrock.fields import integer, number, stop_list, text_of
from gateway.sandbox.bedrock.prompts import messages_of
from gateway.sandbox.bedrock.settings import BodyShape, GeneratingSettings, ImportedSettings
from gateway.sandbox.bedrock.shapes import ChatShape, CompletionShape, MetaShape, Shape
from gateway.sandbox.bedrock.text import Message, TextRequest

REQUEST_NAMES: dict[BodyShape, str] = {
    "openai_chat": "ChatCompletionRequest",
    "openai_completion": "CompletionRequest",
    "meta": "BedrockMetaCompletionRequest",
}
_PASSED_ON = ("response_format", "structured_outputs")


@dataclass(frozen=True, slots=True)
class Parsed:
    request: TextRequest
    shape: Shape


def parse_invoke(body: dict[str, Any], model: GeneratingSettings, account: str) -> Parsed:
    """An InvokeModel body. BedrockError (ValidationException) names the field that is wrong."""
    if not isinstance(model, ImportedSettings):
        return _meta(body, model, strict=True)
    shape: BodyShape
    if "messages" in body:
        shape = "openai_chat"
    elif "prompt" in body:
        shape = "openai_completion" if "max_tokens" in body and "max_gen_len" not in body else "meta"
    else:
        raise _no_shape(model)
    if shape not in model.body_shapes:
        raise _no_shape(model)
    if shape == "meta":
        return _meta(body, model, strict=False)
    name = f"{account}-{model.arn.rsplit('/', 1)[1]}"
    return _chat(body, model, name) if shape == "openai_chat" else _completion(body, model, name)


def _no_shape(model: ImportedSettings) -> BedrockError:
    names = ", ".join(REQUEST_NAMES[shape] for shape in model.body_shapes)
    return invalid(
        f"The body matches no request format of this model: prompt or messages must be provided. "
        f"Available for this model: {names}."
    )


def _meta(body: dict[str, Any], model: GeneratingSettings, *, strict: bool) -> Parsed:
    if strict:
        known = {"prompt", "max_gen_len", "temperature", "top_p"}
        for key in body:
            if key not in known:
                raise invalid(
                    f"Malformed input request: #: extraneous key [{key}] is not permitted, "
                    "please reformat your input and try again."
                )
    if "prompt" not in body:
        raise invalid(
            "Malformed input request: #: required key [prompt] not found, please reformat your input and try again."
        )
    prompt = text_of(body, "prompt")
    number(body, "temperature", 0, 1 if strict else 2)
    number(body, "top_p", 0, 1)
    logprobs = bool(body.get("return_logprobs")) and not strict
    request = TextRequest(
        max_tokens=integer(body, "max_gen_len", 1, model.max_output_tokens) or model.default_output_tokens,
        messages=messages_of(prompt),
        prompt=prompt,
        stop=() if strict else stop_list(body),
        logprobs=1 if logprobs else None,
        token_ids=logprobs,
        extra={} if strict else _extra(body),
        model=model.text_model,
    )
    return Parsed(request, MetaShape(logprobs))


def _chat(body: dict[str, Any], model: ImportedSettings, name: str) -> Parsed:
    _refuse_unsupported(body)
    messages = body["messages"]
    if not isinstance(messages, list) or not messages:
        raise invalid("messages must be a list of at least one message.")
    top = integer(body, "top_logprobs", 0, 20)
    given = integer(body, "max_completion_tokens", 1, model.max_output_tokens)
    request = TextRequest(
        max_tokens=given or integer(body, "max_tokens", 1, model.max_output_tokens) or model.default_output_tokens,
        messages=tuple(_message(entry, index) for index, entry in enumerate(messages)),
        stop=stop_list(body),
        logprobs=(top or 0) if body.get("logprobs") else None,
        extra=_extra(body),
        ignore_eos=bool(body.get("ignore_eos")),
        model=model.text_model,
    )
    return Parsed(request, ChatShape(name, include_usage=_include_usage(body) and model.usage_in_stream != "none"))


def _completion(body: dict[str, Any], model: ImportedSettings, name: str) -> Parsed:
    _refuse_unsupported(body)
    asked = body.get("logprobs")
    # `true` counts as 1, as the service takes it.
    logprobs = int(asked) if isinstance(asked, bool | int) and asked is not False else None
    request = TextRequest(
        max_tokens=integer(body, "max_tokens", 1, model.max_output_tokens) or 16,
        prompt=text_of(body, "prompt"),
        stop=stop_list(body),
        logprobs=logprobs,
        extra=_extra(body),
        ignore_eos=bool(body.get("ignore_eos")),
        model=model.text_model,
    )
    return Parsed(
        request, CompletionShape(name, include_usage=_include_usage(body) and model.usage_in_stream != "none")
    )


def _refuse_unsupported(body: dict[str, Any]) -> None:
    number(body, "temperature", 0, 2)
    number(body, "top_p", 0, 1)
    if integer(body, "n", 1, 128) not in (None, 1):
        raise invalid(f"n is {body['n']}; this sandbox writes one answer a request: set n to 1.")
    if body.get("tools"):
        raise invalid("tools: this imported model does not support tool calling. Leave tools out.")


def _include_usage(body: dict[str, Any]) -> bool:
    options = body.get("stream_options")
    return isinstance(options, Mapping) and bool(options.get("include_usage"))


def _extra(body: dict[str, Any]) -> dict[str, Any]:
    # {"type": "text"} is the default spelled out.
    return {key: body[key] for key in _PASSED_ON if body.get(key) not in (None, {"type": "text"})}


def _message(entry: Any, index: int) -> Message:
    if not isinstance(entry, dict) or entry.get("role") not in ("system", "developer", "user", "assistant", "tool"):
        raise invalid(f"messages[{index}]: a role of system, user or assistant is needed.")
    content = entry.get("content")
    if isinstance(content, list):
        parts = []
        for part in content:
            if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
                raise invalid(f"messages[{index}].content: this imported model takes text parts only.")
            parts.append(part["text"])
        content = "".join(parts)
    if not isinstance(content, str):
        raise invalid(f"messages[{index}].content must be a string.")
    return Message(entry["role"], content)
