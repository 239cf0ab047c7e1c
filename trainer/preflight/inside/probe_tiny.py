"""The rung that catches most: a random model of the same architecture, small, goes through an adapter's whole life.

LoRA steps whose loss falls; saved; loaded again onto a fresh base; merged; the merge saved and loaded: the logits are
the same each time. Then the trainer's own code takes a step on the same model. All in float32.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from probe_events import Step, fail, say  # type: ignore[import-not-found, unused-ignore]

RUNG = "tiny model"
_STEPS, _LENGTH = 6, 24
_MAX_PARAMETERS = 300_000_000  # 1.2 GB in float32, and three copies of it: more is not tiny
_PROMPT_TOKENS, _ANSWER_TOKENS = 8, 4


class TooLargeError(ValueError):
    """A model that should be small is not."""


def run(request: dict[str, Any]) -> None:
    import torch

    device = "cuda" if request["device"] != "cpu" and torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    work = Path(request["work"])
    base, model_class = work / "base", _base(request, work / "base")
    if model_class is None:
        return
    state: dict[str, Any] = {}
    with Step(RUNG, "take LoRA steps") as step:
        model = _load(model_class, base).to(device)
        state.update(_train(model, request["lora"], device))
    if not step.ok:
        return
    tuned, tokens, logits, base_logits = state["model"], state["tokens"], state["logits"], state["base_logits"]
    with Step(RUNG, "save the adapter") as step:
        tuned.save_pretrained(str(work / "adapter"))
        missing = {"adapter_config.json", "adapter_model.safetensors"} - {
            file.name for file in (work / "adapter").iterdir()
        }
        if missing:
            raise ValueError(f"peft did not write {sorted(missing)}")
    if not step.ok:
        return
    with Step(RUNG, "load the adapter again") as step:
        from peft import PeftModel

        again = PeftModel.from_pretrained(_load(model_class, base).to(device), str(work / "adapter")).eval()
        _same(_logits(again, tokens), logits, "the logits of the adapter that was saved and loaded again", 1e-5)
    if not step.ok:
        return
    with Step(RUNG, "merge") as step:
        merged = again.merge_and_unload()
        _same(_logits(merged, tokens), logits, "the merged model's logits", 1e-4)
    if not step.ok:
        return
    with Step(RUNG, "save the merge and load it again") as step:
        merged.save_pretrained(str(work / "merged"))
        loaded = _load(model_class, work / "merged").to(device)
        _same(_logits(loaded, tokens), logits, "the logits of the merge that was saved and loaded again", 1e-4)
    if not step.ok:
        return
    moved = float((logits - base_logits).abs().max())
    say(rung=RUNG, fact="answers", moved=moved, prompt=tokens[0, :_PROMPT_TOKENS].tolist(),
        base=_greedy(_load(model_class, base).to(device), tokens), tuned=_greedy(loaded, tokens))  # fmt: skip
    if request["needs"] and type(loaded.config) in _known_configs():
        _own_trainer(request, base, work)


def _base(request: dict[str, Any], folder: Path) -> Any:
    """A random base in `folder`, of the first of the small configs that the model's code takes; its class, or None.

    The class, since the text part of a model for images may be saved under a name that no automatic class knows.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    tried: list[str] = []
    errors: list[Exception] = []
    for small in request["tiny"]:
        try:
            config = AutoConfig.from_pretrained(small, local_files_only=True)
            with torch.device("meta"):
                count = sum(weight.numel() for weight in AutoModelForCausalLM.from_config(config).parameters())
            if count > _MAX_PARAMETERS:
                raise TooLargeError(f"with its full widths two layers have {count:,} parameters")
            torch.manual_seed(0)
            model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
            with torch.no_grad():
                logits = _logits(model, torch.arange(4)[None] + 3)
            if not bool(torch.isfinite(logits).all()):
                raise ValueError("the random model's logits are not finite")
            model.save_pretrained(str(folder))
        except Exception as error:
            tried.append(f"{Path(small).name}: {type(error).__name__}: {' '.join(str(error).split())[:200]}")
            errors.append(error)
            continue
        layers = getattr(config.get_text_config(), "num_hidden_layers", None)
        say(rung=RUNG, fact="model", made=Path(small).name, architecture=type(model).__name__, parameters=count,
            layers=layers, tried=tried)  # fmt: skip
        return type(model)
    if isinstance(errors[-1], TooLargeError):  # nothing is known then: the model was never tried
        say(rung=RUNG, fact="not small", text=f"no small model of this kind could be made: {'; '.join(tried)}")
    else:
        fail(RUNG, "make a small random model", errors[-1])
    return None


def _known_configs() -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM._model_mapping


def _load(model_class: Any, folder: Path) -> Any:
    import torch

    return model_class.from_pretrained(str(folder), dtype=torch.float32, local_files_only=True).eval()


def _train(model: Any, lora: dict[str, Any], device: str) -> dict[str, Any]:
    """Steps on one batch. Raises ValueError if the loss does not fall, or a factor is not finite."""
    import torch
    from peft import LoraConfig, get_peft_model
    from torch.nn.functional import cross_entropy

    vocabulary = model.get_output_embeddings().weight.shape[0]
    tokens = torch.randint(3, max(4, vocabulary - 8), (2, _LENGTH), generator=torch.Generator().manual_seed(1)).to(
        device
    )
    base_logits = _logits(model, tokens)
    targets = lora["targets"] if lora["targets"] == "all-linear" else list(lora["targets"])
    tuned = get_peft_model(
        model, LoraConfig(r=lora["rank"], lora_alpha=lora["alpha"], target_modules=targets, task_type="CAUSAL_LM")
    )
    factors = {name: weight for name, weight in tuned.named_parameters() if weight.requires_grad}
    before = {name: weight.detach().clone() for name, weight in factors.items()}
    optimizer = torch.optim.AdamW(factors.values(), lr=5e-3, weight_decay=0.0)
    tuned.train()
    losses = []
    for _ in range(_STEPS):
        logits = tuned(input_ids=tokens, use_cache=False).logits
        loss = cross_entropy(logits[:, :-1].flatten(0, 1).float(), tokens[:, 1:].flatten())
        losses.append(float(loss))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    tuned.eval()
    bad = [name for name, weight in factors.items() if not bool(torch.isfinite(weight).all())]
    if bad or not all(loss == loss and abs(loss) != float("inf") for loss in losses):
        raise ValueError(f"the training loss is not finite: {losses}")
    if not losses[-1] < losses[0]:
        raise ValueError(f"the training loss did not fall in {_STEPS} steps: {losses}")
    modules: dict[str, int] = {}
    for name in tuned.targeted_module_names:
        modules[name.rsplit(".", 1)[-1]] = modules.get(name.rsplit(".", 1)[-1], 0) + 1
    unmoved = sorted({
        name.split(".lora_")[0].removeprefix("base_model.model.")
        for name, weight in factors.items() if torch.equal(weight.detach(), before[name])
    })  # fmt: skip
    unmoved = [name for name in unmoved if _unmoved(name, factors, before)]
    experts = sorted({
        name.rsplit(".", 1)[-1] for name, weight in model.named_parameters() if weight.ndim == 3 and "lora_" not in name
        and "expert" in name
    })  # fmt: skip
    say(rung=RUNG, fact="adapter", first_loss=losses[0], last_loss=losses[-1], modules=modules, unmoved=unmoved[:8],
        unmoved_count=len(unmoved), experts=experts,
        factors=sum(weight.numel() for weight in factors.values()))  # fmt: skip
    return {"model": tuned, "tokens": tokens, "logits": _logits(tuned, tokens), "base_logits": base_logits}


def _unmoved(module: str, factors: dict[str, Any], before: dict[str, Any]) -> bool:
    import torch

    own = [name for name in factors if f"{module}.lora_" in name]
    return all(torch.equal(factors[name].detach(), before[name]) for name in own)


def _logits(model: Any, tokens: Any) -> Any:
    import torch

    with torch.no_grad():
        return model(input_ids=tokens, use_cache=False).logits.float()


def _same(one: Any, other: Any, what: str, tolerance: float) -> None:
    difference, size = float((one - other).abs().max()), float(other.abs().max())
    if not difference <= tolerance * max(size, 1.0):
        raise ValueError(f"{what} differ by {difference:.3g}, of {size:.3g} at most")


def _greedy(model: Any, tokens: Any) -> list[int]:
    import torch

    written = tokens[:1, :_PROMPT_TOKENS]
    for _ in range(_ANSWER_TOKENS):
        written = torch.cat([written, _logits(model, written)[:, -1:].argmax(-1)], dim=1)
    answer: list[int] = written[0, _PROMPT_TOKENS:].tolist()
    return answer


def _own_trainer(request: dict[str, Any], base: Path, work: Path) -> None:
    """The trainer's own code opens the same model, takes a step, and writes an adapter with peft's names."""
    sys.path.append(request["root"])  # last: nothing of the project's environment may stand before this one's
    with Step(RUNG, "take a step with the trainer's own code"):
        import torch
        from safetensors import safe_open

        from trainer.model.batch import to_device
        from trainer.model.open import device_of, open_model
        from trainer.settings.schema import TrainSettings

        given = {"version": 1, "name": "preflight", **request["settings"], "base": {"model": str(base)}}
        settings = TrainSettings.model_validate(given)
        device = device_of(settings)
        model = open_model(settings, device, checkpointing=False)
        loss = model.loss_sum(to_device(_batch(), device))
        loss.backward()
        if not bool(torch.isfinite(loss)):
            raise ValueError(f"the trainer's own loss is {float(loss)}")
        (work / "own").mkdir()
        model.save_adapter(work / "own")
        names = []
        for folder in ("own", "adapter"):
            with safe_open(os.path.join(work, folder, "adapter_model.safetensors"), framework="pt") as file:
                names.append(set(file.keys()))
        odd = sorted(names[0] ^ names[1])
        if odd:
            raise ValueError(f"the trainer's adapter and peft's differ in {len(odd)} tensors, such as {odd[0]}")
        say(rung=RUNG, fact="own", engine=type(model).__name__)


def _batch() -> Any:
    """Two documents in one sequence, as packing makes them."""
    from types import SimpleNamespace

    import numpy as np

    half = _LENGTH // 2
    positions = np.concatenate([np.arange(half), np.arange(half)])[None].astype(np.int32)
    documents = np.repeat([0, 1], half)[None].astype(np.int32)
    tokens = (np.arange(_LENGTH)[None] % 50 + 3).astype(np.int32)
    targets = np.full((1, _LENGTH), -100, np.int32)
    targets[0, : half - 1], targets[0, half:-1] = tokens[0, 1:half], tokens[0, half + 1 :]
    return SimpleNamespace(tokens=tokens, targets=targets, positions=positions, documents=documents)
