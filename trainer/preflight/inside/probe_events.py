"""How a probe tells the ladder what it does and finds: one JSON object a line, on the standard output it was given.

Whatever the packages under test print goes to standard error instead.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
import traceback
from importlib import metadata
from typing import Any

_out: Any = None


def open_events() -> None:
    """Keep standard output for events; what anybody else prints goes to standard error."""
    global _out
    _out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)


def say(**event: Any) -> None:
    _out.write(json.dumps(event, default=str) + "\n")
    _out.flush()


def version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


class Step:
    """A step of a rung: says what is done, how long it took, and what went wrong. A failure is swallowed: see `ok`."""

    def __init__(self, rung: str, doing: str, **facts: Any) -> None:
        self.rung, self.doing, self.facts, self.ok = rung, doing, facts, False

    def __enter__(self) -> Step:
        say(rung=self.rung, doing=self.doing)
        self.started = time.perf_counter()
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        seconds = round(time.perf_counter() - self.started, 3)
        self.ok = error is None
        event: dict[str, Any] = {"rung": self.rung, "done": self.doing, "ok": self.ok, "seconds": seconds, **self.facts}
        if error is not None:
            event["error"] = record(error)
        say(**event)
        return error is None or isinstance(error, (Exception, SystemExit))


def record(error: BaseException) -> list[dict[str, Any]]:
    """The chain of an exception, the root first: each one's type, text, and the files it went through.

    `handled`: reached as the context of another, so somebody had caught it already: seldom the cause.
    """
    chain: list[dict[str, Any]] = []
    seen: set[int] = set()
    current: BaseException | None = _swallowed(error) or error
    handled = False
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        frames = [f"{frame.filename}:{frame.lineno}" for frame in traceback.extract_tb(current.__traceback__)]
        text = str(current)[:4000]
        chain.append({"type": type(current).__name__, "text": text, "frames": frames[-25:], "handled": handled})
        handled = handled or current.__cause__ is None
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    return chain[::-1]


def _swallowed(error: BaseException) -> BaseException | None:
    """What `from package import name` hides: an AttributeError raised anywhere below a lazy package becomes a bare
    "cannot import name". Asking for the attribute brings the real one out."""
    root = error
    while root.__cause__ is not None:
        root = root.__cause__
    found = (
        re.search(r"cannot import name '(\w+)' from '([\w.]+)'", str(root)) if isinstance(root, ImportError) else None
    )
    module = sys.modules.get(found[2]) if found else None
    if found is None or module is None:
        return None
    try:
        getattr(module, found[1])
    except Exception as deeper:
        says_the_same = deeper.__cause__ is None and re.search(rf"has no attribute '?{found[1]}\b", str(deeper))
        return None if says_the_same else deeper
    return None


def fail(rung: str, doing: str, what: str | BaseException, **facts: Any) -> None:
    """A step that failed: with an exception caught before, or with something that was found without one."""
    error = [{"type": "Found", "text": what, "frames": []}] if isinstance(what, str) else record(what)
    say(rung=rung, done=doing, ok=False, seconds=0.0, error=error, **facts)


def end(rung: str) -> None:
    say(rung=rung, end=True)


def leave_this_folder() -> None:
    """Take the probes' own folder off the import path, so that nothing here can stand in for an installed package."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != here]
