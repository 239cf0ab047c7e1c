"""Where packages come from: the index and wheel folders this machine's pip is set up with, handed to uv.

uv reads no pip configuration, and PyTorch's CPU wheel is on no default index. So the places are taken, first found
wins, from uv's own variables, from pip's, and from pip's configuration files.
"""

import ast
import os
import subprocess
import sys
from collections.abc import Mapping

TORCH_INDEX_VARIABLE = "CROSSOVER_TORCH_INDEX"


def pip_configuration() -> dict[str, str]:
    """What `pip config list` knows: setting name -> value; a more specific section wins. Empty without pip."""
    listing = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False
    )
    return parse_pip_configuration(listing.stdout) if listing.returncode == 0 else {}


def parse_pip_configuration(listing: str) -> dict[str, str]:
    """Read lines like `global.find-links='/wheels'`; sections in rising precedence: global, install, :env:."""
    precedence = ("global", "install", ":env:")
    found: dict[str, tuple[int, str]] = {}
    for line in listing.splitlines():
        name, separator, quoted = line.partition("=")
        section, dot, setting = name.strip().rpartition(".")
        if not separator or not dot or section not in precedence:
            continue
        try:
            value = str(ast.literal_eval(quoted.strip()))
        except (ValueError, SyntaxError):
            continue
        rank = precedence.index(section)
        if setting not in found or rank >= found[setting][0]:
            found[setting] = (rank, value)
    return {setting: value for setting, (_, value) in found.items()}


def uv_source_arguments(environ: Mapping[str, str] = os.environ, pip: Mapping[str, str] | None = None) -> list[str]:
    """Arguments for `uv pip install` naming the same sources as this machine's pip, and PyTorch's index if given.

    What uv's own variables say is left to uv, which reads them itself.
    """
    settings = pip_configuration() if pip is None else pip
    arguments: list[str] = []
    if not environ.get("UV_FIND_LINKS"):
        for place in (environ.get("PIP_FIND_LINKS") or settings.get("find-links", "")).split():
            arguments += ["--find-links", place]
    if not any(environ.get(name) for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL")):
        index = (environ.get("PIP_INDEX_URL") or settings.get("index-url", "")).strip()
        if index:
            arguments += ["--default-index", index]
    extra_indexes = [torch_index] if (torch_index := environ.get(TORCH_INDEX_VARIABLE, "").strip()) else []
    if not any(environ.get(name) for name in ("UV_INDEX", "UV_EXTRA_INDEX_URL")):
        extra_indexes += (environ.get("PIP_EXTRA_INDEX_URL") or settings.get("extra-index-url", "")).split()
    for extra_index in extra_indexes:
        arguments += ["--index", extra_index]
    if extra_indexes:
        # As pip does: look in every index for the pinned version. uv would stop at the first that has the name, and
        # PyTorch's carries other versions of common packages. Versions and hashes are locked, so this is safe.
        arguments += ["--index-strategy", "unsafe-best-match"]
    return arguments
