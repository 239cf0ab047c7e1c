"""The language of --fail-if: what it says, and that nothing else is in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.replay.gate import MAX_DEPTH, GateError, parse

NAMES = ("crossover", "ceiling-greedy", "lab:spill")
FIGURES: dict[str, dict[str, float | None]] = {
    "crossover": {
        "cost": 872,
        "bad": 0.0087,
        "late": 0.005,
        "windows": 800,
        "ttft_p95": 4,
        "bound": 349,
        "hindsight": None,
    },
    "ceiling-greedy": {"cost": 2552, "bad": 0.055, "late": 0.05, "bound": 349, "hindsight": None},
    "lab:spill": {"cost": 2837, "bad": 0.038, "late": 0.038, "bound": 349, "hindsight": None},
}


def holds(text: str) -> bool:
    return parse(text, NAMES).holds(FIGURES, NAMES[0], NAMES[1])


@pytest.mark.parametrize(
    ("condition", "answer"),
    [
        ("cost > 1.05 * baseline", False),
        ("cost < 0.5 * baseline", True),
        ("bad > 1%", False),
        ("bad > 0.5%", True),
        ("cost > $700", True),
        ("cost - bound > 500", True),
        ("cost / bound > 2.5", False),
        ("crossover.cost < ceiling-greedy.cost", True),
        ("lab:spill.bad > baseline.bad", False),
        ("bad > 1% or cost > 800", True),
        ("bad > 1% and cost > 800", False),
        ("not bad > 1%", True),
        ("not (bad > 1% or late > 1%)", True),
        ("cost < 100 or cost < 200 and cost > 0 or bad < 1%", True),
        ("2 + 3 * 4 == 14", True),
        ("(2 + 3) * 4 == 20", True),
        ("10 - 2 - 3 == 5", True),
        ("-cost < -871.5", True),
        ("cost>=872 and cost<=872 and cost!=871", True),
    ],
)
def test_a_condition_means_what_it_says(condition: str, answer: bool) -> None:
    assert holds(condition) is answer


@pytest.mark.parametrize(
    ("condition", "what"),
    [
        ("", "ends too soon"),
        ("cost", "a number, not a condition"),
        ("cost >", "ends too soon"),
        ("cost > > 3", "'>' was not expected there"),
        ("cost > 3 bad", "not expected after a whole condition"),
        ("1 < cost < 3", "join two comparisons with `and`"),
        ("(cost > 3", "a ( is never closed"),
        ("price > 3", "'price' is not a figure"),
        ("cost-bound > 3", "a minus needs spaces around it"),
        ("ceiling-greedy > 3", "say which figure of it, for example ceiling-greedy.cost"),
        ("nobody.cost > 3", "'nobody' is not a policy of this replay"),
        ("cost and bad", "one of its sides is a number"),
        ("(cost > 3) + 1 > 2", "one of its sides is a condition"),
        ("cost > 1e999", "is too large"),
        ("__import__('os').system('true') > 0", "is not allowed"),
        ("cost.__class__ > 0", "is not a figure"),
        ("[cost] > 0", "is not allowed"),
        ("cost > 3; bad > 1", "is not allowed"),
        ("(" * 200 + "cost > 1" + ")" * 200, f"nested deeper than {MAX_DEPTH}"),
        ("cost > 1" + " " * 600, "the limit is 500"),
    ],
)
def test_what_cannot_be_read_is_named_with_what_is_allowed(condition: str, what: str) -> None:
    with pytest.raises(GateError) as caught:
        holds(condition)
    assert what in str(caught.value)
    if "limit" not in what:
        assert "Allowed: numbers" in str(caught.value)


def test_a_figure_that_this_replay_has_not_is_an_error_even_where_it_would_not_matter() -> None:
    with pytest.raises(GateError, match=r"'hindsight' in --fail-if is not known .* run with --hindsight"):
        holds("cost > 1 or hindsight > 1")


def test_a_baseline_needs_a_second_policy() -> None:
    with pytest.raises(GateError, match="add a second --strategy"):
        parse("cost > baseline", NAMES).holds(FIGURES, NAMES[0], None)


def test_dividing_by_nothing_is_said() -> None:
    with pytest.raises(GateError, match="divides by 0"):
        holds("cost / (bad - bad) > 1")


def test_the_sentence_gives_every_figure_that_it_names_in_its_unit() -> None:
    condition = parse("cost > 1.05 * baseline or bad > 1% or ttft_p95 > 3", NAMES)
    assert condition.in_numbers(FIGURES, NAMES[0], NAMES[1]) == (
        "cost is $872.00, baseline (ceiling-greedy) is $2,552.00, bad is 0.870%, ttft_p95 is 4 s"
    )


@given(st.text(max_size=60))
def test_any_text_at_all_is_a_condition_or_a_gate_error(text: str) -> None:
    try:
        assert holds(text) in (True, False)
    except GateError:
        pass
