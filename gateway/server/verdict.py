"""How an answer turned out: in time or late, and whose failure it was. Pure."""

from __future__ import annotations

from gateway.backends.errors import Fault, UpstreamError
from gateway.backends.usage import Usage
from gateway.metering.records import Outcome
from gateway.policy.schema import AliasSettings, ServedBy
from gateway.routing.eligibility import good_enough
from gateway.routing.facts import Ceiling, RequestFacts


def in_time(ceiling: Ceiling, ttft: float | None, seconds: float, usage: Usage) -> bool | None:
    """Did an answer keep its ceilings? None: it had none, or nothing was measured.

    Of an answer that was not streamed only the end is seen: it has the first token's time and each further one's."""
    checks: list[bool] = []
    if ceiling.ttft_seconds is not None and ttft is not None:
        checks.append(ttft <= ceiling.ttft_seconds)
    if ceiling.latency_seconds is not None:
        checks.append(seconds <= ceiling.latency_seconds)
    if ceiling.seconds_per_output_token is not None and ttft is not None and usage.output_tokens > 1:
        checks.append((seconds - ttft) / (usage.output_tokens - 1) <= ceiling.seconds_per_output_token)
    if ttft is None and ceiling.ttft_seconds is not None and ceiling.seconds_per_output_token is not None:
        checks.append(seconds <= ceiling.ttft_seconds + ceiling.seconds_per_output_token * usage.output_tokens)
    return all(checks) if checks else None


def outcome_of(error: UpstreamError) -> Outcome:
    if error.fault is Fault.CLIENT:
        return "client_error"
    return "timeout" if error.status == 504 else "upstream_error"


def is_wrong(facts: RequestFacts, alias: AliasSettings, target: ServedBy) -> bool:
    """Answers of `target` are below the quality that the request needs."""
    return not good_enough(facts.quality or alias.needs, alias.needs, target.quality or alias.needs)


def is_bad(outcome: Outcome, kept: bool | None, wrong: bool, turned_away: bool) -> bool | None:
    """Does a request count against the error budget? None: it says nothing of it (the client's mistake, the client
    went, a backend broke). `kept`: its ceilings, as `in_time` says; `turned_away`: refused, because nobody would have
    been in time."""
    if outcome == "ok":
        return wrong or kept is False
    if outcome == "timeout" or turned_away:
        return True
    return None
