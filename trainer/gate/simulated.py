"""Which generators' answers came from a stand-in: the gateway that was asked says so of its own backends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trainer.gate.schema import Answer
from trainer.gate.settings import GateSettings
from trainer.publish.errors import UnreachableError
from trainer.publish.http_json import ask

WAIT_SECONDS = 5.0


def simulated_backends(settings: GateSettings, answers: Mapping[str, Sequence[Answer]]) -> dict[str, str]:
    """By generator, in words; those whose backends are real, or that no gateway answered, are left out."""
    pages: dict[str, dict[str, Any]] = {}
    found = {}
    for name, given in answers.items():
        backends = sorted({one.backend for one in given if one.backend is not None})
        if not backends:
            continue
        url = settings.generators[name].base_url
        if url not in pages:
            pages[url] = _backends_of(url)
        simulated = [one for one in backends if (pages[url].get(one) or {}).get("simulated") is True]
        if simulated:
            found[name] = f"answered by {', '.join(simulated)}, which the gateway's policy calls simulated"
    return found


def _backends_of(base_url: str) -> dict[str, Any]:
    root = base_url.rstrip("/").removesuffix("/v1")
    try:
        page = ask("GET", f"{root}/health/backends", timeout_seconds=WAIT_SECONDS)
    except UnreachableError:
        return {}
    backends = page.body.get("backends") if page.status == 200 and isinstance(page.body, dict) else None
    return {name: one for name, one in backends.items() if isinstance(one, dict)} if isinstance(backends, dict) else {}
