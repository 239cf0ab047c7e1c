"""Nobody waits for a copy that was never asked to start."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import openai
import pytest

from gateway.sandbox.hosting import free_port
from tests.end_to_end.fleets import IMPORTED, cloud
from tests.server.in_process import gateway_in_process

MESSAGES: Any = [{"role": "user", "content": "hi"}]


async def test_a_call_that_never_reached_bedrock_starts_no_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imported = cloud(f"http://127.0.0.1:{free_port()}")["cmi"]
    served = [{"backend": "cmi", "model": IMPORTED}]
    policy = {"backends": {"cmi": imported}, "aliases": {"tuned": {"served_by": served}}}
    async with gateway_in_process(policy, tmp_path, monkeypatch) as gateway:
        async with gateway.client() as client:
            with pytest.raises(openai.APIStatusError):
                await client.chat.completions.create(model="tuned", messages=MESSAGES)
        state = gateway.core.fleet.snapshot(gateway.core.clock()).backends["cmi"]
        assert (state.restoring_seconds, state.copies_starting) == (None, 0)
