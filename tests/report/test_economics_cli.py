"""`crossover economics`: the tables for people, the JSON for programs, exit 2 for a policy that is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from gateway.report.cli import economics

POLICIES = Path(__file__).parents[2] / "policies"
LAB = str(POLICIES / "seed-lab.yaml")

app = typer.Typer()
app.command()(economics)
runner = CliRunner()


def as_json(*arguments: str, policy: str = LAB) -> dict[str, Any]:
    result = runner.invoke(app, ["--policy", policy, "--json", *arguments])
    assert result.exit_code == 0, result.output
    answer: dict[str, Any] = json.loads(result.stdout)
    return answer


@pytest.mark.parametrize(
    "figure",
    ["$0.40", "$5.4 / U", "$3.4 / U", "$27.5", "$20.8 / duty", "19.7%", "12.3%", "6.8x", "1.6x", "$160 to $275"],
)
def test_the_tables_show_the_labs_figures(figure: str) -> None:
    result = runner.invoke(app, ["--policy", LAB])
    assert result.exit_code == 0
    assert figure in result.stdout


def test_the_tables_say_whose_prices_and_which_basis() -> None:
    result = runner.invoke(app, ["--policy", str(POLICIES / "spark-bedrock.yaml")], env={"CROSSOVER_API_KEY": None})
    assert result.exit_code == 0
    for text in (
        "us-east-1, 2026-08-01: AWS Price List",
        "One month = 730 h",
        "Reservation basis",
        "Usage basis",
        "20.0632",
        "$0.5718",
    ):
        assert text in result.stdout


def test_the_json_carries_every_section() -> None:
    answer = as_json()
    names = [path["name"] for path in answer["paths"]]
    assert {"bedrock-base", "spark-llama", "spark-gemma", "cmi", "provisioned"} <= set(names)
    assert {"box", "against", "utilization", "wins"} <= set(answer["crossovers"][0])
    assert [price["name"] for price in answer["prices"]] == names
    assert set(answer["prices"][0]) == {"name", "region", "as_of", "source"}
    assert len(answer["decision_table"]) == 8
    assert answer["basis"]["hours_per_month"] == 730


def test_utilization_may_be_a_share_or_a_percentage() -> None:
    assert as_json("--utilization", "0.3")["accepted_answers"] == as_json("--utilization", "30%")["accepted_answers"]
    (row,) = [one for one in as_json("--utilization", "50%")["accepted_answers"] if one["path"] == "spark-llama"]
    assert row["usd_per_1m_tokens"] == pytest.approx(2 * 5.43597, rel=1e-5)


def test_capacity_and_mix_change_the_figures_they_should() -> None:
    policy = str(POLICIES / "spark-bedrock.yaml")
    alone, together = as_json(policy=policy), as_json("--capacity", "max", policy=policy)
    mixed = as_json("--input-tokens-per-output-token", "4", policy=policy)

    def price(answer: dict[str, Any], name: str) -> float:
        (row,) = [path for path in answer["paths"] if path["name"] == name]
        return float(row["usd_per_1m_tokens"])

    assert price(together, "box") == pytest.approx(price(alone, "box") * 14 / 200)
    assert price(together, "base") == price(alone, "base") == 0.22
    assert price(mixed, "base") == 1.1
    assert price(mixed, "box") == price(alone, "box")


def test_an_unknown_price_is_null_in_json_and_unknown_in_the_table(tmp_path: Path) -> None:
    file = tmp_path / "unknown.yaml"
    file.write_text(
        "version: 1\nbackends:\n"
        "  box:\n    cost: {kind: amortized, usd_per_month: 200}\n    speed: {single_stream_tokens_per_second: 14}\n"
        "  pt:\n    cost: {kind: provisioned}\n    speed: {single_stream_tokens_per_second: 95}\n"
        "  no-cost:\n    speed: {single_stream_tokens_per_second: 95}\n"
    )
    answer = as_json(policy=str(file))
    assert [path["usd_per_1m_tokens"] for path in answer["paths"][1:]] == [None, None]
    assert [(one["utilization"], one["wins"]) for one in answer["crossovers"]] == [(None, None), (None, None)]
    assert "unknown" in runner.invoke(app, ["--policy", str(file)]).stdout


def test_a_wrong_policy_exits_2_with_its_errors_on_stderr(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("version: 1\nbackend: {}\n")
    result = runner.invoke(app, ["--policy", str(file), "--json"])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert f"{file}:2:1: backend: unknown setting; did you mean `backends`?" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--utilization", "0"],
        ["--utilization", "101%"],
        ["--utilization", "half"],
        ["--input-tokens-per-output-token", "-1"],
        ["--input-tokens-per-output-token", "1e999999999"],
        ["--capacity", "most"],
    ],
)
def test_an_option_that_means_nothing_is_refused(arguments: list[str]) -> None:
    assert runner.invoke(app, ["--policy", LAB, *arguments]).exit_code == 2
