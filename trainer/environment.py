"""The training environment: a Python that has torch, transformers and peft. The `crossover` command itself has none of
them; what needs them runs there, as a module of this project in a process of its own."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

PYTHON_VARIABLE = "CROSSOVER_TRAIN_PYTHON"
_MADE_BY_THE_DEMO = Path("vllm-venv") / "bin" / "python"
_STOP_SECONDS = 60.0
# By name, since the values tell nothing. What else is there stays: libraries and launchers of many kinds are set by it.
_SECRET = re.compile(r"KEY|TOKEN(?!IZER)|SECRET|PASSW|CREDENTIAL|^AWS_")


class NoTrainingEnvironmentError(RuntimeError):
    """No Python with torch was found, or the one that was named is not there; the message says what to do."""


def root() -> Path:
    """The folder that holds the packages `trainer` and `gateway`."""
    return Path(__file__).resolve().parents[1]


def home() -> Path:
    """Where the demo keeps its environment and models."""
    return Path(os.environ.get("CROSSOVER_HOME", ".crossover")).absolute()


def training_python(given: Path | None = None) -> Path:
    """The Python to train with: `given`, else $CROSSOVER_TRAIN_PYTHON, else this one if it has torch, else the
    environment that the demo made. Raises `NoTrainingEnvironmentError`."""
    for python, said in ((given, "--python"), (_from_variable(), PYTHON_VARIABLE)):
        if python is not None:
            if not os.access(python, os.X_OK):
                raise NoTrainingEnvironmentError(f"{said} is {python}, and no program is there: give a Python's path")
            return python.absolute()
    if importlib.util.find_spec("torch") is not None:
        return Path(sys.executable)
    made = home() / _MADE_BY_THE_DEMO
    if os.access(made, os.X_OK):
        return made
    raise NoTrainingEnvironmentError(
        "no Python with torch was found: install the extra `train` into an environment of its own "
        f"(pip install 'crossover[train]') and name its Python with --python or {PYTHON_VARIABLE}; "
        f"on a machine without a GPU `make demo` makes one at {made}"
    )


def environment() -> dict[str, str]:
    """The process's own less its secrets, with this project importable, without the network's model hub."""
    paths = [str(root()), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **without_secrets(os.environ),
        "PYTHONPATH": os.pathsep.join(paths),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that code of others may see: none whose name says key, token, secret, password or credential.

    A model, its tokenizer and the libraries that load them run in the child, and need none of these.
    """
    return {name: value for name, value in environ.items() if not _SECRET.search(name.upper())}


def module_command(python: Path, module: str, arguments: Sequence[str] = ()) -> list[str]:
    return [str(python), "-m", module, *arguments]


def run_module(
    python: Path,
    module: str,
    arguments: Sequence[str] = (),
    *,
    all_to_stderr: bool = False,
    more: Mapping[str, str] | None = None,
) -> int:
    """Run `python -m module` with this process's standard output and error, and no input; return its exit status.

    `more`: variables besides those of `environment`. `all_to_stderr`: standard output belongs to this process, and
    the child's goes where its errors go.

    SIGINT and SIGTERM are passed on (a terminal's Ctrl-C reaches the child by itself), and the child is waited for: a
    training run writes a checkpoint before it ends.
    """
    command = module_command(python, module, arguments)
    own = {**environment(), **(more or {})}
    child = subprocess.Popen(  # noqa: S603
        command, env=own, stdin=subprocess.DEVNULL, stdout=sys.stderr if all_to_stderr else None
    )  # a library that asks a question gets no answer, and does not wait for one

    def pass_on(number: int, _frame: object) -> None:
        if child.poll() is None:
            child.send_signal(number)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # A terminal sends Ctrl-C to the whole group: passing it on as well would interrupt the child's last checkpoint.
    signal.signal(signal.SIGINT, signal.SIG_IGN if sys.stdin.isatty() else pass_on)
    signal.signal(signal.SIGTERM, pass_on)
    try:
        status = child.wait()
    except BaseException:
        child.terminate()
        child.wait(_STOP_SECONDS)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return status if status >= 0 else 128 - status


def _from_variable() -> Path | None:
    value = os.environ.get(PYTHON_VARIABLE, "").strip()
    return Path(value) if value else None
