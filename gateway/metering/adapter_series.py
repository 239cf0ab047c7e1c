"""The series of each generation of an adapter: what a canary is compared by. Only a generation that is live, previous
or a canary has any, so that publishing a version a day does not add series for ever."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Gauge

from gateway.backends.usage import Usage
from gateway.metering.families import Counters, Histograms
from gateway.metering.records import OUTCOMES, Outcome

_LABELS = ("backend", "model", "generation")
_TOKEN_TYPES = ("input", "output")

Key = tuple[str, str, str]
"""(backend, model, generation): `model` is the alias, as in all other series."""


class AdapterSeries:
    """`ttft_buckets`: seconds, as those of all requests."""

    def __init__(self, registry: CollectorRegistry, ttft_buckets: tuple[float, ...]) -> None:
        self._requests = Counters(
            "crossover_adapter_requests_total", "Requests sent to each generation of an adapter, by their end.",
            [*_LABELS, "outcome"], registry,
        )  # fmt: skip
        self._tokens = Counters(
            "crossover_adapter_tokens_total", "Tokens of each generation of an adapter, input and output apart.",
            [*_LABELS, "token_type"], registry,
        )  # fmt: skip
        self._ttft = Histograms(
            "crossover_adapter_time_to_first_token_seconds",
            "From sending to the first bytes of the answer, by the generation that gave it. Streams only.",
            _LABELS, ttft_buckets, registry,
        )  # fmt: skip
        self._share = Gauge(
            "crossover_adapter_share",
            "Share of a backend's requests for a model that each generation is to get: below 1 beside a canary; 0: it "
            "was live before, and a rollback brings it back.",
            _LABELS, registry=registry,
        )  # fmt: skip
        self._info = Gauge(
            "crossover_adapter_info",
            "Which generation serves a model; empty: weights without a generation of their own.", _LABELS,
            registry=registry,
        )  # fmt: skip
        self._gate = Gauge(
            "crossover_adapter_gate",
            "What the quality gate said of a generation, as its publisher told it: pass, fail, undecided, or none: it "
            "was published without one.",
            [*_LABELS, "verdict"], registry=registry,
        )  # fmt: skip
        self.known: set[Key] = set()
        """Those that have series."""
        self._verdicts: dict[Key, str] = {}

    def serves(self, backend: str, model: str, shares: Mapping[str, float]) -> None:
        """What each generation gets from now on. `info` is of those with a share; new ones begin at 0."""
        for generation, share in shares.items():
            key = (backend, model, generation)
            self._begin(key)
            self._share.labels(*key).set(share)
            if share:
                self._info.labels(*key).set(1)
            else:
                self._info.remove(*key)

    def judged(self, backend: str, model: str, verdicts: Mapping[str, str]) -> None:
        """By generation, of those that were told."""
        for generation, verdict in verdicts.items():
            key = (backend, model, generation)
            self._forget_verdict(key)
            self._verdicts[key] = verdict
            self._gate.labels(*key, verdict).set(1)

    def _forget_verdict(self, key: Key) -> None:
        if (verdict := self._verdicts.pop(key, None)) is not None:
            self._gate.remove(*key, verdict)

    def without_generation(self, backend: str, model: str) -> None:
        """The backend serves the model with weights that have no generation, for good."""
        self._info.labels(backend, model, "").set(1)

    def forget(self, backend: str, model: str, generation: str) -> None:
        """It is neither live, previous nor a canary, and nothing of it is under way."""
        key = (backend, model, generation)
        self._info.remove(*key)
        self._forget_verdict(key)
        if key not in self.known:
            return
        self.known.discard(key)
        for outcome in OUTCOMES:
            self._requests.forget((*key, outcome))
        for token_type in _TOKEN_TYPES:
            self._tokens.forget((*key, token_type))
        self._ttft.forget(key)
        self._share.remove(*key)

    def attempt(self, backend: str, model: str, generation: str, outcome: Outcome, usage: Usage) -> None:
        if (backend, model, generation) in self.known:
            self._requests[backend, model, generation, outcome].value += 1.0
            self._tokens[backend, model, generation, "input"].value += usage.input_tokens
            self._tokens[backend, model, generation, "output"].value += usage.output_tokens

    def first_token(self, backend: str, model: str, generation: str, seconds: float) -> None:
        if (backend, model, generation) in self.known:
            self._ttft[backend, model, generation].observe(seconds)

    def _begin(self, key: Key) -> None:
        if key in self.known:
            return
        self.known.add(key)
        for outcome in OUTCOMES:
            self._requests[(*key, outcome)]
        for token_type in _TOKEN_TYPES:
            self._tokens[(*key, token_type)]
        self._ttft[key]
