"""Whether vLLM can serve an adapter, from its settings alone. Pure; no torch.

What vLLM 0.32 takes was read from its `vllm/lora/peft_helper.py` (`_validate_features`, `validate_legal`) and
`vllm/lora/lora_model.py`: it takes rsLoRA and layers with a rank or scale of their own (`rank_pattern`,
`alpha_pattern`), which servers before it may pass over without a word. A setting that is not known here may change
what the adapter means, and vLLM would pass over it: it is refused as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from trainer.export.bounded_json import is_number

# These only choose the first weights of the factors. Others (PiSSA, OLoRA, CorDA, LoftQ, LoRA-GA) change the base too.
_HARMLESS_STARTS = ("gaussian", "eva", "orthogonal", "mica")
_EMBEDDINGS = ("embed_tokens", "lm_head", "wte", "embed_in", "embed_out")
_MOST_PATTERN_LETTERS = 512

_JUDGED = frozenset({
    "peft_type", "r", "lora_alpha", "rank_pattern", "alpha_pattern", "modules_to_save", "use_dora", "use_rslora",
    "bias", "lora_bias", "init_lora_weights", "fan_in_fan_out", "target_modules",
})  # fmt: skip
"""Settings that are looked at one by one."""
_OF_TRAINING = frozenset({
    "task_type", "base_model_name_or_path", "revision", "peft_version", "inference_mode", "auto_mapping",
    "exclude_modules", "lora_dropout", "layers_to_transform", "layers_pattern", "megatron_core", "loftq_config",
    "eva_config", "corda_config", "lora_ga_config", "qalora_group_size", "runtime_config", "ensure_weight_tying",
})  # fmt: skip
"""Settings that only say how the factors came about; what comes of a start's own settings is in init_lora_weights."""
_KNOWN_KINDS: Mapping[str, str] = {
    "alora_invocation_tokens": "an activated LoRA",
    "layer_replication": "layers that are used twice",
    "use_bdlora": "a block-diagonal LoRA",
    "use_qalora": "a QALoRA",
    "trainable_token_indices": "embeddings of single tokens that were trained",
    "target_parameters": "parameters that belong to no linear layer",
    "arrow_config": "a router over several adapters",
    "monteclora_config": "a MonteCLoRA",
    "velora_config": "a VeLoRA",
    "kasa_config": "a KaSA",
    "megatron_config": "layers of Megatron",
}


def servable(adapter_config: Mapping[str, Any], max_lora_rank: int) -> list[str]:
    """Every reason why vLLM, started with `--max-lora-rank max_lora_rank`, could not serve the adapter; none: it can.

    `adapter_config` is peft's adapter_config.json, or `LoraConfig.to_dict()` before any training. Whatever it holds,
    nothing is raised.
    """
    given = adapter_config
    if (kind := given.get("peft_type", "LORA")) not in ("LORA", None) and str(kind).rsplit(".", 1)[-1] != "LORA":
        return [f"peft_type is {kind}: vLLM serves LORA adapters only"]

    problems = [*_ranks(given, max_lora_rank), *_scales(given)]
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
    if not (start is None or isinstance(start, bool) or (isinstance(start, str) and start.lower() in _HARMLESS_STARTS)):
        problems.append(
            f"init_lora_weights is {start!r}: it changes the base's weights as well, and vLLM would not; convert the "
            "adapter to a plain LoRA when saving it (peft: path_initial_model_for_weight_conversion)"
        )
    problems += [
        f"{name} is set ({what}): it is not served; train without it"
        for name, what in _KNOWN_KINDS.items()
        if given.get(name)
    ]
    problems += [
        f"{name} is set: what it does is not known here, and vLLM would pass over it; train without it"
        for name in sorted(map(str, given.keys() - _JUDGED - _OF_TRAINING - _KNOWN_KINDS.keys()))
        if given.get(name)
    ]
    if given.get("fan_in_fan_out"):
        problems.append(
            "fan_in_fan_out is on: the factors would be the wrong way round for a linear layer; turn it off"
        )
    return problems + _targets(given)


def _ranks(given: Mapping[str, Any], max_lora_rank: int) -> list[str]:
    patterns, problems = _pattern(given, "rank_pattern")
    for name, rank in {"r": given.get("r"), **patterns}.items():
        if type(rank) is not int or rank < 1:
            problems.append(f"{name} is {rank!r}: a rank is a whole number above 0")
        elif rank > max_lora_rank:
            problems.append(
                f"{name} is {rank} and vLLM's --max-lora-rank is {max_lora_rank}: train with a lower rank, or start "
                "vLLM with a larger one"
            )
    return problems


def _scales(given: Mapping[str, Any]) -> list[str]:
    patterns, problems = _pattern(given, "alpha_pattern")
    alphas = {"lora_alpha": given["lora_alpha"], **patterns} if "lora_alpha" in given else patterns
    problems += [
        f"{name} is {alpha!r}: it must be a number above 0"
        for name, alpha in alphas.items()
        if not is_number(alpha) or alpha <= 0
    ]
    if (scaled := given.get("use_rslora")) not in (True, False, None):
        problems.append(f"use_rslora is {scaled!r}: it must be true or false")
    return problems


def _pattern(given: Mapping[str, Any], name: str) -> tuple[dict[str, Any], list[str]]:
    """The pattern's entries, each under the name that a message gives it, and what is wrong with the patterns."""
    patterns = given.get(name) or {}
    if not isinstance(patterns, Mapping):
        return {}, [f"{name} is {patterns!r}: it must be an object, from a module's name to its number"]
    problems = []
    for pattern in patterns:
        try:
            fits = isinstance(pattern, str) and len(pattern) <= _MOST_PATTERN_LETTERS and bool(re.compile(pattern))
        except (re.error, RecursionError, OverflowError):
            fits = False
        if not fits:
            problems.append(f"{name} names {str(pattern)[:60]!r}: that is no module's name or pattern")
    return {f"{name}[{pattern}]": value for pattern, value in patterns.items()}, problems


def _targets(given: Mapping[str, Any]) -> list[str]:
    targets = given.get("target_modules")
    if targets in (None, "all-linear"):
        return []
    names = [targets] if isinstance(targets, str) else targets
    if not isinstance(names, list | tuple | set | frozenset) or not all(isinstance(name, str) for name in names):
        return [f"target_modules is {targets!r}: it must be a list of modules' names"]
    if isinstance(targets, str) and not re.fullmatch(r"[\w.]+", targets):
        return [
            f"target_modules is the pattern {targets!r}: whether it takes in an embedding cannot be told; list the "
            "modules' names instead"
        ]
    touched = [name for name in names if name.rsplit(".", 1)[-1] in _EMBEDDINGS]
    if not touched:
        return []
    return [
        f"target_modules holds {_listed(touched)}: vLLM serves that for some architectures only, and a model with "
        "tied embeddings cannot be merged; leave it out"
    ]


def _listed(values: Any) -> str:
    if isinstance(values, Iterable) and not isinstance(values, str):
        return ", ".join(sorted(map(str, values)))
    return str(values)
