"""A small model of the same architecture keeps what decides which code runs."""

from __future__ import annotations

from typing import Any

from trainer.preflight.shrink import tiny_configs

LLAMA: dict[str, Any] = {
    "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
    "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256, "tie_word_embeddings": False,
    "bos_token_id": 128000, "eos_token_id": [128001, 128008, 128009], "rope_theta": 500000.0,
    "rope_scaling": {"rope_type": "llama3", "factor": 8.0}, "quantization_config": {"quant_method": "fp8"},
}  # fmt: skip


def narrow(config: dict[str, Any]) -> dict[str, Any]:
    (name, made), _ = tiny_configs(config)
    assert name == "narrow"
    return made


def test_heads_keep_their_ratio_and_their_width() -> None:
    made = narrow(LLAMA)
    assert made["num_attention_heads"] / made["num_key_value_heads"] == 4
    assert made["hidden_size"] == made["num_attention_heads"] * 128
    assert made["num_hidden_layers"] == 2


def test_what_is_not_a_size_stays() -> None:
    made = narrow(LLAMA)
    for name in ("model_type", "tie_word_embeddings", "rope_theta", "rope_scaling"):
        assert made[name] == LLAMA[name]
    assert "quantization_config" not in made, "the small model's weights are random and plain"


def test_special_tokens_stay_distinct_within_the_small_vocabulary() -> None:
    made = narrow(LLAMA)
    tokens = [made["bos_token_id"], *made["eos_token_id"]]
    assert len(set(tokens)) == 4
    assert all(token < made["vocab_size"] for token in tokens)


def test_a_head_width_of_its_own_is_not_the_hidden_size_divided() -> None:
    made = narrow({**LLAMA, "head_dim": 256, "hidden_size": 2304, "num_attention_heads": 8, "num_key_value_heads": 4})
    assert made["head_dim"] == 256
    assert made["hidden_size"] != made["num_attention_heads"] * 256


def test_each_kind_of_layer_is_there_once_and_the_last_one() -> None:
    kinds = (["sliding_attention"] * 5 + ["full_attention"]) * 5
    own = {"05": {"head_dim": 512}, "29": {"head_dim": 512}}
    made = narrow({**LLAMA, "num_hidden_layers": 30, "layer_types": kinds, "per_layer_config": own})
    assert made["layer_types"] == ["sliding_attention", "full_attention", "full_attention"]
    assert made["num_hidden_layers"] == 3
    assert set(made["per_layer_config"]) == {"1", "2"}, "settings of single layers follow their layers"


def test_experts_are_few_and_still_chosen_among() -> None:
    made = narrow({**LLAMA, "num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768})
    assert made["num_experts"] == 4
    assert made["num_experts_per_tok"] == 2
    assert made["moe_intermediate_size"] == 64


def test_parts_of_a_model_for_images_are_made_small_as_well() -> None:
    vision = {"hidden_size": 1152, "num_attention_heads": 16, "depth": 27, "out_hidden_size": 4096}
    made = narrow({"model_type": "x_vl", "text_config": LLAMA, "vision_config": vision})
    assert made["text_config"]["num_hidden_layers"] == 2
    assert made["vision_config"]["depth"] == 2
    assert made["vision_config"]["out_hidden_size"] == made["text_config"]["hidden_size"]


def test_the_second_variant_keeps_widths_and_the_original_is_left_alone() -> None:
    before = repr(LLAMA)
    _, (name, made) = tiny_configs(LLAMA)
    assert (name, made["hidden_size"], made["num_hidden_layers"]) == ("shallow", 4096, 2)
    assert repr(LLAMA) == before
