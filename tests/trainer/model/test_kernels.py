"""The Triton kernels compute what their references in plain torch compute. Needs a GPU; CI has none."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from trainer.environment import environment


@pytest.fixture(scope="module")
def farthest(training_python: Path) -> dict[str, float]:
    """For each kernel: the norm of the difference over the norm of the reference, at worst."""
    asked = [str(training_python), "-c", "import torch; print(torch.cuda.is_available())"]
    seen = subprocess.run(asked, capture_output=True, text=True, env=environment(), timeout=120, check=True)
    if seen.stdout.strip() != "True":
        pytest.skip("no CUDA device: run this on a machine with a GPU")
    script = Path(__file__).with_name("kernels_against_reference.py")
    command = [str(training_python), str(script), "cuda"]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=600, check=True)
    found: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
    return found


@pytest.mark.vllm
def test_kernels_agree_with_plain_torch_to_the_rounding_of_bfloat16(farthest: dict[str, float]) -> None:
    assert {name: far for name, far in farthest.items() if "8 bits" not in name and far > 6e-3} == {}


@pytest.mark.vllm
def test_rounding_to_8_bits_agrees_to_a_step_of_the_8_bits(farthest: dict[str, float]) -> None:
    assert {name: far for name, far in farthest.items() if far > 0.04} == {}
