"""curl, as the README's examples use it."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

import pytest

from tests.compatibility.shapes import TEXT, WORDS
from tests.gateway_process import API_KEY, GatewayProcess

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not on PATH")
CHAT = {"model": "tuned", "messages": [{"role": "user", "content": "What colour is the sky?"}]}
KEY = f"authorization: Bearer {API_KEY}"


def curl(url: str, body: object, *arguments: str) -> tuple[int, str]:
    """(HTTP status, what came)."""
    done = subprocess.run(
        ["curl", "-sS", "--max-time", "20", "-w", "\n%{http_code}", url, "-H", "content-type: application/json",
         *arguments, "-d", "@-"],
        input=json.dumps(body), capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    text, _, status = done.stdout.rpartition("\n")
    return int(status), text


def test_a_whole_answer(gateway: GatewayProcess) -> None:
    status, text = curl(f"{gateway.url}/chat/completions", CHAT, "-H", KEY)
    assert status == 200
    assert json.loads(text)["choices"][0]["message"]["content"] == TEXT


def test_a_stream(gateway: GatewayProcess) -> None:
    status, text = curl(f"{gateway.url}/chat/completions", {**CHAT, "stream": True}, "-N", "-H", KEY)
    assert status == 200
    events = [line.removeprefix("data: ") for line in text.splitlines() if line]
    assert events.pop() == "[DONE]"
    chunks: list[Any] = [json.loads(one) for one in events]
    assert [c["choices"][0]["delta"]["content"] for c in chunks[1:-1]] == WORDS


def test_http_1_0_and_a_body_announced_with_expect(gateway: GatewayProcess) -> None:
    long = {**CHAT, "messages": [{"role": "user", "content": "sky " * 100_000}]}
    for extra in ("--http1.0", "--http1.1"):
        status, text = curl(f"{gateway.url}/chat/completions", long, extra, "-H", KEY, "-H", "expect: 100-continue")
        assert (status, json.loads(text)["choices"][0]["message"]["content"]) == (200, TEXT)


def test_a_stream_over_http_1_0_ends_with_the_connection(gateway: GatewayProcess) -> None:
    status, text = curl(f"{gateway.url}/chat/completions", {**CHAT, "stream": True}, "--http1.0", "-N", "-H", KEY)
    assert status == 200
    assert text.rstrip().endswith("data: [DONE]")


def test_messages_with_an_api_key_header(gateway: GatewayProcess) -> None:
    asked = {**CHAT, "max_tokens": 20}
    version = ("-H", "anthropic-version: 2023-06-01")
    status, text = curl(f"{gateway.url}/messages", asked, "-H", f"x-api-key: {API_KEY}", *version)
    assert (status, json.loads(text)["content"][0]["text"]) == (200, TEXT)
    status, text = curl(f"{gateway.url}/messages", asked, "-H", "x-api-key: wrong", *version)
    assert (status, json.loads(text)["error"]["type"]) == (401, "authentication_error")


def test_responses(gateway: GatewayProcess) -> None:
    status, text = curl(
        f"{gateway.url}/responses", {"model": "tuned", "input": "sky?", "stream": True}, "-N", "-H", KEY
    )
    assert status == 200
    names = [line.removeprefix("event: ") for line in text.splitlines() if line.startswith("event:")]
    assert (names[0], names[-1]) == ("response.created", "response.completed")


def test_without_a_key(gateway: GatewayProcess) -> None:
    status, text = curl(f"{gateway.url}/chat/completions", CHAT)
    assert (status, json.loads(text)["error"]["code"]) == (401, "invalid_api_key")
