"""Everything the local box needs before it starts, made once and kept: the environment, the model, the adapter."""

import fcntl
import os
import re
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.sandbox.exit_status import in_words
from gateway.sandbox.home import require_home
from gateway.sandbox.vllm import stamp
from gateway.sandbox.vllm.environment import ensure_environment, environment_fingerprint

ADAPTER_NAME = "tuned"
"""The model name under which the demo serves the adapter."""

_PACKAGE = Path(__file__).parent
_CONVERT_MODEL = _PACKAGE / "convert_model.py"
_TRAINER = _PACKAGE.parents[2] / "trainer"
_TRAIN_LORA = _TRAINER / "lora.py"
_TRAINING_DATA = _TRAINER / "data" / "handbook_chat.jsonl"
# On two free cores the steps take 45 s; on a machine that is slower or busy they end here, with fewer steps.
_TRAINING_MAX_SECONDS = 60


class PreparationFailedError(RuntimeError):
    """The model could not be converted or the adapter not trained; the message ends with the script's last lines."""


@dataclass(frozen=True)
class Prepared:
    """What `VllmSettings` needs. `seconds` holds the time of each stage by its name; a stage already done is near 0."""

    python: Path
    model_dir: Path
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
    adapter_dir = home / "adapters" / "handbook"
    seconds: dict[str, float] = {}
    with _one_at_a_time(home / "prepare.lock", say):
        with _stage("environment", seconds, say):
            python = ensure_environment(home, say)

        model_from = stamp.fingerprint(_CONVERT_MODEL, environment_fingerprint())
        with _stage("model", seconds, say):
            if not stamp.is_current(model_dir, model_from):
                say("converting SmolLM2-135M-Instruct")
                _run_script([str(python), str(_CONVERT_MODEL), "--output", str(model_dir)], say)
                stamp.mark(model_dir, model_from)

        adapter_from = stamp.fingerprint(_TRAIN_LORA, _TRAINING_DATA, model_from)
        with _stage("adapter", seconds, say):
            if not stamp.is_current(adapter_dir, adapter_from):
                say("training a LoRA adapter on the handbook's questions")
                command = [str(python), str(_TRAIN_LORA), "--model", str(model_dir), "--data", str(_TRAINING_DATA)]
                command += ["--output", str(adapter_dir), "--max-seconds", str(_TRAINING_MAX_SECONDS)]
                _run_script(command, say)
                stamp.mark(adapter_dir, adapter_from)
    return Prepared(python, model_dir, adapter_dir, seconds)


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


# Of a script's output, what somebody waiting wants to see. The rest (settings, progress bars) is for its own log.
_PROGRESS = re.compile(r"^(step \d+/|training |stopped at |.*\.gguf: )")


def _run_script(command: list[str], say: Callable[[str], None]) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
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
                if _PROGRESS.match(line):
                    say(line.rstrip())
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        raise PreparationFailedError(
            f"{Path(command[1]).name} ended ({in_words(process.returncode)}). Its last lines:\n  "
            + "\n  ".join(last_lines)
        )
