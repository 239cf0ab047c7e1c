"""Which tensors of the base an adapter changes, by which factors and at which scale. Pure; no torch."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainer.export.finding import some
from trainer.export.layout import FileLayout, WeightsLayout
from trainer.registry.servable import servable

_PREFIX = "base_model.model."
_FACTOR = re.compile(r"(.+)\.lora_([AB])\.weight")
_FLOATS = ("F32", "F16", "BF16")


class MergeError(ValueError):
    """An adapter that cannot be merged into this base; the message holds every reason."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("the adapter cannot be merged:\n" + "\n".join(f"  - {problem}" for problem in problems))
        self.problems = problems


@dataclass(frozen=True)
class Update:
    """base[tensor] becomes base[tensor] + scale * B @ A, with B and A under these names in the adapter."""

    tensor: str
    a: str
    b: str
    scale: float


def updates(config: Mapping[str, Any], adapter: FileLayout, base: WeightsLayout, *, tied: bool) -> dict[str, Update]:
    """The updates by the base's tensor. `tied`: head and embedding of the base are one. Raises MergeError."""
    problems = servable(config, max_lora_rank=10**9)  # any rank can be merged
    there = base.tensors
    found: dict[str, Update] = {}
    strange = []
    for name in adapter.tensors:
        matched = _FACTOR.fullmatch(name.removeprefix(_PREFIX))
        if not name.startswith(_PREFIX) or matched is None:
            strange.append(name)
            continue
        module, factor = matched[1], matched[2]
        if factor == "B":
            continue
        tensor, b = f"{module}.weight", f"{_PREFIX}{module}.lora_B.weight"
        if tied and module in ("lm_head", "model.embed_tokens"):
            problems.append(
                f"it changes {module}, and the base's head and embedding are one (tie_word_embeddings): a merged head "
                "would be lost; train without it"
            )
        elif tensor not in there:
            problems.append(f"it changes {tensor}, and the base has no such tensor: is it another base's adapter?")
        elif b not in adapter.tensors:
            problems.append(f"{name} has no {b} beside it")
        else:
            try:
                rank, scale = _rank_and_scale(config, module)
            except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError, re.error) as odd:
                if not problems:  # else the settings' fault is told already
                    problems.append(f"the scale of {module} cannot be read from adapter_config.json: {odd!r}")
                continue
            found[tensor] = Update(tensor, name, b, scale)
            problems += _shapes(adapter, base, found[tensor], rank)
    if strange:
        problems.append(f"it holds tensors that are no LoRA factors of linear layers: {some(strange)}")
    if not found and not problems:
        problems.append("it holds no factors at all")
    if problems:
        raise MergeError(problems)
    return found


def _rank_and_scale(config: Mapping[str, Any], module: str) -> tuple[int, float]:
    """As peft: a pattern fits a module when it is the end of its name, from a dot on; the first that fits counts."""

    def own(patterns: Mapping[str, Any] | None, otherwise: Any) -> Any:
        for pattern, value in (patterns or {}).items():
            if re.fullmatch(rf"(.*\.)?({pattern})", module):
                return value
        return otherwise

    rank = int(own(config.get("rank_pattern"), config["r"]))
    alpha = float(own(config.get("alpha_pattern"), config["lora_alpha"]))
    return rank, alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _shapes(adapter: FileLayout, base: WeightsLayout, update: Update, rank: int) -> list[str]:
    a, b, weight = adapter.tensors[update.a], adapter.tensors[update.b], base.tensors[update.tensor]
    if len(weight.shape) != 2 or a.shape != (rank, weight.shape[1]) or b.shape != (weight.shape[0], rank):
        return [
            f"{update.tensor} is {list(weight.shape)} in the base; at rank {rank} the factors {list(a.shape)} and "
            f"{list(b.shape)} do not fit it"
        ]
    foreign = {entry.dtype for entry in (a, b, weight)} - set(_FLOATS)
    if foreign:
        return [f"{update.tensor}: {', '.join(sorted(foreign))} cannot be merged, only {', '.join(_FLOATS)}"]
    return []
