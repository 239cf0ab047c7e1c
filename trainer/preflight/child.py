"""Run a probe in an environment, and pass on what it says as it says it, with a time limit for each rung."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from trainer.environment import without_secrets

INSIDE = Path(__file__).parent / "inside"
Event = dict[str, Any]

LIMITS_SECONDS = {"import": 120.0, "config": 60.0, "tiny model": 240.0, "kernel": 180.0, "servable": 300.0}

TOO_SLOW = "took longer than"
"""In the line of a wall that is no wall: the machine was too busy to tell."""


class Ended:
    """How a probe ended. `doing`: the rung and step it was in when it did not end by itself; `tail`: its last words."""

    def __init__(self, status: int, doing: tuple[str, str] | None, timed_out: bool, tail: list[str]) -> None:
        self.status, self.doing, self.timed_out, self.tail = status, doing, timed_out, tail

    @property
    def error(self) -> list[dict[str, Any]] | None:
        """What stopped it, in the form of an exception's record; None when it ended by itself."""
        if self.timed_out:
            rung, step = self.doing or ("?", "?")
            limit = LIMITS_SECONDS.get(rung, 0.0)
            return [{"type": "TimedOut", "text": f"{step} {TOO_SLOW} {limit:.0f} s", "frames": []}]
        if self.status == 0:
            return None
        if self.status < 0:
            name = signal.Signals(-self.status).name
            why = " (the system's memory ran out?)" if name == "SIGKILL" else ""
            text = f"the process ended with {name}{why}"
        else:
            text = f"the process ended with status {self.status}"
        last = next((line for line in reversed(self.tail) if line.strip()), "")
        return [{"type": "Died", "text": f"{text}{': ' + last[:300] if last else ''}", "frames": []}]


def environment(extra: Mapping[str, str] = {}) -> dict[str, str]:
    """The process's own less its secrets, without the network's model hub; libraries say only what went wrong."""
    return {
        **without_secrets(os.environ),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "TRANSFORMERS_VERBOSITY": "error",
        "PYTHONWARNINGS": "ignore",
        "PYTHONUNBUFFERED": "1",
        **extra,
    }


def run_probe(
    python: Path,
    probe: str,
    request: Mapping[str, Any],
    seen: Callable[[Event], None],
    extra: Mapping[str, str] = {},
) -> Ended:
    """Run `inside/<probe>.py` with the request as a JSON file. `seen` is called with each event, in order.

    The probe is started in an empty folder and a process group of its own, which is killed when a rung's time is over.
    """
    with tempfile.TemporaryDirectory(prefix="crossover-preflight-") as folder:
        file = Path(folder) / "request.json"
        file.write_text(json.dumps(request), encoding="utf-8")
        with subprocess.Popen(  # noqa: S603
            [str(python), str(INSIDE / f"{probe}.py"), str(file)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=environment(extra), cwd=folder, start_new_session=True,
        ) as child:  # fmt: skip
            try:
                return _watch(child, seen)
            finally:
                _kill(child)


def _watch(child: subprocess.Popen[bytes], seen: Callable[[Event], None]) -> Ended:
    lines: queue.Queue[bytes | None] = queue.Queue()
    tail: deque[str] = deque(maxlen=40)

    def read_events() -> None:
        assert child.stdout is not None
        for line in child.stdout:
            lines.put(line)
        lines.put(None)

    def read_errors() -> None:
        assert child.stderr is not None
        for line in child.stderr:
            tail.append(line.decode(errors="replace").rstrip())

    threads = [threading.Thread(target=work, daemon=True) for work in (read_events, read_errors)]
    for thread in threads:
        thread.start()
    doing: tuple[str, str] | None = None
    rung, since = "", time.monotonic()
    while True:
        left = since + LIMITS_SECONDS.get(rung, 120.0) - time.monotonic()
        try:
            line = lines.get(timeout=max(0.0, left))
        except queue.Empty:
            return Ended(0, doing or (rung, "starting"), True, list(tail))
        if line is None:
            break
        try:
            event: Event = json.loads(line)
        except ValueError:
            tail.append(line.decode(errors="replace").rstrip())
            continue
        if event.get("rung", rung) != rung:
            rung, since = event["rung"], time.monotonic()
        if "doing" in event:
            doing = (rung, event["doing"])
        elif "done" in event:
            doing = None
        seen(event)
    child.wait()
    threads[1].join(2)
    return Ended(child.returncode, doing, False, list(tail))


def _kill(child: subprocess.Popen[bytes]) -> None:
    """The probe, and whatever it started."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    child.wait()
