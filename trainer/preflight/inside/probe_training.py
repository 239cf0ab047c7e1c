"""Runs in the training environment: rungs import, config, tiny model and kernel. The request is a JSON file.

Request: {"folder": holds config.json as the model has it, "tiny": [folders with a config.json each, smallest first],
"work": an empty folder, "lora": {"rank", "alpha", "targets"}, "device": auto|cuda|cpu, "root": the project's root,
"needs": modules that the trainer itself imports, "rungs": those to run}
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Any

import probe_events  # type: ignore[import-not-found, unused-ignore]
from probe_events import Step, end, fail, leave_this_folder, open_events, say, version  # type: ignore[import-not-found, unused-ignore]

request = json.load(open(sys.argv[1], encoding="utf-8"))  # noqa: SIM115
open_events()
import probe_tiny  # type: ignore[import-not-found, unused-ignore]  # noqa: E402

leave_this_folder()


def imports() -> set[str]:
    """Import what training imports, and put a LoRA layer on one linear layer: that is where optional packages bite."""
    good: set[str] = set()
    for name in ("torch", "safetensors.torch", "transformers", "peft"):
        package = name.split(".")[0]
        with Step("import", f"import {name}", package=package, version=version(package)) as step:
            module = importlib.import_module(name)
            if name == "transformers":
                for wanted in ("AutoConfig", "AutoModelForCausalLM", "AutoTokenizer"):
                    getattr(module, wanted)
        if step.ok:
            good.add(package)
        if name == "torch" and not step.ok:
            return good
    if {"torch", "peft"} <= good:
        with Step("import", "put a LoRA layer on a linear layer") as step:
            _one_lora_layer()
        if not step.ok:
            good.discard("peft")
    for name in request["needs"]:
        with Step("import", f"import {name}", package=name, version=version(name)):
            importlib.import_module(name)
    return good


def _one_lora_layer() -> None:
    import torch
    from peft import LoraConfig, get_peft_model

    class OneLayer(torch.nn.Module):  # type: ignore[misc, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(4, 4)

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return self.linear(inputs)

    get_peft_model(OneLayer(), LoraConfig(r=2, target_modules=["linear"]))(torch.ones(1, 4))


def config() -> bool:
    """Does transformers know the architecture, and does it read the file as it is written?"""
    with open(os.path.join(request["folder"], "config.json"), encoding="utf-8") as file:
        written = json.load(file)
    facts: dict[str, Any] = {"model_type": written.get("model_type"), "written_by": written.get("transformers_version")}
    with Step("config", "read config.json", **facts) as step:
        from transformers import AutoConfig

        read = AutoConfig.from_pretrained(request["folder"], local_files_only=True)
    if not step.ok:
        return False
    with Step("config", "find the model's class", **facts) as step:
        from transformers import AutoModelForCausalLM

        known = AutoModelForCausalLM._model_mapping
        if type(read) not in known:
            raise ValueError(f"no causal language model of model_type {written.get('model_type')!r} in transformers")
    if not step.ok:
        return False
    theta, seen = _theta(written), _theta_in_use(read)
    if theta is not None and seen is not None and theta != seen:
        fail(
            "config", "compare rope_theta", f"rope_theta is {theta:g} in config.json and was read as {seen:g}", **facts
        )
        return False
    for name in ("tie_word_embeddings", "vocab_size", "num_hidden_layers"):
        if name in written and getattr(read, name, written[name]) != written[name]:
            fail(
                "config", f"compare {name}", f"{name} is {written[name]} in config.json, read as {getattr(read, name)}"
            )
            return False
    return True


def _theta(settings: dict[str, Any]) -> float | None:
    rope = settings.get("rope_parameters") or {}
    value = rope.get("rope_theta") if isinstance(rope, dict) else None
    value = settings.get("rope_theta") if value is None else value
    return float(value) if isinstance(value, (int, float)) else None


def _theta_in_use(read: Any) -> float | None:
    """What the model's code will use: transformers 4 keeps `rope_parameters` as an unknown setting, and ignores it."""
    if int((version("transformers") or "5").split(".")[0]) < 5 and hasattr(read, "rope_theta"):
        return float(read.rope_theta)
    return _theta(read.to_dict())


def kernel() -> None:
    """Compile one small kernel for the GPU, as the trainer's own will be, and check what it computes."""
    import torch

    card = os.path.exists("/dev/nvidia0") or os.path.exists("/proc/driver/nvidia/version")
    if not torch.cuda.is_available():
        say(rung="kernel", fact="device", kind="cpu", card=card, torch=torch.__version__)
        if request["device"] == "cuda" or (card and request["device"] == "auto"):
            why = "an NVIDIA card is here" if card else "device.kind is cuda"
            built = torch.version.cuda
            build = (
                f"torch {torch.__version__} is built for CUDA {built}"
                if built
                else f"torch {torch.__version__} is a build without CUDA"
            )
            fail("kernel", "find the GPU", f"{why}, and torch sees no CUDA device: {build}")
        return
    name, capability = torch.cuda.get_device_name(0), torch.cuda.get_device_capability(0)
    say(rung="kernel", fact="device", kind="cuda", name=name, capability=list(capability), torch=torch.__version__)
    if request["device"] == "cpu":
        return
    with Step("kernel", "multiply on the GPU") as step:
        square = torch.ones(64, 64, device="cuda", dtype=torch.bfloat16)
        assert float((square @ square)[0, 0]) == 64.0
    if not step.ok:
        return
    with Step("kernel", "compile with torch.compile and Triton"):
        compiled = torch.compile(lambda values: torch.nn.functional.silu(values) * values + 1.0)
        values = torch.linspace(-3, 3, 4096, device="cuda")
        wanted = torch.nn.functional.silu(values) * values + 1.0
        difference = float((compiled(values) - wanted).abs().max())
        if not difference < 1e-4:
            raise ValueError(f"the compiled kernel is wrong by {difference}")


wanted = set(request["rungs"])
good = imports()
end("import")
ready = False
if "config" in wanted and "transformers" in good:
    ready = config()
    end("config")
if "tiny model" in wanted and ready and "peft" in good:
    probe_tiny.run(request)
    end("tiny model")
if "kernel" in wanted and "torch" in good:
    kernel()
    end("kernel")
_ = probe_events
os._exit(0)  # some packages' threads outlive the interpreter and end it with a signal
