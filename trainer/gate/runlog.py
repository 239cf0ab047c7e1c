"""The log of a run: every prompt, answer and judgement with its usage, latency and seed, one JSON line each.

Append-only. A line is written whole or not at all, but for the last one of a run that was killed: that one is taken out
when the log is opened again, and asked again. One writer at a time.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import msgspec

from trainer.gate.errors import RunLogError
from trainer.gate.schema import Answer, Judgement

VERSION = 1
MAX_LINE_BYTES = 2 * 1024 * 1024
MAX_FILE_BYTES = 512 * 1024 * 1024


class Asked(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a request asked for, beside its messages."""

    model: str
    base_url: str = ""
    max_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    response_format: str | None = None


class Answered(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="answer"):
    """One line of a generator's log."""

    version: Literal[1]
    at: float
    """Wall clock, seconds since 1970, when the answer was there."""
    asked: Asked
    messages: list[dict[str, str]]
    answer: Answer


class Judged(msgspec.Struct, frozen=True, omit_defaults=True, tag_field="kind", tag="judgement"):
    """One line of a judge's log. `answer_sha256`: of the text that was judged. `messages`: none where rules judged."""

    version: Literal[1]
    at: float
    judgement: Judgement
    answer_sha256: str
    identity_sha256: str
    """Of the judge's whole identity: another prompt or model is another judge."""
    asked: Asked | None = None
    messages: list[dict[str, str]] = []


Line = Answered | Judged
_decode = msgspec.json.Decoder(Line).decode
_decode_version = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class RunLog:
    """`with RunLog(path) as log`: `log.lines` are those that were there, oldest first; `append` writes another.

    Raises RunLogError where the file cannot be read or written, another process writes it, or a line is broken.
    """

    def __init__(self, path: str | Path, wall: Callable[[], float] = time.time) -> None:
        self.path = Path(path)
        self.wall = wall
        self.lines: list[Line] = []
        self._descriptor: int | None = None
        self._bytes = 0

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise RunLogError(f"{self.path} cannot be opened: {error.strerror}") from None
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise RunLogError(f"{self.path} is being written by another gate: wait until it is over") from None
            content = _content(self.path)
            self.lines, whole = _parsed(content, self.path)
            if whole < len(content):
                os.ftruncate(descriptor, whole)
            self._bytes = whole
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is None:
            return
        try:
            os.fsync(self._descriptor)  # a verdict that outlives a power cut must find its answers again
        except OSError as failed:
            if error is None:
                raise RunLogError(f"{self.path} cannot be written: {failed.strerror}") from None
        finally:
            os.close(self._descriptor)  # and with it the lock
            self._descriptor = None

    def append(self, line: Line) -> None:
        if self._descriptor is None:
            raise RuntimeError("RunLog is used within `with`")
        content = msgspec.json.encode(line) + b"\n"
        if len(content) > MAX_LINE_BYTES:
            raise RunLogError(f"{self.path}: a line of {len(content)} bytes; the limit is {MAX_LINE_BYTES}")
        if self._bytes + len(content) > MAX_FILE_BYTES:
            raise RunLogError(f"{self.path} would grow beyond {MAX_FILE_BYTES} bytes: start another run")
        try:
            written = os.write(self._descriptor, content)
        except OSError as error:
            raise RunLogError(f"{self.path} cannot be written: {error.strerror}") from None
        if written != len(content):
            os.ftruncate(self._descriptor, self._bytes)  # another task's line must not be joined to half a one
            raise RunLogError(f"{self.path} cannot be written: the disk took {written} of {len(content)} bytes")
        self._bytes += written
        self.lines.append(line)


def read_log(path: str | Path) -> list[Line]:
    """The lines of a log, oldest first, without writing to it. Raises RunLogError."""
    return _parsed(_content(Path(path)), Path(path))[0]


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise RunLogError(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > MAX_FILE_BYTES:
        raise RunLogError(
            f"{path} is larger than {MAX_FILE_BYTES} bytes: it is no log of a gate, or of too large a one"
        )
    return content


def _parsed(content: bytes, path: Path) -> tuple[list[Line], int]:
    """The lines, and how many bytes of `content` they are: what follows them is the torn end of a run that died."""
    lines: list[Line] = []
    start = 0
    while (end := content.find(b"\n", start)) >= 0:
        number = len(lines) + 1
        try:
            lines.append(_decode(content[start:end]))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            other = _other_version(content[start:end])
            if other is None and not content.rstrip(b"\n\0")[end:].strip(b"\n\0"):
                break  # the last line: after a power cut its place may be there and its bytes not
            why = f"is of version {other}, and this program reads {VERSION}" if other else f"is broken ({error})"
            raise RunLogError(f"{path}:{number}: the line {why}; take it out, or start another run") from None
        start = end + 1
    return lines, start


def _other_version(line: bytes) -> str | None:
    try:
        version = _decode_version(line).get("version")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    text = None if version is None else bytes(version).decode("utf-8", "replace")[:20]
    return None if text is None or text == str(VERSION) else text
