"""`crossover adapter train` says what is wrong with its settings before it starts another Python."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from trainer.cli import adapter


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(adapter, ["train", *arguments])
    return result.exit_code, result.stderr


def test_wrong_settings_are_all_named_and_the_status_is_2(tmp_path: Path) -> None:
    config = tmp_path / "train.yaml"
    config.write_text("version: 1\nname: a\nbase: {model: gone}\ndata: {train: gone.jsonl}\nlora: {rank: 0}\n")
    status, said = run("--config", str(config), "--python", "/no/such/python")
    assert status == 2
    assert said.count(str(config)) == 3
    assert said.endswith("3 errors\n")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    status, said = run("--config", str(tmp_path / "gone.yaml"))
    assert status == 2
    assert "gone.yaml:1:1: cannot be read" in said


def test_to_resume_and_to_start_afresh_cannot_both_be_meant(tmp_path: Path) -> None:
    assert run("--config", "any.yaml", "--resume", "--fresh")[0] == 2


def test_a_python_that_is_not_there_is_named(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (model / name).touch()
    (tmp_path / "rows.jsonl").touch()
    config = tmp_path / "train.yaml"
    config.write_text("version: 1\nname: a\nbase: {model: model}\ndata: {train: rows.jsonl}\n")
    status, said = run("--config", str(config), "--python", "/no/such/python")
    assert status == 2
    assert "/no/such/python" in said
