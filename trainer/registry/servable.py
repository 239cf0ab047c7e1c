"""Whether vLLM can serve an adapter, from its settings alone. Pure; no torch.

What vLLM 0.32 takes was read from its `vllm/lora/peft_helper.py` (`_validate_features`, `validate_legal`) and
`vllm/lora/lora_model.py`: it takes rsLoRA and layers with a rank or scale of their own (`rank_pattern`,
`alpha_pattern`), which servers before it may pass over without a word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

# These only choose the first weights of the factors. Others (PiSSA, OLoRA, CorDA, LoftQ) change the base as well.
_HARMLESS_STARTS = ("gaussian", "eva", "orthogonal", "mica", "lora_ga")
_EMBEDDINGS = ("embed_tokens", "lm_head", "wte", "embed_in", "embed_out")


def servable(adapter_config: Mapping[str, Any], max_lora_rank: int) -> list[str]:
    """Every reason why vLLM, started with `--max-lora-rank max_lora_rank`, could not serve the adapter; none: it can.

    `adapter_config` is peft's adapter_config.json, or `LoraConfig.to_dict()` before any training.
    """
    given = adapter_config
    problems = []
    if (kind := given.get("peft_type", "LORA")) not in ("LORA", None) and str(kind).rsplit(".", 1)[-1] != "LORA":
        return [f"peft_type is {kind}: vLLM serves LORA adapters only"]

    patterns: dict[str, Any] = dict(given.get("rank_pattern") or {})
    ranks = {"r": given.get("r"), **{f"rank_pattern[{name}]": rank for name, rank in patterns.items()}}
    for name, rank in ranks.items():
        if not isinstance(rank, int) or isinstance(rank, bool) or rank < 1:
            problems.append(f"{name} is {rank!r}: a rank is a whole number above 0")
        elif rank > max_lora_rank:
            problems.append(
                f"{name} is {rank} and vLLM's --max-lora-rank is {max_lora_rank}: train with a lower rank, or start "
                "vLLM with a larger one"
            )
    if saved := given.get("modules_to_save"):
        problems.append(
            f"modules_to_save is {_listed(saved)}: vLLM keeps the base's own weights for them; train without it"
        )
    if given.get("use_dora"):
        problems.append("use_dora is on: vLLM does not serve DoRA; train a plain LoRA")
    if (bias := given.get("bias", "none")) not in ("none", None):
        problems.append(f"bias is {bias!r}: vLLM serves adapters without biases only; train with bias none")
    if given.get("lora_bias"):
        problems.append("lora_bias is on: vLLM does not serve it; train without it")
    start = given.get("init_lora_weights", True)
    if isinstance(start, str) and start.lower() not in _HARMLESS_STARTS:
        problems.append(
            f"init_lora_weights is {start!r}: it changes the base's weights as well, and vLLM would not; convert the "
            "adapter to a plain LoRA when saving it (peft: path_initial_model_for_weight_conversion)"
        )
    for name, what in (
        ("alora_invocation_tokens", "an activated LoRA"),
        ("layer_replication", "layers that are used twice"),
        ("use_bdlora", "a block-diagonal LoRA"),
        ("use_qalora", "a QALoRA"),
        ("trainable_token_indices", "embeddings of single tokens that were trained"),
    ):
        if given.get(name):
            problems.append(f"{name} is set ({what}): it is not served; train without it")
    if given.get("fan_in_fan_out"):
        problems.append(
            "fan_in_fan_out is on: the factors would be the wrong way round for a linear layer; turn it off"
        )
    touched = [name for name in _targets(given) if name.rsplit(".", 1)[-1] in _EMBEDDINGS]
    if touched:
        problems.append(
            f"target_modules holds {_listed(touched)}: vLLM serves that for some architectures only, and a model with "
            "tied embeddings cannot be merged; leave it out"
        )
    return problems


def _targets(given: Mapping[str, Any]) -> list[str]:
    targets = given.get("target_modules") or ()
    return [targets] if isinstance(targets, str) else sorted(targets)


def _listed(values: Iterable[Any]) -> str:
    return values if isinstance(values, str) else ", ".join(sorted(map(str, values)))
