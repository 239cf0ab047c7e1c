"""A model's shape from its config.json, without torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trainer.bench.cases import LLAMA_8B
from trainer.model.errors import ShapeError
from trainer.model.shape import ModelShape
from trainer.settings.schema import LoraSettings

LLAMA_31_8B: dict[str, Any] = {
    "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256, "rms_norm_eps": 1e-05,
    "rope_theta": 500000.0, "tie_word_embeddings": False, "hidden_act": "silu", "max_position_embeddings": 131072,
    "rope_scaling": {
        "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192,
        "rope_type": "llama3",
    },
}  # fmt: skip
OLD_ROPE = ("rope_theta", "rope_scaling")


def test_llama_31_8b_has_the_parameters_that_meta_counts() -> None:
    shape = ModelShape.of(LLAMA_31_8B)
    assert shape == LLAMA_8B
    assert shape.parameters == 8_030_261_248
    assert shape.lora_parameters(LoraSettings(rank=16)) == 41_943_040


def test_both_spellings_of_the_rotary_settings_are_read_alike() -> None:
    new = {key: value for key, value in LLAMA_31_8B.items() if key not in OLD_ROPE}
    new["rope_parameters"] = {**LLAMA_31_8B["rope_scaling"], "rope_theta": 500000.0}
    assert ModelShape.of(new) == ModelShape.of(LLAMA_31_8B)


def test_qwen2_has_biases_on_q_k_and_v_only() -> None:
    shape = ModelShape.of({**LLAMA_31_8B, "model_type": "qwen2", "rope_scaling": None})
    assert [part.name for part in shape.projections if part.bias] == ["q_proj", "k_proj", "v_proj"]


def test_flops_of_a_token_are_four_a_frozen_weight_and_attention() -> None:
    shape, lora = ModelShape.of(LLAMA_31_8B), LoraSettings(rank=16)
    seen_once, seen_more = (shape.flops_per_token(lora, context) for context in (1, 1025))
    assert seen_once == pytest.approx(4 * (6_979_321_856 + 128256 * 4096) + 6 * 41_943_040 + 12 * 32 * 4096)
    assert seen_more - seen_once == 12 * 32 * 4096 * 1024
    assert shape.flops_per_token(lora, 1, learned_share=0.0) == seen_once - 4 * 128256 * 4096


def test_targets_are_names_of_projections() -> None:
    shape = ModelShape.of(LLAMA_31_8B)
    assert [part.name for part in shape.targeted(LoraSettings(targets=("v_proj", "q_proj")))] == ["q_proj", "v_proj"]
    with pytest.raises(ShapeError, match=r"lm_head.*q_proj"):
        shape.targeted(LoraSettings(targets=("lm_head",)))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"model_type": "gemma3"}, r"model_type is 'gemma3'; shapes are known of llama"),
        ({"hidden_size": None}, r"hidden_size is None"),
        ({"num_hidden_layers": "32"}, r"num_hidden_layers is '32'"),
        ({"hidden_act": "gelu"}, r"hidden_act is 'gelu'"),
        ({"rope_scaling": {"rope_type": "yarn"}}, r"rope_type is 'yarn'"),
        ({"partial_rotary_factor": 0.5}, r"partial_rotary_factor"),
    ],
)
def test_what_it_cannot_read_is_named(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        ModelShape.of({**LLAMA_31_8B, **changed})


@pytest.mark.parametrize(
    ("text", "message"), [("[1]", "list, not an object"), ("{", "not JSON"), (None, "cannot be read")]
)
def test_a_file_that_is_no_config_is_named(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    with pytest.raises(ShapeError, match=message) as caught:
        ModelShape.read(tmp_path)
    assert "config.json" in str(caught.value)


def test_a_folder_and_its_file_are_the_same(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(LLAMA_31_8B))
    assert ModelShape.read(tmp_path) == ModelShape.read(file) == LLAMA_8B
