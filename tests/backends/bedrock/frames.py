"""Writing event-stream frames in the tests: written from the format's description, apart from the decoder's code."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from typing import Any


def frame(headers: dict[str, str], payload: bytes) -> bytes:
    block = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value.encode())) + value.encode()
        for name, value in headers.items()
    )
    prelude = struct.pack(">II", 12 + len(block) + len(payload) + 4, len(block))
    prelude += struct.pack(">I", zlib.crc32(prelude))
    message = prelude + block + payload
    return message + struct.pack(">I", zlib.crc32(message))


def event(name: str, payload: Any) -> bytes:
    headers = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
    return frame(headers, json.dumps(payload).encode())


def chunk(model_json: Any) -> bytes:
    """A `chunk` event of InvokeModelWithResponseStream, padded as on the wire."""
    return event("chunk", chunk_payload(model_json))


def chunk_payload(model_json: Any) -> dict[str, str]:
    return {"bytes": base64.b64encode(json.dumps(model_json).encode()).decode(), "p": "abcdefghij"}


def exception(name: str, payload: Any) -> bytes:
    headers = {":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}
    return frame(headers, json.dumps(payload).encode())
