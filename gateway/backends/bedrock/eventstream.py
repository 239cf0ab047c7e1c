"""Decoding `application/vnd.amazon.eventstream`, incrementally.

A message is `[total u32][headers u32][crc32 of these 8 bytes][headers][payload][crc32 of all before]`, big endian. A
header is `u8 length, name, u8 type, value`; Bedrock sends strings only (type 7), the other types are read all the same.
"""

from __future__ import annotations

import struct
from zlib import crc32

import msgspec

MAX_HEADERS_BYTES = 128 * 1024
MAX_PAYLOAD_BYTES = 24 * 1024 * 1024
PRELUDE_BYTES = 12
CRC_BYTES = 4

HeaderValue = str | bytes | int | bool

_prelude = struct.Struct(">III").unpack_from
_u32 = struct.Struct(">I").unpack_from
_u16 = struct.Struct(">H").unpack_from
# Integer header types: byte, short, integer, long, timestamp (milliseconds).
_integers = {
    2: struct.Struct(">b"),
    3: struct.Struct(">h"),
    4: struct.Struct(">i"),
    5: struct.Struct(">q"),
    8: struct.Struct(">q"),
}


class DamagedStream(ValueError):
    """The bytes are not an event stream: a checksum, a length or a header is wrong. Nothing after it can be read;
    `before` holds the messages that the same piece completed before it."""

    before: list[Message]


class Message(msgspec.Struct, frozen=True):
    """One message: its headers (`:event-type` and so on) and its payload."""

    headers: dict[str, HeaderValue]
    payload: bytes

    @property
    def kind(self) -> str:
        """`event`, `exception` (modelled) or `error` (unmodelled)."""
        return str(self.headers.get(":message-type", "event"))

    @property
    def name(self) -> str:
        """The event's or the exception's type; the code of an unmodelled error."""
        headers = self.headers
        for header in (":event-type", ":exception-type", ":error-code"):
            if header in headers:
                return str(headers[header])
        return ""


class Decoder:
    """Feed it bytes as they come, in any pieces; it gives the messages that are whole by then."""

    __slots__ = ("_buffer", "_header_bytes", "_headers", "_needed")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._needed = PRELUDE_BYTES
        # Most messages of a stream carry the very same header bytes: parse them once.
        self._header_bytes = b""
        self._headers: dict[str, HeaderValue] = {}

    @property
    def pending_bytes(self) -> int:
        """Bytes of a message that is not whole: more than 0 at the end of a stream means it was cut."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Message]:
        """The messages completed by `data`. Raises `DamagedStream`; then the decoder is of no more use."""
        source: bytes | bytearray = data
        if self._buffer:
            self._buffer += data
            source = self._buffer
        size = len(source)
        if size < self._needed:
            if source is data:
                self._buffer += data
            return []
        messages: list[Message] = []
        at = 0
        view = memoryview(source)
        try:
            while True:
                self._needed = PRELUDE_BYTES
                if size - at < PRELUDE_BYTES:
                    break
                total, headers, crc = _prelude(view, at)
                if crc32(view[at : at + 8]) != crc:
                    raise DamagedStream("the checksum of a message's prelude is wrong")
                payload = total - headers - PRELUDE_BYTES - CRC_BYTES
                if headers > MAX_HEADERS_BYTES or not 0 <= payload <= MAX_PAYLOAD_BYTES:
                    raise DamagedStream(f"a message of {total} bytes with {headers} bytes of headers is out of bounds")
                if size - at < total:
                    self._needed = total
                    break
                end = at + total
                if crc32(view[at : end - CRC_BYTES]) != _u32(view, end - CRC_BYTES)[0]:
                    raise DamagedStream("the checksum of a message is wrong")
                headers_end = at + PRELUDE_BYTES + headers
                messages.append(
                    Message(
                        self._parse(bytes(view[at + PRELUDE_BYTES : headers_end])),
                        bytes(view[headers_end : end - CRC_BYTES]),
                    )
                )
                at = end
            rest = bytes(view[at:])
        except DamagedStream as error:
            error.before = messages
            raise
        finally:
            view.release()
        if source is data:
            self._buffer += rest
        else:
            del self._buffer[:at]
        return messages

    def _parse(self, block: bytes) -> dict[str, HeaderValue]:
        if block != self._header_bytes or not block:
            self._headers = parse_headers(block)
            self._header_bytes = block
        return self._headers


def parse_headers(block: bytes) -> dict[str, HeaderValue]:
    """A message's headers. Raises `DamagedStream` on a type that does not exist, a repeated name or a cut value."""
    headers: dict[str, HeaderValue] = {}
    at = 0
    try:
        while at < len(block):
            name_end = at + 1 + block[at]
            name = block[at + 1 : name_end].decode()
            kind = block[name_end]
            at = name_end + 1
            value: HeaderValue
            if kind in (6, 7):
                start = at + 2
                at = start + _u16(block, at)[0]
                raw = block[start:at]
                value = raw.decode() if kind == 7 else raw
            elif kind in (0, 1):
                value = kind == 0
            elif kind in _integers:
                value = _integers[kind].unpack_from(block, at)[0]
                at += _integers[kind].size
            elif kind == 9:
                value = block[at : at + 16]
                at += 16
            else:
                raise DamagedStream(f"a header has type {kind}; there are 0 to 9")
            if at > len(block):
                raise DamagedStream("a header is longer than its block")
            if name in headers:
                raise DamagedStream(f"the header {name!r} comes twice")
            headers[name] = value
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise DamagedStream("a header cannot be read") from error
    return headers
