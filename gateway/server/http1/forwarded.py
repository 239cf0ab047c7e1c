"""Who asked, and over what, where a proxy on this machine says so (X-Forwarded-For, X-Forwarded-Proto)."""

from __future__ import annotations

from collections.abc import Sequence

TRUSTED = frozenset({"127.0.0.1", "::1"})
"""Only a proxy that comes over loopback is believed: anybody else could write what they like."""
_SCHEMES = {b"http": "http", b"https": "https"}


def client_and_scheme(
    headers: Sequence[tuple[bytes, bytes]], peer: tuple[str, int] | None
) -> tuple[tuple[str, int] | None, str]:
    """The client's address (port 0 where only a proxy knows it) and `http` or `https`."""
    scheme = "http"
    if peer is None or peer[0] not in TRUSTED:
        return peer, scheme
    client: tuple[str, int] | None = peer
    for name, value in headers:
        if name == b"x-forwarded-proto":
            scheme = _SCHEMES.get(value.strip().lower(), scheme)
        elif name == b"x-forwarded-for":
            # The last that no trusted proxy wrote: what stands before it, the client may have invented.
            hosts = [host for part in value.decode("latin-1").split(",") if (host := part.strip())]
            outside = [host for host in hosts if host not in TRUSTED]
            client = (outside[-1], 0) if outside else client
    return client, scheme
