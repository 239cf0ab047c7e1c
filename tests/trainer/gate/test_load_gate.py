"""A gate's settings file is read into settings, or everything that is wrong with it is said at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.policy.problem import SettingsError
from trainer.gate.load import load_gate
from trainer.gate.settings import GateSettings

GOOD = """\
version: 1
name: handbook
questions: frozen.json
generators:
  control: {model: base, base_url: http://127.0.0.1:8080/v1, key_env: XO_KEY, note: base model and retrieval}
  candidate:
    model: handbook@v0001
    base_url: http://127.0.0.1:8080/v1
control: control
candidate: candidate
judges:
  strict: {kind: rules, rule: facts}
  second: {kind: rules, rule: grounding}
"""
ENVIRON = {"XO_KEY": "a-secret"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "frozen.json").touch()
    return tmp_path


def load(folder: Path, text: str, **options: Any) -> GateSettings:
    file = folder / "gate.yaml"
    file.write_text(text)
    return load_gate(file, **{"environ": ENVIRON, **options}).settings


def problems(folder: Path, text: str, **options: Any) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(folder, text, **options)
    return [str(problem).removeprefix(f"{folder}/") for problem in caught.value.problems]


def test_paths_are_relative_to_the_settings_file_and_the_rest_has_defaults(folder: Path) -> None:
    settings = load(folder, GOOD)
    assert settings.questions == str(folder / "frozen.json")
    assert settings.out == str(folder / "gates")
    assert settings.bar == 0.6
    assert settings.test.alpha == 0.05
    assert settings.sampling.temperature == 0
    assert settings.concurrency == 4
    assert list(settings.judges) == ["strict", "second"]


def test_everything_that_is_wrong_is_said_at_once_with_its_place(folder: Path) -> None:
    text = """\
version: 1
name: Hand Book
questions: missing.json
generators:
  control: {model: base, base_url: ftp://x}
  a/b: {model: m, base_url: http://127.0.0.1:1/v1, tokens: 3}
control: contrl
candidate: a/b
judges:
  strict: {kind: rules, rule: fact}
bar: 1.2
"""
    assert problems(folder, text) == [
        "gate.yaml:2:7: name: does not have the form ^[a-z0-9][a-z0-9._-]{0,47}$ (got 'Hand Book')",
        f"gate.yaml:3:12: questions: the frozen questions: {folder}/missing.json is not there; paths are relative to "
        "this settings file",
        "gate.yaml:5:36: generators.control.base_url: does not have the form ^https?://[^/?#\\s]+[^?#\\s]*$ (got "
        "'ftp://x')",
        "gate.yaml:6:8: generators.a/b: its answers go into a file of this name, which may hold letters, digits and . "
        "_ - only; rename it",
        "gate.yaml:6:52: generators.a/b.tokens: unknown setting; the settings here are: model, base_url, key_env, "
        "timeout_seconds, adapter, note",
        "gate.yaml:7:10: control: names no generator of this gate (got 'contrl'); did you mean `control`?",
        "gate.yaml:10:3: judges: there are 1, and the verdict is of exactly 2: an answer is accepted where both "
        "accept; name two, of different kinds or families if you can: they err together less",
        "gate.yaml:10:31: judges.strict.rule: must be 'facts' or 'grounding' (got 'fact'); did you mean `facts`?",
        "gate.yaml:11:6: bar: must be less than or equal to 1 (got 1.2)",
    ]


@pytest.mark.parametrize(
    ("changed", "put", "said"),
    [
        ("control: control\n", "control: candidate\n", "is the candidate too"),
        ("candidate: candidate\n", "candidate: candidate\nlive: candidate\n", "what serves now cannot be"),
        ("rule: grounding", "rule: facts", "is the same judge as strict"),
        ("{kind: rules, rule: grounding}", "{kind: rules}", "kind rules needs rule"),
        ("{kind: rules, rule: grounding}", "{kind: model, model: m}", "kind model needs base_url"),
        ("rule: grounding", "rule: grounding, model: m", "model belong to kind model"),
        ("model: handbook@v0001", "model: m\n    adapter: handbook", "does not have the form"),
        ("http://127.0.0.1:8080/v1, key", "http://me:pw@127.0.0.1:8080/v1, key", "holds a user name or password"),
        ("http://127.0.0.1:8080/v1, key", "http://models.example/v1, key", "would cross the network in clear text"),
        ("http://127.0.0.1:8080/v1, key", "http://127.0.0.1:99999/v1, key", "1 to 65535"),
        ("  control: {", "  canary: {model: m, base_url: http://127.0.0.1:1/v1}\n  control: {", "log uses this name"),
    ],
)
def test_what_contradicts_is_refused(folder: Path, changed: str, put: str, said: str) -> None:
    assert changed in GOOD
    found = problems(folder, GOOD.replace(changed, put, 1))
    assert any(said in problem for problem in found), found


def test_a_key_that_was_pasted_in_place_of_its_variables_name_is_not_repeated(folder: Path) -> None:
    pasted = "sk-live-51Habcdef"
    (problem,) = problems(folder, GOOD.replace("XO_KEY", pasted))
    assert "not the name of an environment variable" in problem
    assert pasted not in problem


def test_a_key_that_is_not_set_is_an_error_unless_nobody_asks(folder: Path) -> None:
    (problem,) = problems(folder, GOOD, environ={})
    assert "the environment variable XO_KEY is not set" in problem
    assert load(folder, GOOD, environ={}, require_keys=False).generators["control"].key_env == "XO_KEY"
