"""From the raw request path to an operation and a model.

A model id is one path segment. An ARN comes with `%2F` and `%3A` in it, or with raw colons, so the decoded path of
ASGI cannot be used: it has the ARN's slash as a separator.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote

from gateway.sandbox.bedrock.errors import BedrockError, invalid
from gateway.sandbox.bedrock.settings import (
    EmbeddingSettings,
    FoundationSettings,
    ModelSettings,
    ProvisionedSettings,
    SandboxSettings,
)

OperationName = Literal["InvokeModel", "InvokeModelWithResponseStream", "Converse", "ConverseStream"]

_OPERATIONS: dict[str, OperationName] = {
    "invoke": "InvokeModel",
    "invoke-with-response-stream": "InvokeModelWithResponseStream",
    "converse": "Converse",
    "converse-stream": "ConverseStream",
}


@dataclass(frozen=True, slots=True)
class Route:
    operation: OperationName
    model_id: str

    @property
    def streamed(self) -> bool:
        return self.operation in ("InvokeModelWithResponseStream", "ConverseStream")

    @property
    def converse(self) -> bool:
        return self.operation in ("Converse", "ConverseStream")


def route(method: str, raw_path: bytes) -> Route:
    """BedrockError (UnknownOperationException) when the path is none of the four operations."""
    segments = raw_path.decode("ascii", "replace").split("/")
    if method == "POST" and len(segments) == 4 and segments[:2] == ["", "model"] and segments[3] in _OPERATIONS:
        return Route(_OPERATIONS[segments[3]], unquote(segments[2]))
    raise BedrockError(
        "UnknownOperationException", f"{method} {'/'.join(segments)} is not an operation of the runtime."
    )


def names(model: ModelSettings, settings: SandboxSettings) -> Iterable[str]:
    """Every id and ARN that reaches the model."""
    yield model.key
    if isinstance(model, FoundationSettings | EmbeddingSettings):
        yield f"arn:aws:bedrock:{settings.region}::foundation-model/{model.id}"
    if isinstance(model, FoundationSettings):
        for prefix in model.profile_prefixes:
            yield f"{prefix}.{model.id}"
            yield f"arn:aws:bedrock:{settings.region}:{settings.account}:inference-profile/{prefix}.{model.id}"


def resolve(model_id: str, settings: SandboxSettings) -> ModelSettings:
    """The model behind an id or ARN.

    An ARN that names nothing, and a provisioned model without units, are ResourceNotFoundException; any other unknown
    id is a ValidationException.
    """
    for model in settings.models:
        if model_id in names(model, settings):
            if isinstance(model, ProvisionedSettings) and model.units == 0:
                raise BedrockError(
                    "ResourceNotFoundException",
                    f"No provisioned throughput is in service at {model_id}: the account has 0 model units.",
                )
            return model
    if model_id.startswith("arn:"):
        raise BedrockError("ResourceNotFoundException", f"Could not find the model {model_id}.")
    raise invalid("The provided model identifier is invalid.")
