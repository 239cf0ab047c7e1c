"""*Traffic and latency*: for whoever runs the applications. Are answers in time, and if not, whose are late?"""

from __future__ import annotations

from grafana import layout, panels
from grafana.panels import AMBER, GREEN, GREY, RED, Panel, lines, stat
from grafana.queries import NOTE, Query, gauge, increase, noted, quantile, rate, ratio

FILE = "traffic-and-latency.json"
BACKEND = "{{backend}}" + NOTE
IN_TIME = 'verdict="in_time"'
BURN_STEPS = ((None, GREEN), (1, AMBER), (6, RED))


def ceiling(quantity: str) -> str:
    return gauge("ceiling_seconds", "model", f'quantity="{quantity}"', over="max")


NOW: list[Panel] = [
    stat(
        "Answers in time",
        "Share of the requests of this time range that were answered within their latency ceiling and by weights "
        "that may answer them. Turned away counts as late; without a ceiling nothing is late.",
        Query(ratio(increase("judged_requests_total", matchers=IN_TIME), increase("judged_requests_total"))),
        unit=panels.SHARE, decimals=2, filled=True, steps=((None, RED), (0.98, AMBER), (0.99, GREEN)),
    ),
    stat(
        "Error budget used",
        "Late or wrong answers of the last hour over the share that the policy allows. 1x uses the budget up exactly; "
        "more spends what belongs to the hours to come.",
        Query("crossover:error_budget_burn:ratio_rate1h"),
        unit=panels.TIMES, decimals=2, steps=BURN_STEPS,
    ),
    stat(
        "Requests",
        "Requests that ended, in one second, over the last five minutes.",
        Query(rate("requests_total", window="5m")),
        unit=panels.REQUESTS_PER_SECOND, decimals=2,
    ),
    stat(
        "Failed",
        "Share of the requests of this time range that ended in an error. The client's own mistakes and what it "
        "cancelled are not counted.",
        Query(ratio(increase("requests_total", matchers='outcome!~"ok|client_error|cancelled"'),
                    increase("requests_total", matchers='outcome!~"client_error|cancelled"'))),
        unit=panels.SHARE, decimals=2, steps=((None, GREEN), (0.001, AMBER), (0.01, RED)),
    ),
    stat(
        "First token, p95",
        "Of 100 answers 95 began within this time of being sent to a backend, over the last five minutes.",
        Query(quantile(0.95, "time_to_first_token_seconds", window="5m")),
        unit=panels.SECONDS, decimals=2,
    ),
    stat(
        "Held back",
        "Requests that wait at the gateway now for a cheaper moment, because their ceiling lets them.",
        Query(gauge("held_requests")),
        unit=panels.COUNT, decimals=0, no_value="0",
    ),
]  # fmt: skip

TRAFFIC: list[Panel] = [
    lines(
        "Requests by how they ended",
        "One line an outcome, one on top of the other.",
        Query(f"{rate('requests_total', 'outcome')} > 0", "{{outcome}}"),
        unit=panels.REQUESTS_PER_SECOND, stacked=True,
        colors={"^ok$": GREEN, "error$": RED, "timeout": RED, "cancelled": GREY},
    ),
    lines(
        "Requests by who answered",
        "\"none\": nobody, the request was turned away or failed everywhere.",
        Query(f"{rate('requests_total', 'backend')} > 0", "{{backend}}"),
        unit=panels.REQUESTS_PER_SECOND, stacked=True,
    ),
    lines(
        "Tokens, in and out",
        "Input (prompt) and output (generated) tokens of all attempts in one second.",
        Query(rate("tokens_total", "token_type"), "{{token_type}}"),
        unit=panels.TOKENS_PER_SECOND,
    ),
]  # fmt: skip

LATENCY: list[Panel] = [
    lines(
        "First token, by model",
        "From sending to the first bytes of the answer: half of the answers are within p50 (thin), 95 of "
        "100 within p95. Dashed: the model's ceiling. Read from buckets, so between two of their bounds it is a guess.",
        Query(quantile(0.5, "time_to_first_token_seconds", "model"), "{{model}}, p50"),
        Query(quantile(0.95, "time_to_first_token_seconds", "model"), "{{model}}, p95"),
        Query(ceiling("ttft"), "{{model}}, ceiling"),
        unit=panels.SECONDS, thin="A", dashed="C", filled=0, colors={"ceiling": RED}, last=False,
    ),
    lines(
        "Each further token, by model",
        "Streams: time from the first to the last token over the tokens between. A model without a ceiling for it has "
        "no dashed line.",
        Query(quantile(0.5, "time_per_output_token_seconds", "model"), "{{model}}, p50"),
        Query(quantile(0.95, "time_per_output_token_seconds", "model"), "{{model}}, p95"),
        Query(ceiling("time_per_token"), "{{model}}, ceiling"),
        unit=panels.SECONDS, thin="A", dashed="C", filled=0, colors={"ceiling": RED}, last=False,
    ),
    lines(
        "Whole answer, by model",
        "From the request's arrival to the end of its answer. Read from buckets too: \"Answers in time\" is exact.",
        Query(quantile(0.5, "request_duration_seconds", "model"), "{{model}}, p50"),
        Query(quantile(0.95, "request_duration_seconds", "model"), "{{model}}, p95"),
        Query(ceiling("latency"), "{{model}}, ceiling"),
        unit=panels.SECONDS, thin="A", dashed="C", filled=0, colors={"ceiling": RED}, last=False,
    ),
]  # fmt: skip

PROMISES: list[Panel] = [
    lines(
        "Answers in time, by model",
        "Share of the requests that were in time, over five minutes; without a ceiling nothing is late.",
        Query(ratio(rate("judged_requests_total", "model", IN_TIME, "5m"), rate("judged_requests_total", "model",
              window="5m")), "{{model}}"),
        unit=panels.SHARE, maximum=1, minimum=None, soft_maximum=1, filled=0,
    ),
    lines(
        "How fast the error budget burns",
        "Late or wrong answers over what the policy allows (`routing.error_budget`), over a short time and longer. "
        "At the dashed line the budget is used up exactly.",
        Query("crossover:error_budget_burn:ratio_rate5m", "5 minutes"),
        Query("crossover:error_budget_burn:ratio_rate1h", "1 hour"),
        Query("crossover:error_budget_burn:ratio_rate6h", "6 hours"),
        unit=panels.TIMES, filled=0, soft_maximum=1.5, steps=((None, "transparent"), (1, RED)),
    ),
    lines(
        "First token, by who answered",
        "95 of 100 first tokens within: where the time goes.",
        Query(noted(quantile(0.95, "time_to_first_token_seconds", "backend")), BACKEND),
        unit=panels.SECONDS, filled=0,
    ),
]  # fmt: skip

ROUTING: list[Panel] = [
    lines(
        "Decisions, by reason",
        "Why requests were sent where they were: the reason is in each answer's `x-crossover-reason`.",
        Query(f"{rate('route_decisions_total', 'reason')} > 0", "{{reason}}"),
        unit=panels.REQUESTS_PER_SECOND,
        stacked=True,
        last=False,
    ),
    lines(
        "The gateway's own time",
        "What the gateway takes before it sends a request on: reading, deciding, counting. And how late its event loop "
        "wakes up, which every stream waits for.",
        Query(quantile(0.5, "overhead_seconds"), "p50"),
        Query(quantile(0.95, "overhead_seconds"), "p95"),
        Query(quantile(0.99, "event_loop_lag_seconds"), "loop late, p99"),
        unit=panels.SECONDS,
        filled=0,
    ),
    lines(
        "What one answer in time is worth",
        "The price that routing puts on being in time, so that the error budget is spent where it saves most. It rises "
        "while too many answers are late.",
        Query(gauge("answer_in_time_worth_usd", over="max"), "one answer"),
        unit=panels.USD,
        filled=0,
    ),
]


def document() -> str:
    """The dashboard's file."""
    return layout.document(
        "crossover-traffic",
        "Traffic and latency",
        "Are answers in time? Who answers, how long it takes against the ceilings that were promised, and why requests "
        "go where they go.",
        {
            "Now": NOW,
            "Traffic": TRAFFIC,
            "Latency against its ceilings": LATENCY,
            "What was promised": PROMISES,
            "Routing": ROUTING,
        },
    )
