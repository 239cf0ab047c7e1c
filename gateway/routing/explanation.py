"""A decision as JSON-ready data, from the live gateway and from a replay alike: units in the names, money in US
dollars. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from gateway.economics.money import usd
from gateway.routing.decision import Candidate, Circumstances, Decision, Refusal
from gateway.routing.facts import RequestFacts
from gateway.routing.snapshot import BackendState, FleetSnapshot

IN_WORDS = {
    "cheapest_in_time": "{chosen} adds least to the bill of those predicted to be in time.",
    "window_is_paid": "A window of {chosen} is open and paid: there the call adds nothing to the bill.",
    "window_pays": "{chosen}: a window there saves answers from being late that are worth more than it costs.",
    "only_choice": "{chosen} is the only backend that can take it.",
    "fastest_though_late": "Nobody is predicted to be in time; {chosen} is the quickest.",
    "cheapest_though_late": "Nobody is predicted to be in time; {chosen} adds least to the bill.",
    "pinned": "The request names {chosen}.",
    "fallback": "Another was chosen and failed before its first byte; {chosen} was next.",
    "lower_quality_though_wrong": "It would be late wherever its quality is served; {chosen} answers below it, soon.",
    "held": "It can wait, and a cheaper moment may come; it cannot be kept waiting here, so {chosen} is asked now.",
}


def explanation(facts: RequestFacts, fleet: FleetSnapshot, decision: Decision) -> dict[str, Any]:
    """Why a request goes where it goes: every candidate's numbers, the reason as a word and as a sentence."""
    chosen = None if decision.hold_seconds is not None else decision.chosen
    told: dict[str, Any] = {
        "chosen": None if chosen is None else chosen.backend,
        "reason": decision.reason,
        "sentence": sentence(decision),
        "refusal": None if decision.refusal is None else msgspec.to_builtins(decision.refusal),
        "fallbacks": [] if chosen is None else [candidate.backend for candidate in decision.order[1:]],
        "hold_seconds": decision.hold_seconds,
        "warm": decision.warm,
        "request": {
            "model": facts.alias,
            "operation": facts.operation,
            "estimated_input_tokens": facts.input_tokens,
            "expected_output_tokens": facts.expected_output_tokens,
            "max_output_tokens": facts.max_output_tokens,
            "stream": facts.stream,
            "ceiling": msgspec.to_builtins(facts.ceiling),
            "elapsed_seconds": facts.elapsed_seconds,
            "held_before": facts.asked_before,
            "quality": facts.quality,
            "demands": sorted(facts.demands),
            "pinned_backend": facts.pinned_backend,
        },
        "candidates": [
            _candidate(candidate, fleet.backends[candidate.backend], candidate is chosen)
            for candidate in decision.candidates
        ],
    }
    if decision.notes is not None:
        told["circumstances"] = _circumstances(decision.notes)
    return told


def sentence(decision: Decision) -> str:
    """The reason in words."""
    words = _why(decision.refusal, decision)
    if decision.warm is not None:
        words += f" A copy of {decision.warm} is started ahead of the need."
    return words


def _why(refusal: Refusal | None, decision: Decision) -> str:
    if refusal is not None:
        return f"Refused with {refusal.status}: {refusal.message}"
    if decision.hold_seconds is not None:
        return f"It can wait, and a cheaper moment may come: asked again in {decision.hold_seconds:.3g} s."
    chosen = decision.chosen
    name = "nobody" if chosen is None else chosen.backend
    if decision.reason == "window_pays" and (decision.notes is None or decision.notes.regret_backend is None):
        return f"A copy of {name} is starting already, and will be up in time."
    return IN_WORDS.get(decision.reason, "{chosen}: " + decision.reason.replace("_", " ") + ".").format(chosen=name)


def _circumstances(notes: Circumstances) -> dict[str, Any]:
    regret = None
    if notes.regret_backend is not None:
        regret = {
            "backend": notes.regret_backend,
            "regret_usd": _usd(notes.regret_nanousd),
            "opens_at_usd": _usd(notes.threshold_nanousd),
            "forecast_answers_saved": notes.forecast_saved,
        }
    return {
        "answer_in_time_worth_usd": _usd(notes.worth_nanousd),
        "captive": notes.captive,
        "turned_away": notes.turned_away,
        "box_requests_over_batch": notes.pressure,
        "captive_demand_ratio": notes.demand,
        "overload_chance": notes.overload_chance,
        "window_regret": regret,
    }


def _usd(nanousd: float) -> float:
    return usd(round(nanousd))


def _candidate(candidate: Candidate, state: BackendState, chosen: bool) -> dict[str, Any]:
    predicted, window = candidate.predicted, state.window
    return {
        "backend": candidate.backend,
        "model": candidate.target.model,
        "generation": candidate.target.generation,
        "chosen": chosen,
        "excluded": candidate.excluded,
        "in_time": candidate.in_time,
        "why": candidate.why,
        "predicted_ttft_seconds": None if predicted is None else predicted.ttft_seconds,
        "predicted_seconds_per_token": None if predicted is None else predicted.seconds_per_token,
        "predicted_latency_seconds": None if predicted is None else predicted.latency_seconds,
        "late_chance": None if predicted is None else candidate.late_chance,
        "marginal_usd": None if candidate.marginal_nanousd is None else usd(candidate.marginal_nanousd),
        "congestion_usd": _usd(candidate.congestion_nanousd),
        "expected_usd": None if candidate.excluded is not None else _usd(candidate.expected_nanousd),
        "utilization": candidate.utilization,
        "window_seconds_left": candidate.window_seconds_left,
        "window_free_seconds": None if window is None else window.free_seconds,
        "window_room": None if window is None else window.room,
        "copies": None if window is None else window.copies,
        "restoring_seconds": state.restoring_seconds,
        "in_flight": state.in_flight,
        "foreign_requests": state.foreign,
        "margin": state.margin,
        "correction": msgspec.to_builtins(state.correction),
    }
