"""The whole climb on a good stack, through the command, with a real vLLM engine at the end."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trainer.environment import root
from trainer.preflight.ladder import AskedWronglyError
from trainer.preflight.quick import quick

pytestmark = pytest.mark.vllm
COMMAND = [str(Path(sys.executable).parent / "crossover"), "doctor"]
SETTINGS: dict[str, Any] = {
    "data": {"train": "(none)"}, "device": {"kind": "cpu"},
    "lora": {"rank": 8, "alpha": 16, "targets": ["q_proj", "v_proj"]},
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def running(training_python: Path, vllm_prepared: Any) -> Iterator[subprocess.Popen[str]]:
    """The command, started first and looked at last: it runs beside the climbs of the tests between."""
    given = ["--training", "--model", str(vllm_prepared.model_dir), "--python", str(training_python), "--json"]
    with subprocess.Popen(
        [*COMMAND, *given], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root()
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture(scope="module")
def report(running: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = running.communicate(timeout=110)
    assert running.returncode == 0, out + err
    told: dict[str, Any] = json.loads(out)
    return told


def rung(report: dict[str, Any], name: str) -> dict[str, Any]:
    return next(each for each in report["rungs"] if each["name"] == name)


def test_a_climb_that_held_is_remembered_until_something_changes(
    training_python: Path, vllm_prepared: Any, tmp_path: Path
) -> None:
    model = vllm_prepared.model_dir
    first = quick(model, SETTINGS, training_python, tmp_path, root())
    assert first.good
    assert not first.cached
    assert "q_proj x2, v_proj x2" in next(each.said for each in first.rungs if each.name == "tiny model")
    started = time.monotonic()
    again = quick(model, SETTINGS, training_python, tmp_path, root())
    print(f"cached in {time.monotonic() - started:.2f} s")
    assert again.cached
    assert again.verdicts == first.verdicts


def test_a_wall_is_never_remembered_and_a_wrong_target_is_told_by_name(
    training_python: Path, vllm_prepared: Any, tmp_path: Path
) -> None:
    settings = {**SETTINGS, "lora": {"rank": 8, "alpha": 16, "targets": ["query"]}}
    report = quick(vllm_prepared.model_dir, settings, training_python, tmp_path, root())
    assert not report.good
    assert [wall.name for wall in report.walls] == ["no such target"]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_model_is_said_to_be_none(training_python: Path, tmp_path: Path) -> None:
    with pytest.raises(AskedWronglyError, match=r"config\.json cannot be read"):
        quick(tmp_path, SETTINGS, training_python, tmp_path, root())


def test_a_question_that_cannot_be_read_ends_with_2(tmp_path: Path) -> None:
    ran = subprocess.run([*COMMAND, "--training", "--model", str(tmp_path / "none")], capture_output=True, text=True)
    assert ran.returncode == 2
    assert "name a model's folder" in ran.stderr


def test_a_good_stack_trains_and_serves_the_model(report: dict[str, Any]) -> None:
    answers = {verdict["name"]: verdict["answer"] for verdict in report["verdicts"]}
    assert (answers["servable"], answers["trainable"]) == ("yes", "yes")


def test_the_tiny_model_learns_on_all_linear_layers_and_survives_its_life(report: dict[str, Any]) -> None:
    said = rung(report, "tiny model")["said"]
    assert "LlamaForCausalLM, 2 layers" in said
    assert "saved, loaded, merged: same logits" in said
    for name in ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"):
        assert f"{name} x2" in said
    assert "lm_head" not in said


def test_vllm_itself_answers_with_the_adapter_as_torch_does(report: dict[str, Any]) -> None:
    assert "loaded the tiny adapter and answers with it" in rung(report, "servable")["said"]


def test_a_base_written_by_transformers_5_is_not_exportable_and_that_is_no_failure_unless_required(
    report: dict[str, Any], vllm_prepared: Any
) -> None:
    written = json.loads((vllm_prepared.model_dir / "config.json").read_text())
    exportable = next(verdict for verdict in report["verdicts"] if verdict["name"] == "exportable")
    assert exportable["answer"] == ("no" if "rope_theta" not in written else "yes")
