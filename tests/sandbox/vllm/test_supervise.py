"""No process of the local server outlives the one that started it. Real process trees, no vLLM."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gateway.sandbox.vllm import supervise

SUPERVISOR = Path(supervise.__file__)

# As vLLM: a process with a child, in one process group. Prints the ids of both.
TREE = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(os.getpid(), child.pid, flush=True)
time.sleep(600)
"""
STUBBORN_TREE = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + TREE


def supervisor_command(log: Path, program: str, grace_seconds: float = 5) -> list[str]:
    command = [sys.executable, "-I", str(SUPERVISOR), "--grace-seconds", str(grace_seconds), "--log", str(log)]
    return [*command, "--", sys.executable, "-c", program]


def start(log: Path, program: str, grace_seconds: float = 5) -> subprocess.Popen:
    return subprocess.Popen(
        supervisor_command(log, program, grace_seconds), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def tree_pids(log: Path) -> list[int]:
    """The ids that the tree wrote into its log, once it has."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        text = log.read_text() if log.exists() else ""
        if text.endswith("\n"):
            return [int(word) for word in text.split()]
        time.sleep(0.02)
    raise AssertionError("the tree did not start")


def alive(pid: int) -> bool:
    """A zombie that nobody has reaped yet counts as dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def assert_all_end(pids: list[int]) -> None:
    deadline = time.monotonic() + 20
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < deadline, f"still running: {[pid for pid in pids if alive(pid)]}"
        time.sleep(0.02)


pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads process states from /proc")


def test_first_line_of_output_is_the_commands_process_id(tmp_path):
    supervisor = start(tmp_path / "log", TREE)
    pids = tree_pids(tmp_path / "log")
    assert int(supervisor.stdout.readline()) == pids[0]
    supervisor.communicate(timeout=20)
    assert_all_end(pids)


def test_closing_the_pipe_ends_the_whole_group(tmp_path):
    supervisor = start(tmp_path / "log", TREE)
    pids = tree_pids(tmp_path / "log")
    supervisor.communicate(timeout=20)
    assert supervisor.returncode == 128 + signal.SIGTERM
    assert_all_end(pids)


def test_sigkill_of_the_parent_ends_the_whole_group(tmp_path):
    """The parent cannot clean up after itself: only the pipe that the kernel closes tells of its end."""
    parent_program = (
        "import subprocess, sys, time\n"
        f"subprocess.Popen({supervisor_command(tmp_path / 'log', TREE)!r},"
        " stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True)\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", parent_program])
    pids = tree_pids(tmp_path / "log")
    assert all(alive(pid) for pid in pids)
    parent.kill()
    parent.wait()
    assert_all_end(pids)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's")
def test_sigkill_of_the_supervisor_ends_the_command(tmp_path):
    supervisor = start(tmp_path / "log", TREE)
    command_pid, child_pid = tree_pids(tmp_path / "log")
    supervisor.kill()
    supervisor.wait()
    try:
        assert_all_end([command_pid])
    finally:
        os.kill(child_pid, signal.SIGKILL)  # the real server ends its own children on SIGTERM; this one does not


def test_a_group_that_ignores_sigterm_is_killed_after_the_grace(tmp_path):
    supervisor = start(tmp_path / "log", STUBBORN_TREE, grace_seconds=0.3)
    pids = tree_pids(tmp_path / "log")
    supervisor.communicate(timeout=20)
    assert supervisor.returncode == 128 + signal.SIGKILL
    assert_all_end(pids)


def test_sigterm_to_the_supervisor_ends_the_group(tmp_path):
    supervisor = start(tmp_path / "log", TREE)
    pids = tree_pids(tmp_path / "log")
    supervisor.terminate()
    supervisor.wait(timeout=20)
    assert_all_end(pids)


def test_a_command_that_dies_leaves_no_orphans_and_gives_its_status(tmp_path):
    dying = TREE.rstrip().rpartition("\n")[0] + "\nsys.exit(3)\n"
    supervisor = start(tmp_path / "log", dying)
    pids = tree_pids(tmp_path / "log")
    assert supervisor.wait(timeout=20) == 3
    assert_all_end(pids)
