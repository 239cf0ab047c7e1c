"""A small model of the same architecture: the model's own config.json with every size made small. Pure.

What decides which code runs stays: the kinds of layers, the ratio of query to key heads, the width of a head (kernels
are written for some widths only), the way positions are rotated, tied embeddings, experts and how they are chosen.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

VOCABULARY = 256
_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "depth", "encoder_layers", "decoder_layers")
_EVERY = (
    "full_attention_interval", "sliding_window_pattern", "attn_layer_period", "interleave_moe_layer_step",
    "decoder_sparse_step", "moe_layer_freq", "expert_layer_period", "global_attn_every_n_layers",
    "cross_attention_interval",
)  # fmt: skip
_QUERY_HEADS, _KEY_HEADS = ("num_attention_heads", "n_head", "n_heads"), ("num_key_value_heads", "n_head_kv")
_HIDDEN = ("hidden_size", "n_embd", "d_model", "embed_dim")
_WIDE = ("intermediate_size", "intermediate_size_mlp", "ffn_dim", "ffn_hidden_size", "n_inner", "d_ff", "mlp_dim")
_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
_CHOSEN = ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "top_k_experts", "moe_k", "router_top_k")
_FIXED = {
    "q_lora_rank": 32, "kv_lora_rank": 32, "n_group": 1, "topk_group": 1, "num_expert_group": 1,
    "first_k_dense_replace": 1, "num_nextn_predict_layers": 0, "hidden_size_per_layer_input": 32,
    "laurel_rank": 8, "index_n_heads": 2, "index_topk": 16, "num_kv_shared_layers": 0, "mtp_num_hidden_layers": 0,
}  # fmt: skip
_VOCABULARIES = ("vocab_size", "vocab_size_per_layer_input")


def tiny_configs(config: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Small variants of a parsed config.json, smallest first, with a name for each.

    `narrow` makes every size small; `shallow` keeps all widths and cuts layers and vocabulary, for an architecture
    whose sizes hang together in a way that is not known here.
    """
    return [("narrow", _small(config, narrow=True)), ("shallow", _small(config, narrow=False))]


def _small(config: Mapping[str, Any], *, narrow: bool) -> dict[str, Any]:
    made = copy.deepcopy(dict(config))
    made.pop("quantization_config", None)  # the random weights are plain ones
    for name, part in made.items():
        if name.endswith("_config") and isinstance(part, dict):
            made[name] = _small(part, narrow=narrow)
    _cut_layers(made)
    _cut_vocabulary(made)
    if narrow:
        _narrow(made)
        text = made.get("text_config") or {}
        hidden = next((text[name] for name in _HIDDEN if name in text), None)
        for name, part in made.items():
            if hidden and name.endswith("_config") and isinstance(part, dict):
                part.update({field: hidden for field in ("out_hidden_size", "text_hidden_size") if field in part})
    return made


def _cut_layers(made: dict[str, Any]) -> None:
    """The first layer of each kind, and the last; at least two. Lists with an entry a layer are cut alike."""
    name = next((name for name in _LAYERS if isinstance(made.get(name), int)), None)
    if name is None:
        return
    layers: int = made[name]
    lists = {
        key: value for key, value in made.items() if isinstance(value, list) and len(value) == layers and layers > 2
    }
    kept = list(range(min(layers, max(2, *(min(8, made[key]) for key in _EVERY if isinstance(made.get(key), int)), 2))))
    if lists:
        kinds = list(zip(*(map(str, value) for value in lists.values()), strict=True))
        kept = sorted({kinds.index(kind) for kind in kinds} | {layers - 1})
        kept = sorted(set(kept) | set([index for index in range(layers) if index not in kept][: max(0, 2 - len(kept))]))
    for key, value in lists.items():
        made[key] = [value[index] for index in kept]
    for key, value in made.items():  # settings of single layers, by the layer's number
        if isinstance(value, dict) and value and all(str(index).isdigit() for index in value):
            numbered = {int(index): part for index, part in value.items()}
            made[key] = {str(new): numbered[old] for new, old in enumerate(kept) if old in numbered}
    for key in _LAYERS:
        if isinstance(made.get(key), int):
            made[key] = min(made[key], len(kept))
    for key in ("deepstack_visual_indexes", "fullatt_block_indexes", "max_window_layers"):
        if isinstance(made.get(key), list):
            made[key] = [0]
        elif isinstance(made.get(key), int):
            made[key] = min(made[key], len(kept))


def _cut_vocabulary(made: dict[str, Any]) -> None:
    """A few hundred tokens; special tokens beyond them get the last numbers, each its own."""
    for name in _VOCABULARIES:
        if isinstance(made.get(name), int):
            made[name] = min(made[name], VOCABULARY)
    free = iter(range(VOCABULARY - 1, VOCABULARY - 64, -1))
    moved: dict[int, int] = {}

    def small(token: Any) -> Any:
        if isinstance(token, int) and not isinstance(token, bool) and token >= VOCABULARY - 64:
            if token not in moved:
                moved[token] = next(free)
            return moved[token]
        return token

    for name, value in made.items():
        if name.endswith(("_token_id", "_token_index", "_token_ids")):
            made[name] = [small(token) for token in value] if isinstance(value, list) else small(value)


def _narrow(made: dict[str, Any]) -> None:
    hidden_name = next((name for name in _HIDDEN if isinstance(made.get(name), int)), None)
    if hidden_name is None:
        return
    hidden = _narrow_heads(made, made[hidden_name])
    made[hidden_name] = hidden
    for name, value in list(made.items()):
        if name.endswith(_WIDE):
            small = 64 if ("moe" in name or "expert" in name) else 2 * hidden
            made[name] = (
                [small for _ in value] if isinstance(value, list) else (small if isinstance(value, int) else value)
            )
    for name in _EXPERTS:
        if isinstance(made.get(name), int) and made[name] > 0:
            made[name] = min(made[name], 4)
    for name in _CHOSEN:
        if isinstance(made.get(name), int):
            made[name] = min(made[name], 2)
    _narrow_state_space(made, hidden)
    for name, most in _FIXED.items():
        if isinstance(made.get(name), int):
            made[name] = min(made[name], most)


def _narrow_state_space(made: dict[str, Any], hidden: int) -> None:
    """Mamba's inner width goes with the hidden size, and its heads divide it."""
    inner = int(made.get("mamba_expand") or made.get("expand") or 2) * hidden
    if isinstance(made.get("mamba_d_ssm"), int):
        made["mamba_d_ssm"] = inner
    width = made.get("mamba_d_head") or made.get("mamba_head_dim")
    for name in ("mamba_n_heads", "mamba_num_heads"):
        if isinstance(made.get(name), int):
            made[name] = inner // width if isinstance(width, int) else made[name]
    for name in ("mamba_n_groups", "n_groups"):
        if isinstance(made.get(name), int):
            made[name] = 1


def _narrow_heads(made: dict[str, Any], hidden: int) -> int:
    """Few heads in the same ratio and of the same width; returns the hidden size that goes with them."""
    heads: int | None = next((made[name] for name in _QUERY_HEADS if isinstance(made.get(name), int)), None)
    if not heads:
        return min(hidden, 128)
    own_width = isinstance(made.get("head_dim"), int)
    width: int = made["head_dim"] if own_width else hidden // heads
    key_heads: int = next((made[name] for name in _KEY_HEADS if isinstance(made.get(name), int)), heads)
    few_keys = min(key_heads, 2)
    few = few_keys * min(max(1, heads // key_heads), 8)
    for names, count in ((_QUERY_HEADS, few), (_KEY_HEADS, few_keys)):
        for name in names:
            if isinstance(made.get(name), int):
                made[name] = count
    if isinstance(made.get("num_global_key_value_heads"), int):
        made["num_global_key_value_heads"] = min(made["num_global_key_value_heads"], few_keys)
    keys, values = made.get("linear_num_key_heads"), made.get("linear_num_value_heads")
    if isinstance(keys, int) and isinstance(values, int):
        made["linear_num_key_heads"] = min(keys, 2)
        made["linear_num_value_heads"] = min(keys, 2) * max(1, values // keys)
    if not own_width or hidden == heads * width:
        return few * width
    return min(hidden, 64 * math.ceil(few * width / 128) + 64)  # not the product, as in the model itself
