"""What a gate asks for, as it is noted with a verdict and read again before a publication."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.trainer.gate.rooms import rooms
from trainer.gate.frozen import write_frozen
from trainer.gate.load import load_gate
from trainer.gate.prompt import sha256_of_set
from trainer.gate.terms import named_gate, terms_of

RULES = {"strict": {"kind": "rules", "rule": "facts"}, "second": {"kind": "rules", "rule": "grounding"}}
GATE = {
    "version": 1, "name": "rooms", "questions": "rooms.json",
    "generators": {name: {"model": name, "base_url": "http://127.0.0.1:9/v1"} for name in ("control", "tuned")},
    "control": "control", "candidate": "tuned", "judges": RULES,
}  # fmt: skip
JUDGE = {"kind": "model", "model": "big", "base_url": "http://127.0.0.1:9/v1", "key_env": "NOT_SET_HERE"}


def written(folder: Path, **changed: object) -> Path:
    file = folder / "gate.yaml"
    file.write_text(yaml.safe_dump({**GATE, **changed}))
    return file


def test_they_are_read_where_neither_questions_nor_keys_are(tmp_path: Path) -> None:
    file = written(tmp_path, judges={**RULES, "second": JUDGE})
    found = named_gate(file)
    assert found is not None
    assert (found.name, found.set_sha256) == ("rooms", None)
    assert found.terms["judges"] == {"strict": "facts", "second": "big"}
    write_frozen(rooms(6), tmp_path / "rooms.json")
    again = named_gate(file)
    assert again is not None
    assert again.set_sha256 == sha256_of_set(rooms(6))
    assert named_gate(None) is None


@pytest.mark.parametrize(
    "easier",
    [
        {"bar": 0.3}, {"test": {"alpha": 0.2}}, {"test": {"minimum_gain": 0}}, {"test": {"margin": 0.5}},
        {"judges": {**RULES, "second": JUDGE}}, {"control": "worse"},
    ],
)  # fmt: skip
def test_an_easier_gate_has_other_terms(tmp_path: Path, easier: dict[str, object]) -> None:
    generators = {**GATE["generators"], "worse": {"model": "worse", "base_url": "http://127.0.0.1:9/v1"}}  # type: ignore[dict-item]
    before = terms_of(load_gate(written(tmp_path, generators=generators), require_files=False).settings)
    file = written(tmp_path, generators=generators, **easier)
    after = terms_of(load_gate(file, require_files=False, require_keys=False).settings)
    assert before != after
