"""The first sentence of the console."""

from __future__ import annotations

import pytest
from msgspec import structs

from gateway.server.console.verdict import Standing, verdict

AT = Standing(
    box="box", against="cmi", box_usd=0.62, elsewhere_usd=1.0, output_tokens=100_000, seconds=300.0,
    box_usd_per_hour=0.27, utilization=0.31, crossover=0.20, whole_windows=True,
)  # fmt: skip


@pytest.mark.parametrize(
    ("box_usd", "sentence", "tone"),
    [
        (0.62, "The box is 38% cheaper than cmi at this load.", "good"),
        (0.04, "The box is 96% cheaper than cmi at this load.", "good"),
        (0.004, "The box is 99.6% cheaper than cmi at this load.", "good"),
        (1.001, "The box is as dear as cmi at this load.", "neutral"),
        (1.4, "The box is 40% dearer than cmi at this load.", "bad"),
        (3.25, "The box is 3.2 times as dear as cmi at this load.", "bad"),
        (41.0, "The box is 41 times as dear as cmi at this load.", "bad"),
    ],
)
def test_it_compares_what_the_same_tokens_cost_here_and_there(box_usd: float, sentence: str, tone: str) -> None:
    said = verdict(structs.replace(AT, box_usd=box_usd))
    assert (said.sentence, said.tone) == (sentence, tone)


def test_the_second_sentence_has_the_figures_and_the_load() -> None:
    assert verdict(AT).detail == (
        "$6.20 per 1M output tokens against $10.00 for the same tokens there, in whole windows. "
        "The box is at 31.0% of what it can do; it pays against a busy cmi above 20.0%."
    )


def test_a_box_that_never_pays_says_so() -> None:
    detail = verdict(structs.replace(AT, crossover=3.0)).detail
    assert detail is not None
    assert "it never pays at this capacity" in detail


def test_weights_that_would_have_been_cheaper_are_named_though_they_are_other_weights() -> None:
    detail = verdict(structs.replace(AT, other_weights=("bedrock-base", 0.05))).detail
    assert detail is not None
    assert detail.endswith("Other weights, on bedrock-base, would have cost $0.50.")
    assert verdict(structs.replace(AT, other_weights=("bedrock-base", 5.0))).detail == verdict(AT).detail


def test_an_idle_box_is_not_compared_but_what_it_costs_is_said() -> None:
    said = verdict(structs.replace(AT, output_tokens=0))
    assert said.sentence == "Nothing was served by box in the last 5 minutes."
    assert said.detail == "It costs $0.27 an hour, busy or idle."


def test_without_a_box_or_a_price_nothing_is_claimed() -> None:
    assert verdict(None).tone == "neutral"
    assert verdict(structs.replace(AT, elsewhere_usd=None)).tone == "neutral"
