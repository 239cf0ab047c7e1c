"""*Backends, windows and adapters*: for whoever operates it. What is up, how full is it, which windows are paid?"""

from __future__ import annotations

from grafana import layout, panels
from grafana.panels import AMBER, GREEN, GREY, RED, Panel, between, lines, stat, table, value_text
from grafana.queries import HOUR, NOTE, Query, gauge, increase, noted, rate

FILE = "backends-windows-adapters.json"
BACKEND = "{{backend}}" + NOTE
QUANTITY = "{{backend}}, {{quantity}}"

NOW: list[Panel] = [
    stat(
        "Can it be asked?",
        "Whether the gateway sends requests there: the backend is reachable and has not just failed again and again.",
        Query(noted(gauge("backend_up", "backend", over="min")), BACKEND),
        unit="none", names=True, filled=True, beside=True, width=6, one_above_another=True, value_size=22,
        mappings=(value_text({"0": ("down", RED), "1": ("up", GREEN)}),), steps=((None, RED), (1, GREEN)),
    ),
    stat(
        "Under way",
        "Requests that a backend works on for this gateway now.",
        Query(noted(gauge("inflight_requests", "backend")), BACKEND),
        unit=panels.COUNT, names=True, beside=True, width=6, decimals=0, one_above_another=True, value_size=22,
    ),
    stat(
        "Windows paid now",
        "Copies of an imported model whose billing window is open: they cost money whether they are used or not.",
        Query(noted(gauge("window_open", "backend")), BACKEND),
        unit=panels.COUNT, names=True, width=4, decimals=0, no_value="no imported model",
        steps=((None, GREY), (1, AMBER)),
    ),
    stat(
        "Ledger",
        "Whether what is booked gets into the ledger's file, and whether records were lost in this time range. "
        "Nothing is shown where the policy has no ledger.",
        Query(f"{gauge('ledger_writing', over='min')}\n- 2 * ({increase('ledger_lost_records_total')} > bool 0)"),
        unit="none", width=4, filled=True, no_value="no ledger", value_size=28, steps=((None, RED), (1, GREEN)),
        mappings=(
            between(1, None, "written", GREEN, 0), between(0, 0, "not written", RED, 1),
            between(None, -1, "records were lost", RED, 2),
        ),
    ),
    stat(
        "Event loop late by",
        "Worst of the last second: how late the gateway's event loop wakes up. All streams wait for it.",
        Query(gauge("loop_lag_seconds", over="max")),
        unit=panels.SECONDS, width=4, decimals=1, steps=((None, GREEN), (0.05, AMBER), (0.25, RED)), value_size=28,
        spark=True,
    ),
]  # fmt: skip

LOAD: list[Panel] = [
    lines(
        "Output tokens a second, and what it can do",
        "Solid: tokens generated. Dashed: the most that the box, or whatever is paid by its time, can do as measured.",
        Query(noted(rate("tokens_total", "backend", 'token_type="output"')), BACKEND),
        Query(noted(gauge("backend_capacity_tokens_per_second", "backend")
                    + " and on (backend) crossover_backend_running_requests"), BACKEND + " can do"),
        unit=panels.TOKENS_PER_SECOND, dashed="B", width=6, last=False,
    ),
    lines(
        "Utilization",
        "Output tokens/s of the last minute over capacity. What is billed by the token has a nominal capacity only.",
        Query(noted(gauge("backend_utilization_ratio", "backend", over="max")), BACKEND),
        unit=panels.SHARE, soft_maximum=1, width=6,
    ),
    lines(
        "Running and waiting inside the backend",
        "As the backend's own metrics page says, whoever asked. Waiting: it has more than it can take at once.",
        Query(noted(gauge("backend_running_requests", "backend", over="max")), BACKEND + " runs"),
        Query(noted(gauge("backend_waiting_requests", "backend", over="max")), BACKEND + " lets wait"),
        unit=panels.COUNT, no_value="no backend has a metrics page", width=6,
    ),
    lines(
        "KV cache in use",
        "Share of a vLLM box's cache for running requests. Near 100% it puts requests off.",
        Query(noted(gauge("backend_kv_cache_usage_ratio", "backend", over="max")), BACKEND),
        unit=panels.SHARE, soft_maximum=0.1, no_value="no backend has a metrics page", width=6,
    ),
]  # fmt: skip

WINDOWS: list[Panel] = [
    lines(
        "Seconds that are paid and still to come",
        "Of an imported model's billing windows. While there are any, a request there costs nothing more.",
        Query(noted(gauge("window_seconds_left", "backend", over="max")), BACKEND),
        unit=panels.SECONDS,
        no_value="no imported model",
        stepped=True,
    ),
    lines(
        "Windows opened an hour",
        "Billing windows that calls opened, and calls of one token that the gateway sent by itself to start a copy "
        "ahead of the need.",
        Query(noted(f"{rate('windows_total', 'backend', window='5m')} * {HOUR}"), BACKEND + " opened"),
        Query(noted(f"{rate('warmups_total', 'backend', window='5m')} * {HOUR}"), BACKEND + " warmed up"),
        unit=panels.COUNT,
        no_value="no imported model",
    ),
    lines(
        "Regret of windows that were not opened",
        "What windows would have been worth that were not opened lately, in dollars. When it reaches the price of one, "
        "one is opened; sooner where demand says that it will pay.",
        Query(noted(gauge("window_regret_usd", "backend", over="max")), BACKEND),
        unit=panels.USD,
        no_value="no imported model",
        filled=0,
    ),
]

TRUST: list[Panel] = [
    lines(
        "How far predictions are off",
        "Mean of |predicted - observed| / observed over about the last 200 streams, of the time to the first token and "
        "per token. Routing decides by these.",
        Query(gauge("prediction_error_ratio", "backend, quantity", over="max"), QUANTITY),
        unit=panels.SHARE,
        filled=0,
        last=False,
    ),
    lines(
        "Answers within their predicted 95 of 100",
        "If the predictions were perfect it would be 95%. Below: answers come later than was thought.",
        Query(gauge("prediction_p95_coverage_ratio", "backend, quantity", over="min"), QUANTITY),
        unit=panels.SHARE,
        filled=0,
        last=False,
        minimum=None,
        soft_maximum=1,
        steps=((None, "transparent"), (0.95, GREY)),
    ),
    lines(
        "The gateway's tokens against the backend's own count",
        "The gateway's count over the backend's, less 1, in 15 minutes. Below 0: somebody else uses it too, or "
        "the gateway misses tokens. 0 is right.",
        Query(noted("crossover:reported_token_difference:ratio_rate15m"), BACKEND + ", {{token_type}}"),
        unit=panels.SHARE,
        minimum=None,
        filled=0,
        centered_zero=True,
        no_value="no backend has a metrics page",
        steps=((None, "transparent"), (0, GREY)),
    ),
]

INVENTORY: list[Panel] = [
    table(
        "Models, adapters and who serves them",
        "Which generation of a model each backend serves; empty: weights without a generation of their own.",
        Query(gauge("adapter_info", "model, backend, generation", over="max"), format="table"),
        columns=(("model", "model", ""), ("backend", "backend", ""), ("generation", "generation", "")),
        hidden=("Time", "Value"), width=8, height=7,
    ),
    table(
        "Backends",
        "What each backend is. A simulated one is a stand-in: its figures are not real "
        "money. Other copies: of an imported model, opened by somebody else; they are not in this gateway's books.",
        Query(gauge("backend_info", "backend, wire, cost_kind, simulated", over="max"), format="table"),
        Query(gauge("window_copies_elsewhere", "backend", over="max"), format="table"),
        columns=(
            ("backend", "backend", ""), ("simulated", "simulated", ""), ("wire", "spoken to as", ""),
            ("cost_kind", "paid by", ""), ("Value #B", "other copies", panels.COUNT),
        ),
        hidden=("Time", "Value #A"), width=10, height=7,
        mappings={"simulated": panels.SIMULATED, "paid by": panels.PAID_BY},
        decimals={"other copies": 0},
    ),
    table(
        "Gateways",
        "Version of the program and digest of the policy in force, by gateway: they should be alike.",
        Query(gauge("build_info", "instance, version", over="max"), format="table"),
        Query(gauge("policy_info", "instance, hash", over="max"), format="table"),
        columns=(("instance", "gateway", ""), ("version", "version", ""), ("hash", "policy", "")),
        hidden=("Time", "Value #A", "Value #B"), width=6, height=7,
    ),
]  # fmt: skip


def document() -> str:
    """The dashboard's file."""
    return layout.document(
        "crossover-backends",
        "Backends, windows and adapters",
        "What is up, how full it is, which billing windows are paid, and whether the gateway's own figures can be "
        "trusted.",
        {
            "Now": NOW,
            "Load": LOAD,
            "Billing windows of imported models": WINDOWS,
            "Can it be trusted?": TRUST,
            "What is running": INVENTORY,
        },
    )
