"""Two worlds held against each other: the limits, the verdict, and that both were given the same requests."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.replay.agreement import COUNTERPARTS, MAIN, Pair, Row, as_json, must_be_the_same, table
from gateway.replay.inputs import STRATEGIES
from gateway.replay.requests import Requests
from tests.replay.worlds import requests


def row(usd: float = 700.0, bad: float = 0.009) -> Row:
    return Row(usd=usd, bad=bad, late=bad, wrong=0.0, windows=600.0, shares={"box": 0.7, "cmi": 0.2, "base": 0.1})


def pair(usd: float, bad: float) -> Pair:
    return Pair(0.8, "spill", referee=row(), replay=row(usd, bad))


@pytest.mark.parametrize(
    ("usd", "bad", "agrees"),
    [
        (700.0, 0.009, True),
        (713.9, 0.0109, True),
        (686.1, 0.0071, True),
        (714.1, 0.009, False),
        (685.9, 0.009, False),
        (700.0, 0.01101, False),
        (700.0, 0.0069, False),
    ],
)
def test_two_rows_agree_within_two_percent_of_dollars_and_a_fifth_of_a_point(
    usd: float, bad: float, agrees: bool
) -> None:
    assert pair(usd, bad).agrees is agrees


def test_differences_are_ours_less_theirs() -> None:
    assert pair(770.0, 0.014).usd_off == pytest.approx(0.1)
    assert pair(770.0, 0.014).bad_off == pytest.approx(0.005)


def test_dollars_out_of_nothing_never_agree() -> None:
    assert not Pair(0.8, "spill", referee=row(0.0), replay=row(5.0)).agrees
    assert Pair(0.8, "spill", referee=row(0.0), replay=row(0.0)).agrees


def test_one_pair_that_differs_is_the_verdict_on_all() -> None:
    pairs = [pair(700, 0.009), pair(800, 0.009)]
    assert as_json(pairs)["agree"] is False
    assert [one["agrees"] for one in as_json(pairs)["pairs"]] == [True, False]
    assert "1 of 2 differ" in table(pairs)
    assert "DIFFERS" in table(pairs)
    assert "all agree" in table(pairs[:1])
    assert json.loads(json.dumps(as_json(pairs)))["limits"] == {"usd": 0.02, "bad": 0.002}


def test_every_strategy_has_a_counterpart() -> None:
    assert {MAIN, *COUNTERPARTS} == set(STRATEGIES)


def theirs(ours: Requests, **first: Any) -> list[SimpleNamespace]:
    """The same requests in the referee's words; `first` changes the first one."""
    columns = zip(
        ours.arrival_s, ours.in_tokens, ours.out_tokens, ours.tuned, ours.interactive, ours.ttft_max, ours.tpot_max,
        strict=True,
    )  # fmt: skip
    made = [
        SimpleNamespace(t=t, inn=inn, out=out, tuned=tuned, inter=inter, ttft_max=ttft, tpot_max=tpot)
        for t, inn, out, tuned, inter, ttft, tpot in columns
    ]
    vars(made[0]).update(first)
    return made


def test_worlds_that_were_given_other_requests_are_not_compared() -> None:
    ours = requests((0.0, 100, 50), (1.0, 200, 60))
    must_be_the_same(ours, theirs(ours))
    with pytest.raises(ValueError, match="request 0 differs in tuned"):
        must_be_the_same(ours, theirs(ours, tuned=False))
    with pytest.raises(ValueError, match=r"differs in out: 50\.0 here, 51\.0 there"):
        must_be_the_same(ours, theirs(ours, out=51.0))
    with pytest.raises(ValueError, match="2 and 1 requests"):
        must_be_the_same(ours, theirs(ours)[:1])
