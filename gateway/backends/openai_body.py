"""The body that goes to an OpenAI-compatible server: the client's, but for the model's name and the usage asked for."""

from __future__ import annotations

import msgspec

from gateway.backends.contract import UpstreamRequest
from gateway.backends.dialects import DIALECTS
from gateway.backends.http1.connection import Piece

_COPIED_BYTES = 16 * 1024
"""A field longer than this goes out from where it is; below, one piece is cheaper than three."""
_LONG_FIELDS = ("messages", "prompt", "input")

_decode_options = msgspec.json.Decoder(dict[str, msgspec.Raw] | None).decode
_encode = msgspec.json.Encoder().encode
_TRUE = msgspec.Raw(b"true")
_NULL = msgspec.Raw(b"null")


def outgoing_body(request: UpstreamRequest) -> bytes | tuple[Piece, ...]:
    """Every value as the client wrote it, each name once. A long prompt is a view of the client's own bytes, and moves
    to the end: it is not copied, and order means nothing in a JSON object."""
    fields = dict(request.fields)
    fields["model"] = msgspec.Raw(_encode(request.target.model))
    if request.stream and DIALECTS[request.operation].asks_for_usage:
        options = _decode_options(fields.get("stream_options", _NULL)) or {}
        options["include_usage"] = _TRUE
        if not request.include_usage:
            options.pop("continuous_usage_stats", None)  # it had no effect, and would put usage into every event
        fields["stream_options"] = msgspec.Raw(_encode(options))
    if len(request.body) > _COPIED_BYTES:
        for name in _LONG_FIELDS:
            if name in fields and len(memoryview(fields[name])) > _COPIED_BYTES:
                long = memoryview(fields.pop(name))
                return b'%b,"%b":' % (_encode(fields)[:-1], name.encode()), long, b"}"
    return _encode(fields)
