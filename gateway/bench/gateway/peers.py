"""The other gateways, each installed once into its own folder under `CROSSOVER_HOME/peers`, in locked versions."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.sandbox.vllm import stamp
from gateway.sandbox.vllm.package_sources import uv_source_arguments

_REQUIREMENTS = Path(__file__).parents[3] / "requirements"
_TIMEOUT_SECONDS = 900
PACKAGES = ("vllm-router", "sglang-router", "litellm")

Say = Callable[[str], None]


class PeerMissingError(RuntimeError):
    """The peer cannot be installed or started here; the message says why."""


def peers_folder() -> Path:
    return Path(os.environ.get("CROSSOVER_HOME") or ".crossover").absolute() / "peers"


def installed(name: str, say: Say) -> Path:
    """The peer's `bin` folder (nginx: the program), installed if it is not there yet. Raises PeerMissingError."""
    folder = peers_folder() / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            return _nginx(folder, say) if name == "nginx" else _environment(name, folder, say)
    except OSError as error:
        raise PeerMissingError(f"cannot be installed into {folder}: {error}") from None


def _environment(name: str, folder: Path, say: Say) -> Path:
    lock = _REQUIREMENTS / f"peers-{name}.txt"
    if not lock.exists():
        raise PeerMissingError(f"{lock} is missing: run from a checkout of the project, which carries the lock")
    venv = folder / "venv"
    made_from = stamp.fingerprint(lock, stamp.python_version())
    if stamp.is_current(venv, made_from):
        return venv / "bin"
    say(f"installing {name} into {folder} (once)")
    beside = Path(sys.executable).parent / "uv"
    uv = str(beside) if beside.exists() else shutil.which("uv")
    if uv is None:
        raise PeerMissingError(f"uv is neither at {beside} nor on the PATH: run `make setup`")
    python = str(venv / "bin" / "python")
    _run([uv, "venv", "--quiet", "--clear", "--no-project", "--python", sys.executable, str(venv)], folder)
    install = [uv, "pip", "sync", "--quiet", "--compile-bytecode", "--python", python, "--require-hashes"]
    _run([*install, *uv_source_arguments(), str(lock)], folder)
    stamp.mark(venv, made_from)
    return venv / "bin"


def _nginx(folder: Path, say: Say) -> Path:
    if found := shutil.which("nginx"):
        return Path(found)
    program = folder / "usr" / "sbin" / "nginx"
    if not program.exists():
        say(f"unpacking Debian's nginx into {folder} (once; nothing is installed)")
        _run(["apt-get", "-o", f"APT::Sandbox::User={_user()}", "download", "nginx"], folder)
        packages = sorted(folder.glob("nginx_*.deb"))
        if not packages:
            raise PeerMissingError("apt-get downloaded no package: put nginx on the PATH")
        _run(["dpkg-deb", "--extract", str(packages[-1]), str(folder)], folder)
    _run([str(program), "-V"], folder)
    return program


def _user() -> str:
    import pwd

    return pwd.getpwuid(os.getuid()).pw_name


def _run(command: list[str], folder: Path) -> None:
    try:
        ran = subprocess.run(  # noqa: S603
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=_TIMEOUT_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PeerMissingError(f"{Path(command[0]).name}: {error}") from None
    if ran.returncode:
        raise PeerMissingError(f"{Path(command[0]).name} said: {' / '.join(ran.stdout.strip().splitlines()[-3:])}")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
