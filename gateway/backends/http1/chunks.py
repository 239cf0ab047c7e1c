"""Whole chunks told by a look at the bytes, without a parser: what may go on to a client as it came."""

from __future__ import annotations

import re

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,6})\r\n")
_MOST_FRAMED_BYTES = 2048


def _line_of(framed_bytes: int) -> bytes:
    """The size line of the one chunk that takes so many bytes with its framing; b"-": there is none."""
    for digits in (1, 2, 3):
        size = framed_bytes - digits - 4
        if size > 0 and len(b"%x" % size) == digits:
            return b"%x\r\n" % size
    return b"-"


_LINES = tuple(_line_of(framed_bytes) for framed_bytes in range(_MOST_FRAMED_BYTES))


def one_chunk(data: bytes) -> int:
    """Where the data of the chunk begins, if these bytes are exactly one, not the last, of a usual length and without
    an extension; else 0. `data` begins where a size line is due."""
    size = len(data)
    if size >= _MOST_FRAMED_BYTES:
        return 0
    line = _LINES[size]
    return len(line) if data.startswith(line) and data.endswith(b"\r\n") else 0


def whole_chunks(data: bytes, begin: bytes, end: bytes) -> bool:
    """Whether these bytes are whole chunks, none of them the last, each of whose data begins and ends as told. `data`
    begins where a size line is due; chunk extensions are not for here (False). `begin`, `end`: not empty."""
    at, size = 0, len(data)
    while at < size:
        found = _SIZE_LINE.match(data, at)
        if found is None:
            return False
        at = found.end()
        if not data.startswith(begin, at):
            return False
        at += int(found[1], 16)
        if not data.startswith(end + b"\r\n", at - len(end)):
            return False
        at += 2
    return 0 < at == size
