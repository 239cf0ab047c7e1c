"""When no backend can take a request: is it the request (400, 404) or the moment (429, 503)? In OpenAI's terms."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.routing.decision import Candidate, Refusal
from gateway.routing.eligibility import too_long
from gateway.routing.facts import OPTIONAL, RequestFacts
from gateway.routing.route import AliasRoutes
from gateway.routing.snapshot import FleetSnapshot

LATENCY_CEILING = "latency_ceiling"
"""The code of a refusal for lack of time."""


def nobody_can(
    facts: RequestFacts, alias: AliasRoutes, candidates: Sequence[Candidate], fleet: FleetSnapshot
) -> Refusal:
    """Nobody can: is it the request (400, 404) or the moment (503)?"""
    said = "; ".join(f"{c.backend}: {c.excluded}" for c in candidates)
    if facts.operation == "embeddings" and not any(route.target.embeddings for route in alias.routes):
        return Refusal(
            404, "invalid_request_error", "model_not_found",
            f"No backend of the model '{facts.alias}' makes embeddings. Ask for one served with `embeddings`.",
            "model",
        )  # fmt: skip
    if facts.demands:
        refused = [route.refuses(facts.demands, facts.operation) for route in alias.routes]
        if refused and all(refused):
            if facts.operation in OPTIONAL:
                return Refusal(
                    404, "invalid_request_error", "operation_not_supported",
                    f"No backend of the model '{facts.alias}' serves {min(facts.demands)} ({said}). Ask for a model on "
                    "an OpenAI-compatible server, or use /v1/chat/completions.",
                    "model",
                )  # fmt: skip
            field = min(frozenset.union(*refused))
            return Refusal(
                400, "invalid_request_error", "unsupported_parameter",
                f"No backend of the model '{facts.alias}' carries '{field}' ({said}). Leave it out.",
                field,
            )  # fmt: skip
    if facts.pinned_backend is not None and all(route.backend != facts.pinned_backend for route in alias.routes):
        return Refusal(
            400, "invalid_request_error", "backend_not_found",
            f"The backend '{facts.pinned_backend}' does not serve the model '{facts.alias}'.", "x-crossover-backend",
        )  # fmt: skip
    if all(too_long(facts, route) for route in alias.routes):
        longest = max(route.context_tokens or 0 for route in alias.routes)
        return Refusal(
            400, "invalid_request_error", "context_length_exceeded",
            f"About {facts.input_tokens} prompt tokens and {facts.max_output_tokens or 0} to generate are more than "
            f"the {longest} tokens of context that '{facts.alias}' has. Shorten the prompt or lower max_tokens.",
            "messages",
        )  # fmt: skip
    waits = [s for route in alias.routes if (s := fleet.backends[route.backend].throttled_seconds) > 0]
    return Refusal(
        503, "server_error", "no_backend_available",
        f"No backend of the model '{facts.alias}' can take the request now ({said}).", None, min(waits, default=5.0),
    )  # fmt: skip


def nobody_in_time(facts: RequestFacts, late: Sequence[Candidate]) -> Refusal:
    seconds = min((c.predicted.latency_seconds for c in late if c.predicted is not None), default=0.0)
    return Refusal(
        429, "rate_limit_error", LATENCY_CEILING,
        f"No backend of the model '{facts.alias}' is predicted to meet the latency ceiling now; the quickest would "
        f"take {seconds:.1f} s. Retry later, or raise the ceiling.",
        None,
        max(1.0, seconds),
    )  # fmt: skip
