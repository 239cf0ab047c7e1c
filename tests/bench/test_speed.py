"""Measuring a server's speed: the arithmetic on made-up streams, and the whole over a socket against the generator box.
Counts and relations only: how quick this machine is says nothing."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from gateway.bench.cli import app
from gateway.bench.speed import Curve, Level, Measured, curve, measure, speed, summed
from gateway.bench.streams import BenchError, Target, Timed
from gateway.policy.schema import SpeedSettings
from gateway.sandbox.generator.server import Served, serve_in_thread
from gateway.sandbox.generator.settings import GeneratorSettings


def one(at: int, step: float, peak: int | None = None) -> Level:
    return Level(at, float(peak or at), peak or at, 64 * at, step, (peak or at) / step, 0.1, 0)


def of(*levels: Level) -> Measured:
    return Measured(levels, 0.1, 3000.0, 1000, True)


# -- arithmetic ------------------------------------------------------------------------------------------------------


def test_a_level_is_summed_from_its_streams() -> None:
    timed = [Timed(0.0, 1.0, 11.0, 11, 5), Timed(0.0, 2.0, 12.0, 11, 5)]
    level = summed(2, timed)
    assert level.seconds_per_token == pytest.approx(1.0)
    assert level.streams == pytest.approx(20 / 11)
    assert level.tokens_per_second == pytest.approx(20 / 11)
    assert (level.peak_streams, level.output_tokens, level.ttft_seconds) == (2, 22, 1.5)


def test_streams_that_waited_for_others_did_not_decode_at_the_same_time() -> None:
    timed = [Timed(0.0, 0.0, 10.0, 11, 5), Timed(0.0, 10.5, 20.5, 11, 5)]
    assert summed(2, timed).peak_streams == 1


def test_answers_too_short_to_be_timed_are_an_error() -> None:
    with pytest.raises(BenchError, match="--output-tokens"):
        summed(1, [Timed(0.0, 1.0, 1.0, 1, 5)])


def test_the_curve_goes_through_steps_that_lie_on_one() -> None:
    fitted = curve([one(b, 0.07 + 0.003 * b) for b in (1, 4, 16, 32)])
    assert fitted.base == pytest.approx(0.07)
    assert fitted.each == pytest.approx(0.003)
    assert fitted.knee(0.13) == pytest.approx(20)
    assert Curve(0.1, 0.0).knee(0.2) == float("inf")


def test_noise_never_bends_the_curve_below_a_part_of_nothing() -> None:
    assert curve([one(1, 0.10), one(8, 0.08)]).each == 0.0
    steep = curve([one(1, 0.01), one(8, 0.2)])
    assert steep.base >= 0


def test_capacity_ends_at_the_level_from_which_more_streams_bring_nothing() -> None:
    block = speed(of(one(1, 0.05), one(4, 0.08), one(8, 0.12), one(16, 0.12, peak=8)))
    assert block.at_concurrency == 8
    assert block.single_stream_tokens_per_second == pytest.approx(20)
    assert block.max_tokens_per_second == pytest.approx(8 / 0.12, rel=0.05)


def test_the_block_is_what_a_policy_takes() -> None:
    block = speed(of(one(1, 0.05), one(8, 0.12))).yaml()
    settings = SpeedSettings.model_validate(yaml.safe_load(block)["speed"])
    assert settings.at_concurrency == 8
    assert settings.prompt_tokens_per_second == 3000


# -- over a socket ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def box() -> Iterator[Served]:
    """Four slots, where a full batch is much slower for each stream than one alone."""
    settings = GeneratorSettings(
        tokens_per_second=200, max_tokens_per_second=300, max_streams=4, prompt_tokens_per_second=5000
    )
    with serve_in_thread(settings) as served:
        yield served


async def test_every_level_sends_its_streams_and_gets_its_tokens(box: Served) -> None:
    said: list[str] = []
    async with Target(box.base_url, "tuned") as target:
        measured = await measure(target, [4, 8], output_tokens=12, prompt_tokens=400, seconds=60, say=said.append)
    assert [level.concurrency for level in measured.levels] == [1, 4, 8]
    assert [level.output_tokens for level in measured.levels] == [12, 48, 96]
    assert measured.levels[0].peak_streams == 1
    assert measured.levels[2].peak_streams <= 4
    assert measured.levels[1].seconds_per_token > measured.levels[0].seconds_per_token
    assert measured.prompt_tokens > 200
    assert measured.prompt_tokens_per_second is not None
    assert measured.ignores_eos
    assert len(said) == 6


async def test_a_level_is_cut_when_its_time_is_over(box: Served) -> None:
    async with Target(box.base_url, "tuned") as target:
        measured = await measure(target, [1], output_tokens=4000, prompt_tokens=64, seconds=0.2)
    assert measured.levels[0].cut == 1
    assert measured.levels[0].output_tokens < 4000


async def test_a_server_that_refuses_is_named_with_what_it_said(box: Served) -> None:
    async with Target(box.base_url, "unknown-model") as target:
        with pytest.raises(BenchError, match="404"):
            await target.warm_up()
    async with Target("http://127.0.0.1:9/v1", "m") as target:
        with pytest.raises(BenchError, match="could not be asked"):
            await target.warm_up()


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["speed", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_the_command_prints_a_table_and_the_block(box: Served, tmp_path: Path) -> None:
    chart = tmp_path / "speed.svg"
    code, out, err = run(
        "--url", box.base_url, "--model", "tuned", "--concurrency", "1,2", "--output-tokens", "8",
        "--tpot-ceiling", "5", "--plot", str(chart),
    )  # fmt: skip
    assert code == 0, err
    assert "5 s a token is kept at every level measured" in out
    block = yaml.safe_load(out.partition("For the policy:")[2])
    assert SpeedSettings.model_validate(block["speed"]).at_concurrency in (1, 2)
    assert ET.parse(chart).getroot().tag.endswith("svg")


def test_as_json_it_prints_every_figure(box: Served) -> None:
    code, out, err = run(
        "--url", box.base_url, "--model", "tuned", "--concurrency", "2", "--output-tokens", "8", "--json",
        "--tpot-ceiling", "0.0001",
    )  # fmt: skip
    assert code == 0, err
    said = json.loads(out)
    assert [level["concurrency"] for level in said["levels"]] == [1, 2]
    assert said["knee_streams"] < 1
    assert said["speed"]["single_stream_tokens_per_second"] > 0


@pytest.mark.parametrize("levels", ["", "0", "1,x", "100000", ",".join("1" * 17)])
def test_levels_that_cannot_be_are_refused(levels: str) -> None:
    code, _, err = run("--url", "http://127.0.0.1:9/v1", "--model", "m", "--concurrency", levels)
    assert code == 2
    assert "--concurrency" in err


def test_a_key_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_SET_KEY", raising=False)
    code, _, err = run("--url", "http://127.0.0.1:9/v1", "--model", "m", "--api-key-env", "NOT_SET_KEY")
    assert code == 2
    assert "NOT_SET_KEY" in err
