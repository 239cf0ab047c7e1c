"""The gateway's books held against the sandbox's bill: two programs that counted the same traffic apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OUTCOMES = ("completed", "cancelled", "broken")


def differences(
    books: Mapping[str, Mapping[str, Any]], bill: Mapping[str, Any], models: Mapping[str, str]
) -> list[str]:
    """Where the two differ, in words; empty: they agree to the token, the window and the nano-dollar.

    `books`: rows of the gateway's `/admin/books` by backend; `bill`: the sandbox's `/_sandbox/bill`; `models`: the
    bill's model by the gateway's backend."""
    found = []
    for backend, model in models.items():
        book, entry = books.get(backend, {}), bill["models"][model]
        for what, ours, theirs in (
            ("input tokens", book.get("input_tokens", 0), sum(entry[o]["input_tokens"] for o in OUTCOMES)),
            ("output tokens", book.get("output_tokens", 0), sum(entry[o]["output_tokens"] for o in OUTCOMES)),
            ("windows", book.get("windows", 0), len(entry.get("windows", ()))),
            ("nano-dollars", book.get("nanousd", 0), entry["total_nanousd"]),
        ):
            if ours != theirs:
                found.append(f"{backend}: {ours} {what} in the books, {theirs} on the bill")
    return found
