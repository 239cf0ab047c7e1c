"""How a process ended, in words."""

from __future__ import annotations


def in_words(status: int) -> str:
    """`status` as `subprocess` gives it (-n: signal n), or as a shell and our supervisor do (128 + n)."""
    if status < 0:
        return f"killed by signal {-status}"
    return f"killed by signal {status - 128}" if status > 128 else f"exit status {status}"
