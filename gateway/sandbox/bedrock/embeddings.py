"""Titan Text Embeddings v2 on InvokeModel: its body, its limits, its errors, and vectors that are SIMULATED.

The vectors come from no model. Every word and every three letters of a word are hashed to a few dimensions with a sign,
and added up: texts that share words are near each other, and texts that mean the same in other words are not. The same
text gives the same vector, on every machine.
Source of the wire: Bedrock User Guide, "Amazon Titan Embeddings G1 - Text" (V2); of the limits and their texts,
docs/sandbox-s3vectors.md.
"""

from __future__ import annotations

import asyncio
import json
import math
import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from gateway.sandbox.bedrock.bill import Outcome
from gateway.sandbox.bedrock.errors import BedrockError, invalid
from gateway.sandbox.bedrock.exchange import Exchange
from gateway.sandbox.bedrock.fleet import Admission, ModelRuntime
from gateway.sandbox.bedrock.operations import GARBAGE, SOURCE_HEADER, early
from gateway.sandbox.bedrock.router import Route
from gateway.sandbox.bedrock.settings import EmbeddingSettings
from gateway.sandbox.bedrock.state import Sandbox
from gateway.sandbox.bedrock.text import count_tokens

SOURCE = "hashed-words"
"""What the response header says the vector is made of."""
DIMENSIONS = (256, 512, 1024)
_KEYS = ("inputText", "dimensions", "normalize", "embeddingTypes")
_TYPES = ("float", "binary")
_WORD = re.compile(r"\w+")
_PLACES_PER_FEATURE = 8
_LETTERS_WEIGHT = 0.35
_SHORT_WORD_WEIGHT = 0.2
"""Of words of up to three letters: most of them are `the`, `is`, `of`."""
_AGAIN = "please reformat your input and try again."


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    text: str
    tokens: int
    dimensions: int
    normalize: bool
    types: tuple[str, ...]


def parse(body: bytes, model: EmbeddingSettings) -> EmbeddingRequest:
    """BedrockError (ValidationException) for what the model would not take, in its words."""
    try:
        given: Any = json.loads(body)
    except (ValueError, RecursionError):
        raise invalid(f"Malformed input request: the body is not JSON, {_AGAIN}") from None
    if not isinstance(given, dict):
        raise _malformed("#: expected type: JSONObject", given)
    for key in given:
        if key not in _KEYS:
            raise invalid(f"Malformed input request: #: extraneous key [{key}] is not permitted, {_AGAIN}")
    if "inputText" not in given:
        raise invalid(f"Malformed input request: #: required key [inputText] not found, {_AGAIN}")
    text, normalize = given["inputText"], given.get("normalize", True)
    if not isinstance(text, str):
        raise _malformed("#/inputText: expected type: String", text)
    if not isinstance(normalize, bool):
        raise _malformed("#/normalize: expected type: Boolean", normalize)
    dimensions = given.get("dimensions", DIMENSIONS[-1])
    if isinstance(dimensions, bool) or not isinstance(dimensions, int):
        raise _malformed("#/dimensions: expected type: Integer", dimensions)
    if dimensions not in DIMENSIONS:
        raise invalid(f"Malformed input request: #/dimensions: {dimensions} is not a valid enum value, {_AGAIN}")
    types = given.get("embeddingTypes", ["float"])
    if not isinstance(types, list):
        raise _malformed("#/embeddingTypes: expected type: JSONArray", types)
    if not types:
        raise invalid(f"Malformed input request: #/embeddingTypes: expected minimum item count: 1, found: 0, {_AGAIN}")
    for index, kind in enumerate(types):
        if kind not in _TYPES:
            raise invalid(
                f"Malformed input request: #/embeddingTypes/{index}: {kind} is not a valid enum value, {_AGAIN}"
            )
    return EmbeddingRequest(text, _tokens(text, model), dimensions, normalize, tuple(types))


def _tokens(text: str, model: EmbeddingSettings) -> int:
    """The tokens of a text that is neither empty nor too long."""
    if not text:
        raise invalid(f"Malformed input request: expected minLength: 1, actual: 0, {_AGAIN}")
    if len(text) > model.max_input_characters:
        raise invalid(
            f"Malformed input request: expected maxLength: {model.max_input_characters}, actual: {len(text)}, {_AGAIN}"
        )
    tokens = max(1, count_tokens(text))
    if tokens > model.max_input_tokens:
        raise invalid(
            f"400 Bad Request: Too many input tokens. Max input tokens: {model.max_input_tokens}, "
            f"request input token count: {tokens} "
        )
    return tokens


def embedding(text: str, dimensions: int, normalize: bool) -> list[float]:
    """The simulated vector of a text, never zero. With `normalize` its length is 1."""
    words = Counter(_WORD.findall(text.casefold())) or Counter([text])
    vector = [0.0] * dimensions
    for word, count in words.items():
        weight = (1 + math.log(count)) * (1.0 if len(word) > 3 else _SHORT_WORD_WEIGHT)
        for feature, share in _features(word):
            for place, sign in _places(feature):
                vector[place % dimensions] += sign * weight * share
    length = math.hypot(*vector)
    if length == 0:  # features that cancel out exactly: any direction will do
        return [1.0] + [0.0] * (dimensions - 1)
    return [round(value / length, 8) for value in vector] if normalize else [round(value, 8) for value in vector]


def _features(word: str) -> list[tuple[str, float]]:
    """The word itself, and its runs of three letters, which other forms of the word share."""
    framed = f"<{word}>"
    runs = {framed[at : at + 3] for at in range(len(framed) - 2)} if len(word) > 3 else set()
    return [(word, 1.0), *((run, _LETTERS_WEIGHT) for run in sorted(runs))]


@lru_cache(maxsize=65_536)
def _places(feature: str) -> tuple[tuple[int, int], ...]:
    """Dimensions, before they are taken modulo the vector's, and signs."""
    digest = blake2b(feature.encode("utf-8", "replace"), digest_size=2 * _PLACES_PER_FEATURE).digest()
    halves = (int.from_bytes(digest[at : at + 2], "big") for at in range(0, len(digest), 2))
    return tuple((half >> 1, 1 if half & 1 else -1) for half in halves)


def answer_of(request: EmbeddingRequest) -> dict[str, Any]:
    """The JSON of the answer; `embedding` is only there when floats were asked for."""
    vector = embedding(request.text, request.dimensions, request.normalize)
    by_type: dict[str, list[float] | list[int]] = {}
    for kind in dict.fromkeys(request.types):
        by_type[kind] = vector if kind == "float" else [int(value > 0) for value in vector]
    answer: dict[str, Any] = {"embedding": vector} if "float" in by_type else {}
    return answer | {"embeddingsByType": by_type, "inputTextTokenCount": request.tokens}


async def embed(sandbox: Sandbox, route: Route, model: EmbeddingSettings, body: bytes, exchange: Exchange) -> None:
    """Answer an InvokeModel. BedrockError before the first byte."""
    runtime = sandbox.runtime(model)
    fault = sandbox.faults.take(model.key, streamed=route.streamed)
    try:
        if fault is not None:
            await early(fault)
        runtime.gate.check(runtime.in_flight)
        if route.operation != "InvokeModel":
            raise invalid(
                "The model is unsupported for streaming: use InvokeModel."
                if not route.converse
                else "This action doesn't support the model that you provided. "
                "Try again with a supported text or chat model."
            )
        request = parse(body, model)
        runtime.in_flight += 1
        try:
            admission = Admission(sandbox.clock.now_ns(), None)
            slower = fault.factor if fault is not None and fault.kind == "slow" else 1.0
            await asyncio.sleep(model.latency_seconds * slower)
            if fault is not None and fault.kind == "garbage":
                _book(runtime, exchange, request, admission, "broken")
                await exchange.start(200, "application/json")
                await exchange.end(GARBAGE)
                return
            content = json.dumps(await asyncio.to_thread(answer_of, request)).encode()
            _book(runtime, exchange, request, admission, "completed")
        finally:
            runtime.in_flight -= 1
        sandbox.text_sources[SOURCE] += 1
        headers = {SOURCE_HEADER: SOURCE, "content-length": str(len(content))}
        if model.usage_headers:
            headers["x-amzn-bedrock-input-token-count"] = str(request.tokens)
        await exchange.start(200, "application/json", headers)
        await exchange.end(content)
    except BedrockError as error:
        runtime.outcomes[error.name] += 1
        raise
    except asyncio.CancelledError:
        runtime.outcomes["cancelled"] += 1
        runtime.cancel()
        raise


def _book(
    runtime: ModelRuntime, exchange: Exchange, request: EmbeddingRequest, admission: Admission, outcome: Outcome
) -> None:
    runtime.bill.book(
        request_id=exchange.request_id,
        operation="InvokeModel",
        outcome=outcome,
        input_tokens=request.tokens,
        output_tokens=0,
        arrived_ns=admission.arrived_ns,
        copy=None,
    )
    runtime.outcomes[outcome] += 1


def _malformed(wanted: str, value: Any) -> BedrockError:
    names: dict[type, str] = {str: "String", bool: "Boolean", int: "Integer", float: "Double", list: "JSONArray"}
    found = names.get(type(value), "Null" if value is None else "JSONObject")
    return invalid(f"Malformed input request: {wanted}, found: {found}, {_AGAIN}")
