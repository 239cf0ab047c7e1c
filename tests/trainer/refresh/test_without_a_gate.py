"""A refresh that would publish needs a gate, or the adapter's name: said before anything is trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.policy.problem import SettingsError
from tests.trainer.gate.rooms import rooms
from trainer.gate.frozen import write_frozen
from trainer.refresh.cli import _require_a_gate
from trainer.refresh.journal import Journal
from trainer.refresh.run import StepFailedError, Tools, _do, fingerprint
from trainer.settings.load import load_settings
from trainer.settings.schema import TrainSettings
from trainer.train import runs

SETTINGS = {"version": 1, "name": "manual", "base": {"model": "base"}, "data": {"train": "rows.jsonl"}}
GATE = {
    "version": 1, "name": "rooms", "questions": "rooms.json",
    "generators": {name: {"model": name, "base_url": "http://127.0.0.1:9/v1"} for name in ("control", "candidate")},
    "control": "control", "candidate": "candidate",
    "judges": {"strict": {"kind": "rules", "rule": "facts"}, "second": {"kind": "rules", "rule": "grounding"}},
}  # fmt: skip
PUBLISH = {"policy": "policy.yaml", "alias": "handbook", "backend": "box"}


def settings_of(folder: Path, **changed: object) -> TrainSettings:
    file = folder / "adapter.yaml"
    file.write_text(yaml.safe_dump({**SETTINGS, **changed}))
    return load_settings(file, require_files=False).settings


@pytest.mark.parametrize(
    ("changed", "without_gate", "said"),
    [
        ({"publish": PUBLISH}, None, "say --without-gate manual"),
        ({"publish": PUBLISH}, "handbook", "the adapter is called manual"),
        ({"publish": PUBLISH, "gate": {"config": "gate.yaml"}}, "manual", "the settings name a gate"),
        ({"publish": PUBLISH}, "manual", None),
        ({"publish": PUBLISH, "gate": {"config": "gate.yaml"}}, None, None),
        ({}, None, None),
    ],
)
def test_what_is_published_is_gated_or_named(
    tmp_path: Path, changed: dict[str, object], without_gate: str | None, said: str | None
) -> None:
    settings = settings_of(tmp_path, **changed)
    if said is None:
        _require_a_gate(settings, without_gate)
        return
    with pytest.raises(SettingsError, match=said):
        _require_a_gate(settings, without_gate)


@pytest.mark.parametrize(
    ("gate", "publish", "said"),
    [
        ({"config": "gate.yaml", "alias": "handbook"}, PUBLISH, "nobody has judged yet"),
        ({"config": "gate.yaml", "alias": "candidate"}, None, "add that section"),
    ],
)
def test_a_gate_never_judges_in_live_traffic(
    tmp_path: Path, gate: dict[str, str], publish: dict[str, str] | None, said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        settings_of(tmp_path, gate=gate, **({} if publish is None else {"publish": publish}))


def test_the_gates_step_is_its_answer_or_says_that_there_was_none(tmp_path: Path) -> None:
    journal = Journal(fingerprint="f", started_at="2026-01-01T00:00:00+00:00", version="manual@v0001")

    def refuses(version: str) -> str:
        raise StepFailedError("gate", f"{version} is in the registry. The gate is undecided", 3)

    def tools(gate: Callable[[str], str]) -> Tools:
        def never(*_: object) -> Any:
            raise AssertionError("the gate's step does nothing else")

        return Tools(train=never, gate=gate, export=never, publish=never)

    gated = settings_of(tmp_path, gate={"config": "gate.yaml"})
    assert _do("gate", gated, journal, tools(lambda version: f"passed {version}"))[1:] == ("passed manual@v0001", False)
    with pytest.raises(StepFailedError) as stopped:
        _do("gate", gated, journal, tools(refuses))
    assert stopped.value.status == 3
    _, said, skipped = _do("gate", settings_of(tmp_path), journal, tools(refuses))
    assert skipped
    assert "no gate was run" in said


def test_other_frozen_questions_are_another_refresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "identity", lambda settings: {})
    monkeypatch.setattr(runs, "fingerprint", lambda identity: "trained")
    (tmp_path / "gate.yaml").write_text(yaml.safe_dump(GATE))
    settings = settings_of(tmp_path, gate={"config": "gate.yaml"})
    found = {fingerprint(settings)}
    for questions in (6, 7):
        write_frozen(rooms(questions), tmp_path / "rooms.json")
        found.add(fingerprint(settings))
    assert len(found) == 3


def test_a_gate_that_cannot_be_read_is_said_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "identity", lambda settings: {})
    monkeypatch.setattr(runs, "fingerprint", lambda identity: "trained")
    (tmp_path / "gate.yaml").write_text(yaml.safe_dump({**GATE, "candidate": "nobody"}))
    with pytest.raises(SettingsError, match="names no generator"):
        fingerprint(settings_of(tmp_path, gate={"config": "gate.yaml"}))
