"""The head of a request as bytes, from parts that cannot smuggle in a line of their own."""

from __future__ import annotations

import re
from collections.abc import Iterable

from gateway.backends.http1.errors import InvalidRequest

Headers = Iterable[tuple[bytes, bytes]]

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})
_WITH_BODY = frozenset({b"POST", b"PUT", b"PATCH"})
_OURS = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"connection", b"keep-alive", b"upgrade", b"expect", b"te",
     b"trailer", b"proxy-connection"}
)  # fmt: skip
# All that may stand in a header's value: visible ASCII, space, tab, and bytes above 127. The path has no space either.
_IN_VALUES = bytes(byte for byte in range(256) if (byte >= 0x20 and byte != 0x7F) or byte == 0x09)
_IN_PATHS = bytes(range(0x21, 0x7F))
_BREAKS = "a header's value holds a line break, a NUL or another control character"
_NO_BODY = b"content-length: 0\r\n\r\n"
_KNOWN_NAMES_MAX = 512
_known_names: set[bytes] = set()


class HeadTemplate:
    """The head of many requests that differ in little: what stays the same is checked and joined once."""

    __slots__ = ("_constant",)

    def __init__(self, method: bytes, host_header: bytes, raw_path: bytes, headers: Headers) -> None:
        """For methods that have a body. Raises `InvalidRequest`, as `request_head` does."""
        if method not in _WITH_BODY:
            raise InvalidRequest(f"method {method!r} has no body")
        self._constant = request_head(method, host_header, raw_path, headers, 0).removesuffix(_NO_BODY)

    def head(self, headers: Headers, body_bytes: int) -> bytes:
        """One request's head. `headers`: its own, behind those of the template; each is checked all the same."""
        parts: list[bytes] = []
        for name, value in headers:
            if name not in _known_names:
                _learn(name)
            parts += (name, b": ", value, b"\r\n")
        own = b"".join(parts)
        if own.translate(None, _IN_VALUES) != b"\r\n" * (len(parts) // 4):
            raise InvalidRequest(_BREAKS)
        return b"%bcontent-length: %d\r\n%b\r\n" % (self._constant, body_bytes, own)


def request_head(method: bytes, host_header: bytes, raw_path: bytes, headers: Headers, body_bytes: int) -> bytes:
    """The request line and header lines up to the empty one. `raw_path` goes out as it is (already percent-encoded,
    with its query). Host and Content-Length are set here. Raises `InvalidRequest`, which never quotes a value.
    """
    if method not in _METHODS:
        raise InvalidRequest(f"method {method!r} is not one of {b', '.join(sorted(_METHODS)).decode()}")
    if raw_path[:1] != b"/" or raw_path.translate(None, _IN_PATHS):
        raise InvalidRequest("the path must start with / and hold visible ASCII only: percent-encode the rest")
    parts = [method, b" ", raw_path, b" HTTP/1.1\r\nhost: ", host_header, b"\r\n"]
    lines = 3
    for name, value in headers:
        if name not in _known_names:
            _learn(name)
        parts += (name, b": ", value, b"\r\n")
        lines += 1
    if body_bytes or method in _WITH_BODY:
        parts.append(b"content-length: %d\r\n\r\n" % body_bytes)
        lines += 1
    else:
        parts.append(b"\r\n")
    head = b"".join(parts)
    # One pass in C: whatever may not stand in a header must be exactly the line ends written above.
    if head.translate(None, _IN_VALUES) != b"\r\n" * lines:
        raise InvalidRequest(_BREAKS)
    return head


def _learn(name: bytes) -> None:
    """Names repeat: each is looked at once."""
    if not _TOKEN.fullmatch(name):
        raise InvalidRequest("a header's name is empty or holds a character that no name may have")
    if name.lower() in _OURS:
        raise InvalidRequest(f"header {name.decode()!r} belongs to the connection: the client sets it itself")
    if len(_known_names) < _KNOWN_NAMES_MAX:
        _known_names.add(name)
