"""scripts/prometheus.sh: Debian's Prometheus without root, and what it says when it cannot be had."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.prometheus_server import ROOT, programs

SCRIPT = ROOT / "scripts/prometheus.sh"
NEEDED = ("sh", "sed", "grep", "mkdir", "mktemp", "rm", "id", "cat", "ln", "mv", "dirname")


def run(home: Path, path: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(SCRIPT)], env={"CROSSOVER_HOME": str(home), "PATH": path}, capture_output=True, text=True
    )


def without_apt(folder: Path) -> str:
    """A PATH on which there is no apt-get."""
    folder.mkdir()
    for name in NEEDED:
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    return str(folder)


def test_what_is_there_is_left_alone() -> None:
    folder = programs()
    before = (folder / "prometheus").stat()
    again = run(folder.parent, os.environ["PATH"])
    assert again.returncode == 0
    assert again.stdout.startswith("Prometheus 2.")
    assert (folder / "prometheus").stat() == before


def test_without_debians_package_the_programs_on_path_stand_in(tmp_path: Path) -> None:
    path = f"{without_apt(tmp_path / 'bin')}:{programs()}"
    got = run(tmp_path / "home", path)
    assert got.returncode == 0, got.stderr
    assert "of this machine" in got.stdout
    version = subprocess.run([tmp_path / "home/prometheus/promtool", "--version"], capture_output=True, text=True)
    assert "version 2." in version.stdout


def test_without_either_it_says_what_to_do(tmp_path: Path) -> None:
    got = run(tmp_path / "home", without_apt(tmp_path / "bin"))
    assert got.returncode == 1
    assert "This machine has no apt-get" in got.stderr
    assert "put prometheus and promtool of version 2 on PATH" in got.stderr
    assert not any(name.name.startswith("work") for name in (tmp_path / "home/prometheus").iterdir())


def test_a_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    got = run(tmp_path / "file", os.environ["PATH"])
    assert got.returncode == 1
    assert "choose another folder with CROSSOVER_HOME" in got.stderr
