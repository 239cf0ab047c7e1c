"""InvokeModelWithResponseStream wraps each piece of model JSON: `{"bytes": "<base64>", "p": "<padding>"}`."""

from __future__ import annotations

import msgspec


class _Chunk(msgspec.Struct):
    content: bytes = msgspec.field(name="bytes")


_decode = msgspec.json.Decoder(_Chunk).decode


def model_json(name: str, payload: bytes) -> bytes | None:
    """The model's JSON of a `chunk` event; None for an event of another name (none is known today)."""
    return _decode(payload).content if name == "chunk" else None
