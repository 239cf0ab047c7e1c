"""What the gateway's measurements are called in OpenTelemetry: this file is the only place that knows.

GenAI semantic conventions, as they stood on 2026-11-23 in github.com/open-telemetry/semantic-conventions-genai: status
*Development*, so that names may still change. Token counters there have just replaced the histogram
`gen_ai.client.token.usage`; the counters are used here, being what the gateway counts. Two departures:
- The conventions want `gen_ai.operation.name` on every metric. The gateway's series are not split by it, and the same
  measurements cannot be split afterwards: it is on spans, and left out of metrics.
- Nothing there measures cost: `crossover.cost` is a name of our own, as is everything else that begins with
  `crossover.`.
"""

from __future__ import annotations

from typing import Final

import msgspec

# -- attributes ------------------------------------------------------------------------------------------------------

OPERATION_NAME: Final = "gen_ai.operation.name"
PROVIDER_NAME: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
REQUEST_STREAM: Final = "gen_ai.request.stream"
RESPONSE_MODEL: Final = "gen_ai.response.model"
TIME_TO_FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
TOKEN_MODALITY: Final = "gen_ai.token.modality"  # noqa: S105  a name, not a secret
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
ERROR_TYPE: Final = "error.type"
HTTP_STATUS: Final = "http.response.status_code"

OPERATION_NAMES = {
    "chat": "chat", "completions": "text_completion", "embeddings": "embeddings", "responses": "chat",
    "messages": "chat", "count_tokens": "count_tokens",
}  # fmt: skip
PROVIDERS = {"openai": "openai", "bedrock": "aws.bedrock"}
"""By wire. `openai`: whatever speaks OpenAI's API, as the conventions have it for compatible servers."""

FIRST_TOKEN_EVENT: Final = "crossover.first_token"  # noqa: S105

# -- metrics ---------------------------------------------------------------------------------------------------------


class Name(msgspec.Struct, frozen=True):
    """A metric's name and unit (UCUM)."""

    name: str
    unit: str


GENAI = {
    "crossover_time_to_first_token_seconds": Name("gen_ai.client.operation.time_to_first_chunk", "s"),
    "crossover_time_per_output_token_seconds": Name("gen_ai.server.time_per_output_token", "s"),
    "crossover_request_duration_seconds": Name("gen_ai.server.request.duration", "s"),
}
"""Prometheus families that the conventions have a name for. The gateway measures the first as the backend's client,
and the whole request as its caller's server."""
TOKENS = "crossover_tokens"
GENAI_TOKENS = {
    "input": Name("gen_ai.client.inference.usage.input_tokens", "{token}"),
    "output": Name("gen_ai.client.inference.usage.output_tokens", "{token}"),
}
"""The family of tokens, by its label `token_type`: two counters in the conventions."""
LABELS = {"backend": "crossover.backend", "model": REQUEST_MODEL}
"""Other labels are called `crossover.` and their own name."""
_UNITS = (
    ("_usd_per_token", "{USD}/{token}"),
    ("_usd_per_second", "{USD}/s"),
    ("_usd_per_month", "{USD}/mo"),
    ("_tokens_per_second", "{token}/s"),
    ("_seconds", "s"),
    ("_ratio", "1"),
    ("_usd", "{USD}"),
)
_SPECIAL = {"window_seconds_left": Name("crossover.window.time_left", "s")}
_COUNTED = (("tokens", "{token}"), ("requests", "{request}"), ("attempts", "{attempt}"), ("windows", "{window}"))


def own_name(family: str) -> Name:
    """Of a Prometheus family without a name in the conventions: dots for the prefix, and the unit apart, which
    OpenTelemetry keeps out of names. `crossover_cost_usd` is `crossover.cost` in `{USD}`."""
    rest = family.removeprefix("crossover_")
    if rest in _SPECIAL:
        return _SPECIAL[rest]
    for suffix, unit in _UNITS:
        if rest.endswith(suffix):
            return Name(f"crossover.{rest.removesuffix(suffix)}", unit)
    for word, unit in _COUNTED:
        if rest.endswith(word):
            return Name(f"crossover.{rest}", unit)
    return Name(f"crossover.{rest}", "1")
