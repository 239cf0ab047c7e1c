"""`crossover plan`: what is varied, and what is concluded from the runs."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import typer
from typer.testing import CliRunner

from gateway.replay.plan import Plan, plan
from gateway.replay.plan_cli import plan as command
from gateway.replay.results import Result, result
from gateway.replay.variations import VariationError, box_count, variations
from tests.replay.hand_run import DAY, DOLLAR, run
from tests.replay.worlds import LAB, policy

app = typer.Typer()
app.command()(command)


def test_by_default_boxes_prices_ceilings_and_capacity_are_varied() -> None:
    made, notes = variations(policy(), [])
    assert [one.name for one in made] == [
        "today", "boxes 0", "boxes 2", "import_price x0.5", "import_price x2", "ceilings x0.5", "ceilings x2",
        "capacity x0.5", "capacity x2",
    ]  # fmt: skip
    assert notes == []


def test_a_setting_is_reached_by_its_path_with_values_or_factors() -> None:
    made, _ = variations(policy(), ["backends.box.cost.usd_per_month=100,x2"])
    prices = [one.policy.backends["box"].cost.usd_per_month for one in made]  # type: ignore[union-attr]
    assert prices == [199, 100, 398]


def test_a_second_box_is_a_backend_of_its_own_wherever_the_first_serves() -> None:
    two = variations(policy(), ["boxes=2"])[0][1].policy
    assert set(two.backends) == {"box", "box-2", "cmi", "base"}
    assert all([one.backend for one in alias.served_by][:2] == ["box", "box-2"] for alias in two.aliases.values())
    assert box_count(two) == 2


def test_without_a_box_nothing_is_sent_there() -> None:
    none = variations(policy(), ["boxes=0"])[0][1].policy
    assert "box" not in none.backends
    assert box_count(none) == 0


def test_a_grid_is_every_combination_and_scales_each_box_once() -> None:
    made, _ = variations(policy(), ["boxes=1,2", "capacity=x2,x3"], grid=True)
    assert [one.name for one in made[1:]] == [
        "boxes 1, capacity x2", "boxes 1, capacity x3", "boxes 2, capacity x2", "boxes 2, capacity x3",
    ]  # fmt: skip
    speeds = [one.policy.backends["box"].speed.single_stream_tokens_per_second for one in made]
    last = made[-1].policy.backends
    assert speeds[-1] == pytest.approx(3 * speeds[0])
    assert last["box-2"].speed == last["box"].speed


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("boxes", "write a setting, = and its values"),
        ("boxes=,", "write a setting, = and its values"),
        ("boxes=two", "write a whole number of boxes"),
        ("backends.bx.cost.usd_per_month=1", "did you mean box?"),
        ("backends.box.cost.usd_per_mont=1", "usd_per_mont"),
        ("backends.box.cost.usd_per_month=-4", "greater than 0"),
        ("backends.box.base_url=x2", "no number there to multiply"),
        ("ceilings=5", "write a factor, for example x2"),
        ("capacity=x0", "a factor must be above 0"),
        ("boxes=" + ",".join(["0"] * 3 + ["17"]), "0 to 16"),
    ],
)
def test_a_variation_that_cannot_be_made_is_refused_by_name(written: str, said: str) -> None:
    with pytest.raises(VariationError) as caught:
        variations(policy(), [written])
    assert said in str(caught.value)


def test_a_default_that_a_policy_has_nothing_for_is_left_out_and_said() -> None:
    bare = policy().model_copy(update={"backends": {}, "aliases": {}})
    made, notes = variations(bare, [])
    assert len(made) == 1
    assert any("no imported model" in note for note in notes)


# -- what is concluded ------------------------------------------------------------------------------------------------


def made_of(bills: dict[str, tuple[float, bool]], budget: float = 0.01) -> Plan:
    """A plan of three days: by number of boxes the $ a day beside the boxes, and whether all of it is late. Two of them
    as two boxes: the second run's flat money is doubled by hand."""
    changed = {one.name: one for one in variations(policy(), ["boxes=0,2"])[0]}
    runs = [(changed[name], _result(*bill)) for name, bill in bills.items()]
    return plan(
        "by hand", runs, error_budget=budget, box_utilization=0.5, offered_utilization=0.8,
        input_tokens_per_output_token=2.0,
    )  # fmt: skip


def _result(usd_a_day: float, late: bool) -> Result:
    rows = [(day * DAY, "base", {"nanousd": usd_a_day * DOLLAR, "late": late}) for day in range(3)]
    return result(run(*rows, span=3 * DAY), {})


def test_a_box_is_worth_what_the_rest_of_the_bill_falls_by() -> None:
    found = made_of({"today": (10, False), "boxes 0": (25, False), "boxes 2": (4, False)})
    by_number = {one.number: one.usd_per_month for one in found.break_evens}
    assert by_number[1] == pytest.approx(15 * 730 / 24)
    assert by_number[2] == pytest.approx(6 * 730 / 24)


def test_the_cheapest_is_sought_within_the_error_budget_only() -> None:
    found = made_of({"today": (10, False), "boxes 0": (1, True), "boxes 2": (4, False)})
    assert found.cheapest is not None
    assert found.cheapest.name == "boxes 2"
    assert not found.rows[1].within_budget


def test_one_more_box_is_bought_when_the_whole_bill_falls() -> None:
    found = made_of({"today": (10, False), "boxes 2": (4, False)})
    assert found.answer is not None
    assert found.answer.buy
    assert found.answer.sentence.startswith("Buy a second box? Yes: the bill goes from $304 to $122 a month")
    assert "it is worth $182 a month" in found.answer.sentence


def test_it_is_not_bought_when_the_bill_rises() -> None:
    found = made_of({"today": (4, False), "boxes 2": (10, False)})
    assert found.answer is not None
    assert not found.answer.buy
    assert "No: the bill goes from $122 to $304" in found.answer.sentence


def test_a_dearer_one_is_bought_where_only_it_keeps_to_the_budget() -> None:
    found = made_of({"today": (4, True), "boxes 2": (10, False)})
    assert found.answer is not None
    assert found.answer.buy
    assert "Yes, to keep to the error budget of 1%" in found.answer.sentence
    assert not found.break_evens[0].fair


def test_a_saving_that_leaves_more_requests_bad_than_allowed_is_no_reason() -> None:
    found = made_of({"today": (10, False), "boxes 2": (4, True)})
    assert found.answer is not None
    assert not found.answer.buy


# -- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def trace(tmp_path: Path) -> str:
    """Twenty minutes of steady traffic, above what the box can do."""
    file = tmp_path / "busy.csv"
    rows = [f"{k * 2.5},800,300" for k in range(480)]
    file.write_text("\n".join(["arrival_s,in_tokens,out_tokens", *rows]))
    return str(file)


def test_the_command_answers_in_json_and_marks_the_chart(trace: str, tmp_path: Path) -> None:
    chart = tmp_path / "plan.svg"
    done = CliRunner().invoke(
        app, ["--policy", str(LAB), "--trace", trace, "--jobs", "1", "--json", "--plot", str(chart)]
    )
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    assert set(found) == {
        "schema", "simulated", "title", "error_budget", "cheapest_within_budget", "box_utilization",
        "offered_utilization", "input_tokens_per_output_token", "break_even", "buy_one_more_box", "variations", "notes",
    }  # fmt: skip
    assert found["simulated"] is True
    assert found["variations"][0]["name"] == "today"
    assert {"name", "changes", "within_error_budget", "change_usd_per_month", "usd_per_month", "bad"} <= set(
        found["variations"][1]
    )
    assert found["input_tokens_per_output_token"] == pytest.approx(800 / 300)
    assert 0 < found["box_utilization"] <= found["offered_utilization"]
    assert "this traffic" in " ".join(ElementTree.parse(chart).getroot().itertext())


def test_a_boxs_price_changes_its_bill_and_nothing_else(trace: str) -> None:
    done = CliRunner().invoke(
        app,
        [
            "--policy",
            str(LAB),
            "--trace",
            trace,
            "--jobs",
            "1",
            "--json",
            "--vary",
            "backends.box.cost.usd_per_month=99",
        ],
    )
    today, cheaper = json.loads(done.stdout)["variations"]
    assert cheaper["usd_per_month"] == pytest.approx(today["usd_per_month"] - 100)
    assert cheaper["variable_usd_per_month"] == today["variable_usd_per_month"]
    assert cheaper["changes"] == {"backends.box.cost.usd_per_month": "99"}


def test_the_table_says_that_it_is_simulated_and_answers_in_sentences(trace: str) -> None:
    done = CliRunner().invoke(app, ["--policy", str(LAB), "--trace", trace, "--jobs", "1", "--vary", "boxes=0,2"])
    assert done.exit_code == 0, done.output
    for text in (
        "What if, simulated",
        "Buy a second box?",
        "Box 2 pays",
        "of the tokens that they could",
        "No intervals",
    ):
        assert text in done.stdout


def test_a_wrong_variation_exits_2(trace: str) -> None:
    done = CliRunner().invoke(app, ["--policy", str(LAB), "--trace", trace, "--vary", "boxes=many"])
    assert done.exit_code == 2
    assert "write a whole number of boxes" in done.output


def test_prices_stay_exact_when_they_are_scaled() -> None:
    made, _ = variations(policy(), ["import_price=x2"])
    assert made[1].policy.backends["cmi"].cost.usd_per_unit_minute == Decimal("0.11436")  # type: ignore[union-attr]
