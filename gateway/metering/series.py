"""The `crossover_*` Prometheus series. Every label set a policy allows exists from the start, at 0; label values come
from the policy alone. Served on a port and a thread of their own, never by the event loop."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http.server import HTTPServer
from itertools import product

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, disable_created_metrics

from gateway.backends.usage import Usage
from gateway.economics.money import NanoUsd, usd
from gateway.metering.adapter_series import AdapterSeries
from gateway.metering.families import Count, Counters, Histograms
from gateway.metering.metrics_page import serve_page
from gateway.metering.records import OUTCOMES, VERDICTS, Outcome, Verdict

TTFT_BUCKETS = (0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1, 1.5, 2.5, 5, 10, 20, 60, 120)
TOKEN_BUCKETS = (0.002, 0.005, 0.01, 0.015, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1)
DURATION_BUCKETS = (0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300)
OVERHEAD_BUCKETS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5)
LAG_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1)
HOLD_BUCKETS = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600)
REASONS = (
    "cheapest_in_time", "window_is_paid", "window_pays", "only_choice", "fastest_though_late", "cheapest_though_late",
    "pinned", "fallback", "lower_quality_though_wrong",
)  # fmt: skip


def _with(bounds: tuple[float, ...], ceilings: Mapping[str, Iterable[float]], quantity: str) -> tuple[float, ...]:
    """A ceiling is a bound too: only then is the share in time exact, and no quantile guessed across it."""
    return tuple(sorted({*bounds, *ceilings.get(quantity, ())}))


class Series:
    """All series of one gateway, in a registry of its own. `models`, `kinds`: aliases and cost kind by backend.
    `ceilings`: seconds that are the latest in time, by quantity (ttft, time_per_token, latency)."""

    def __init__(
        self,
        models: Mapping[str, Iterable[str]],
        kinds: Mapping[str, str],
        version: str,
        policy: str,
        ceilings: Mapping[str, Iterable[float]] = {},
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()
        pairs = [(backend, model) for backend, names in models.items() for model in names]
        backends = list(models)

        def counter(name: str, text: str, labels: list[str], known: Iterable[tuple[str, ...]]) -> Counters:
            return Counters(f"crossover_{name}", text, labels, registry, known)

        def gauge(name: str, text: str, labels: list[str], known: Iterable[tuple[str, ...]] = ()) -> Gauge:
            made = Gauge(f"crossover_{name}", text, labels, registry=registry)
            for values in known:
                made.labels(*values)
            return made

        def histogram(
            name: str, text: str, labels: list[str], buckets: tuple[float, ...], known: Iterable[tuple[str, ...]]
        ) -> Histograms:
            return Histograms(f"crossover_{name}", text, labels, buckets, registry, known)

        with_outcome = [(b, m, o) for (b, m), o in product(pairs, OUTCOMES)]
        nobody = [("none", m, o) for m, o in product({*(m for _, m in pairs), "other"}, OUTCOMES)]
        self._requests = counter(
            "requests_total", "Requests of applications, by who answered them in the end and how it ended.",
            ["backend", "model", "outcome"], [*with_outcome, *nobody],
        )  # fmt: skip
        self._attempts = counter(
            "attempts_total", "Requests sent to backends: more than the operations where another had to be tried.",
            ["backend", "model", "outcome"], with_outcome,
        )  # fmt: skip
        self._tokens = counter(
            "tokens_total", "Tokens of attempts, input (prompt) and output (generated) apart.",
            ["backend", "model", "token_type"], [(*p, t) for p, t in product(pairs, ("input", "output"))],
        )  # fmt: skip
        self._tokens_of = {(b, m): (self._tokens[b, m, "input"], self._tokens[b, m, "output"]) for b, m in pairs}
        self._usage = counter(
            "usage_total", "Attempts that may be billed, by how surely their token counts are known.",
            ["backend", "certainty"], product(backends, ("exact", "estimated", "missing")),
        )  # fmt: skip
        self._cost = counter(
            "cost_usd_total", "US dollars as they accrue: by the second where time is paid, else at list price.",
            ["backend", "cost_kind"], kinds.items(),
        )  # fmt: skip
        self._busy_seconds = counter(
            "busy_seconds_total", "Seconds with at least one attempt under way.", ["backend"], [(b,) for b in backends]
        )
        self._busy_cost = counter(
            "busy_cost_usd_total",
            "Usage basis: of cost_usd_total, what accrued while at least one attempt was under way.", ["backend"],
            [(b,) for b in kinds],
        )  # fmt: skip
        self._counterfactual = counter(
            "counterfactual_cost_usd_total",
            "US dollars that what one backend served would have cost on another alone: list price, or whole billing "
            "windows. An owned box has no such price, and is left out; so is a path whose price is unknown.",
            ["served_by", "priced_as"], [],
        )  # fmt: skip
        self._single_path = counter(
            "single_path_cost_usd_total", "US dollars that everything served would have cost on one path alone.",
            ["path"], [],
        )  # fmt: skip
        self._unpriced = counter(
            "unpriced_tokens_total", "Tokens whose price is unknown: left out of every figure of money.",
            ["backend", "model"], pairs,
        )  # fmt: skip
        self._judged = counter(
            "judged_requests_total",
            "Requests as the error budget counts them. late: also turned away because nobody would have been in time. "
            "in_time: also without a ceiling.",
            ["backend", "model", "verdict"],
            [*((b, m, v) for (b, m), v in product(pairs, VERDICTS)),
             *(("none", m, v) for m, v in product({m for _, m in pairs}, VERDICTS))],
        )  # fmt: skip
        self._reported = counter(
            "backend_reported_tokens_total",
            "Tokens that a backend's own metrics page counted since this gateway first read it, whoever asked.",
            ["backend", "token_type"], [],
        )  # fmt: skip
        self._windows = counter(
            "windows_total", "Billing windows opened.", ["backend"], [(b,) for b, k in kinds.items() if k == "window"]
        )
        window_backends = [(b,) for b, k in kinds.items() if k == "window"]
        self.window_open = gauge(
            "window_open", "Copies that are believed up, each in a paid window.", ["backend"], window_backends
        )
        self.window_seconds_left = gauge(
            "window_seconds_left",
            "Seconds that are paid and still to come, of copies that are believed up.",
            ["backend"],
            window_backends,
        )
        self.copies_elsewhere = gauge(
            "window_copies_elsewhere",
            "Copies that CloudWatch counts beyond those that calls of this gateway opened: not in its books.",
            ["backend"], window_backends,
        )  # fmt: skip
        self.capacity = gauge(
            "backend_capacity_tokens_per_second",
            "Output tokens/s it can do: of the policy, until measured.",
            ["backend"],
        )
        self.utilization = gauge(
            "backend_utilization_ratio", "Output tokens/s of the last minute over capacity.", ["backend"],
            [(b,) for b in backends],
        )  # fmt: skip
        self.crossover = gauge(
            "crossover_utilization_ratio",
            "Utilization above which the box is cheaper per token than one stream of the other path, at the capacity "
            "measured now and its mix of tokens of the last quarter of an hour (idle: since the start); over 1: never.",
            ["box", "against"],
        )  # fmt: skip
        self._ttft = histogram(
            "time_to_first_token_seconds", "From sending to the first bytes of the answer.", ["backend", "model"],
            _with(TTFT_BUCKETS, ceilings, "ttft"), pairs,
        )  # fmt: skip
        self._per_token = histogram(
            "time_per_output_token_seconds", "Streams: (last token - first token) / (tokens - 1).",
            ["backend", "model"], _with(TOKEN_BUCKETS, ceilings, "time_per_token"), pairs,
        )  # fmt: skip
        self._duration = histogram(
            "request_duration_seconds", "From the request's arrival to the end of its answer.", ["backend", "model"],
            _with(DURATION_BUCKETS, ceilings, "latency"), pairs,
        )  # fmt: skip
        self._overhead = histogram(
            "overhead_seconds", "The gateway's own time before it sends a request on.", [], OVERHEAD_BUCKETS, [()]
        )[()]
        self.in_flight = gauge("inflight_requests", "Attempts under way.", ["backend"], [(b,) for b in backends])
        self.prediction_error = gauge(
            "prediction_error_ratio", "Mean of |predicted - observed| / observed, over about 200 streamed answers.",
            ["backend", "quantity"],
        )  # fmt: skip
        self.prediction_bias = gauge(
            "prediction_bias_ratio", "Geometric mean of observed over predicted: above 1, later than said.",
            ["backend", "quantity"],
        )  # fmt: skip
        self.prediction_coverage = gauge(
            "prediction_p95_coverage_ratio", "Share of streamed answers within their predicted 95th percentile.",
            ["backend", "quantity"],
        )  # fmt: skip
        self.prediction_margin = gauge(
            "prediction_margin_ratio", "Share of a latency ceiling that a prediction may use.", ["backend"]
        )
        self._decisions = counter(
            "route_decisions_total", "Where requests were sent, and why.", ["backend", "reason"],
            product(backends, REASONS),
        )  # fmt: skip
        self.answer_worth = gauge(
            "answer_in_time_worth_usd",
            "US dollars that one answer in time is worth now: the shadow price of the error budget.",
            [],
        )
        self.budget_limit = gauge("error_budget_limit_ratio", "Share of requests that may be late or wrong.", [])
        self.budget = gauge(
            "error_budget_ratio",
            "Share of requests that were late or wrong since the start, over the error budget; 1: it is spent.",
            [],
        )
        self.window_regret = gauge(
            "window_regret_usd",
            "US dollars that windows which were not opened lately would have been worth: enough of it opens one.",
            ["backend"], window_backends,
        )  # fmt: skip
        self.captive_demand = gauge(
            "captive_demand_ratio",
            "Work of requests that only a box or an imported model answers well, over what the boxes can do.",
            [],
        )
        self.held = gauge("held_requests", "Requests that wait at the gateway for a cheaper moment.", [])
        self._hold = histogram(
            "hold_seconds", "How long requests that were held waited at the gateway.", [], HOLD_BUCKETS, [()]
        )[()]
        self._warmups = counter(
            "warmups_total", "Calls of one token that the gateway sent by itself, to start a copy ahead of the need.",
            ["backend"], window_backends,
        )  # fmt: skip
        self.running = gauge(
            "backend_running_requests", "Requests that the backend says it works on, whoever asked.", ["backend"]
        )
        self.waiting = gauge(
            "backend_waiting_requests", "Requests that the backend says wait in its queue, whoever asked.", ["backend"]
        )
        self.unknown_in_flight = gauge(
            "inflight_unknown_to_backend",
            "Requests of ours under way of which the backend's own page, when it was last read, knew nothing: a few "
            "are on their way; one that stays means that somebody has lost count.", ["backend"],
        )  # fmt: skip
        self.kv_cache = gauge(
            "backend_kv_cache_usage_ratio", "Share of its KV cache in use, as the backend says.", ["backend"]
        )
        self.backend_info = gauge(
            "backend_info", "What a backend is; simulated: a stand-in, whose figures are not real money.",
            ["backend", "cost_kind", "wire", "simulated"],
        )  # fmt: skip
        self.fixed_cost = gauge(
            "backend_fixed_cost_usd_per_second",
            "What its time costs: always (a box, provisioned units), or while a copy's window is open (one copy).",
            ["backend"],
        )
        self.token_price = gauge("backend_price_usd_per_token", "List price, of the policy.", ["backend", "token_type"])
        self.ceiling = gauge(
            "ceiling_seconds", "The latest that an answer is in time, of the policy.", ["model", "quantity"]
        )
        self.up = gauge("backend_up", "1: it can be asked.", ["backend"], [(b,) for b in backends])
        self.adapters = AdapterSeries(registry, _with(TTFT_BUCKETS, ceilings, "ttft"))
        gauge("policy_info", "The policy in force.", ["hash"]).labels(policy).set(1)
        gauge("build_info", "The program.", ["version"]).labels(version).set(1)
        self.loop_lag = Gauge(
            "crossover_loop_lag_seconds", "How late the event loop's clock ticks: worst of the last second.",
            registry=registry,
        )  # fmt: skip
        self.event_loop_lag = histogram(
            "event_loop_lag_seconds", "How late the event loop's clock ticks, looked at all the time.", [],
            LAG_BUCKETS, [()],
        )[()]  # fmt: skip
        self._running_seconds = counter(
            "running_seconds_total",
            "Seconds that this gateway has been running, as they were booked: with it, averages are over that time.",
            [], [()],
        )[()]  # fmt: skip
        self._ledger: tuple[Gauge, Count] | None = None
        self._lost = 0
        ProcessCollector(registry=registry)

    def spend_budget(self, usd_per_month: float) -> None:
        """Exists only where the policy has one."""
        Gauge(
            "crossover_spend_budget_usd_per_month", "What all backends may cost a month, of the policy.",
            registry=self.registry,
        ).set(usd_per_month)  # fmt: skip

    def ledger(self, *, writing: bool, lost: int) -> None:
        """`lost`: records, since the start. Both series exist from the first call on: not without a ledger."""
        if self._ledger is None:
            self._ledger = (
                Gauge("crossover_ledger_writing", "1: what is booked gets into its file.", registry=self.registry),
                Counters("crossover_ledger_lost_records_total", "Not in its file for good.", [], self.registry)[()],
            )
        self._ledger[0].set(writing)
        self._ledger[1].inc(lost - self._lost)
        self._lost = lost

    def attempt(
        self, backend: str, model: str, outcome: Outcome, usage: Usage, billable: bool = True,
        generation: str | None = None,
    ) -> None:  # fmt: skip
        """`billable` False: nobody will ask money for it, so that nothing is missing where it says no usage.
        `generation`: of the adapter that it was sent to."""
        if self.adapters.known:
            self.adapters.attempt(backend, model, generation or "", outcome, usage)
        self._attempts[backend, model, outcome].value += 1.0
        certainty = usage.certainty
        if billable or certainty != "missing":
            self._usage[backend, certainty].value += 1.0
        read, written = self._tokens_of[backend, model]
        read.value += usage.input_tokens
        written.value += usage.output_tokens

    def unpriced(self, backend: str, model: str, tokens: int) -> None:
        self._unpriced[backend, model].inc(tokens)

    def cost(self, backend: str, kind: str, amount: NanoUsd, busy: NanoUsd) -> None:
        """Adds to what a backend has cost; `busy`: of that, in busy time. Below 0 is a mistake: a counter that falls
        reads as a restart."""
        if amount < 0 or busy < 0:
            raise ValueError(f"cost of {backend} would fall by {-min(amount, busy)} n$")
        self._cost[backend, kind].value += usd(amount)
        self._busy_cost[(backend,)].value += usd(busy)

    def ran(self, seconds: float) -> None:
        self._running_seconds.inc(seconds)

    def busy(self, backend: str, seconds: float) -> None:
        self._busy_seconds[(backend,)].inc(seconds)

    def counterfactual(self, served_by: str, priced_as: str, amount: NanoUsd) -> None:
        """0 makes the series exist."""
        self._counterfactual[served_by, priced_as].inc(usd(amount))

    def single_path(self, path: str, amount: NanoUsd) -> None:
        self._single_path[(path,)].inc(usd(amount))

    def crossing(self, box: str, against: str, utilization: float | None) -> None:
        """None: it is not known any more, and the last value must not stay."""
        if utilization is None:
            self.crossover.remove(box, against)
        else:
            self.crossover.labels(box, against).set(utilization)

    def judged(self, backend: str | None, model: str, verdict: Verdict) -> None:
        self._judged[backend or "none", model, verdict].value += 1.0

    def reported(self, backend: str, token_type: str, tokens: float) -> None:
        """Tokens that a backend's own page counted on. 0 makes the series exist."""
        self._reported[backend, token_type].inc(max(0.0, tokens))

    def windows(self, backend: str, opened: int) -> None:
        self._windows[(backend,)].inc(opened)

    def latency(
        self, backend: str, model: str, ttft_seconds: float, seconds_per_token: float | None,
        generation: str | None = None,
    ) -> None:  # fmt: skip
        if self.adapters.known:
            self.adapters.first_token(backend, model, generation or "", ttft_seconds)
        self._ttft[backend, model].observe(ttft_seconds)
        if seconds_per_token is not None:
            self._per_token[backend, model].observe(seconds_per_token)

    def operation(self, backend: str | None, model: str, outcome: Outcome, seconds: float) -> None:
        self._requests[backend or "none", model, outcome].value += 1.0
        if backend is not None:
            self._duration[backend, model].observe(seconds)

    def decision(self, backend: str, reason: str) -> None:
        self._decisions[backend, reason].value += 1.0

    def hold(self, seconds: float) -> None:
        self._hold.observe(seconds)

    def warmup(self, backend: str) -> None:
        self._warmups[(backend,)].inc()

    def overhead(self, seconds: float) -> None:
        self._overhead.observe(seconds)

    def serve(self, host: str, port: int) -> tuple[HTTPServer, int]:
        """Starts the page in its own thread. Returns the server (`shutdown()` ends it) and the port it got."""
        server = serve_page(self.registry, host, port)
        return server, server.server_port
