"""`crossover replay` as a person or a CI job runs it: a process, a small trace, tables, JSON, charts, exit status."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

# One replay is asked by many tests: in one worker it is run once.
pytestmark = pytest.mark.xdist_group("replay command")

ROOT = Path(__file__).parents[2]
LAB = str(ROOT / "policies" / "replay-lab.yaml")


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Three days, 600 requests, a rush every noon."""
    rng = np.random.default_rng(7)
    file = tmp_path_factory.mktemp("trace") / "noon.csv"
    arrivals = np.sort(rng.integers(0, 3, 600) * 86400 + rng.normal(43200, 1500, 600))
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["arrival_s", "in_tokens", "out_tokens"])
        writer.writerows((f"{at:.3f}", rng.integers(50, 3000), rng.integers(20, 600)) for at in arrivals)
    return str(file)


def replay(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway.cli", "replay", *arguments],
        capture_output=True, text=True, timeout=300, cwd=ROOT, env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def answer(trace: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str, Path]:
    """Two policies at two loads with everything there is: (JSON, standard error, folder of the charts)."""
    folder = tmp_path_factory.mktemp("charts")
    done = replay(
        "--policy", LAB, "--trace", trace, "--days", "3", "--load", "20%", "--load", "0.3", "--hindsight", "--json",
        "--strategy", "crossover", "--strategy", "ceiling-greedy", "--jobs", "2",
        "--plot", str(folder / "cost.svg"), "--timeline", str(folder / "time.svg"),
        "--fail-if", "cost > 100 * baseline",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found, done.stderr, folder


def test_the_json_says_that_it_is_simulated_and_keeps_its_form(answer: tuple[dict[str, Any], str, Path]) -> None:
    found, _, _ = answer
    assert set(found) == {"schema", "simulated", "hours_per_month", "statistics", "replays", "failed"}
    assert (found["schema"], found["simulated"], found["hours_per_month"]) == (1, True, 730)
    assert [one["load"] for one in found["replays"]] == [0.2, 0.3]
    one = found["replays"][0]
    assert set(one) == {
        "trace", "load", "measured_load", "start_day", "days", "seed", "requests", "tokens", "error_budget", "baseline",
        "bound_usd_per_month", "hindsight", "policies", "notes",
    }  # fmt: skip
    assert set(one["policies"][0]) == {
        "policy", "usd_per_month", "variable_usd_per_month", "usd_per_1m_tokens", "bad", "late", "wrong", "refused",
        "held", "ttft_seconds", "backends", "windows", "daily", "decisions", "wall_seconds", "within_error_budget",
        "over_bound", "over_bound_at_own_bad", "over_hindsight", "against_baseline",
    }  # fmt: skip
    assert set(one["policies"][0]["backends"][0]) == {
        "name", "share", "output_tokens", "flat_usd_per_month", "window_usd_per_month", "token_usd_per_month",
        "utilization", "usd_per_month",
    }  # fmt: skip
    assert set(one["policies"][0]["windows"]) == {
        "per_month", "used_per_month", "few_calls_per_month", "mean_calls", "mean_output_tokens", "busy_share",
        "metered_per_month",
    }  # fmt: skip
    assert set(one["policies"][0]["ttft_seconds"]["interactive"]) == {"requests", "p50", "p95", "p99"}


def test_its_figures_agree_with_each_other(answer: tuple[dict[str, Any], str, Path]) -> None:
    for one in answer[0]["replays"]:
        assert one["measured_load"] == pytest.approx(one["load"], rel=0.15)  # thinned at random
        for policy in one["policies"]:
            assert sum(backend["share"] for backend in policy["backends"]) + policy["refused"] == pytest.approx(1)
            assert sum(backend["usd_per_month"] for backend in policy["backends"]) == pytest.approx(
                policy["usd_per_month"]
            )
            assert max(policy["late"], policy["wrong"]) <= policy["bad"] <= 1
            assert sum(policy["daily"]["requests"]) == one["requests"]
            assert policy["over_bound"] == pytest.approx(policy["usd_per_month"] / one["bound_usd_per_month"])
            assert policy["over_bound_at_own_bad"] > 0.99  # what no router can beat
        ours, theirs = one["policies"]
        assert theirs["policy"] == one["baseline"] == "ceiling-greedy"
        assert theirs["against_baseline"] is None
        difference = ours["against_baseline"]
        assert difference["usd_per_month"] == pytest.approx(ours["usd_per_month"] - theirs["usd_per_month"])
        assert difference["usd_per_month_interval"]["days"] == 3


def test_the_charts_are_svg_that_names_every_policy_and_says_simulated(
    answer: tuple[dict[str, Any], str, Path],
) -> None:
    _, said, folder = answer
    assert "cost.svg" in said
    assert "time.svg" in said
    cost = ElementTree.parse(folder / "cost.svg").getroot()
    words = " ".join(cost.itertext())
    for text in ("simulated", "crossover $", "ceiling-greedy $", "hindsight $", "over the budget of 1%", "lower bound"):
        assert text in words
    timeline = " ".join(ElementTree.parse(folder / "time.svg").getroot().itertext())
    for text in ("simulated", "Load, % of the box's capacity", "Spend, $ an hour", "Bad requests an hour", "30%"):
        assert text in timeline


def test_tables_for_people_say_simulated_and_whether_there_is_an_interval(trace: str) -> None:
    done = replay("--policy", LAB, "--trace", trace, "--no-bound", "--days", "2")
    assert done.returncode == 0, done.stderr
    for text in ("Simulated: noon.csv", "as recorded", "crossover", "730 h", "interactive p95", "Windows a month"):
        assert text in done.stdout
    assert "lower bound" not in done.stdout
    assert "No intervals" not in done.stdout  # one policy: nothing to compare


def test_the_error_budget_is_the_policys_unless_given(trace: str) -> None:
    given = ["--policy", LAB, "--trace", trace, "--no-bound", "--days", "1", "--json"]
    changed = replay(*given, "--set", "routing.error_budget=0.05")
    assert json.loads(changed.stdout)["replays"][0]["error_budget"] == 0.05
    told = replay(*given, "--error-budget", "2%")
    assert json.loads(told.stdout)["replays"][0]["error_budget"] == 0.02


def test_a_replay_of_what_a_gateway_learns_says_so(trace: str) -> None:
    done = replay("--policy", LAB, "--trace", trace, "--no-bound", "--days", "1", "--learning", "--json")
    assert "what a gateway would have learned" in json.loads(done.stdout)["replays"][0]["notes"][0]


def test_one_request_is_explained_instead_of_replaying_all(trace: str) -> None:
    given = ["--policy", LAB, "--trace", trace, "--explain-at", "43200"]
    (told,) = json.loads(replay(*given, "--json").stdout)
    assert told["at_seconds"] >= 43200
    assert [one["backend"] for one in told["candidates"]] == ["box", "cmi", "base"]
    shown = replay(*given).stdout
    assert shown.startswith(f"Simulated, at {told['at_seconds']:.1f} s:")
    assert told["sentence"] in shown


def test_a_condition_that_holds_exits_1_with_the_numbers(trace: str) -> None:
    done = replay("--policy", LAB, "--trace", trace, "--no-bound", "--fail-if", "cost > $1", "--fail-if", "bad > 200%")
    assert done.returncode == 1
    assert "--fail-if 'cost > $1' holds for crossover: cost is $" in done.stderr
    assert "bad > 200%" not in done.stderr
    assert "Simulated" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fail-if", "price > 1"], "'price' is not a figure"),
        (["--fail-if", "cost > bound", "--no-bound"], "leave --no-bound out"),
        (["--fail-if", "cost > hindsight"], "add --hindsight"),
        (["--fail-if", "cost > baseline"], "add a second --strategy or --policy"),
        (["--strategy", "nearest"], "--strategy nearest: not one of crossover, box-only"),
        (["--baseline", "spill"], "--baseline spill: not in this replay, which has crossover"),
        (["--load", "most"], "--load is 'most': write a share, for example 0.8 or 80%"),
        (["--load", "-1"], "must be above 0"),
        (["--start-day", "40"], "no request between day 40"),
        (["--plot", "chart.png"], "must end in .svg"),
        (["--trace", LAB], "the header is"),
        (["--trace", "nowhere.csv"], "nowhere.csv: cannot be read"),
        (["--policy", str(ROOT / "policies" / "seed-lab.yaml")], "has no aliases"),
        (
            ["--set", "routing.windows.eagr=1"],
            "routing.windows.eagr: no 'eagr' in the policy; did you mean eager",
        ),
        (["--set", "routing.windows.eager=1,2"], "`crossover plan --vary` compares several"),
        (["--set", "routing.windows.eager"], "write a setting, = and its value, as in"),
        (["--set", "routing.windows.eager=-1"], "greater than or equal to 0"),
        (["--explain", "601"], "this replay has requests 1 to 600"),
    ],
)
def test_what_cannot_be_used_exits_2_before_any_work(trace: str, arguments: list[str], said: str) -> None:
    from typer.testing import CliRunner

    from gateway.replay.cli import replay as command

    given = [] if "--policy" in arguments else ["--policy", LAB]
    given += [] if "--trace" in arguments else ["--trace", trace]
    done = CliRunner().invoke(_app(command), [*given, *arguments], env={"COLUMNS": "300"})
    assert done.exit_code == 2, done.output
    assert said in done.output


def _app(command: Any) -> Any:
    import typer

    app = typer.Typer()
    app.command()(command)
    return app


def test_the_gateway_itself_never_loads_numpy() -> None:
    code = "import sys, gateway.cli as c; c._mount(); import gateway.server.run; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60).returncode == 0


@pytest.mark.parametrize("command", ["replay", "plan"])
def test_without_the_extra_the_mend_is_named(command: str, trace: str) -> None:
    code = "import sys; sys.modules['numpy'] = None; from gateway.cli import main; sys.argv[0] = 'crossover'; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, command, "--policy", LAB, "--trace", trace],
        capture_output=True, text=True, timeout=60, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 2
    assert "pip install 'crossover[replay]'" in done.stderr
