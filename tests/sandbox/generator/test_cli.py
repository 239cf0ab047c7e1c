"""`crossover sandbox generator` as a process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import openai

RUN = "from gateway.sandbox.generator.cli import app; app()"


@contextmanager
def running(*options: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", RUN, "--port", "0", *options], stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_it_serves_until_it_is_told_to_end() -> None:
    with running("--models", "tuned, smollm2", "--tokens-per-second", "0", "--json") as process:
        assert process.stdout is not None
        address = json.loads(process.stdout.readline())
        assert address["simulated"] is True
        with openai.OpenAI(base_url=address["api"], api_key="none", max_retries=0) as client:
            answer = client.completions.create(model="smollm2", prompt="hi", max_tokens=3)
        assert answer.usage is not None
        assert answer.usage.completion_tokens == 3
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0


def test_it_says_that_it_is_simulated() -> None:
    with running() as process:
        assert process.stdout is not None
        assert "SIMULATED" in process.stdout.readline()


def test_settings_that_cannot_be_end_it_with_what_to_mend() -> None:
    options = ["--tokens-per-second", "20", "--max-tokens-per-second", "10"]
    done = subprocess.run([sys.executable, "-c", RUN, *options], capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert "it must lie between tokens_per_second (20)" in done.stderr


def test_a_taken_port_is_named() -> None:
    with running("--json") as process:
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["api"].split(":")[2].split("/")[0]
        done = subprocess.run([sys.executable, "-c", RUN, "--port", port], capture_output=True, text=True, timeout=30)
        assert done.returncode == 1
        assert port in done.stderr
