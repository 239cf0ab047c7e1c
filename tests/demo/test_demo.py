"""`crossover demo`: one command, the whole product; however it ends, nothing of it is left running."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.vllm_fixture import HOME

# They want the same ports first: one after another.
pytestmark = pytest.mark.xdist_group("demo")


class DemoProcess:
    """A demo under way, with its output in a file and its children in view."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.output = folder / "demo.out"
        with self.output.open("wb") as out, (folder / "demo.json").open("wb") as answer:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gateway.cli", "demo", *arguments], stdout=answer, stderr=out,
                preexec_fn=_heed_interrupts,
            )  # fmt: skip
        self.answer = folder / "demo.json"

    def text(self) -> str:
        return self.output.read_text(errors="replace")

    def wait_for(self, words: str, seconds: float = 90) -> None:
        deadline = time.monotonic() + seconds
        while words not in self.text():
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.1)

    def ends(self, seconds: float = 60) -> int:
        """Its exit status; where it does not end, what it said and what still runs."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            running = {pid: Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ") for pid in self.children()}
            raise AssertionError(f"still running after {seconds:g} s: {running}\n{self.text()}") from None

    def children(self) -> list[int]:
        """Process ids of all descendants."""
        parents: dict[int, int] = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(stat.parent.name)] = int(fields[1])
        found = {self.process.pid}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return sorted(found - {self.process.pid})

    def child(self, word: str) -> int:
        """The child whose command line has `word`."""
        for pid in self.children():
            if word in Path(f"/proc/{pid}/cmdline").read_text().split("\0"):
                return pid
        raise AssertionError(f"no child runs {word}")


def _heed_interrupts() -> None:
    """What a shell starts in the background ignores SIGINT, and so does all that is started from there."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def gone(pids: list[int], seconds: float = 15) -> bool:
    deadline = time.monotonic() + seconds
    while any(_runs(pid) for pid in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Any]:
    started: list[DemoProcess] = []

    def start(*arguments: str) -> DemoProcess:
        started.append(DemoProcess(tmp_path, *arguments))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.terminate()
            one.process.wait(30)


def simulated(tmp_path: Path) -> list[str]:
    return ["--box", "generator", "--home", str(tmp_path / "home")]


def check_account(account: dict[str, Any]) -> None:
    assert set(account["backends"]) == {"box", "cmi", "bedrock-base"}
    for row in account["backends"].values():
        assert {"requests", "input_tokens", "output_tokens", "usd", "usd_per_1m_tokens"} <= set(row)
    assert account["backends"]["box"]["requests"] > 0
    assert account["backends"]["box"]["usd"] > 0
    assert account["ledger_matches_bill"] is True
    assert account["ledger_differences"] == []
    assert account["failed_requests"] == 0
    assert {(c["box"], c["against"]) for c in account["crossovers"]} == {("box", "cmi"), ("box", "bedrock-base")}
    assert 0 < account["crossovers"][0]["utilization"] < 1
    assert account["seconds"]["first answer"] > 0


def test_where_vllm_is_not_wanted_the_generator_serves_and_says_so(demo: Any, tmp_path: Path) -> None:
    running = demo(*simulated(tmp_path), "--once", "--json", "--seconds", "8", "--rate", "2")
    assert running.process.wait(110) == 0, running.text()
    account = json.loads(running.answer.read_text())
    check_account(account)
    assert account["local_engine"] == "generator (simulated)"
    assert account["backends"]["box"]["simulated"] is True
    assert "† simulated: box, cmi, bedrock-base" in running.text()


def test_ctrl_c_ends_every_part(demo: Any, tmp_path: Path) -> None:
    running = demo(*simulated(tmp_path), "--json", "--seconds", "30")
    running.wait_for("base_url")
    children = running.children()
    assert len(children) >= 3
    running.process.send_signal(signal.SIGINT)
    assert running.ends() == 130
    assert "every part has ended" in running.text()
    assert gone(children)


def test_without_once_the_gateway_stays_up_and_answers(demo: Any, tmp_path: Path) -> None:
    running = demo(*simulated(tmp_path), "--json", "--seconds", "5")
    running.wait_for("stays up at")
    url, key = (re.search(rf"{name}\s+(\S+)", running.text()) for name in ("base_url", "api_key"))
    assert url is not None
    assert key is not None
    answer = httpx.post(
        f"{url[1]}/chat/completions",
        headers={"authorization": f"Bearer {key[1]}"},
        json={"model": "tuned", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 5},
        timeout=30,
    )
    assert answer.json()["usage"]["completion_tokens"] == 5
    children = running.children()
    running.process.terminate()
    assert running.ends() == 130
    assert gone(children)


@pytest.mark.parametrize(("part", "name"), [("serve", "the gateway"), ("bedrock", "the Bedrock sandbox")])
def test_a_part_that_dies_ends_the_demo_and_says_why(demo: Any, tmp_path: Path, part: str, name: str) -> None:
    running = demo(*simulated(tmp_path), "--json", "--seconds", "60")
    running.wait_for("base_url")
    children = running.children()
    os.kill(running.child(part), signal.SIGKILL)
    assert running.ends() == 1
    assert f"{name} ended by itself" in running.text()
    assert gone(children)


def test_a_demo_that_is_killed_leaves_nothing_behind(demo: Any, tmp_path: Path) -> None:
    running = demo(*simulated(tmp_path), "--json", "--seconds", "60")
    running.wait_for("base_url")
    children = running.children()
    running.process.kill()
    running.process.wait()
    assert gone(children)


@pytest.mark.vllm
@pytest.mark.alone
@pytest.mark.timeout(900)
def test_with_a_real_vllm(demo: Any) -> None:
    running = demo("--home", str(HOME), "--box", "vllm", "--once", "--json", "--seconds", "15", "--rate", "2")
    running.wait_for("base_url", 800)
    children = running.children()
    assert running.process.wait(200) == 0, running.text()
    account = json.loads(running.answer.read_text())
    check_account(account)
    assert account["local_engine"] == "vllm 0.32.0 (cpu)"
    assert account["backends"]["box"]["simulated"] is False
    assert gone(children)
