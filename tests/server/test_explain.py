"""`crossover explain` and /admin/explain: what a running gateway would do now, without doing it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from gateway.sandbox.hosting import free_port
from tests.gateway_process import ADMIN_KEY, API_KEY, GatewayProcess
from tests.scripted_peer import answer, scripted_peer
from tests.server.fleets import two

Start = Callable[..., GatewayProcess]
BODY: dict[str, Any] = {"model": "tuned", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 50}


def crossover(*arguments: str, key: str | None = ADMIN_KEY, stdin: str = "") -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "XO_ADMIN"} | {"COLUMNS": "160"}
    if key is not None:
        environment["XO_ADMIN"] = key
    return subprocess.run(
        [sys.executable, "-m", "gateway.cli", "explain", "--admin-key-env", "XO_ADMIN", *arguments],
        input=stdin, capture_output=True, text=True, env=environment, timeout=60,
    )  # fmt: skip


@pytest.fixture
async def fleet(start_gateway: Start) -> Any:
    async with scripted_peer(answer("hello")) as box, scripted_peer(answer("hi")) as cloud:
        yield start_gateway(**two(box.url, cloud.url)), box, cloud


def explained(gateway: GatewayProcess, body: Any, **headers: str) -> httpx.Response:
    return httpx.post(
        f"{gateway.root}/admin/explain", json=body, headers={"authorization": f"Bearer {ADMIN_KEY}", **headers}
    )


async def test_it_says_what_would_be_done_and_does_nothing(fleet: Any) -> None:
    gateway, box, cloud = fleet
    told = explained(gateway, BODY).json()
    assert (told["chosen"], told["fallbacks"], told["reason"]) == ("box", ["cloud"], "cheapest_in_time")
    assert told["sentence"] == "box adds least to the bill of those predicted to be in time."
    assert told["request"]["max_output_tokens"] == 50
    by_name = {candidate["backend"]: candidate for candidate in told["candidates"]}
    assert by_name["box"]["chosen"] is True
    assert by_name["cloud"]["marginal_usd"] > by_name["box"]["marginal_usd"] == 0
    assert by_name["box"]["predicted_ttft_seconds"] > 0
    assert box.requests == cloud.requests == []
    assert gateway.admin("decisions")["decisions"] == []
    assert gateway.books()["box"]["requests"] == 0


async def test_the_headers_of_a_request_count(fleet: Any) -> None:
    gateway, _, _ = fleet
    late = explained(gateway, BODY, **{"x-crossover-max-latency-ms": "1"}).json()
    assert late["reason"] == "fastest_though_late"
    assert all(not candidate["in_time"] for candidate in late["candidates"])
    assert explained(gateway, BODY, **{"x-crossover-backend": "cloud"}).json()["chosen"] == "cloud"


async def test_it_and_a_decision_made_say_the_same(fleet: Any) -> None:
    gateway, _, _ = fleet
    would = explained(gateway, BODY).json()
    async with openai.AsyncOpenAI(base_url=gateway.url, api_key=API_KEY, max_retries=0) as client:
        made = await client.chat.completions.with_raw_response.create(**BODY)
    did = gateway.admin(f"decisions/{made.headers['x-crossover-decision']}")
    assert set(would) - {"asked_at"} == set(did) - {"id", "decided_at", "sent"}
    assert (would["chosen"], would["reason"]) == (did["chosen"], did["reason"])


async def test_the_page_needs_the_owners_key_and_a_model_that_is(fleet: Any) -> None:
    gateway, _, _ = fleet
    assert httpx.post(f"{gateway.root}/admin/explain", json=BODY, headers=gateway.headers()).status_code == 401
    unknown = explained(gateway, {**BODY, "model": "nobody"})
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")
    assert explained(gateway, ["no object"]).status_code == 400


async def test_the_command_prints_a_table_and_a_sentence(fleet: Any, tmp_path: Path) -> None:
    gateway, _, _ = fleet
    file = tmp_path / "request.json"
    file.write_text(json.dumps(BODY))
    for request, stdin in ((str(file), ""), ("-", json.dumps(BODY)), (json.dumps(BODY), "")):
        done = crossover(request, "--url", gateway.url, stdin=stdin)
        assert (done.returncode, done.stderr) == (0, "")
        assert "> box" in done.stdout
        assert "cloud" in done.stdout
        assert "box adds least to the bill of those predicted to be in time." in done.stdout
    asked = crossover(str(file), "--url", gateway.root, "--max-latency-ms", "1", "--json")
    assert json.loads(asked.stdout)["request"]["ceiling"]["latency_seconds"] == 0.001


async def test_the_command_explains_a_decision_made(fleet: Any) -> None:
    gateway, _, _ = fleet
    async with openai.AsyncOpenAI(base_url=gateway.url, api_key=API_KEY, max_retries=0) as client:
        made = await client.chat.completions.with_raw_response.create(**BODY)
    done = crossover("--decision", made.headers["x-crossover-decision"], "--url", gateway.url)
    assert "> box" in done.stdout
    missing = crossover("--decision", "nothing", "--url", gateway.url)
    assert (missing.returncode, "No decision 'nothing' is kept" in missing.stderr) == (1, True)


async def test_what_goes_wrong_is_said_in_a_sentence(fleet: Any, tmp_path: Path) -> None:
    gateway, _, _ = fleet
    inline = json.dumps(BODY)
    nobody = f"http://127.0.0.1:{free_port()}"
    for arguments, key, status, said in (
        ((inline, "--url", gateway.url), None, 2, "XO_ADMIN is not set"),
        ((inline, "--url", gateway.url), "wrong", 1, "refused the admin key"),
        ((inline, "--url", nobody), ADMIN_KEY, 1, f"no gateway answers at {nobody}"),
        ((inline, "--url", "http://[::1"), ADMIN_KEY, 1, "give the gateway's address"),
        ((inline, "--url", "ftp://x"), ADMIN_KEY, 1, "give the gateway's address"),
        (('{"model": "nobody", "messages": []}', "--url", gateway.url), ADMIN_KEY, 1, "The model 'nobody' does not"),
        (("{not json", "--url", gateway.url), ADMIN_KEY, 1, "is not JSON"),
        ((str(tmp_path / "none.json"), "--url", gateway.url), ADMIN_KEY, 2, "cannot be read"),
    ):
        done = crossover(*arguments, key=key)
        assert done.returncode == status, done.stderr
        assert said in done.stderr.replace("\n", " ")
        assert "Traceback" not in done.stderr
