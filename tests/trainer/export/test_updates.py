"""Which weights a merge changes and by how much is known before any is read; what cannot be merged is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.export.model_folder import write_full_adapter, write_model
from trainer.export.layout import read_file, read_weights
from trainer.export.updates import MergeError, Update, updates


def plan(model: Path, adapter: Path) -> dict[str, Update]:
    config = json.loads((model / "config.json").read_text())
    return updates(
        json.loads((adapter / "adapter_config.json").read_text()),
        read_file(adapter / "adapter_model.safetensors"),
        read_weights(model),
        tied=config["tie_word_embeddings"],
    )


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "model")


def test_every_projection_of_every_layer_is_changed_at_alpha_over_rank(tmp_path: Path, model: Path) -> None:
    todo = plan(model, write_full_adapter(tmp_path / "adapter", model, rank=4, lora_alpha=6))
    assert len(todo) == 14
    name = "model.layers.1.mlp.down_proj"
    assert todo[f"{name}.weight"] == Update(
        f"{name}.weight", f"base_model.model.{name}.lora_A.weight", f"base_model.model.{name}.lora_B.weight", 1.5
    )


def test_scales_follow_rslora_and_the_layers_own_patterns(tmp_path: Path, model: Path) -> None:
    adapter = write_full_adapter(
        tmp_path / "adapter", model, rank=4, use_rslora=True, rank_pattern={"layers.1.self_attn.q_proj": 9},
        alpha_pattern={"q_proj": 12, "v_proj": 3},
    )  # fmt: skip
    todo = plan(model, adapter)
    projections = ("0.self_attn.q", "1.self_attn.q", "0.self_attn.v", "0.mlp.up")
    scales = {name: todo[f"model.layers.{name}_proj.weight"].scale for name in projections}
    assert scales == {"0.self_attn.q": 6.0, "1.self_attn.q": 4.0, "0.self_attn.v": 1.5, "0.mlp.up": 4.0}


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"use_dora": True}, "DoRA"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"fan_in_fan_out": True}, "wrong way round"),
        ({"init_lora_weights": "pissa"}, "changes the base's weights"),
        ({"r": 5}, "at rank 5 the factors"),
        ({"target_parameters": ["experts.w"]}, "target_parameters"),
    ],
)
def test_what_a_merge_would_get_wrong_is_refused(
    tmp_path: Path, model: Path, config: dict[str, Any], says: str
) -> None:
    adapter = write_full_adapter(tmp_path / "adapter", model)
    settings = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**settings, **config}))
    with pytest.raises(MergeError, match=says):
        plan(model, adapter)


def test_an_adapter_on_the_head_of_a_tied_model_is_refused(tmp_path: Path) -> None:
    untied, tied = write_model(tmp_path / "untied"), write_model(tmp_path / "tied", tie_word_embeddings=True)
    adapter = write_full_adapter(tmp_path / "adapter", untied, target_modules=["q_proj", "lm_head"])
    with pytest.raises(MergeError, match="head and embedding are one"):
        plan(tied, adapter)


def test_an_adapter_of_another_base_is_refused(tmp_path: Path, model: Path) -> None:
    deeper = write_model(tmp_path / "deeper", num_hidden_layers=3)
    with pytest.raises(MergeError, match=r"model\.layers\.2.*no such tensor"):
        plan(model, write_full_adapter(tmp_path / "adapter", deeper))
    wider = write_model(tmp_path / "wider", intermediate_size=48)
    with pytest.raises(MergeError, match="do not fit"):
        plan(model, write_full_adapter(tmp_path / "other", wider))
