"""Grafana's published components with the page that uses them, as one script; made once in a folder of its own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

SOURCE = Path(__file__).parent
MADE_FROM = ("package.json", "package-lock.json", "bundle.mjs")


class BundleError(RuntimeError):
    """npm or esbuild failed, or is missing; the message ends with its last lines."""


def bundle(home: Path) -> Path:
    """Installs (445 MB, a minute, once) and bundles (seconds) in `home`. Returns the folder of page.js and page.css.

    Raises `BundleError`."""
    home.mkdir(parents=True, exist_ok=True)
    installed = home / ".installed"
    lock = (SOURCE / "package-lock.json").read_text(encoding="utf-8")
    for name in MADE_FROM:
        shutil.copy(SOURCE / name, home / name)
    shutil.copy(SOURCE / "npmrc", home / ".npmrc")
    if not installed.exists() or installed.read_text(encoding="utf-8") != lock:
        installed.unlink(missing_ok=True)
        _run(home, "npm", "ci")
        installed.write_text(lock, encoding="utf-8")
    shutil.rmtree(home / "page", ignore_errors=True)
    shutil.copytree(SOURCE / "page", home / "page")
    _run(home, "node", "bundle.mjs", "out/page.js")
    return home / "out"


def icons(home: Path) -> Path:
    """The folder that Grafana serves as /public/build."""
    return home / "node_modules" / "@grafana" / "ui" / "dist" / "public"


def _run(folder: Path, program: str, *arguments: str) -> None:
    if shutil.which(program) is None:
        raise BundleError(f"{program} is missing: the pictures need Node 20 or newer, with npm")
    ran = subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    if ran.returncode:
        last = "\n  ".join((ran.stdout + ran.stderr).splitlines()[-12:])
        raise BundleError(f"`{program} {' '.join(arguments)}` in {folder} ended with {ran.returncode}:\n  {last}")
