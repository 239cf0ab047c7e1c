"""Everything the local box needs before it starts, made once and kept: the environment, the model, the adapter."""

import fcntl
import json
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.sandbox.exit_status import in_words
from gateway.sandbox.home import require_home
from gateway.sandbox.vllm import stamp
from gateway.sandbox.vllm.environment import ensure_environment, environment_fingerprint

_PACKAGE = Path(__file__).parent
_CONVERT_MODEL = _PACKAGE / "convert_model.py"
_ROOT = _PACKAGE.parents[2]
_RECIPE = _ROOT / "trainer" / "recipes" / "handbook.yaml"
_ROWS = _ROOT / "trainer" / "data" / "handbook_chat.jsonl"


class PreparationFailedError(RuntimeError):
    """The model could not be converted or the adapter not trained; the message ends with the script's last lines."""


@dataclass(frozen=True)
class Prepared:
    """What `VllmSettings` needs. `seconds` holds the time of each stage by its name; a stage already done is near 0."""

    python: Path
    model_dir: Path
    adapter: str
    """The version that was trained, like handbook@v0001: also the model name under which it is served."""
    adapter_dir: Path
    seconds: dict[str, float]


def prepare(home: Path, say: Callable[[str], None]) -> Prepared:
    """Do what is not done yet under `home`; `say` takes one line of progress at a time.

    From nothing it takes about two minutes on two cores and 2.8 GB. Two processes may call it at once: the second
    waits for the first. Raises HomeError, EnvironmentFailedError,
    PreparationFailedError.
    """
    home = require_home(home)
    model_dir = home / "models" / "smollm2-135m-instruct"
    trained = home / "adapters" / "handbook"
    seconds: dict[str, float] = {}
    with _one_at_a_time(home / "prepare.lock", say):
        with _stage("environment", seconds, say):
            python = ensure_environment(home, say)

        model_from = stamp.fingerprint(_CONVERT_MODEL, environment_fingerprint())
        with _stage("model", seconds, say):
            if not stamp.is_current(model_dir, model_from):
                say("converting SmolLM2-135M-Instruct")
                command = [str(python), str(_CONVERT_MODEL), "--output", str(model_dir)]
                _run_script(_CONVERT_MODEL.name, command, say, _conversion_progress)
                stamp.mark(model_dir, model_from)

        adapter_from = stamp.fingerprint(_RECIPE, _ROWS, model_from)
        with _stage("adapter", seconds, say):
            if not stamp.is_current(trained, adapter_from) or not _version_of(trained):
                say("training a LoRA adapter on the handbook's questions")
                version = _train(home, python, say)
                trained.mkdir(parents=True, exist_ok=True)
                (trained / "version.json").write_text(json.dumps(version))
                stamp.mark(trained, adapter_from)
            version = _version_of(trained)
    return Prepared(python, model_dir, version["version"], Path(version["folder"]) / "adapter", seconds)


def _version_of(trained: Path) -> dict[str, str]:
    """What was trained; empty when its folder is not there any more."""
    version: dict[str, str] = json.loads((trained / "version.json").read_text())
    return version if Path(version["folder"]).is_dir() else {}


def _train(home: Path, python: Path, say: Callable[[str], None]) -> dict[str, str]:
    """Train by the shipped recipe, as anyone would; the new version of the registry, {"version", "folder"}."""
    command = [sys.executable, "-m", "gateway.cli", "adapter", "train", "--config", str(_RECIPE), "--json"]
    command += ["--python", str(python), "--no-preflight"]  # this stack is locked, and tried by the tests
    lines = _run_script("training", command, say, _training_progress, {"CROSSOVER_HOME": str(home)})
    version: dict[str, str] = json.loads(lines[-1])
    return version


def _training_progress(line: str) -> str | None:
    """An event of the trainer in short; None for one that says nothing to somebody waiting."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    if event.get("event") != "step":
        return None
    return f"step {event['step']}/{event['steps']} loss {event['loss']:.4f}"


@contextmanager
def _stage(name: str, seconds: dict[str, float], say: Callable[[str], None]) -> Iterator[None]:
    started = time.monotonic()
    yield
    seconds[name] = round(time.monotonic() - started, 2)
    say(f"{name} ready ({seconds[name]:.1f} s)")


@contextmanager
def _one_at_a_time(lock_file: Path, say: Callable[[str], None]) -> Iterator[None]:
    with lock_file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another process that is preparing {lock_file.parent}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield  # closing the file lets go of the lock


def _conversion_progress(line: str) -> str | None:
    return line if ".gguf: " in line else None


def _run_script(
    what: str,
    command: list[str],
    say: Callable[[str], None],
    progress: Callable[[str], str | None],
    more: Mapping[str, str] | None = None,
) -> Sequence[str]:
    """Its last lines. `progress`: of a line, what somebody waiting wants to see; `more`: environment variables."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    environment |= more or {}
    last_lines: deque[str] = deque(maxlen=15)
    with subprocess.Popen(  # noqa: S603
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        text=True,
        bufsize=1,
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                last_lines.append(line.rstrip())
                if short := progress(line.rstrip()):
                    say(short)
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        raise PreparationFailedError(
            f"{what} ended ({in_words(process.returncode)}). Its last lines:\n  " + "\n  ".join(last_lines)
        )
    return list(last_lines)
