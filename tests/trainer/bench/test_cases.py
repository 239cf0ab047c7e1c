"""Cases of the training benchmark, and the judgement that a quick variant must also be right."""

from __future__ import annotations

import math

import pytest

from trainer.bench.cases import Case, Result, judge, parse_case


def measured(variant: str, losses: list[float], sequences: int = 4) -> Result:
    return Result(Case(variant, sequences), "ok", losses=losses, tokens_per_second=1e4, model_flops_utilization=0.5)


def test_a_case_is_a_variant_and_what_differs_from_the_usual_batch() -> None:
    assert parse_case("plain") == Case("plain")
    assert parse_case("lean, sequences=8,checkpointing=on") == Case("lean", sequences=8, checkpointing=True)


@pytest.mark.parametrize(
    "text", ["fast", "lean,size=3", "lean,sequences=0", "lean,checkpointing=yes", "lean,sequences"]
)
def test_a_case_that_makes_no_sense_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=text.split(",")[-1].split("=")[0]):
        parse_case(text)


def test_a_variant_whose_loss_departs_from_plains_is_wrong_and_has_no_speed() -> None:
    results = [measured("plain", [12.0, 11.0]), measured("lean", [12.01, 11.02]), measured("liger", [12.0, 60.0])]
    judge(results)
    assert [found.verdict for found in results] == ["ok", "ok", "WRONG"]
    assert results[2].tokens_per_second is None
    assert results[2].model_flops_utilization is None
    assert results[1].largest_difference == pytest.approx(0.02)


def test_a_loss_that_is_no_number_is_wrong() -> None:
    results = [measured("plain", [12.0]), measured("lean", [math.nan])]
    judge(results)
    assert results[1].verdict == "WRONG"


def test_only_the_same_batch_is_compared() -> None:
    results = [measured("plain", [12.0]), measured("lean", [12.0], sequences=8)]
    judge(results)
    assert results[1].verdict == "not compared"


def test_where_fp32_ran_it_is_the_truth_and_a_variant_may_be_as_far_off_as_plain_is() -> None:
    results = [
        measured("plain-fp32", [12.0]),
        measured("plain", [12.4]),
        measured("lean", [12.3]),
        measured("liger", [12.5]),
    ]
    judge(results)
    assert [found.verdict for found in results] == ["ok", "ok", "ok", "WRONG"]


def test_a_failed_case_stays_failed() -> None:
    results = [measured("plain", [12.0]), Result(Case("lean"), "failed", problem="no memory")]
    judge(results)
    assert results[1].verdict == "failed"
