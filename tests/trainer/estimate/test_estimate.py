"""Predicted memory and time against what was measured, and the choices that follow."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import msgspec
import pytest

from trainer.bench.cases import LLAMA_8B
from trainer.estimate.device import Device
from trainer.estimate.estimate import Work, estimate, memory, seconds
from trainer.model.shape import ModelShape
from trainer.settings.schema import TrainSettings

RESULTS = Path(__file__).parents[3] / "benchmarks" / "results" / "training_h100.json"
ENGINES = {
    "plain": {"engine": "peft"},
    "lean": {"engine": "lean"},
    "lean-fp8-backward": {"engine": "lean", "fp8": True},
}
H100 = Device("cuda", "H100", 80 * 10**9, 79 * 10**9, 7.6e14, 2.9e12, False, 1.45e15)
BOX = Device("cuda", "GB10", 120 * 10**9, 100 * 10**9, 6.0e13, 2.0e11, True, 1.0e14)
SMOL = ModelShape(
    "llama", 30, 576, 9, 3, 64, 1536, 49152, 1e-5, True, LLAMA_8B.rope, False, False, False, False, None, 8192
)
CORE = Device("cpu", "a core", 16 * 10**9, 12 * 10**9, 7e10, 1.5e10, True)


def settings(**parts: Any) -> TrainSettings:
    given = {"version": 1, "name": "x", "base": {"model": "base"}, "data": {"train": "rows.jsonl"}}
    return TrainSettings.model_validate({**given, "serving": {"max_lora_rank": 512}, **parts})


def measured() -> list[Any]:
    """Every measured case of an engine that the trainer has."""
    report = json.loads(RESULTS.read_text())
    found = []
    for run in ("main", "grid"):
        for result in report[run]["results"]:
            if result["case"]["variant"] in ENGINES and result["verdict"] != "failed":
                name = " ".join(f"{key}={value}" for key, value in result["case"].items())
                found.append(pytest.param(report[run]["device"], result, id=f"{run} {name}"))
    return found


@pytest.mark.parametrize(("device", "result"), measured())
def test_memory_and_time_on_the_h100_are_within_15_percent_of_what_was_measured(
    device: dict[str, Any], result: dict[str, Any]
) -> None:
    case = result["case"]
    asked = settings(
        lora={"rank": case["rank"]},
        sequence={"max_tokens": case["tokens"]},
        device={**ENGINES[case["variant"]], "loss_chunk_tokens": 2048},
    )
    sequences = case["sequences"]
    work = Work(rows=sequences * case["documents"], tokens=sequences * case["tokens"], sequences=sequences)
    arguments = (LLAMA_8B, asked, work, msgspec.convert(device, Device), sequences, case["checkpointing"])
    assert sum(memory(*arguments).values()) == pytest.approx(result["peak_bytes"], rel=0.15)
    assert seconds(*arguments) == pytest.approx(statistics.median(result["step_seconds"]), rel=0.15)


# Peak resident MiB of SmolLM2-135M, three tenths of the tokens learned, measured: docs/decisions/0012-the-trainer.md.
@pytest.mark.parametrize(
    ("engine", "sequences", "tokens", "documents", "checkpointing", "peak_mib"),
    [
        ("lean", 1, 256, 1, False, 1394), ("peft", 1, 256, 1, False, 1663),
        ("lean", 1, 1024, 2, False, 2654), ("peft", 1, 1024, 2, False, 4494),
        ("lean", 2, 512, 1, True, 1499), ("peft", 2, 512, 1, True, 2147),
        ("lean", 2, 512, 4, False, 2629), ("peft", 2, 512, 4, False, 4455),
    ],
)  # fmt: skip
def test_memory_on_a_cpu_is_within_15_percent_of_what_was_measured(
    engine: str, sequences: int, tokens: int, documents: int, checkpointing: bool, peak_mib: int
) -> None:
    asked = settings(sequence={"max_tokens": tokens}, device={"kind": "cpu", "engine": engine})
    total = sequences * tokens
    work = Work(sequences * documents, total, sequences, int(0.3 * total))
    parts = memory(SMOL, asked, work, CORE, sequences, checkpointing)
    assert sum(parts.values()) / 2**20 == pytest.approx(peak_mib, rel=0.15)


FULL = Work(rows=640, tokens=160 * 2048, sequences=160)


def test_as_many_sequences_run_at_once_as_fit() -> None:
    asked = settings()
    guess = estimate(LLAMA_8B, asked, FULL, H100)
    assert guess.fits
    assert not guess.checkpointing
    assert guess.peak_bytes == sum(guess.parts.values()) <= guess.usable_bytes
    assert sum(memory(LLAMA_8B, asked, FULL, H100, guess.sequences_at_once + 1, False).values()) > guess.usable_bytes


def test_activations_are_computed_twice_where_they_do_not_fit() -> None:
    guess = estimate(LLAMA_8B, settings(), FULL, msgspec.structs.replace(H100, free_bytes=22 * 10**9))
    assert (guess.fits, guess.checkpointing) == (True, True)


def test_what_is_asked_for_is_kept() -> None:
    guess = estimate(LLAMA_8B, settings(batch={"sequences_at_once": 3}, device={"checkpointing": "on"}), FULL, H100)
    assert (guess.sequences_at_once, guess.checkpointing) == (3, True)


def test_what_cannot_fit_is_refused_with_what_is_large_and_the_mend() -> None:
    guess = estimate(LLAMA_8B, settings(), FULL, msgspec.structs.replace(H100, free_bytes=12 * 10**9))
    assert not guess.fits
    assert "weights (14.96 GiB)" in guess.why
    assert "smaller base" in guess.why


def test_a_limit_of_memory_in_the_settings_wins() -> None:
    assert estimate(LLAMA_8B, settings(device={"memory_gib": 17.0}), FULL, H100).usable_bytes == 17 * 2**30


def test_where_the_gpu_shares_the_cpus_memory_more_is_left_free() -> None:
    shared = estimate(LLAMA_8B, settings(), FULL, BOX)
    assert (
        shared.usable_bytes
        < estimate(LLAMA_8B, settings(), FULL, msgspec.structs.replace(BOX, shared_memory=False)).usable_bytes
    )


def test_a_run_is_its_steps() -> None:
    guess = estimate(LLAMA_8B, settings(length={"epochs": 2}), FULL, H100)
    assert guess.run_seconds == pytest.approx(20 * guess.step_seconds)
    assert guess.tokens_per_second == pytest.approx(16 * 2048 / guess.step_seconds)
    assert estimate(LLAMA_8B, settings(length={"max_steps": 3}), FULL, H100).run_seconds == pytest.approx(
        3 * guess.step_seconds
    )


def test_on_a_cpu_one_sequence_at_a_time_in_fp32() -> None:
    guess = estimate(SMOL, settings(device={"kind": "cpu"}), FULL, CORE)
    assert (guess.sequences_at_once, guess.engine) == (1, "lean")
    assert guess.parts["weights"] == 4 * SMOL.parameters
