"""English text that is on every machine: the docstrings of the Python that runs this, and of its packages."""

from __future__ import annotations

import ast
import hashlib
import inspect
import os
import sysconfig
from pathlib import Path

_SHORTEST = 200  # characters
_PACKAGES = ("torch", "transformers", "numpy", "peft", "triton")


def docstrings(characters: int) -> list[str]:
    """Different docstrings, about so many characters together, in an order that depends on nothing but themselves."""
    found: dict[str, str] = {}
    total = 0
    for file in _files():
        try:
            tree = ast.parse(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, SyntaxError):
            continue
        for node in ast.walk(tree):
            if not isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                continue
            text = inspect.cleandoc(ast.get_docstring(node, clean=False) or "")
            if len(text) < _SHORTEST:
                continue
            key = hashlib.sha256(text.encode()).hexdigest()
            if key not in found:
                found[key] = text
                total += len(text)
        if total >= characters:
            break
    return [found[key] for key in sorted(found)]


def _files() -> list[Path]:
    standard = Path(sysconfig.get_path("stdlib"))
    files = [file for file in sorted(standard.rglob("*.py")) if "site-packages" not in file.parts]
    packages = Path(sysconfig.get_path("purelib"))
    for name in _PACKAGES:
        files += [file for file in sorted((packages / name).rglob("*.py")) if os.path.basename(file.parent) != "tests"]
    return files
