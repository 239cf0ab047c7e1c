"""Rungs that were not climbed to their end never pass, and nobody's secrets go up with them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trainer.export.model_folder import write_model
from trainer import environment
from trainer.preflight import child
from trainer.preflight.exportable import climb_export
from trainer.preflight.servable import climb_serving
from trainer.preflight.stack import Stack


def test_a_folder_is_checked_whole_whatever_form_its_weights_have(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model")
    config = json.loads((model / "config.json").read_text())
    assert climb_export(config, model).status == "passed"
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    (model / "tokenizer.json").unlink()
    rung = climb_export(config, model)
    assert rung.status == "failed"
    assert {wall.name for wall in rung.walls} == {"weights", "missing-file"}


def test_a_config_alone_can_fail_and_never_pass(tmp_path: Path) -> None:
    config = json.loads((write_model(tmp_path / "model") / "config.json").read_text())
    assert climb_export(config, None).status == "not asked"
    assert climb_export({**config, "rope_theta": 0}, None).status == "failed"


def test_a_server_that_ends_without_a_word_is_a_wall(tmp_path: Path) -> None:
    silent = tmp_path / "python"
    silent.write_text("#!/bin/sh\nexit 0\n")
    silent.chmod(0o755)
    stack = Stack(Path(sys.executable))
    stack.python = silent
    rung = climb_serving(stack, {"architectures": ["LlamaForCausalLM"]}, {}, tmp_path, {})
    assert rung.status == "failed"
    assert "ended before it said" in rung.walls[0].line


def test_secrets_stay_with_the_process_that_was_given_them(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "0", "MASTER_ADDR": "127.0.0.1", "HF_HOME": "/models"}
    secret = (
        "OPENAI_API_KEY", "HF_TOKEN", "AWS_PROFILE", "AWS_SECRET_ACCESS_KEY", "PGPASSWORD", "db_secret",
        "GCP_CREDENTIALS",
    )  # fmt: skip
    for name, value in {**kept, **dict.fromkeys(secret, "hush")}.items():
        monkeypatch.setenv(name, value)
    for own in (environment.environment(), child.environment()):
        assert own.items() >= kept.items()
        assert own["TOKENIZERS_PARALLELISM"] == "false"
        assert "hush" not in own.values()
        seen = subprocess.run([sys.executable, "-c", "import os; print(*os.environ)"], env=own, capture_output=True)
        assert not set(secret) & set(seen.stdout.decode().split())
    assert os.environ["HF_TOKEN"] == "hush"
