"""Heads of answers as bytes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from email.utils import formatdate
from http import HTTPStatus

Headers = Sequence[tuple[bytes, bytes]]

_STATUS_LINES = {status.value: b"HTTP/1.1 %d %s\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus}
# All that may stand in a head besides its own line ends: visible ASCII, space, tab, and bytes above 127.
_IN_HEADS = bytes(byte for byte in range(256) if (byte >= 0x20 and byte != 0x7F) or byte == 0x09)
_date_second = -1
_date_line = b""


class UnsafeHeader(ValueError):
    """A header's name or value holds a line break or another control character. Quotes nothing."""


def answer_head(status: int, headers: Headers, framing: bytes) -> bytes:
    """Status line, Date, `headers` and `framing` (whole lines, each with its end), without the empty line after them.
    Raises `UnsafeHeader`."""
    parts = [_STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status, _date()]
    for name, value in headers:
        parts += (name, b": ", value, b"\r\n")
    head = b"".join(parts)
    # One pass in C: whatever may not stand in a head must be exactly the line ends written above.
    if head.translate(None, _IN_HEADS) != b"\r\n" * (len(headers) + 2):
        raise UnsafeHeader("a header holds a line break or another control character")
    return head + framing


def _date() -> bytes:
    global _date_second, _date_line
    now = int(time.time())
    if now != _date_second:
        _date_second, _date_line = now, b"date: " + formatdate(now, usegmt=True).encode() + b"\r\n"
    return _date_line
