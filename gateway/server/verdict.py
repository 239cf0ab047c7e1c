"""How an answer turned out: in time or late, and whose failure it was. Pure."""

from __future__ import annotations

from msgspec import structs

from gateway.backends.errors import Fault, UpstreamError
from gateway.backends.usage import Usage
from gateway.metering.records import Outcome, Verdict
from gateway.policy.schema import AliasSettings, ServedBy
from gateway.routing.eligibility import good_enough
from gateway.routing.facts import Ceiling, RequestFacts
from gateway.routing.lateness import is_late


def in_time(ceiling: Ceiling, ttft: float | None, seconds: float, usage: Usage) -> bool | None:
    """Did an answer keep its ceilings? None: it had none, or nothing was measured that could tell. `ttft`: None where
    the answer was not streamed. `seconds`: from the request's arrival."""
    first, tokens = ceiling.ttft_seconds, usage.output_tokens
    if usage.certainty == "missing":
        ceiling = structs.replace(ceiling, seconds_per_output_token=None)
    by_pace = ceiling.seconds_per_output_token is not None and (first is not None or (ttft is not None and tokens > 1))
    by_start = first is not None and ttft is not None
    if not (by_start or by_pace or ceiling.latency_seconds is not None):
        return None
    return not is_late(ceiling, ttft, seconds, tokens)


def left_late(ceiling: Ceiling, ttft: float | None, seconds: float, streamed: bool) -> bool:
    """Of an answer that its client did not wait for: was it late already? Whoever leaves before that says nothing."""
    first, whole = ceiling.ttft_seconds, ceiling.latency_seconds
    return (streamed and ttft is None and first is not None and seconds > first) or (
        whole is not None and seconds > whole
    )


def outcome_of(error: UpstreamError) -> Outcome:
    if error.fault in (Fault.CLIENT, Fault.OPERATION):
        return "client_error"
    return "timeout" if error.status == 504 else "upstream_error"


def is_wrong(facts: RequestFacts, alias: AliasSettings, target: ServedBy) -> bool:
    """Answers of `target` are below the quality that the request needs."""
    return not good_enough(facts.quality or alias.needs, alias.needs, target.quality or alias.needs)


def verdict_of(
    outcome: Outcome, kept: bool | None, *, wrong: bool, turned_away: bool, left_late: bool = False
) -> Verdict | None:
    """What a request counts as in the error budget. None: it says nothing of it (the client's mistake, the client
    went, a backend broke). `kept`: its ceilings, as `in_time` says; `turned_away`: refused, because nobody would have
    been in time; `left_late`: its client left when it was late already, else those who give up on late answers would
    make them look rare."""
    if outcome == "ok":
        return "wrong" if wrong else "late" if kept is False else "in_time"
    if outcome == "timeout" or turned_away or (outcome == "cancelled" and left_late):
        return "late"
    return None
