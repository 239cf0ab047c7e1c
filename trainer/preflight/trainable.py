"""Rungs 2 to 5, in one process of the training environment: import, config, tiny model, kernel.

One process, since importing torch and transformers takes most of the time; each rung has its own time limit, and a
process that dies says which step it died in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from trainer.preflight.child import Ended, Event, run_probe
from trainer.preflight.rung import CONFIG, IMPORT, KERNEL, TINY, Rung, Wall
from trainer.preflight.shrink import tiny_configs
from trainer.preflight.stack import Stack
from trainer.preflight.walls import NEEDED, name_wall, plain_wall

Said = Callable[[str, str], None]
"""Called with a rung and what it does just now."""

# What the trainer's own modules import beside torch and the rest.
OWN_NEEDS = ("pydantic", "msgspec", "yaml", "numpy", "rich", "typer")
_RUNGS = (IMPORT, CONFIG, TINY, KERNEL)


def climb_training(
    stack: Stack,
    config: Mapping[str, Any],
    settings: Mapping[str, Any],
    work: Path,
    *,
    root: Path,
    own: bool = True,
    say: Said = lambda *_: None,
) -> tuple[list[Rung], dict[str, Any]]:
    """The four rungs, and facts for those after them (`answers`: what the tiny model says with and without adapter).

    config: parsed config.json. settings: a `TrainSettings` as plain values. work: an empty folder; the tiny base,
    adapter and merge are left in it as `base`, `adapter` and `merged`. own: try the trainer's own code as well.
    """
    folder = work / "model"
    _write(folder, config)
    tiny = []
    for name, small in tiny_configs(config):
        _write(work / name, small)
        tiny.append(str(work / name))
    lora = settings.get("lora", {})
    request = {
        "folder": str(folder), "tiny": tiny, "work": str(work), "root": str(root), "rungs": _RUNGS,
        "lora": {"rank": 16, "alpha": 32, "targets": "all-linear", **lora},
        "device": settings.get("device", {}).get("kind", "auto"), "needs": OWN_NEEDS if own else (),
        "settings": {key: settings[key] for key in ("data", "lora", "device", "seed", "serving") if key in settings},
    }  # fmt: skip
    events: list[Event] = []

    def seen(event: Event) -> None:
        events.append(event)
        if "doing" in event:
            say(event["rung"], event["doing"])

    ended = run_probe(stack.python, "probe_training", request, seen)
    facts = {event["fact"]: event for event in events if "fact" in event}
    return [_rung(name, events, ended, stack, config, facts) for name in _RUNGS], facts


def _write(folder: Path, config: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


def _rung(
    name: str, events: list[Event], ended: Ended, stack: Stack, config: Mapping[str, Any], facts: dict[str, Any]
) -> Rung:
    own = [event for event in events if event["rung"] == name]
    done = [event for event in own if "done" in event]
    seconds = sum(event["seconds"] for event in done)
    tail = "\n".join(ended.tail)
    about = {"written_by": config.get("transformers_version"), "model_type": config.get("model_type")}
    walls = [
        name_wall(event["error"], stack, doing=event["done"], facts=about, tail=tail)
        for event in done
        if not event["ok"]
    ]
    died = ended.doing is not None and ended.doing[0] == name and ended.error is not None
    if died and ended.error is not None and ended.doing is not None:
        walls.append(name_wall(ended.error, stack, doing=ended.doing[1], facts=about, tail=tail))
    if name == CONFIG and (own or not walls):
        walls += _quantised(stack, config)
    finished = any(event.get("end") for event in own)
    if walls:
        return Rung(name, "failed", f"stopped at: {walls[0].name}", seconds, tuple(dict.fromkeys(walls)))
    if name == TINY and "not small" in facts:
        return Rung(name, "not asked", facts["not small"]["text"], seconds)
    if not finished:
        return Rung(name, "not asked", _why_not(name, events, ended), seconds)
    said, notes = _said(name, stack, config, facts)
    return Rung(name, "passed", said, seconds, notes=notes)


def _quantised(stack: Stack, config: Mapping[str, Any]) -> list[Wall]:
    quantised = config.get("quantization_config")
    if not isinstance(quantised, Mapping):
        return []
    kind = quantised.get("quant_method", "unknown")
    return [
        plain_wall(
            "quantised base", stack, (), f"This base is quantised ({kind}); adapters are trained on plain weights.",
            f"config.json has quantization_config with quant_method {kind!r}",
            "name the bfloat16 folder of the same model as base.model; vLLM can serve the adapter on either",
        )
    ]  # fmt: skip


def _why_not(name: str, events: list[Event], ended: Ended) -> str:
    if ended.error is not None and not any(event["rung"] == name for event in events):
        return "the process ended in an earlier rung"
    return {
        CONFIG: "transformers does not import",
        TINY: "needs torch, transformers and peft to import, and transformers to know the architecture",
        KERNEL: "torch does not import",
        IMPORT: "the environment's Python said nothing",
    }[name]


def _said(name: str, stack: Stack, config: Mapping[str, Any], facts: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    if name == IMPORT:
        return f"Python {stack.python_version}, {', '.join(stack.named(*NEEDED))}", ()
    if name == CONFIG:
        return f"{config.get('model_type')} is known", _newer(stack, config)
    if name == KERNEL:
        device = facts.get("device", {})
        if device.get("kind") == "cuda":
            capability = ".".join(map(str, device["capability"]))
            return f"a Triton kernel compiles and computes right on {device['name']} ({capability})", ()
        return "no GPU: nothing is compiled on a CPU", ()
    return _tiny(facts)


def _tiny(facts: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    model, adapter, answers = facts["model"], facts["adapter"], facts.get("answers", {})
    modules = ", ".join(f"{name} x{count}" for name, count in adapter["modules"].items())
    said = (
        f"{model['architecture']}, {model['layers']} layers, random: loss {adapter['first_loss']:.3f} to "
        f"{adapter['last_loss']:.3f}; saved, loaded, merged: same logits. LoRA on {modules}"
    )
    notes = []
    if model["made"] != "narrow":
        notes.append(f"made with its full widths, since its code did not take smaller ones: {model['tried'][0]}")
    if adapter["unmoved_count"]:
        shown = ", ".join(adapter["unmoved"][:3])
        notes.append(f"{adapter['unmoved_count']} targeted modules were not reached by text and learn nothing: {shown}")
    if adapter["experts"]:
        notes.append(
            f"the experts' weights ({', '.join(adapter['experts'])}) are no linear layers: LoRA leaves them alone"
        )
    if answers and not answers["moved"] > 0:
        notes.append("the adapter changed no logit")
    if engine := facts.get("own", {}).get("engine"):
        notes.append(f"the trainer's own step ran with its {engine}")
    return said, tuple(notes)


def _newer(stack: Stack, config: Mapping[str, Any]) -> tuple[str, ...]:
    written, has = config.get("transformers_version"), stack.version("transformers")
    if not isinstance(written, str) or not has or _numbers(written) <= _numbers(has):
        return ()
    return (f"config.json was written by transformers {written}, newer than the {has} here",)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version.split("+")[0])[:3])
