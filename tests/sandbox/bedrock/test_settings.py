"""The settings file, the shipped default, and the command."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from gateway.sandbox.bedrock.bill import WindowMeter
from gateway.sandbox.bedrock.settings import ImportedSettings, SandboxSettings
from tests.sandbox.bedrock.conftest import settings


def test_the_shipped_default_has_every_kind_and_the_list_prices() -> None:
    default = SandboxSettings.default()
    assert [model.kind for model in default.models] == ["imported", "foundation", "provisioned", "embedding"]
    imported = default.models[0]
    assert isinstance(imported, ImportedSettings)
    assert WindowMeter.of(imported, default.time_scale).window_nanousd == 571_800_000


def test_a_file_is_read_as_yaml_or_json(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.json"
    path.write_text(settings(time_scale=25).model_dump_json())
    assert SandboxSettings.load(path) == settings(time_scale=25)


def test_every_mistake_is_told_at_once_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.yaml"
    path.write_text(json.dumps({"time_scale": 0, "colour": 1, "models": [{"kind": "foundation", "id": "x"}]}))
    with pytest.raises(ValueError) as caught:
        SandboxSettings.load(path)
    told = str(caught.value)
    for place in ("time_scale", "colour", "input_usd_per_1m", "output_usd_per_1m"):
        assert place in told


def test_secrets_stay_out_of_the_repr() -> None:
    shown = repr(settings(credentials={"access_key_id": "a", "secret_access_key": "hush", "bearer_key": "quiet"}))
    assert "hush" not in shown
    assert "quiet" not in shown


RUN = "from gateway.sandbox.bedrock.cli import app; app()"


def test_the_command_says_what_it_simulates_serves_and_ends_on_interrupt() -> None:
    process = subprocess.Popen(
        [sys.executable, "-u", "-c", RUN, "--port", "0", "--time-scale", "25"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Listening"):
                break
        assert "SIMULATED" in lines[0]
        assert httpx.get(lines[-1].split()[2] + "/_sandbox/state").json()["time_scale"] == 25
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_bad_file_and_a_taken_port_end_with_a_message(tmp_path: Path) -> None:
    missing = subprocess.run(
        [sys.executable, "-c", RUN, "--settings", str(tmp_path / "none.yaml")], capture_output=True, text=True
    )
    assert missing.returncode == 2
    assert "none.yaml" in missing.stderr
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        clash = subprocess.run(
            [sys.executable, "-c", RUN, "--port", str(port)], capture_output=True, text=True, env={**os.environ}
        )
    assert clash.returncode == 1
    assert "choose another port" in clash.stderr
