"""One publisher of a registry at a time: two that load and unload beside each other could take away what serves."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from trainer.publish.errors import PublishError
from trainer.publish.place import Place
from trainer.publish.progress import Say

LOCK_FILE = ".publishing"
WAIT_SECONDS = 600.0
_POLL_SECONDS = 0.1


@contextmanager
def one_at_a_time(
    place: Place, say: Say, *, wait_seconds: float = WAIT_SECONDS, or_go_on: bool = False
) -> Iterator[None]:
    """Waits for other commands on this registry. `or_go_on`: without them after that time, and says so; else raises
    PublishError. A lock is the process's: it ends with it. Not to be nested."""
    try:
        descriptor = os.open(place.registry.root / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError:  # no such folder, or one that may only be read: the gateway still refuses what would harm
        yield
        return
    try:
        _wait(place, descriptor, say, wait_seconds, or_go_on)
        yield
    finally:
        os.close(descriptor)


def _wait(place: Place, descriptor: int, say: Say, wait_seconds: float, or_go_on: bool) -> None:
    deadline, told = time.monotonic() + wait_seconds, False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            pass
        if time.monotonic() >= deadline:
            said = f"another publication from {place.registry.root} has been under way for {wait_seconds:g} s"
            if or_go_on:
                say(f"{said}: this goes on beside it")
                return
            raise PublishError("registry", f"{said}: nothing was done. Say it again when that one is over")
        if not told:
            told = True
            say(f"another publication from {place.registry.root} is under way: waiting for it")
        time.sleep(_POLL_SECONDS)
