"""What the kernel says a system used: CPU time and memory of a process and all its descendants; and their cores."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
PROC = Path("/proc")
CPU_SOURCE = "schedstat of every thread (ns)" if (PROC / "self" / "schedstat").exists() else "stat (10 ms ticks)"


def tree(pid: int) -> list[int]:
    """The process and all its descendants that live now."""
    children: dict[int, list[int]] = {}
    for folder in PROC.iterdir():
        if folder.name.isdigit() and (fields := _stat(folder)):
            children.setdefault(int(fields[1]), []).append(int(folder.name))
    found, queue = [], [pid]
    while queue:
        found.append(queue.pop())
        queue += children.get(found[-1], [])
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time so far, of all threads of the tree. A thread or child that ended is no longer in it."""
    return sum(_of_process(one) for one in tree(pid))


def rss_bytes(pid: int) -> int:
    """Resident memory of the tree; pages that two of its processes share count twice."""
    total = 0
    for one in tree(pid):
        try:
            total += int((PROC / str(one) / "statm").read_text().split()[1]) * _PAGE_BYTES
        except (OSError, IndexError):
            continue
    return total


def _of_process(pid: int) -> float:
    folder = PROC / str(pid)
    if CPU_SOURCE.startswith("schedstat"):
        total = 0
        for file in folder.glob("task/*/schedstat"):
            try:
                total += int(file.read_text().split()[0])
            except (OSError, IndexError):
                continue
        return total / 1e9
    fields = _stat(folder)
    return (int(fields[11]) + int(fields[12])) / _TICKS if fields else 0.0


def _stat(folder: Path) -> list[str]:
    """The fields after the name: state, parent, ..."""
    try:
        return (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def cores() -> tuple[int, int]:
    """One core for the system, another for mock and client; the same twice where there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[-1], allowed[0]


@contextmanager
def on_core(core: int) -> Iterator[None]:
    """What is started in here runs on that core alone, as do its children."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
