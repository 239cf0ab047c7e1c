"""Both engines, on a CPU, in fp32: the same losses and gradients, whatever the packing, and files that peft reads."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from trainer.environment import environment

pytestmark = pytest.mark.vllm

LOSS, GRADIENT = 1e-6, 1e-5  # relative, of fp32


@pytest.fixture(scope="module")
def found(training_python: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What in_training.py saw."""
    script = Path(__file__).with_name("in_training.py")
    command = [str(training_python), str(script), str(tmp_path_factory.mktemp("engines"))]
    ran = subprocess.run(
        command, capture_output=True, text=True, env={**environment(), "OMP_NUM_THREADS": "1"}, timeout=300
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    seen: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return seen


def assert_same(far: list[Any]) -> None:
    loss, gradient, names = far
    assert names
    assert loss <= LOSS
    assert gradient <= GRADIENT


@pytest.mark.parametrize("engine", ["peft", "lean"])
def test_packed_documents_give_the_sum_of_what_each_gives_alone(found: dict[str, Any], engine: str) -> None:
    assert_same(found[engine]["packed against alone"])


@pytest.mark.parametrize("engine", ["peft", "lean"])
def test_the_size_of_the_losss_chunks_changes_nothing(found: dict[str, Any], engine: str) -> None:
    assert_same(found[engine]["chunks"])


@pytest.mark.parametrize("engine", ["peft", "lean"])
def test_activations_computed_twice_change_nothing(found: dict[str, Any], engine: str) -> None:
    assert_same(found[engine]["checkpointing"])


@pytest.mark.parametrize(
    "model",
    [
        "llama",
        "llama 3 scaling, untied",
        "mistral",
        "qwen2, biases",
        "some targets",
        "opened alike",
        "padding longer than a sequence",
    ],
)
def test_the_lean_engine_computes_what_peft_computes(found: dict[str, Any], model: str) -> None:
    assert_same(found[model])


@pytest.mark.parametrize("engine", ["peft", "lean"])
def test_peft_reads_the_adapter_and_gives_the_same_logits(found: dict[str, Any], engine: str) -> None:
    assert found[f"{engine} read by peft"] <= 1e-5
    config = found[f"{engine} config"]
    assert (config["r"], config["lora_alpha"], config["base_model_name_or_path"]) == (4, 8, "base")
    assert config["target_modules"] == sorted(
        ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    )
    assert config["modules_to_save"] is None


def test_both_engines_name_their_factors_alike(found: dict[str, Any]) -> None:
    assert found["same tensors"]


def test_auto_takes_the_lean_engine_where_it_covers_the_model(found: dict[str, Any]) -> None:
    assert found["opened"] == ["LeanModel", "PlainModel", "LeanModel"]
    assert found["engine with dropout"] == "peft"


def test_a_seed_decides_the_first_weights(found: dict[str, Any]) -> None:
    assert found["seeded"] == [True, False]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("fp8 on a CPU", ["device.fp8", "Hopper", "leave it out"]),
        ("fp8 with peft", ["device.fp8", "lean"]),
        ("no folder", ["/nowhere", "config.json"]),
        ("targets", ["lora.targets", "nothing"]),
        ("another rank", ["(4, ", "(8, ", "rank"]),
        ("other factors", ["names differ"]),
        ("leak", ["see each other", "sequence.packing"]),
    ],
)
def test_what_cannot_be_trained_is_refused_with_the_mend(found: dict[str, Any], wrong: str, words: list[str]) -> None:
    said = found["errors"][wrong]
    assert [word for word in words if word not in said] == [], said


def test_the_benchmark_times_what_is_right_and_says_what_failed(found: dict[str, Any]) -> None:
    plain, lean, twice, eight_bits = found["bench"]
    assert [case["verdict"] for case in (plain, lean, twice, eight_bits)] == ["ok", "ok", "ok", "failed"]
    assert lean["largest_difference"] <= 1e-4
    assert twice["losses"] == lean["losses"]
    assert all(case["tokens_per_second"] > 0 for case in (plain, lean, twice))
    assert "8-bit tensor cores" in eight_bits["problem"]
    assert eight_bits["tokens_per_second"] is None
    assert found["bench status"] == 1
