"""The sending half of `application/vnd.amazon.eventstream`.

A message is `total u32 | headers u32 | crc32(those eight bytes) u32 | headers | payload | crc32(all before) u32`, big
endian; a header is `length u8 | name | type u8 (7: string) | length u16 | value`.
"""

from __future__ import annotations

import base64
import json
import random
import string
import struct
from typing import Any
from zlib import crc32

_PADDING = string.ascii_letters + string.digits
_STRING = 7


def message(headers: tuple[tuple[str, str], ...], payload: bytes) -> bytes:
    """One framed message; the headers keep their order."""
    head = b"".join(
        bytes([len(name)]) + name.encode() + struct.pack("!BH", _STRING, len(value.encode())) + value.encode()
        for name, value in headers
    )
    prelude = struct.pack("!II", 16 + len(head) + len(payload), len(head))
    framed = prelude + struct.pack("!I", crc32(prelude)) + head + payload
    return framed + struct.pack("!I", crc32(framed))


def event(event_type: str, payload: dict[str, Any]) -> bytes:
    """An event frame with a JSON payload."""
    headers = ((":event-type", event_type), (":content-type", "application/json"), (":message-type", "event"))
    return message(headers, _json(payload))


def chunk(model_json: dict[str, Any]) -> bytes:
    """An InvokeModelWithResponseStream event: the model's own JSON in base64, padded to hide its length."""
    return event("chunk", {"bytes": base64.b64encode(_json(model_json)).decode(), "p": padding()})


def exception(exception_type: str, payload: dict[str, Any]) -> bytes:
    """An exception frame: it ends the stream."""
    headers = (
        (":exception-type", exception_type),
        (":content-type", "application/json"),
        (":message-type", "exception"),
    )
    return message(headers, _json(payload))


def padding() -> str:
    """Between 1 and 62 characters of a fixed alphabet: what AWS adds so that frame sizes do not betray the text."""
    return _PADDING[: random.randint(1, len(_PADDING))]  # noqa: S311


def corrupt(frame: bytes) -> bytes:
    """The same frame with a message checksum that does not match."""
    return frame[:-4] + struct.pack("!I", crc32(frame[:-4]) ^ 0xFFFFFFFF)


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
