"""From a body to the router's facts, or to the client's mistake. Requests that are served and those that are only
explained come in by the same door."""

from __future__ import annotations

from gateway.routing.facts import Operation, RequestFacts
from gateway.server.core import Core
from gateway.server.errors import ApiError
from gateway.server.request import Headers, ParsedBody, facts_of, prompt_bytes
from gateway.server.request_shapes import SHAPES


def facts_for(
    core: Core, parsed: ParsedBody, operation: Operation, headers: Headers, caller: str
) -> tuple[RequestFacts, int]:
    """(facts, bytes of the prompt). `caller`: the key's name. Raises `ApiError` for what the model's alias does not
    have or allow."""
    alias = core.policy.aliases.get(parsed.model)
    if alias is None:
        raise ApiError(
            404, f"The model '{parsed.model[:80]}' does not exist. See GET /v1/models.",
            code="model_not_found", param="model",
        )  # fmt: skip
    most = alias.max_output_tokens
    if most is not None and (parsed.max_output_tokens or 0) > most:
        name = next(name for name in SHAPES[operation].max_tokens if name in parsed.fields)
        raise ApiError(
            400, f"{name} is {parsed.max_output_tokens}; the model '{parsed.model}' allows {most}.",
            code="invalid_value", param=name,
        )  # fmt: skip
    size = prompt_bytes(parsed.fields, operation)
    tokens = core.fleet.estimate_prompt_tokens(parsed.model, size)
    expected = core.fleet.lengths.expected(parsed.model, caller)
    facts = facts_of(parsed, operation, alias, headers, tokens, expected)
    classes = core.router.aliases[parsed.model].qualities
    if facts.quality is not None and facts.quality not in classes:
        raise ApiError(
            400, f"x-crossover-quality is '{facts.quality}'; the model '{parsed.model}' has {', '.join(classes)}.",
            code="invalid_header", param="x-crossover-quality",
        )  # fmt: skip
    return facts, size
