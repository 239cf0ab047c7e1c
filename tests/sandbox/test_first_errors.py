"""A sandbox command that cannot work says so before it does anything, in a sentence."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.sandbox.bedrock.cli import app as bedrock
from gateway.sandbox.exit_status import in_words
from gateway.sandbox.generator.cli import app as generator
from gateway.sandbox.vllm.cli import app as vllm

runner = CliRunner()


@pytest.mark.parametrize(
    ("app", "option", "value"),
    [
        (bedrock, "--port", "99999"),
        (bedrock, "--time-scale", "0"),
        (generator, "--port", "-1"),
        (generator, "--tokens-per-second", "-1"),
        (generator, "--max-streams", "0"),
        (vllm, "--port", "0"),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_option(app: object, option: str, value: str) -> None:
    result = runner.invoke(app, [option, value])
    assert result.exit_code == 2
    assert option in result.stderr


def test_a_taken_port_is_named_before_anything_is_installed(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for name, options in (("vllm", ["--home", str(tmp_path / "home")]), ("bedrock", []), ("generator", [])):
            command = f"from gateway.sandbox.{name}.cli import app; app()"
            done = subprocess.run(
                [sys.executable, "-c", command, "--port", str(port), *options],
                capture_output=True,
                text=True,
                timeout=60,
            )
            assert done.returncode == 1
            assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
            assert "Errno" not in done.stderr
            assert "Traceback" not in done.stderr
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("status", "words"),
    [(1, "exit status 1"), (0, "exit status 0"), (-9, "killed by signal 9"), (137, "killed by signal 9")],
)
def test_the_end_of_a_process_is_said_in_words(status: int, words: str) -> None:
    assert in_words(status) == words


def test_asking_for_the_version_loads_none_of_the_parts() -> None:
    heavy = {"aiohttp", "asyncio", "botocore", "fastapi", "msgspec", "pydantic", "rich", "uvicorn", "yaml"}
    code = (
        "import sys; from gateway import cli; sys.argv = ['crossover', '--version']\n"
        "try: cli.main()\nexcept SystemExit: pass\n"
        f"print(sorted({heavy!r} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    version, loaded = done.stdout.splitlines()
    assert version.startswith("crossover ")
    assert loaded == "[]"
