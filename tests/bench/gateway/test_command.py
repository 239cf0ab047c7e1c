"""`crossover bench gateway` from end to end: a real gateway, mock and client, with tiny loads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from gateway.bench.cli import app
from gateway.bench.gateway.peers import PeerMissingError, installed
from gateway.bench.gateway.rounds import SCENARIOS


@pytest.mark.timeout(90)
def test_the_command_measures_the_gateway_and_writes_its_results(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gateway.cli", "bench", "gateway", "--systems", "direct,crossover", "--quick"]
    ran = subprocess.run(
        [*command, "--rounds", "1", "--json", "--out", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    printed = json.loads(ran.stdout)
    assert printed["figures"]["cpu_request_32"]["crossover"]["median"] > 0
    assert printed["missing"] == {}
    raw = json.loads((tmp_path / "gateway.json").read_text())
    order = [(sample["scenario"], sample["system"]) for sample in raw["results"]["samples"]]
    assert [scenario for scenario, _ in order[::2]] == [scenario.name for scenario in SCENARIOS]
    assert [system for _, system in order[:4]] == ["direct", "crossover", "crossover", "direct"]
    assert all(sample["answers"] > 0 and not sample["errors"] for sample in raw["results"]["samples"])
    assert "A quick run" in (tmp_path / "gateway.md").read_text()
    assert (tmp_path / "gateway.svg").read_text().startswith("<svg")


def test_a_system_that_does_not_exist_is_refused_by_name() -> None:
    ran = CliRunner().invoke(app, ["gateway", "--systems", "direct,squid"], env={"COLUMNS": "200"})
    assert ran.exit_code == 2
    assert "squid is none of" in ran.output


def test_a_peer_that_cannot_be_installed_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "peers").write_text("a file, not a folder")
    monkeypatch.setenv("CROSSOVER_HOME", str(tmp_path))
    with pytest.raises(PeerMissingError, match="cannot be installed into"):
        installed("vllm-router", lambda words: None)
