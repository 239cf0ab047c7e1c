"""Rung 1: do the packages go together by their own metadata? Nothing is installed.

What is installed is checked without a network. What somebody wants beside it (`--with`) is resolved against it, pinned
as it is: the newest release of each, since a resolver left alone goes back years without a word until one fits.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from trainer.preflight.conflicts import Conflict, installed_conflicts, resolver_conflict, unreachable
from trainer.preflight.rung import RESOLVE, Rung, Wall
from trainer.preflight.stack import Stack, normal

LAYER_LAGS = "the layer above lags"
_LIMIT_SECONDS = 60.0
# What training runs on. A conflict between other packages of the environment is no wall for it.
CORE = ("torch", "transformers", "peft", "safetensors", "accelerate", "tokenizers", "huggingface-hub", "numpy")
_PINNED = ("torch", "transformers", "peft")


def resolve(stack: Stack, wanted: Sequence[str] = ()) -> Rung:
    """The rung. `wanted`: requirements, such as `llamafactory` or `trl>=1.16`, to be added to what is installed."""
    started = time.monotonic()
    uv = find_uv()
    if uv is None:
        return Rung(RESOLVE, "not asked", "uv was not found: pip install uv")
    walls, notes = _installed(uv, stack)
    unasked = ""
    for requirement in wanted:
        found, unasked = _beside(uv, stack, requirement)
        walls += found
        if unasked:
            break
    seconds = time.monotonic() - started
    if walls:
        return Rung(RESOLVE, "failed", f"stopped at: {walls[0].name}", seconds, tuple(walls), tuple(notes))
    if unasked:
        return Rung(RESOLVE, "not asked", unasked, seconds, notes=tuple(notes))
    kept = ", ".join(stack.named(*_PINNED))
    said = f"{', '.join(wanted)} can be installed beside {kept}" if wanted else f"what is installed agrees: {kept}"
    return Rung(RESOLVE, "passed", said, seconds, notes=tuple(notes))


def _installed(uv: str, stack: Stack) -> tuple[list[Wall], list[str]]:
    code, said = _run([uv, "pip", "check", "--no-config", "--python", str(stack.python)])
    if code is None:
        return [], [f"what is installed was not checked: {said}"]
    conflicts = installed_conflicts(said)
    core = [each for each in conflicts if _touches_core(each) and not _missing(each)]
    walls = [
        Wall(
            "installed packages disagree", stack.named(each.who, _name(each.wants)),
            f"{each.who} wants {each.wants}, and {each.has}.", each.line,
            stack.install(each.wants.split(" ;")[0].replace(" ", "")),
        )
        for each in core
    ]  # fmt: skip
    others = len(conflicts) - len(core)
    return walls, [f"{others} disagreements between packages that LoRA does not need"] if others else []


def _beside(uv: str, stack: Stack, requirement: str) -> tuple[list[Wall], str]:
    """Walls, and why nothing was asked (or '')."""
    pinned = {name: version.split("+")[0] for name in _PINNED if (version := stack.version(name))}
    with tempfile.TemporaryDirectory(prefix="crossover-resolve-") as folder:
        asked, constraints = Path(folder) / "asked.in", Path(folder) / "here.txt"
        constraints.write_text("".join(f"{name}=={version}\n" for name, version in pinned.items()), encoding="utf-8")
        compile_ = [
            uv, "pip", "compile", "--no-config", "--quiet", "--no-header", "--no-annotate", "--python-version",
            stack.python_version, str(asked),
        ]  # fmt: skip
        asked.write_text(requirement + "\n", encoding="utf-8")
        code, alone = _run([*compile_, *package_sources()])
        if code is None or unreachable(alone):
            return [], f"no package index answered about {requirement}: nothing is known"
        name = _name(requirement)
        newest = next((line for line in alone.splitlines() if normal(line.split("==")[0]) == normal(name)), None)
        if code:
            said = alone
        elif newest is None:
            return [], f"uv said nothing about {requirement}"
        else:
            extras = "".join(re.findall(r"\[[^\]]*\]", requirement))
            exact = newest.strip().replace("==", f"{extras}==", 1)
            asked.write_text(exact + "\n", encoding="utf-8")
            code, said = _run([*compile_, "--constraint", str(constraints), *package_sources()])
            if code is None or unreachable(said):
                return [], f"no package index answered about {exact}: nothing is known"
    if not code:
        return [], ""
    conflict = resolver_conflict(said, pinned)
    if conflict is None:
        last = next((line.strip() for line in said.splitlines() if line.strip()), "nothing")
        return [], f"uv could not be asked about {requirement}: {last[:200]}"
    what = f"{conflict.who} wants {conflict.wants}, and {conflict.has}."
    mend = (
        f"leave {name} out: this trainer needs none of the layers above peft; "
        f"or give it an environment of its own: uv venv OTHER && uv pip install --python OTHER '{requirement}'"
    )
    here = stack.named(_name(conflict.wants))
    return [Wall(LAYER_LAGS, (conflict.who, *here), what, conflict.line, mend)], ""


def _touches_core(conflict: Conflict) -> bool:
    return normal(conflict.who) in CORE


def _missing(conflict: Conflict) -> bool:
    """Not installed at all: the import rung says whether that matters."""
    return "not installed" in conflict.has


def _name(requirement: str) -> str:
    return re.split(r"[<>=!~\[; @]", requirement.strip())[0]


def package_sources() -> list[str]:
    """The indexes of this machine's pip, which uv does not read."""
    from gateway.sandbox.vllm.package_sources import pip_configuration, uv_source_arguments

    links = pip_configuration().get("find-links", "")
    return uv_source_arguments(pip={"find-links": links})


def find_uv() -> str | None:
    beside = Path(sys.executable).parent / "uv"
    return str(beside) if beside.exists() else shutil.which("uv")


def _run(command: list[str]) -> tuple[int | None, str]:
    """Exit status and what was printed; None with the reason when it could not be run to its end."""
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_SECONDS, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return None, f"no answer within {_LIMIT_SECONDS:.0f} s"
    except OSError as problem:
        return None, str(problem)
    return ran.returncode, ran.stdout + ran.stderr
