"""The replay report that the policy names (`console.replay_report`): read when asked for, and again when it changed."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import msgspec

log = logging.getLogger(__name__)

MOST_BYTES = 8 * 1024 * 1024


class _Head(msgspec.Struct):
    schema: int
    replays: list[msgspec.Raw]


class ReplayReport:
    """Blocking: to be called in a thread."""

    def __init__(self, path: str | None) -> None:
        self._path = None if path is None else Path(path)
        self._stamp: tuple[int, int] | None = None
        self._body: bytes | None = None
        self._told: str | None = None
        self._one_at_a_time = threading.Lock()

    def read(self) -> bytes | None:
        """The report's JSON as it was written; None: none is named, or there is none yet, or it is not one."""
        if self._path is None:
            return None
        with self._one_at_a_time:
            return self._read(self._path)

    def _read(self, path: Path) -> bytes | None:
        try:
            at = path.stat()
            if (at.st_mtime_ns, at.st_size) == self._stamp:
                return self._body
            self._stamp, self._body = (at.st_mtime_ns, at.st_size), None
            if at.st_size > MOST_BYTES:
                raise ValueError(f"it has {at.st_size} bytes, and the console shows at most {MOST_BYTES}")
            body = path.read_bytes()
            msgspec.json.decode(body, type=_Head)
            self._body = body
        except FileNotFoundError:
            self._stamp = self._body = None
        except OSError as error:
            self._stamp = None  # a permission may be mended without a change of the file
            self._say(f"console.replay_report {self._path} is not shown: {error}")
        except (ValueError, RecursionError, msgspec.MsgspecError) as error:
            self._say(f"console.replay_report {self._path} is not shown: {error}")
        return self._body

    def _say(self, problem: str) -> None:
        if problem != self._told:
            log.warning(problem)
            self._told = problem
