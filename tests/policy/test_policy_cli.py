"""`crossover policy`: exit codes, and what goes to which stream."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from gateway.policy.cli import app
from gateway.policy.schema import Policy

runner = CliRunner()

SETTINGS = """\
version: 1
backends:
  box:
    wire: openai
    base_url: http://127.0.0.1:8000/v1
    api_key: ${BOX_KEY}
    speed: {single_stream_tokens_per_second: 14}
auth:
  keys:
    - {name: app, sha256: "%s"}
""" % ("ab" * 32)


@pytest.fixture
def good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BOX_KEY", "sk-SECRET")
    file = tmp_path / "good.yaml"
    file.write_text(SETTINGS)
    return file


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    file = tmp_path / "bad.yaml"
    file.write_text("version: 3\nbackends: {}\ncolour: red\n")
    return file


def test_check_accepts_a_good_policy(good: Path) -> None:
    result = runner.invoke(app, ["check", str(good)])
    assert result.exit_code == 0
    assert "ok" in result.stdout
    assert "box" in result.stdout
    answer = json.loads(runner.invoke(app, ["check", str(good), "--json"]).stdout)
    assert answer["ok"] is True
    assert answer["backends"] == ["box"]


def test_check_prints_all_errors_with_file_and_line_on_stderr_and_exits_2(bad: Path) -> None:
    result = runner.invoke(app, ["check", str(bad)])
    assert result.exit_code == 2
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert [line.split(": ")[0] for line in lines[:3]] == [f"{bad}:1:10", f"{bad}:2:11", f"{bad}:3:1"]
    assert lines[3] == "3 errors"


def test_check_gives_a_program_the_errors_as_json(bad: Path) -> None:
    result = runner.invoke(app, ["check", str(bad), "--json"])
    assert result.exit_code == 2
    errors = json.loads(result.stdout)["errors"]
    assert [(error["line"], error["path"]) for error in errors] == [(1, "version"), (2, "backends"), (3, "colour")]


def test_check_can_leave_the_environment_out(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BOX_KEY")
    assert runner.invoke(app, ["check", str(good)]).exit_code == 2
    assert runner.invoke(app, ["check", str(good), "--ignore-unset"]).exit_code == 0


def test_show_prints_yaml_that_resolves_alike_with_defaults_marked_and_no_secret(good: Path) -> None:
    result = runner.invoke(app, ["show", str(good)])
    assert result.exit_code == 0
    assert "SECRET" not in result.stdout
    assert "abab" not in result.stdout
    lines = [line.strip() for line in result.stdout.splitlines()]
    assert "port: 8080  # default" in lines
    assert "wire: openai" in lines
    as_json = json.loads(runner.invoke(app, ["show", str(good), "--json"]).stdout)
    assert yaml.safe_load(result.stdout) == as_json["settings"]
    assert "server" in as_json["defaults"]
    assert "backends.box.max_in_flight" in as_json["defaults"]
    assert "backends.box.wire" not in as_json["defaults"]


def test_show_of_a_bad_policy_exits_2(bad: Path) -> None:
    assert runner.invoke(app, ["show", str(bad)]).exit_code == 2


def test_the_schema_is_json_and_refuses_unknown_settings() -> None:
    result = runner.invoke(app, ["schema"])
    assert result.exit_code == 0
    schema = json.loads(result.stdout)
    assert schema["additionalProperties"] is False
    assert set(schema["properties"]) == set(Policy.model_fields)
    assert schema["required"] == ["version", "backends"]


def test_hash_key_makes_a_key_and_its_hash() -> None:
    made = json.loads(runner.invoke(app, ["hash-key", "--new", "--json"]).stdout)
    again = json.loads(runner.invoke(app, ["hash-key", "--new", "--json"]).stdout)
    assert made["key"].startswith("xo-")
    assert made["sha256"] == hashlib.sha256(made["key"].encode()).hexdigest()
    assert made["key"] != again["key"]


def test_hash_key_hashes_the_key_it_is_given_without_repeating_it() -> None:
    result = runner.invoke(app, ["hash-key"], input="my-key\n")
    assert result.stdout.strip() == "sha256: " + hashlib.sha256(b"my-key").hexdigest()
    assert "my-key" not in result.output


def test_hash_key_of_an_empty_pipe_is_an_error_and_makes_no_key() -> None:
    result = runner.invoke(app, ["hash-key"], input="\n")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "holds no key" in result.stderr


def test_check_notes_what_an_owner_may_not_have_meant(good: Path, tmp_path: Path) -> None:
    result = runner.invoke(app, ["check", str(good)])
    assert result.exit_code == 0
    assert "note: No admin key" in result.stdout
    assert "note: No ledger" in result.stdout
    assert "No API key" not in result.stdout
    keyless = tmp_path / "keyless.yaml"
    keyless.write_text(SETTINGS.partition("auth:")[0])
    notes = json.loads(runner.invoke(app, ["check", str(keyless), "--json"]).stdout)["notes"]
    assert any("No API key" in note for note in notes)
