"""Where a connection goes: scheme, host and port. One pool of connections each."""

from __future__ import annotations

import urllib.parse

from gateway.backends.http1.errors import InvalidRequest

_PORTS = {"http": 80, "https": 443}


class Address:
    """An origin. Equal and hashable by value; the hash is kept, since it is looked up for every request."""

    __slots__ = ("_hash", "host", "host_header", "port", "tls")

    def __init__(self, host: str, port: int, *, tls: bool = False) -> None:
        """`host`: a name or an IP address, IPv6 without brackets. Raises `InvalidRequest`."""
        if not 0 < port < 65536:
            raise InvalidRequest(f"port {port} is not between 1 and 65535")
        self.host = _ascii_host(host)
        self.port = port
        self.tls = tls
        name = f"[{self.host}]" if ":" in self.host else self.host
        default = _PORTS["https" if tls else "http"]
        self.host_header = (name if port == default else f"{name}:{port}").encode("ascii")
        """What the Host header says: without the port where it is the scheme's own (as AWS signs it)."""
        self._hash = hash((self.host, port, tls))

    @classmethod
    def parse(cls, base_url: str) -> tuple[Address, bytes]:
        """`https://host:8000/v1` gives the address and the path `b"/v1"` (without a last slash). Raises
        `InvalidRequest` for anything but http(s), and for a user, a query or a fragment, which would be lost."""
        if any(character <= " " or character == "\x7f" for character in base_url):
            raise InvalidRequest("the base URL holds a space or a control character")  # urlsplit would drop some
        try:
            url = urllib.parse.urlsplit(base_url)
            port = url.port
        except ValueError:
            raise InvalidRequest("the base URL cannot be read; write http(s)://host:port/path") from None
        if url.scheme not in _PORTS or not url.hostname:
            raise InvalidRequest("the base URL must start with http:// or https:// and a host")
        if url.query or url.fragment or "@" in url.netloc:
            raise InvalidRequest("the base URL must have no user, query or fragment")
        try:
            path = url.path.rstrip("/").encode("ascii")
        except UnicodeEncodeError:
            raise InvalidRequest("the base URL's path must be percent-encoded ASCII") from None
        return cls(url.hostname, _PORTS[url.scheme] if port is None else port, tls=url.scheme == "https"), path

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, Address):
            return NotImplemented
        return (self.host, self.port, self.tls) == (other.host, other.port, other.tls)

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"Address({self.host!r}, {self.port}, tls={self.tls})"


def _ascii_host(host: str) -> str:
    try:
        ascii_host = (host if ":" in host else host.encode("idna").decode("ascii")).lower()
        ascii_host.encode("ascii")
    except UnicodeError:
        raise InvalidRequest("the host is not a valid name") from None
    if not ascii_host or not all(c.isalnum() or c in ".-_:" for c in ascii_host):
        raise InvalidRequest("the host is not a valid name")
    return ascii_host
