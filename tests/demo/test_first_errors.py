"""What a newcomer meets first is a sentence with its mend, not a traceback."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer import Typer
from typer.testing import CliRunner

import gateway.demo.run
from gateway.demo.children import Child, PartFailedError
from gateway.demo.cli import demo
from gateway.sandbox.home import HomeError, require_home

runner = CliRunner()
program = Typer()
program.command()(demo)


def test_a_home_that_is_a_file_is_named_with_the_mend(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for home in (file, file / "below"):
        result = runner.invoke(program, ["--home", str(home), "--box", "generator"])
        assert result.exit_code == 1
        assert "choose another folder with --home" in result.stdout
        with pytest.raises(HomeError, match="a file"):
            require_home(home)


def test_without_the_openai_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("gateway.demo.") and name != "gateway.demo.cli"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "openai", None)
    result = runner.invoke(program, ["--box", "generator"])
    assert result.exit_code == 1
    assert "install crossover[demo]" in result.stderr


def test_without_its_policy_it_asks_for_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway.demo.run, "POLICY", tmp_path / "demo.yaml")
    result = runner.invoke(program, ["--home", str(tmp_path), "--box", "generator"])
    assert result.exit_code == 1
    assert "from a checkout" in result.stdout


def test_a_log_that_looks_like_markup_survives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    child = Child("a part", ["[/x]", "[core.py:12]"], tmp_path / "part.log", {})
    child._process.wait(60)

    def ended(*_: object) -> None:
        child.check()

    with pytest.raises(PartFailedError, match="exit status 2"):
        child.check()
    monkeypatch.setattr(gateway.demo.run, "open_box", ended)
    result = runner.invoke(program, ["--home", str(tmp_path), "--box", "generator"])
    assert result.exit_code == 1
    assert "[/x]" in result.stdout


def test_a_killed_part_is_said_to_be_killed(tmp_path: Path) -> None:
    child = Child("a part", ["sandbox", "generator", "--port", "0"], tmp_path / "part.log", {})
    child._process.kill()
    child._process.wait(10)
    with pytest.raises(PartFailedError, match="killed by signal 9"):
        child.check()
