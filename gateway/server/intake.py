"""From a body to the router's facts, or to the client's mistake. Requests that are served and those that are only
explained come in by the same door."""

from __future__ import annotations

from gateway.routing.facts import Ceiling, Operation, RequestFacts
from gateway.server.core import Core
from gateway.server.errors import ApiError
from gateway.server.request import Headers, ParsedBody, sized
from gateway.server.request_shapes import SHAPES


def facts_for(
    core: Core, parsed: ParsedBody, operation: Operation, headers: Headers, caller: str
) -> tuple[RequestFacts, int]:
    """(facts, bytes of the prompt). `caller`: the key's name. Raises `ApiError` for what the model's alias does not
    have or allow."""
    routes = core.router.aliases.get(parsed.model)
    if routes is None:
        raise ApiError(
            404, f"The model '{parsed.model[:80]}' does not exist. See GET /v1/models.",
            code="model_not_found", param="model",
        )  # fmt: skip
    most = routes.settings.max_output_tokens
    if most is not None and (parsed.max_output_tokens or 0) > most:
        name = next(name for name in SHAPES[operation].max_tokens if name in parsed.fields)
        raise ApiError(
            400, f"{name} is {parsed.max_output_tokens}; the model '{parsed.model}' allows {most}.",
            code="invalid_value", param=name,
        )  # fmt: skip
    quality = headers.quality
    if quality is not None and quality not in routes.qualities:
        raise ApiError(
            400, f"x-crossover-quality is '{quality}'; the model '{parsed.model}' has {', '.join(routes.qualities)}.",
            code="invalid_header", param="x-crossover-quality",
        )  # fmt: skip
    size, demands = sized(parsed.fields, operation)
    fleet = core.fleet
    counting = operation == "count_tokens"  # done at once: nothing is generated, and nothing gained by waiting
    return RequestFacts(
        parsed.model, operation, fleet.estimate_prompt_tokens(parsed.model, size),
        1 if counting else parsed.max_output_tokens, parsed.stream, _ceiling(headers, routes.ceiling), quality,
        demands, headers.backend, 0.0, False, fleet.lengths.expected(parsed.model, caller), not counting,
    ), size  # fmt: skip


def _ceiling(headers: Headers, alias: Ceiling) -> Ceiling:
    """The request's own where it says one, else the alias's."""
    first, whole = headers.ceiling_ttft_seconds, headers.ceiling_latency_seconds
    if first is None and whole is None:
        return alias
    return Ceiling(first or alias.ttft_seconds, alias.seconds_per_output_token, whole or alias.latency_seconds)
