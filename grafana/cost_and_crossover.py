"""*Cost and crossover*: for whoever pays. Is the box the cheaper one, what does a token cost, what did routing save?"""

from __future__ import annotations

from grafana import layout, panels
from grafana.panels import AMBER, BLUE, GREEN, GREY, RED, Panel, bars, between, lines, stat, table
from grafana.queries import HOUR, NOTE, Query, gauge, increase, noted, ratio

FILE = "cost-and-crossover.json"
BACKEND = "{{backend}}" + NOTE
PRICED = "unless on () (" + increase("unpriced_tokens_total") + " > 0)"
"""As the rules do: with tokens of unknown price no figure of savings is shown, since it would be wrong."""

NO_BOX = "nothing to compare"
"""Without an owned box, or where no other path has a price."""
BOXES = 'label_replace(crossover_crossover_utilization_ratio, "{}", "$1", "box", "(.+)")'
"""Which backends are owned boxes: with that label, to be joined with `and on`."""
CROSSINGS = gauge("crossover_utilization_ratio", "box, against", over="max")
UTILIZATION = f"crossover:utilization:ratio_rate5m\nand on (backend) {BOXES.format('backend')}"
NEVER = -1
MARGIN = f"""(
  label_replace({UTILIZATION}, "box", "$1", "backend", "(.+)")
  * on (box) group_right ()
  (1 / ({CROSSINGS} <= 1))
)
or ({CROSSINGS} > bool 1) * {NEVER}"""
"""How many times over its crossover a box is; `NEVER` where the crossover is more than it can do."""
VERDICTS = (
    between(1, None, "yes", GREEN, 0),
    between(0, 1, "not at this load", AMBER, 1),
    between(None, NEVER, "never at this capacity", AMBER, 2),
)

NOW: list[Panel] = [
    stat(
        "Is the box the cheaper one?",
        "Whether a token costs less on the box than on each other path, at the load of the last five minutes. The box "
        "has a flat price: it is the cheaper one from a certain utilization on, its crossover. Never: it would take "
        "more than the box can do.",
        Query(noted(MARGIN, "against"), "{{box}} against {{against}}" + NOTE),
        unit=panels.TIMES, mappings=VERDICTS, names=True, filled=True, width=6, height=7, one_above_another=True,
        steps=((None, AMBER), (1, GREEN)), value_size=24, no_value=NO_BOX,
    ),
    bars(
        "How busy the box is, and has to be",
        "Output tokens/s of the last five minutes over what the box can do; below it the utilization from which on the "
        "box is cheaper than each other path. More than 100%: never at this capacity.",
        Query(UTILIZATION, "{{backend}} is at"),
        Query(noted(CROSSINGS, "against"), "beats {{against}}" + NOTE + " from"),
        unit=panels.SHARE, width=6, height=7, maximum=1, decimals=1, colors={"A": BLUE, "B": GREY}, no_value=NO_BOX,
    ),
    stat(
        "US$ per 1M tokens now",
        "All dollars of the last five minutes over the output tokens served in them (reservation basis), by path. "
        "A path that served nothing has no price.",
        Query(noted('crossover:usd_per_1m_output_tokens:rate5m{basis="reservation"}'), BACKEND),
        unit=panels.USD, names=True, width=4, height=7, decimals=2, one_above_another=True, value_size=24,
    ),
    stat(
        "Saved in this time range",
        "What all the traffic would have cost on one path alone, less everything it did cost, the box with all of its "
        "flat price. Below 0: that path alone would have been the cheaper one.",
        Query(
            noted(
                f"({increase('single_path_cost_usd_total', 'path')} > 0)\n- on () group_left ()\n"
                f"{increase('cost_usd_total')}\n{PRICED}",
                "path",
            ),
            "against all on {{path}}" + NOTE,
        ),
        unit=panels.USD, names=True, width=4, height=7, steps=((None, RED), (0, GREEN)), decimals=2,
        one_above_another=True, value_size=24,
    ),
    stat(
        "Spending",
        "Dollars an hour over the last five minutes; dollars in a month of 730 hours if the last hour went on (too low "
        "until an hour has been recorded); and what the policy allows (`budget.usd_per_month`, where it is set).",
        Query(f"sum (crossover:cost_usd:rate5m) * {HOUR}", "an hour, now"),
        Query("crossover:projected_spend_usd_per_month:rate1h", "a month, as in the last hour"),
        Query(gauge("spend_budget_usd_per_month", over="max"), "a month, budget"),
        unit=panels.USD, names=True, width=4, height=7, decimals=2, one_above_another=True, value_size=24,
    ),
]  # fmt: skip

CROSSOVER: list[Panel] = [
    lines(
        "Utilization of the box, and where it crosses each path",
        "Solid: output tokens/s over what the box can do. Dashed: the utilization above which a token is cheaper on "
        "the box than on that path. Solid above dashed: the box wins. A dashed line above 100% cannot be "
        "reached at this capacity, and lies outside the picture.",
        Query(UTILIZATION, "{{backend}}, last 5 minutes"),
        Query(noted(CROSSINGS, "against"), "{{box}} crosses {{against}}" + NOTE),
        unit=panels.SHARE, width=12, height=9, dashed="B", maximum=1, filled=18, no_value=NO_BOX,
    ),
    lines(
        "US$ per 1M output tokens, by path",
        "All dollars over the tokens served, five minutes at a time (reservation basis): what is compared with the "
        "cloud. An idle box makes its few tokens dear. Logarithmic: each step of the scale is ten times the one below.",
        Query(noted('crossover:usd_per_1m_output_tokens:rate5m{basis="reservation"}'), BACKEND),
        unit=panels.USD, width=12, height=9, logarithmic=True, filled=0, decimals=2,
    ),
]  # fmt: skip

ELSEWHERE: list[Panel] = [
    lines(
        "The box's tokens elsewhere, US$ per 1M",
        "What the tokens that the box served in the last hour did cost there, and would have cost elsewhere: by list "
        "price, or by the whole billing windows that the same calls would have opened.",
        Query(
            'crossover:usd_per_1m_output_tokens:rate1h{basis="reservation"}\n'
            f"and on (backend) {BOXES.format('backend')}", "on {{backend}}",
        ),
        Query(
            noted(
                "crossover:counterfactual_usd_per_1m_output_tokens:rate1h\n"
                f"and on (served_by) {BOXES.format('served_by')}",
                "priced_as",
            ),
            "on {{priced_as}}" + NOTE,
        ),
        unit=panels.USD, logarithmic=True, filled=0, decimals=2, dashed="B", no_value=NO_BOX,
    ),
    lines(
        "US$ per 1M output tokens while busy",
        "Dollars of the busy time alone over the tokens (usage basis). It says what serving costs, not what owning "
        "costs: it is not compared with the cloud.",
        Query(noted('crossover:usd_per_1m_output_tokens:rate5m{basis="usage"}'), BACKEND),
        unit=panels.USD, logarithmic=True, filled=0, decimals=2,
    ),
    lines(
        "Saved by routing, US$ an hour",
        "What one path alone would cost an hour for all the traffic, less what it does cost, over the last hour (too "
        "low until an hour has been recorded). Below 0: that path alone would be the cheaper one.",
        Query(noted(f"crossover:saved_usd:rate1h * {HOUR}", "path"), "against all on {{path}}" + NOTE),
        unit=panels.USD, minimum=None, steps=((None, "transparent"), (0, GREY)), filled=0,
    ),
]  # fmt: skip

MONEY: list[Panel] = [
    lines(
        "Spending, US$ an hour",
        "Dollars as they accrue, by path: the box always, an imported model while a window is paid, a list price with "
        "each token.",
        Query(noted(f"crossover:cost_usd:rate5m * {HOUR}"), BACKEND),
        unit=panels.USD,
        stacked=True,
    ),
    lines(
        "Spending, US$ a month",
        "What a month would cost if the last hour, or the last six, went on; the dashed line is the policy's budget "
        "(`budget.usd_per_month`). Over six hours it is too low until six hours have been recorded.",
        Query("crossover:projected_spend_usd_per_month:rate1h", "as in the last hour"),
        Query("crossover:projected_spend_usd_per_month:rate6h", "as in the last 6 hours"),
        Query(gauge("spend_budget_usd_per_month", over="max"), "budget"),
        unit=panels.USD,
        dashed="C",
        filled=0,
        colors={"budget": RED},
    ),
    lines(
        "Billing windows: how much of the money was in use",
        "Share of what an imported model's windows cost that fell into time with at least one request under way, over "
        "20 minutes. A window is billed whole: the rest was paid for nothing.",
        Query(noted("crossover:window_busy:ratio_rate20m"), BACKEND),
        unit=panels.SHARE,
        maximum=1,
        no_value="no window",
    ),
]

ACCOUNT: list[Panel] = [
    table(
        "The account of this time range",
        "What each path answered and cost between the two ends of the time range. The last column is the third over "
        "the output tokens (reservation basis), and empty where tokens have no price.",
        Query("max by (backend, cost_kind, simulated) (" + gauge("backend_info", "backend, cost_kind, simulated",
              over="max") + ")", format="table"),
        Query(increase("cost_usd_total", "backend"), format="table"),
        Query(increase("requests_total", "backend", 'backend!="none"'), format="table"),
        Query(increase("tokens_total", "backend", 'token_type="input"'), format="table"),
        Query(increase("tokens_total", "backend", 'token_type="output"'), format="table"),
        Query(increase("windows_total", "backend"), format="table"),
        Query("1e6 * " + ratio(increase("cost_usd_total", "backend"),
                               increase("tokens_total", "backend", 'token_type="output"'))
              + "\nunless on (backend) (" + increase("unpriced_tokens_total", "backend") + " > 0)", format="table"),
        columns=(
            ("backend", "path", ""), ("simulated", "simulated", ""), ("cost_kind", "paid by", ""),
            ("Value #B", "US$", panels.USD), ("Value #C", "requests", panels.COUNT),
            ("Value #D", "input tokens", panels.COUNT), ("Value #E", "output tokens", panels.COUNT),
            ("Value #F", "windows", panels.COUNT), ("Value #G", "US$ per 1M", panels.USD),
        ),
        hidden=("Time", "Value #A"), width=18, height=7,
        mappings={"simulated": panels.SIMULATED, "paid by": panels.PAID_BY},
        decimals={"windows": 0, "requests": 0, "US$": 4, "US$ per 1M": 2},
    ),
    stat(
        "Unpriced tokens",
        "Tokens in this time range whose price is unknown: they are in no figure of money on this page. Mend it in the "
        "policy, or say what they cost.",
        Query(increase("unpriced_tokens_total")),
        unit=panels.COUNT, width=3, height=7, mappings=(between(0, 0, "none", GREEN),), steps=((None, GREEN), (1, RED)),
    ),
    stat(
        "Exact counts",
        "Share of the attempts of this time range whose token counts the backend told. The others were estimated, or "
        "are missing (a stream that broke off).",
        Query(ratio(increase("usage_total", matchers='certainty="exact"'), increase("usage_total"))),
        unit=panels.SHARE, width=3, height=7, decimals=1, steps=((None, RED), (0.9, AMBER), (0.99, GREEN)),
    ),
]  # fmt: skip


def document() -> str:
    """The dashboard's file."""
    return layout.document(
        "crossover-cost",
        "Cost and crossover",
        "Is your own box the cheaper one at this load, what does a token cost on each path, and what did routing save?",
        {
            "Now": NOW,
            "Where the box crosses the cloud": CROSSOVER,
            "What the same traffic would have cost": ELSEWHERE,
            "What is being spent": MONEY,
            "The account": ACCOUNT,
        },
    )
