"""The experiment in its reduced form: six questions, the demo's own adapter, a real vLLM and gateway, the real gate.

Six questions can pass nobody (docs/gate-statistics.md): what is shown is the whole way to a verdict and to a refusal.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.console import Console

from tests.vllm_fixture import RunningVllm
from trainer.gate.experiment.keeping import keep
from trainer.gate.experiment.parts import Box
from trainer.gate.experiment.run import experiment
from trainer.gate.experiment.settings import Settings
from trainer.publish.model_server import ModelServer
from trainer.registry import Registry

pytestmark = pytest.mark.vllm
QUESTIONS = 6


def test_control_adapter_gate_and_refusal_in_one_go(vllm_server: RunningVllm, tmp_path: Path) -> None:
    settings = Settings(
        home=tmp_path, work=tmp_path / "work", questions=QUESTIONS, embedder="none", cloud=False, easy=False,
        worse=False, trained=vllm_server.prepared.adapter_dir,
    )  # fmt: skip
    at = vllm_server.server.settings
    box = Box(vllm_server.base_url, vllm_server.base_model, at.model_dir, at.python)
    server = ModelServer(vllm_server.base_url)
    before = set(server.loaded())
    found = experiment(settings, Console(stderr=True, width=120), box)

    assert found.questions == QUESTIONS
    assert found.version == "experiment@v0001"
    assert found.verdict in ("fail", "undecided")
    assert not found.published
    assert found.publication is not None
    assert "--without-gate experiment@v0001" in found.publication
    assert set(found.accepted) == {"control", "candidate"}
    state = Registry(settings.work / "registry").state("experiment@v0001")
    assert (state.stage, state.verdict) == ("gated", found.verdict)
    assert set(server.loaded()) == before, "a borrowed server has what it had"

    run = Path(found.folders["gate"])
    record = json.loads((run / "verdict.json").read_text())
    control = [json.loads(line) for line in (run / "answers" / "control.jsonl").read_text().splitlines()]
    assert len(control) == QUESTIONS, "the control was asked before the adapter, and not again"
    assert record["verdict"]["spent"]["candidate"]["usd"] > 0, "by the gateway's own ledger"
    candidate = [json.loads(line) for line in (run / "answers" / "candidate.jsonl").read_text().splitlines()]
    assert {line["answer"]["adapter"] for line in candidate} == {"experiment@v0001"}

    keep(found, tmp_path / "kept")
    assert (tmp_path / "kept" / "gate" / "report.html").is_file()
    assert "refused" in (tmp_path / "kept" / "README.md").read_text()
