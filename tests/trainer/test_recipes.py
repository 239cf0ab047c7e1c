"""Every shipped recipe can be read, and the demo's is what the demo's server takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.sandbox.vllm.settings import VllmSettings
from trainer.gate.load import load_gate
from trainer.settings.load import load_settings

SHIPPED = sorted((Path(__file__).parents[2] / "trainer" / "recipes").glob("*.yaml"))
GATES = [file for file in SHIPPED if file.stem.endswith("-gate")]
RECIPES = [file for file in SHIPPED if file not in GATES]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_a_shipped_recipe_is_without_an_error(recipe: Path) -> None:
    assert load_settings(recipe, require_files=False).settings.name


@pytest.mark.parametrize("gate", GATES, ids=lambda gate: gate.stem)
def test_a_shipped_gate_is_without_an_error(gate: Path) -> None:
    assert load_gate(gate, require_files=False, require_keys=False).settings.name


def test_the_demos_adapter_is_within_what_its_server_loads() -> None:
    recipe = next(file for file in RECIPES if file.stem == "handbook")
    settings = load_settings(recipe, require_files=False).settings
    server = VllmSettings(
        python=Path("p"), model_dir=Path("m"), log_file=Path("l"), adapters={"handbook@v0001": Path("a")}
    )
    command = server.command()
    limit = int(command[command.index("--max-lora-rank") + 1])
    assert settings.lora.rank <= settings.serving.max_lora_rank == limit
