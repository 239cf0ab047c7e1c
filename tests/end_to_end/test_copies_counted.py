"""CloudWatch's count of copies, through botocore over a socket, corrects what the gateway believes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.backends.bedrock.copies import CopyCounter, CountError
from gateway.policy import PolicyError
from gateway.sandbox.bedrock.server import Served, serve_in_thread
from gateway.sandbox.hosting import free_port
from gateway.server.copies import correct_copies
from tests.end_to_end.fleets import IMPORTED, cloud, sandbox_settings
from tests.scripted_peer import scripted_peer
from tests.server.in_process import Running, gateway_in_process, policy_of

MESSAGES: Any = [{"role": "user", "content": "hi"}]


def fleet(sandbox_url: str, **changed: Any) -> dict[str, Any]:
    imported = cloud(sandbox_url)["cmi"] | {"copies_from_cloudwatch": True, "cloudwatch_endpoint_url": sandbox_url}
    imported["cost"] |= {"idle_minutes": 0.5}  # as the policy believes; the sandbox's copy goes after 3 s
    served = [{"backend": "cmi", "model": IMPORTED}]
    return {"backends": {"cmi": imported | changed}, "aliases": {"tuned": {"served_by": served}}}


def counter(gateway: Running) -> CopyCounter:
    return CopyCounter("cmi", gateway.core.settings["cmi"], [IMPORTED])


def believed(gateway: Running) -> int:
    view = gateway.core.meter.window_view("cmi", gateway.core.clock())
    assert view is not None
    return view.copies


async def ask(gateway: Running) -> None:
    async with gateway.client() as client:
        await client.chat.completions.create(model="tuned", messages=MESSAGES, max_tokens=2)


async def advance(sandbox: Served, seconds: float) -> None:
    answer = await asyncio.to_thread(httpx.post, sandbox.url + "/_sandbox/clock", json={"advance_seconds": seconds})
    answer.raise_for_status()


async def test_a_copy_that_cloudwatch_does_not_count_any_more_has_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve_in_thread(sandbox_settings(cold_start_seconds=0)) as sandbox:
        async with gateway_in_process(fleet(sandbox.url), tmp_path, monkeypatch) as gateway:
            await correct_copies(gateway.core, "cmi", counter(gateway))  # none is believed up: nothing is asked
            await ask(gateway)
            await correct_copies(gateway.core, "cmi", counter(gateway))
            assert believed(gateway) == 1
            await advance(sandbox, 400)
            await correct_copies(gateway.core, "cmi", counter(gateway))
            assert believed(gateway) == 0


async def test_copies_that_no_call_of_ours_explains_are_said_and_not_booked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve_in_thread(sandbox_settings(cold_start_seconds=0, max_copies=2, concurrency_per_copy=1)) as sandbox:
        async with gateway_in_process(fleet(sandbox.url), tmp_path, monkeypatch) as gateway:
            await ask(gateway)
            # Two calls of somebody else's, at once: the second finds the copy full.
            other = httpx.AsyncClient(base_url=sandbox.url, timeout=30)
            body = {"messages": MESSAGES, "max_tokens": 400}
            path = "/model/" + IMPORTED.replace(":", "%3A").replace("/", "%2F") + "/invoke"
            signed = {"authorization": "Bearer somebody"}
            calls = [asyncio.create_task(other.post(path, json=body, headers=signed)) for _ in range(2)]
            await asyncio.sleep(0.1)
            await correct_copies(gateway.core, "cmi", counter(gateway))
            assert gateway.metric("crossover_window_copies_elsewhere", backend="cmi") == 1
            assert believed(gateway) == 1
            await asyncio.gather(*calls)
            await other.aclose()


async def test_a_cloudwatch_that_refuses_or_is_not_there_is_said_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scripted_peer() as peer:
        nowhere = f"http://127.0.0.1:{free_port()}"
        for url, said in ((peer.url.removesuffix("/v1"), "CloudWatch"), (nowhere, "cannot be asked")):

            async def refuse(connection: Any) -> None:
                await connection.json({"__type": "AccessDeniedException", "message": "no"}, "400 Bad Request")

            peer.script = refuse
            policy = policy_of(fleet(url), tmp_path)
            asked = CopyCounter("cmi", policy.backends["cmi"], [IMPORTED])
            with pytest.raises(CountError, match=said) as raised:
                await asyncio.to_thread(asked.count)
            assert "sandbox" not in str(raised.value)


def test_it_belongs_to_bedrock(tmp_path: Path) -> None:
    box = {
        "wire": "openai", "base_url": "http://127.0.0.1:1/v1", "copies_from_cloudwatch": True,
        "speed": {"single_stream_tokens_per_second": 1},
    }  # fmt: skip
    with pytest.raises(PolicyError, match="copies_from_cloudwatch belongs to wire bedrock"):
        policy_of(
            {"backends": {"box": box}, "aliases": {"a": {"served_by": [{"backend": "box", "model": "m"}]}}}, tmp_path
        )
