"""LangChain's and LlamaIndex's OpenAI clients, each in the environment that scripts/clients.sh makes."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.compatibility.shapes import TEXT, WORDS
from tests.gateway_process import API_KEY, GatewayProcess
from tests.vllm_fixture import HOME

FOLDER = Path(__file__).parent / "clients"
PYTHON = HOME / "clients" / "venv" / "bin" / "python"

pytestmark = pytest.mark.skipif(
    not (HOME / "clients" / "installed.txt").exists(), reason="scripts/clients.sh (make peers) installs these clients"
)


def run(script: str, gateway: GatewayProcess, folder: Path) -> Any:
    command = [str(PYTHON), "-I", str(FOLDER / script), gateway.url, API_KEY, "tuned", "vectors"]
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(folder), "NLTK_DATA": str(folder), "TIKTOKEN_CACHE_DIR": str(folder)
    }  # fmt: skip
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_langchain(gateway: GatewayProcess, tmp_path: Path) -> None:
    said = run("langchain_client.py", gateway, tmp_path)
    usage, streamed = said.pop("usage"), said.pop("stream_usage")
    assert [usage[name] for name in ("input_tokens", "output_tokens")] == [11, 4]
    assert [streamed[name] for name in ("input_tokens", "output_tokens")] == [11, 4]
    assert said == {
        "invoke": TEXT,
        "stream": TEXT,
        "plain_stream_usage": [],
        "async": [TEXT, TEXT],
        "tools": [["paint", {"colour": "red"}]],
        "structured": "red",
        "logprobs": WORDS,
        "responses": TEXT,
        "responses_stream": TEXT,
        "embeddings": [[0.5, -1.0]],
    }


def test_llamaindex(gateway: GatewayProcess, tmp_path: Path) -> None:
    assert run("llamaindex_client.py", gateway, tmp_path) == {
        "chat": TEXT,
        "stream": TEXT,
        "async": [TEXT, TEXT],
        "complete": TEXT,
        "complete_stream": TEXT,
        "tools": [["paint", {"colour": "red"}]],
        "embeddings": [[0.5, -1.0]],
    }
