"""An error's record becomes a wall: the packages at fault, the line that means something, and the mend."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from trainer.preflight.rung import Wall
from trainer.preflight.stack import Stack
from trainer.preflight.walls import name_wall

SITE = "/env/lib/python3.12/site-packages"
INSTALLED = {
    "torch": "2.11.0", "transformers": "5.19.0", "peft": "0.21.2", "torchao": "0.18.0", "flash-attn": "2.8.3",
    "torchvision": "0.29.1", "somelib": "1.2", "triton": "3.5.0", "vllm": "0.32.0",
}  # fmt: skip


@pytest.fixture
def stack() -> Stack:
    stack = Stack(Path(sys.executable))
    stack.versions = dict(INSTALLED)
    stack.python = Path("/env/bin/python")
    return stack


def error(kind: str, text: str, *frames: str, handled: bool = False) -> dict[str, Any]:
    return {"type": kind, "text": text, "frames": [f"{SITE}/{frame}" for frame in frames], "handled": handled}


def wall(stack: Stack, *record: dict[str, Any], **more: Any) -> Wall:
    return name_wall(list(record), stack, doing="import peft", **more)


def test_the_root_of_a_chain_counts_and_not_what_hides_it(stack: Stack) -> None:
    found = wall(
        stack,
        error("RuntimeError", "operator torchvision::nms does not exist", "torchvision/_meta_registrations.py:163"),
        error("ModuleNotFoundError", "Could not import module 'LlamaConfig'. Are this object's requirements defined?"),
    )
    assert found.name == "torchvision of another torch"
    assert found.packages == ("torchvision 0.29.1", "torch 2.11.0")
    assert found.line == "RuntimeError: operator torchvision::nms does not exist"
    assert found.mend == "uv pip uninstall --python /env/bin/python torchvision"


def test_what_somebody_caught_before_is_not_the_cause(stack: Stack) -> None:
    found = wall(
        stack,
        error("KeyError", "'gemma4'", handled=True),
        error("ValueError", "The checkpoint you are trying to load has model type `gemma4` but Transformers does not "
              "recognize this architecture.\nYou can update"),
        facts={"written_by": "5.5.0.dev0"},
    )  # fmt: skip
    assert found.name == "unknown architecture"
    assert found.mend.endswith("'transformers>=5.5.0'"), "the release that wrote config.json knows it"


def test_a_torchao_past_the_torch_says_which_torch_it_wants(stack: Stack) -> None:
    found = wall(
        stack,
        error("AttributeError", "module 'torch.utils._pytree' has no attribute 'register_constant'",
              "peft/import_utils.py:3", "torchao/utils.py:47"),
        tail="Skipping import of cpp extensions due to incompatible torch version. Please upgrade to torch >= 2.11.0",
    )  # fmt: skip
    assert found.packages == ("torchao 0.18.0", "torch 2.11.0")
    assert "torch 2.11.0 or newer" in found.what


def test_a_torchao_past_the_peft_is_another_wall(stack: Stack) -> None:
    text = f"cannot import name 'LinearActivationQuantizedTensor' from 'torchao.quantization' ({SITE}/torchao/q.py)"
    found = wall(stack, error("ImportError", text, "peft/tuners/lora/torchao.py:151"))
    assert found.name == "torchao past this peft"
    assert found.packages == ("torchao 0.18.0", "peft 0.21.2")
    assert "'peft>=0.18.1'" in found.mend
    assert SITE not in found.line, "a path says nothing"


def test_ptxas_that_does_not_know_the_gpu_is_mended_by_the_toolkits(stack: Stack) -> None:
    found = wall(stack, error("RuntimeError", "ptxas fatal   : Value 'sm_121a' is not defined for option 'gpu-name'"))
    assert found.mend == "export TRITON_PTXAS_PATH=/usr/local/cuda/bin/ptxas"


def test_a_compiled_part_of_another_torch(stack: Stack) -> None:
    text = f"{SITE}/flash_attn_2_cuda.cpython-312-x86_64-linux-gnu.so: undefined symbol: _ZN3c105ErrorC2E"
    found = wall(stack, error("ImportError", text, "flash_attn/flash_attn_interface.py:15"))
    assert found.packages == ("flash-attn 2.8.3", "torch 2.11.0")
    assert "uninstall" in found.mend


def test_a_pair_that_no_table_knows_is_read_off_the_error(stack: Stack) -> None:
    text = f"cannot import name 'NewThing' from 'transformers.models' ({SITE}/transformers/models/__init__.py)"
    found = wall(stack, error("ImportError", text, "transformers/x.py:1", "somelib/core.py:9"))
    assert found.name == "packages of different times"
    assert found.packages == ("somelib 1.2", "transformers 5.19.0")
    assert found.mend == "uv pip install --upgrade --python /env/bin/python 'somelib'"


def test_a_package_that_is_not_there(stack: Stack) -> None:
    found = wall(stack, error("ModuleNotFoundError", "No module named 'msgspec'"))
    assert found.name == "package missing"
    assert found.mend == "uv pip install --python /env/bin/python 'msgspec'"


def test_an_unknown_error_keeps_its_line_and_claims_nothing(stack: Stack) -> None:
    found = wall(stack, error("RuntimeError", "\n  the moon is in the wrong house\nsecond line", "torch/x.py:1"))
    assert found.name == "unknown"
    assert found.line == "RuntimeError: the moon is in the wrong house"
    assert "not in the table" in found.mend


def test_vllm_says_itself_what_it_does_not_take(stack: Stack) -> None:
    text = "vLLM 0.32.0 has no NewForCausalLM among its 391 architectures"
    found = wall(stack, {"type": "Found", "text": text, "frames": []})
    assert found.name == "vLLM does not know the architecture"
    assert found.line == text
    assert found.packages == ("vllm 0.32.0",)
