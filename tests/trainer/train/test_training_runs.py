"""Whole training runs of a tiny model on a CPU: killed, stopped, gone on with, spread over processes, gone wrong.

One process in the training environment does all of them (in_training.py); the tests look at what they left. It costs
some 25 seconds on two free cores, a third of them imports.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from trainer.environment import environment

pytestmark = pytest.mark.vllm

DATA = Path(__file__).parents[3] / "trainer" / "data" / "handbook_chat.jsonl"


@pytest.fixture(scope="module")
def runs(training_python: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each run left: status, events, errors, files, record."""
    folder = tmp_path_factory.mktemp("runs")
    command = [str(training_python), "-m", "tests.trainer.train.in_training", str(tiny_model), str(DATA), str(folder)]
    done = subprocess.run(
        command, env=environment() | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def numbers(run: dict[str, Any]) -> list[tuple[float, ...]]:
    """All that may not differ by a bit: each step's loss, rate and gradient, and each evaluation."""
    curve = [
        (p["step"], p["loss"], p["learning_rate"], p["gradient_norm"], p["tokens"]) for p in run["record"]["curve"]
    ]
    return curve + [(taken["step"], taken["loss"]) for taken in run["record"]["evaluations"]]


def weights(run: dict[str, Any]) -> str:
    return str(run["record"]["adapter"]["files"]["adapter_model.safetensors"])


def notes(run: dict[str, Any]) -> str:
    return "\n".join(event["text"] for event in run["events"] if event["event"] == "note")


@pytest.mark.timeout(400)
def test_a_run_learns_and_leaves_an_adapter_a_record_and_a_picture(runs: dict[str, Any]) -> None:
    run = runs["whole"]
    assert run["status"] == 0, run["errors"]
    assert {"adapter/adapter_config.json", "adapter/adapter_model.safetensors", "run.json", "loss.png"} < set(
        run["files"]
    )
    record = run["record"]
    assert (record["schema"], record["state"], record["exit_reason"]) == (1, "finished", "max_steps")
    assert record["curve"][-1]["loss"] < record["curve"][0]["loss"]
    assert record["totals"]["best_evaluation_loss"] < record["evaluations"][0]["loss"]
    assert record["evaluations"][0]["step"] == 0
    assert record["memory"]["measured_bytes"] > 100e6
    assert record["totals"]["real_tokens"] == record["curve"][-1]["tokens"]
    assert record["settings"]["lora.rank"] == {"value": 4, "source": "file"}
    energy = record["energy"]
    assert (energy["joules"] is None) == (energy["reason"] is not None)


def test_its_events_are_json_lines_in_order(runs: dict[str, Any]) -> None:
    kinds = [event["event"] for event in runs["whole"]["events"]]
    assert kinds[0] == "settings"
    assert kinds.index("start") < kinds.index("evaluation") < kinds.index("step") < kinds.index("checkpoint")
    done = next(event for event in runs["whole"]["events"] if event["event"] == "done")
    assert Path(done["adapter"]).parts[-1] == "adapter"
    assert (done["trained"], done["steps"]) == (True, 8)


def test_the_held_out_loss_is_what_peft_computes_of_the_adapter_row_by_row(runs: dict[str, Any]) -> None:
    """Packing, padding, chunks and batches change nothing, and the adapter on disk is the one that was measured."""
    best = runs["whole"]["record"]["totals"]["best_evaluation_loss"]
    assert runs["handed_on"]["loss_with_peft"] == pytest.approx(best, abs=2e-4)


def test_a_finished_run_says_all_that_lineage_needs(runs: dict[str, Any]) -> None:
    handed_on = runs["handed_on"]
    assert (handed_on["name"], handed_on["rank"], handed_on["source"]) == ("tiny", 4, "file")
    assert handed_on["data"]["rows"] == 52
    assert len(handed_on["data"]["sha256"]) == 64
    assert {"torch", "transformers", "peft", "python"} <= handed_on["versions"].keys()
    assert handed_on["files"] == ["loss.png"]


def test_the_same_command_again_trains_nothing(runs: dict[str, Any]) -> None:
    run = runs["again"]
    assert run["status"] == 0
    assert run["events"][-1]["trained"] is False
    assert len(run["folders"]) == 1
    assert numbers(run) == numbers(runs["whole"])


def test_a_run_stopped_by_sigterm_leaves_a_checkpoint_of_its_last_step(runs: dict[str, Any]) -> None:
    run = runs["stopped"]
    assert run["status"] == 143
    record = run["record"]
    assert (record["state"], record["exit_reason"]) == ("interrupted", "SIGTERM")
    assert f"checkpoints/step-{record['totals']['steps']:08d}" in run["files"]
    assert "the same command goes on from there" in notes(run)
    assert not any(name.startswith("adapter") for name in run["files"])


def test_a_stopped_run_goes_on_to_the_same_losses_and_weights_bit_for_bit(runs: dict[str, Any]) -> None:
    """It was killed after a checkpoint that followed the stop: the stop is no reason to end it there."""
    run = runs["went_on"]
    assert run["status"] == 0, run["errors"]
    assert "going on with" in notes(run)
    assert [attempt["end"] for attempt in run["record"]["attempts"]] == ["SIGTERM", None, "max_steps"]
    assert numbers(run) == numbers(runs["whole"])
    assert weights(run) == weights(runs["whole"])


def test_a_killed_run_goes_on_from_its_newest_whole_checkpoint_bit_for_bit(runs: dict[str, Any]) -> None:
    killed, run = runs["killed"], runs["resumed"]
    assert killed["record"]["state"] == "running"
    assert run["status"] == 0, run["errors"]
    assert "a checkpoint is left aside" in notes(run)
    first, second = run["record"]["attempts"]
    assert first["end"] is None
    assert second["first_step"] == first["last_step"] + 1 < 6
    assert numbers(run) == numbers(runs["whole"])
    assert weights(run) == weights(runs["whole"])


def test_two_processes_have_the_losses_of_one(runs: dict[str, Any]) -> None:
    one, two = runs["one"], runs["two"]
    assert (one["status"], two["status"]) == (0, 0), two["errors"]
    assert two["record"]["device"]["processes"] == 2
    assert [point[4] for point in numbers(two)[:4]] == [point[4] for point in numbers(one)[:4]]
    for mine, other in zip(numbers(two), numbers(one), strict=True):
        assert mine == pytest.approx(other, rel=1e-4)


def test_a_run_that_gets_no_better_stops_and_hands_on_its_best(runs: dict[str, Any]) -> None:
    run = runs["early"]
    record = run["record"]
    assert record["exit_reason"] == "patience"
    best = record["best"]
    assert best["step"] == record["totals"]["steps"] - 2 == record["adapter"]["step"]
    assert runs["early"]["loss_with_peft"] == pytest.approx(best["loss"], abs=2e-4)
    assert runs["early"]["loss_with_peft"] < record["evaluations"][-1]["loss"]


def test_a_limit_in_seconds_ends_a_run_after_a_step(runs: dict[str, Any]) -> None:
    record = runs["timed"]["record"]
    assert (record["exit_reason"], record["totals"]["steps"], record["state"]) == ("max_seconds", 1, "finished")
    assert record["evaluations"] == []


def test_a_loss_that_is_no_number_ends_the_run_before_it_reaches_the_weights(runs: dict[str, Any]) -> None:
    run = runs["diverged"]
    assert run["status"] == 1
    assert "Lower optimizer.learning_rate (1e+30)" in run["errors"]
    assert not any(name.startswith("adapter") for name in run["files"])


def test_rows_that_the_doctor_refuses_stop_the_run_before_it_has_a_folder(runs: dict[str, Any]) -> None:
    run = runs["refused"]
    assert run["status"] == 2
    assert "52 rows" in run["errors"]
    assert run["folders"] == []


def test_a_picture_that_cannot_be_drawn_does_not_keep_the_adapter_back(runs: dict[str, Any]) -> None:
    run = runs["went_on"]
    assert "warning: no loss.png" in notes(run)
    assert "adapter/adapter_model.safetensors" in run["files"]


def test_the_parent_is_told_which_run_it_was_whether_it_was_trained_now_or_before(runs: dict[str, Any]) -> None:
    now, folder, before = runs["named"]
    assert now == before == folder


def test_a_held_out_loss_that_is_no_number_ends_the_run(runs: dict[str, Any]) -> None:
    run = runs["worse"]
    assert run["status"] == 1
    assert "the held-out loss after step 1 is nan" in run["errors"]
    assert not any(name.startswith("adapter") for name in run["files"])


def test_a_full_disk_is_said_in_one_line(runs: dict[str, Any]) -> None:
    run = runs["full"]
    assert run["status"] == 1
    assert "training failed: " in run["errors"]
    assert "state.safetensors cannot be written" in run["errors"]
    assert "Traceback" not in run["errors"]
