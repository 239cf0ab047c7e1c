"""The gateway's log: one line for each request when it ends, and whatever the program has to say, in one format.

JSON off a terminal, `key=value` on one. A line is rendered and written by a thread: a log that nobody reads must not
stop a stream. What has no room is lost, counted, and said. (No structlog: a queue, a thread and `json.dumps` are all
that is needed, and rendering in the event loop is what had to be avoided.)"""

from __future__ import annotations

import atexit
import json
import logging
import os
import re
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TextIO, TypeAlias

import msgspec

from gateway.policy.schema import LogSettings
from gateway.telemetry.outbox import Outbox
from gateway.telemetry.request_end import RequestEnd

MOST_WAITING = 8192
"""Lines that wait for the thread; what comes on top is lost."""
PROMPT_CHARACTERS = 2000
LOOK_SECONDS = 0.1
_AT_ONCE = 256
_LAST_LINES_SECONDS = 2.0


class Said(msgspec.Struct, frozen=True):
    """A line that is not a request's."""

    at: float
    level: str
    logger: str
    message: str
    traceback: str | None = None


Line: TypeAlias = RequestEnd | Said
Fields: TypeAlias = dict[str, Any]


def fields_of(line: Line, kinds: Mapping[str, str]) -> Fields:
    """A line's fields, in the order they are written. `kinds`: each backend's kind of cost."""
    if isinstance(line, Said):
        said: Fields = {
            "at": _wall(line.at), "level": line.level, "event": "log", "logger": line.logger, "message": line.message,
        }  # fmt: skip
        return said if line.traceback is None else {**said, "traceback": line.traceback}
    of, nanousd = line.record, line.nanousd
    fields: Fields = {
        "at": _wall(of.started_at + of.seconds), "level": "info", "event": "request", "id": of.id,
        "key": of.key or None, "alias": of.alias, "operation": of.operation, "stream": of.stream,
        "backend": of.backend, "reason": of.reason, "outcome": of.outcome, "status": of.status,
        "verdict": of.verdict, "input_tokens": of.input_tokens, "output_tokens": of.output_tokens,
        "certainty": of.certainty, "cost_usd": None if nanousd is None else nanousd / 1e9,
        "cost_kind": None if of.backend is None else kinds.get(of.backend), "ttft_seconds": _rounded(of.ttft_seconds),
        "seconds": _rounded(of.seconds), "held_seconds": _rounded(of.held_seconds), "attempts": of.attempts,
        "generation": line.generation,
    }  # fmt: skip
    if line.trace_id is not None:
        fields["trace_id"] = line.trace_id
    if line.prompt is not None:
        fields["prompt"] = line.prompt.decode("utf-8", "replace")[:PROMPT_CHARACTERS]
    return fields


def _wall(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)


# -- two formats ------------------------------------------------------------------------------------------------------

_PLAIN = re.compile(r"[A-Za-z0-9_.:/@+-]+", re.ASCII)
_DIM, _RED, _YELLOW, _GREEN, _RESET = "\x1b[2m", "\x1b[31m", "\x1b[33m", "\x1b[32m", "\x1b[0m"
_COLOURS = {
    "ok": _GREEN, "client_error": _YELLOW, "cancelled": _YELLOW, "refused": _RED, "timeout": _RED,
    "upstream_error": _RED, "warning": _YELLOW, "error": _RED, "critical": _RED, "late": _YELLOW, "wrong": _YELLOW,
}  # fmt: skip


def as_json(fields: Fields) -> str:
    """One line of ASCII: whatever a field holds, it cannot end the line or steer a terminal."""
    return json.dumps(fields, ensure_ascii=True, separators=(",", ":"))


_USUAL = {"stream": False, "certainty": "exact", "held_seconds": 0.0, "attempts": 1}


def as_text(fields: Fields, *, colour: bool) -> str:
    """`key=value`, nothing for what is unknown or as usual; values that are not plain words are quoted as in JSON. A
    traceback goes below, line by line."""
    parts = [str(fields["at"])[11:], _coloured(fields["level"], fields["level"].upper(), colour)]
    for name, value in fields.items():
        if value is None or value == _USUAL.get(name) or name in ("at", "level", "event", "traceback"):
            continue
        key = f"{_DIM}{name}={_RESET}" if colour else f"{name}="
        shown = _shown(value)
        known = isinstance(value, str) and name in ("outcome", "verdict")
        parts.append(key + (_coloured(value, shown, colour) if known else shown))
    below = fields.get("traceback")
    lines = [] if below is None else [f"  {json.dumps(line)[1:-1]}" for line in below.splitlines()]
    return "\n".join([" ".join(parts), *lines])


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.9f}".rstrip("0").rstrip(".")
    word = str(value)
    return word if _PLAIN.fullmatch(word) else json.dumps(word)


def _coloured(value: str, shown: str, colour: bool) -> str:
    code = _COLOURS.get(value) if colour else None
    return shown if code is None else f"{code}{shown}{_RESET}"


# -- the thread -------------------------------------------------------------------------------------------------------


class Log:
    """Writes lines to `stream` from a thread of its own, until `close`."""

    def __init__(self, stream: TextIO, render: Callable[[Line], str], *, prompts: bool = False) -> None:
        self.prompts = prompts
        """The start of each prompt is wanted."""
        self._stream = stream
        self._render = render
        self._waiting: Outbox[Line] = Outbox(MOST_WAITING)
        self._wake = threading.Event()
        self._closing = False
        self._unwritten = 0
        """Lines that the last try could not write."""
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def put(self, line: Line) -> None:
        self._waiting.put(line)

    def put_now(self, line: Line) -> None:
        """Written at once, for what is rare and may be the last thing said: also after `close`."""
        self._waiting.put(line)
        self._wake.set()
        if not self._thread.is_alive():
            self._write_waiting()

    def close(self, timeout_seconds: float = _LAST_LINES_SECONDS) -> None:
        """Writes what waits, for so long at most."""
        self._closing = True
        self._wake.set()
        self._thread.join(timeout_seconds)
        atexit.unregister(self.close)

    def _write(self) -> None:
        while True:
            closing = self._closing  # before the last look, so that nothing put before `close` is left
            if not self._write_waiting() or (closing and not len(self._waiting)):
                return
            if self._unwritten or not len(self._waiting):
                self._wake.wait(LOOK_SECONDS)
                self._wake.clear()

    def _write_waiting(self) -> bool:
        """False: nobody can read the log any more. What could not be written for another reason (a disk that is full, a
        pipe that takes no more just now) is lost, and said once something can be."""
        lines = [self._line(line) for line in self._waiting.take(_AT_ONCE)]
        taken, lost = len(lines), self._waiting.take_lost() + self._unwritten
        if lost:
            why = "could not be written" if self._unwritten else "not read fast enough"
            lines.append(self._line(Said(time.time(), "warning", __name__, f"{lost} log lines were lost: {why}")))
        if lines:
            torn = "\n" if self._unwritten else ""  # of what failed, a part may be there
            try:
                self._stream.write(torn + "\n".join(lines) + "\n")
                self._stream.flush()
                self._unwritten = 0
            except (BrokenPipeError, ValueError):
                return False
            except OSError:
                self._unwritten = lost + taken
        return True

    def _line(self, line: Line) -> str:
        try:
            return self._render(line)
        except Exception as error:
            return self._render(Said(time.time(), "error", __name__, f"a log line failed: {type(error).__name__}"))


class LogHandler(logging.Handler):
    """Python's own logging into the same lines."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        try:
            trace = None if not record.exc_info else "".join(traceback.format_exception(*record.exc_info)).rstrip()
            self._log.put_now(Said(record.created, record.levelname.lower(), record.name, record.getMessage(), trace))
        except Exception:
            self.handleError(record)


def configure_logging(settings: LogSettings, stream: TextIO, kinds: Mapping[str, str] | None = None) -> Log:
    """Sends everything that is logged to `stream`, warnings and worse; requests too where they are `put`.

    `kinds`: each backend's kind of cost. NO_COLOR in the environment: no colours on a terminal."""
    terminal = stream.isatty()
    known = dict(kinds or {})
    if settings.format == "json" or (settings.format == "auto" and not terminal):
        log = Log(stream, lambda line: as_json(fields_of(line, known)), prompts=settings.prompts)
    else:
        colour = terminal and not os.environ.get("NO_COLOR")
        log = Log(stream, lambda line: as_text(fields_of(line, known), colour=colour), prompts=settings.prompts)
    root = logging.getLogger()
    for handler in root.handlers:
        if isinstance(handler, LogHandler):
            root.removeHandler(handler)
    root.addHandler(LogHandler(log))
    root.setLevel(logging.WARNING)
    logging.captureWarnings(True)
    return log
