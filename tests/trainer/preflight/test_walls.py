"""The walls of the dependency cascade, made with the versions that make them, and named by the ladder.

Four are quick: the training environment with one package of another version laid over it. The others (an old torch,
30 s to install; the layers above, which need an index) run with CROSSOVER_WALLS=1.
"""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.preflight.throwaway import NoIndexError, throwaway
from trainer.environment import root
from trainer.preflight.ladder import Asked, climb
from trainer.preflight.resolve import resolve
from trainer.preflight.rung import Report
from trainer.preflight.stack import Stack

pytestmark = pytest.mark.vllm
ALL = os.environ.get("CROSSOVER_WALLS") == "1"
LLAMA: dict[str, Any] = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 128, "intermediate_size": 256,
    "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 256,
    "rope_theta": 500000.0,
}  # fmt: skip
GEMMA = {"model_type": "gemma4", "transformers_version": "5.5.0", "architectures": ["Gemma4ForConditionalGeneration"]}


@dataclass(frozen=True)
class Bad:
    """Versions that make a wall; which rung finds it, what it is called and whom it blames."""

    requirements: tuple[str, ...]
    config: dict[str, Any]
    rung: str
    wall: str
    packages: tuple[str, ...]
    mend: str


TRANSFORMERS_4 = ("transformers==4.57.6", "tokenizers==0.22.1", "huggingface-hub==0.36.0")
BAD = {
    "the released transformers does not know the newest architecture": Bad(
        TRANSFORMERS_4, GEMMA, "config", "unknown architecture", ("transformers 4.57.6",), "'transformers>=5.5.0'",
    ),
    "a trainer imports HybridCache, which transformers 5 removed": Bad(
        ("peft==0.17.1",), LLAMA, "import", "cache class gone", ("peft 0.17.1", "transformers 5.19.0"),
        "'peft>=0.18.0'",
    ),
    "peft asks for a newer torchao than the one that is there": Bad(
        ("torchao==0.13.0",), LLAMA, "import", "torchao too old for peft", ("torchao 0.13.0", "peft 0.21.2"),
        "uninstall",
    ),
    "the newest torchao has lost what the trainer imports": Bad(
        ("torchao==0.18.0", "peft==0.18.0"), LLAMA, "import", "torchao past this peft",
        ("torchao 0.18.0", "peft 0.18.0"), "uninstall",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def climbs(training_python: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Report, float]]:
    """Each wall's report, and the seconds from the environment to the verdicts. Two at a time."""

    def one(named: tuple[str, Bad]) -> tuple[str, tuple[Report, float]]:
        name, bad = named
        folder = tmp_path_factory.mktemp("wall")
        (folder / "config.json").write_text(json.dumps(bad.config))
        python = throwaway(folder / "env", training_python, list(bad.requirements))
        started = time.monotonic()
        report = climb(
            Asked(folder / "config.json", Stack(python), None, {}, root(), serve=False, export=False, own=False)
        )
        return name, (report, time.monotonic() - started)

    try:
        with ThreadPoolExecutor(2) as pool:
            return dict(pool.map(one, BAD.items()))
    except NoIndexError as error:
        pytest.skip(f"the bad versions cannot be had: {error}")


@pytest.mark.parametrize("name", BAD)
def test_the_wall_is_named_with_its_packages_and_its_mend(name: str, climbs: dict[str, tuple[Report, float]]) -> None:
    bad, (report, seconds) = BAD[name], climbs[name]
    rung = report.rung(bad.rung)
    assert rung is not None
    assert rung.status == "failed", report
    wall = rung.walls[0]
    assert (wall.name, wall.packages) == (bad.wall, bad.packages)
    assert bad.mend in wall.mend
    assert "Traceback" not in wall.line
    assert "\n" not in wall.line
    assert report.verdict("trainable").answer == "no"
    print(f"{name}: {seconds:.1f} s")


def test_a_config_of_transformers_5_that_transformers_4_misreads_in_silence(
    climbs: dict[str, tuple[Report, float]], training_python: Path, tmp_path: Path
) -> None:
    if not ALL:
        pytest.skip("CROSSOVER_WALLS=1 runs it")
    written = {key: value for key, value in LLAMA.items() if key != "rope_theta"}
    written |= {"rope_parameters": {"rope_theta": 500000.0, "rope_type": "default"}, "transformers_version": "5.19.0"}
    (tmp_path / "config.json").write_text(json.dumps(written))
    python = throwaway(tmp_path / "env", training_python, list(TRANSFORMERS_4))
    report = climb(
        Asked(tmp_path / "config.json", Stack(python), None, {}, root(), serve=False, export=False, own=False)
    )
    assert [wall.name for wall in report.walls] == ["config misread"]
    assert "rope_theta as 10000" in report.walls[0].what


def test_a_torchao_past_what_an_older_torch_supports(training_python: Path, tmp_path: Path) -> None:
    """The lab's own: the released stack of its day. 5 GB on disk."""
    if not ALL:
        pytest.skip("CROSSOVER_WALLS=1 runs it")
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    needs = ["torch==2.6.0", "numpy"]
    python = throwaway(tmp_path / "env", training_python, ["torchao==0.18.0", *TRANSFORMERS_4], needs)
    report = climb(
        Asked(tmp_path / "config.json", Stack(python), None, {}, root(), serve=False, export=False, own=False)
    )
    wall = report.walls[0]
    assert (wall.name, wall.packages) == ("torchao past this torch", ("torchao 0.18.0", "torch 2.6.0"))
    assert "torch 2.11.0 or newer" in wall.what


@pytest.mark.parametrize(("layer", "who"), [("llamafactory", "llamafactory"), ("unsloth", "unsloth")])
def test_a_layer_above_pins_an_older_transformers(layer: str, who: str, training_python: Path) -> None:
    if not ALL:
        pytest.skip("CROSSOVER_WALLS=1 runs it")
    rung = resolve(Stack(training_python), [layer])
    if rung.status == "not asked":
        pytest.skip(rung.said)
    wall = rung.walls[0]
    assert wall.packages[0].startswith(who)
    assert wall.packages[1] == "transformers 5.19.0"
    print(f"{layer}: {rung.seconds:.1f} s")
