"""The reference figures: what `policies/seed-lab.yaml` and the price list of 2026-08-01 must come to."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path as File
from typing import Any

import pytest

from gateway.economics.crossover import crossovers
from gateway.economics.money import nanousd
from gateway.economics.path import Path
from gateway.economics.prices import ProvisionedCost, WindowCost
from gateway.economics.serving import average_cost, serving_row
from gateway.policy import load_policy
from gateway.policy.paths import serving_paths
from gateway.report.contents import as_json, report
from gateway.report.tables import average, money, percent

POLICIES = File(__file__).parents[2] / "policies"


@pytest.fixture(scope="module")
def lab() -> dict[str, Path]:
    policy = load_policy(POLICIES / "seed-lab.yaml", {})
    return {path.name: path for path in serving_paths(policy)}


@pytest.fixture(scope="module")
def lab_json(lab: dict[str, Path]) -> dict[str, Any]:
    return as_json(report(list(lab.values())))


@pytest.mark.parametrize(
    ("name", "printed", "exact", "divided_by"),
    [
        ("bedrock-base", "$0.40", Fraction("0.4"), None),
        ("spark-llama", "$5.4 / U", Fraction(200 * 10**6, 14 * 2_628_000), "utilization"),
        ("spark-gemma", "$3.4 / U", Fraction(200 * 10**6 * 10, 224 * 2_628_000), "utilization"),
        ("cmi", "$27.5", 2 * Fraction("0.0785") * 10**6 / (60 * 95), None),
        ("provisioned", "$20.8 / duty", Fraction("7.11") * 10**6 / (3600 * 95), "duty"),
    ],
)
def test_the_serving_table_shows_the_labs_figure(
    lab: dict[str, Path], lab_json: dict[str, Any], name: str, printed: str, exact: Fraction, divided_by: str | None
) -> None:
    cost = average_cost(lab[name])
    assert average(cost) == printed
    assert cost.usd_per_1m_tokens == exact
    assert cost.divided_by == divided_by
    row = next(row for row in lab_json["paths"] if row["name"] == name)
    assert row["usd_per_1m_tokens"] == float(exact)
    assert row["divided_by"] == divided_by


@pytest.mark.parametrize(
    ("box", "printed_low", "printed_high", "tokens_per_second"),
    [("spark-llama", "$4.3", "$7.5", Fraction(14)), ("spark-gemma", "$2.7", "$4.7", Fraction("22.4"))],
)
def test_the_band_gives_the_flat_month_and_the_line_at_both_ends(
    lab: dict[str, Path], box: str, printed_low: str, printed_high: str, tokens_per_second: Fraction
) -> None:
    band = serving_row(lab[box]).band
    assert band is not None
    assert (band.low_usd_per_month, band.high_usd_per_month) == (160, 275)
    assert band.low_usd_per_1m_tokens == 160 * 10**6 / (tokens_per_second * 2_628_000)
    assert band.high_usd_per_1m_tokens == 275 * 10**6 / (tokens_per_second * 2_628_000)
    assert money(band.low_usd_per_1m_tokens) == printed_low
    assert money(band.high_usd_per_1m_tokens) == printed_high


@pytest.mark.parametrize(("box", "printed"), [("spark-llama", "19.7%"), ("spark-gemma", "12.3%")])
def test_the_box_crosses_the_import_where_the_lab_says(
    lab: dict[str, Path], lab_json: dict[str, Any], box: str, printed: str
) -> None:
    (found,) = [one for one in crossovers(list(lab.values())) if (one.box, one.against) == (box, "cmi")]
    assert percent(found.utilization) == printed
    speed = lab[box].single_stream_tokens_per_second
    assert found.utilization == Fraction(200, 2_628_000) / (speed * 2 * Fraction("0.0785") / (60 * 95))
    assert found.wins is True
    (row,) = [one for one in lab_json["crossovers"] if (one["box"], one["against"]) == (box, "cmi")]
    assert row["utilization"] == float(found.utilization)


def test_the_box_never_beats_the_base_model_on_price(lab: dict[str, Path]) -> None:
    (found,) = [
        one for one in crossovers(list(lab.values())) if (one.box, one.against) == ("spark-llama", "bedrock-base")
    ]
    assert found.utilization is not None
    assert found.utilization > 1
    assert found.wins is False


@pytest.mark.parametrize(
    ("name", "against", "printed", "exact"),
    [("cmi", "spark-llama", "6.8", Fraction(95, 14)), ("spark-gemma", "spark-llama", "1.6", Fraction("1.6"))],
)
def test_the_speed_ratios_are_the_labs(
    lab_json: dict[str, Any], name: str, against: str, printed: str, exact: Fraction
) -> None:
    (row,) = [one for one in lab_json["speed_ratios"] if (one["name"], one["against"]) == (name, against)]
    assert f"{row['ratio']:.1f}" == printed
    assert row["ratio"] == float(exact)


def test_no_speed_ratio_is_made_of_a_speed_that_nobody_measured(lab_json: dict[str, Any]) -> None:
    assert not {"bedrock-base", "provisioned"} & {one["name"] for one in lab_json["speed_ratios"]}


def test_the_hourly_price_that_gives_the_labs_provisioned_figure_is_7_11() -> None:
    hourly = Fraction("20.8") * 3600 * 95 / 10**6
    assert f"{float(hourly):.2f}" == "7.11"


# -- the price list of 2026-08-01 ---


@pytest.fixture(scope="module")
def listed() -> dict[str, Path]:
    policy = load_policy(POLICIES / "spark-bedrock.yaml", {}, require_environment=False)
    return {path.name: path for path in serving_paths(policy)}


def test_the_import_costs_20_06_at_the_listed_price(listed: dict[str, Path]) -> None:
    cost = average_cost(listed["cmi"]).usd_per_1m_tokens
    assert cost == 2 * Fraction("0.05718") * 10**6 / (60 * 95)
    assert f"{float(cost):.2f}" == "20.06"


def test_a_window_of_the_listed_copy_costs_0_5718_to_the_nano_dollar(listed: dict[str, Path]) -> None:
    cost = listed["cmi"].cost
    assert isinstance(cost, WindowCost)
    assert cost.nanousd_per_window == 571_800_000 == nanousd("0.5718")
    assert serving_row(listed["cmi"]).usd_per_window == Fraction("0.5718")


@pytest.mark.parametrize(("box", "printed"), [("box", "27.1%"), ("box-gemma", "16.9%")])
def test_the_crossovers_move_with_the_listed_price(listed: dict[str, Path], box: str, printed: str) -> None:
    (found,) = [one for one in crossovers(list(listed.values())) if (one.box, one.against) == (box, "cmi")]
    assert percent(found.utilization) == printed


def test_every_listed_price_says_its_region_day_and_source(listed: dict[str, Path]) -> None:
    assert (listed["cmi"].price.region, listed["cmi"].price.as_of) == ("us-east-1", "2026-08-01")
    assert listed["base"].price.region == "us-east-1"
    assert all(path.price.source for path in listed.values())


# -- accepted answers and the decision ---


def test_an_accepted_answer_costs_its_tokens_over_the_accepted_rate(lab_json: dict[str, Any]) -> None:
    rows = {row["path"]: row for row in lab_json["accepted_answers"]}
    assert rows["bedrock-base"]["usd_per_accepted_answer"] == pytest.approx(0.40e-6 * 500 / 0.47, rel=1e-15)
    assert rows["spark-llama"]["usd_per_accepted_answer"] == pytest.approx(
        200 / (14 * 2_628_000) * 500 / 0.70, rel=1e-15
    )
    assert rows["spark-llama-base"]["accepted_rate"] == 0.23
    assert rows["cmi"]["accepted_rate"] == 0.70


def test_a_path_whose_quality_was_not_measured_has_no_rank_and_no_cost_per_accepted_answer(
    lab_json: dict[str, Any],
) -> None:
    (gemma,) = [row for row in lab_json["accepted_answers"] if row["path"] == "spark-gemma"]
    assert gemma["usd_per_1m_tokens"] is not None
    assert gemma["usd_per_accepted_answer"] is None
    assert gemma["token_rank"] is gemma["accepted_rank"] is None


def test_per_accepted_answer_the_paths_rank_otherwise_than_per_token(lab_json: dict[str, Any]) -> None:
    assert all(one["differs"] for one in lab_json["rankings"])
    (at_half,) = [one for one in lab_json["rankings"] if one["utilization"] == 0.5]
    assert at_half["by_usd_per_token"] == [
        ["bedrock-base"], ["spark-llama", "spark-llama-base"], ["cmi"], ["provisioned"],
    ]  # fmt: skip
    assert at_half["by_usd_per_accepted_answer"] == [
        ["bedrock-base"], ["spark-llama"], ["cmi"], ["spark-llama-base"], ["provisioned"],
    ]  # fmt: skip


def test_the_decision_table_goes_from_the_import_to_the_box_at_the_crossover(lab_json: dict[str, Any]) -> None:
    cheapest = {row["utilization"]: row["cheapest_custom"]["name"] for row in lab_json["decision_table"]}
    assert list(cheapest) == [0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.0]
    assert [u for u, name in cheapest.items() if name == "cmi"] == [0.01, 0.05, 0.1]
    assert [u for u, name in cheapest.items() if name == "spark-gemma"] == [0.2, 0.3, 0.5, 0.8, 1.0]
    assert {row["cheapest"]["name"] for row in lab_json["decision_table"]} == {"bedrock-base"}


def test_the_capacity_of_all_streams_lowers_the_boxs_average(listed: dict[str, Path]) -> None:
    alone = average_cost(listed["box"], "single").usd_per_1m_tokens
    together = average_cost(listed["box"], "max").usd_per_1m_tokens
    assert alone is not None
    assert together is not None
    assert together == alone * Fraction(14, 200)


def test_the_mix_counts_the_input_tokens_of_a_list_price(listed: dict[str, Path]) -> None:
    assert average_cost(listed["base"], "single", Fraction(3)).usd_per_1m_tokens == Fraction("0.88")


def test_a_mix_whose_input_price_is_unknown_is_unknown(lab: dict[str, Path]) -> None:
    assert average_cost(lab["bedrock-base"], "single", Fraction(3)).usd_per_1m_tokens is None


def test_provisioned_throughput_without_a_price_or_without_units_is_unknown(lab: dict[str, Path]) -> None:
    for cost in (ProvisionedCost(None, 1), ProvisionedCost(Fraction(7), 0)):
        path = dataclasses.replace(lab["provisioned"], cost=cost)
        assert average(average_cost(path)) == "unknown"
        (found,) = crossovers([lab["spark-llama"], path])
        assert found.utilization is None
        assert found.wins is None
