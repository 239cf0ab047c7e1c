"""The experiment's own processes: how they end, and where the keys are. Real children, no model."""

from __future__ import annotations

import os
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest
from rich.console import Console

from gateway.policy import load_policy
from trainer.gate.experiment import parts as parts_module
from trainer.gate.experiment import run
from trainer.gate.experiment.parts import ADMIN_KEY, KEY, Box, Parts, started_parts
from trainer.gate.experiment.settings import Settings

BOX = Box("http://127.0.0.1:9/v1", "base", Path("/nonexistent"), Path("/nonexistent/python"))


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("how", [RuntimeError, KeyboardInterrupt])
def test_however_a_step_ends_no_part_is_left_and_no_key_lies_in_a_file(
    tmp_path: Path, how: type[BaseException]
) -> None:
    keys: list[str] = []
    ports: list[int] = []

    def broken() -> None:
        with started_parts(BOX, tmp_path, cloud=False) as parts:
            keys.extend((os.environ[KEY], os.environ[ADMIN_KEY]))
            server = load_policy(parts.policy, require_environment=False).server
            assert server.metrics_port is not None
            ports.extend((server.port, server.metrics_port))
            assert all(map(_listens, ports))
            raise how

    with pytest.raises(how):
        broken()
    assert not any(map(_listens, ports))
    assert KEY not in os.environ
    assert ADMIN_KEY not in os.environ
    written = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert written
    assert [file for file in written if any(key.encode() in file.read_bytes() for key in keys)] == []


def test_two_experiments_at_once_want_no_port_that_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted: list[int | None] = []

    def asked(preferred: int | None = None) -> int:
        wanted.append(preferred)
        return 20_000 + len(wanted)

    def far_enough(*_: object, **__: object) -> Path:
        raise OSError("far enough")

    monkeypatch.setattr(parts_module, "free_port", asked)
    monkeypatch.setattr(parts_module, "_policy", far_enough)
    with pytest.raises(OSError, match="far enough"), started_parts(BOX, tmp_path, cloud=False):
        pass
    assert set(wanted) == {None}


@pytest.mark.parametrize("status", [130, 143])
def test_training_that_was_interrupted_is_no_step_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(run, "run_training", lambda *_, **__: (status, tmp_path))
    settings = Settings(home=tmp_path, work=tmp_path)
    begun = run._Experiment(settings, Console(stderr=True), ExitStack())
    with pytest.raises(KeyboardInterrupt):
        begun._train("train", "training", tmp_path / "recipe.yaml", Parts(BOX, "", tmp_path, tmp_path))
