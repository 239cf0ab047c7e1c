"""The body shapes a Bedrock model may take, and which one serves a target. Each shape is a file of its own.

A shape puts an OpenAI request into its body (`encode`), says which of a request's fields that body can hold
(`carries`), and gives a `Translator` that turns one answer back into OpenAI's bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from gateway.backends.bedrock.answer import Answer
from gateway.backends.bedrock.converse import Converse
from gateway.backends.bedrock.meta import Meta
from gateway.backends.bedrock.openai_chat import OpenAIChat
from gateway.backends.bedrock.openai_completion import OpenAICompletion
from gateway.backends.bedrock.tally import Tally
from gateway.backends.contract import Operation, UpstreamRequest
from gateway.policy.schema import ServedBy

# Demands that change no answer, or that the gateway itself meets: never a reason to refuse.
IGNORED = frozenset(
    {
        "model", "stream", "stream_options", "user", "metadata", "store", "service_tier", "safety_identifier",
        "prompt_cache_key", "prompt_cache_retention", "prediction",
    }
)  # fmt: skip


class Translator(Protocol):
    """One answer on its way back. Counts what passes into its tally."""

    finished: bool
    """The stream has said why it ended."""

    def whole(self, body: bytes, headers: Mapping[str, str]) -> bytes:
        """The JSON body of an answer that is not a stream; the headers may tell its usage. Raises `ValueError` or
        `msgspec.MsgspecError` when it cannot be read."""

    def event(self, name: str, payload: bytes) -> bytes:
        """Server-sent events for one event of the stream (none: b""). Raises as `whole` does."""


class Shape(Protocol):
    """One body shape of one API."""

    path: str
    stream_path: str

    def carries(self, operation: Operation) -> frozenset[str] | None:
        """The fields of a request that this body holds. None: it cannot serve the operation at all."""

    def encode(self, request: UpstreamRequest) -> bytes:
        """The body for Bedrock. Raises `UpstreamError` (400) naming the field that cannot be put into it."""

    def translator(self, answer: Answer, tally: Tally) -> Translator: ...


_invoke: dict[str, Shape] = {"openai-chat": OpenAIChat(), "openai-completion": OpenAICompletion(), "meta": Meta()}
_converse: Shape = Converse()

# What a refused operation is named by: the field that every request of it has, or its path.
_main_field: dict[Operation, str] = {
    "chat": "messages", "completions": "prompt", "embeddings": "input", "responses": "/v1/responses",
    "messages": "/v1/messages", "count_tokens": "/v1/messages/count_tokens",
}  # fmt: skip


def shape_for(target: ServedBy) -> Shape:
    """The shape of a target's `api` and `body`."""
    return _converse if target.api == "converse" else _invoke[target.body]


def refused_fields(demands: frozenset[str], operation: Operation, target: ServedBy) -> frozenset[str]:
    """Of a request's demands, those that the target's body cannot carry."""
    carried = shape_for(target).carries(operation)
    if carried is None:
        return frozenset({_main_field[operation]})
    return demands - carried - IGNORED
