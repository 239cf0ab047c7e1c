"""A page of a backend that is read again and again: its metrics, its list of models."""

from __future__ import annotations

from urllib.parse import urlsplit

from gateway.backends.http1 import Address, Client, Deadlines, Limits
from gateway.backends.http1.opening import context_for


class Page:
    """One connection, kept as long as the peer lets it. No redirect is followed."""

    def __init__(
        self, url: str, most_bytes: int, within_seconds: float, headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> None:
        """Raises `InvalidRequest` for what is no http(s) URL."""
        parts = urlsplit(url)
        self._address, path = Address.parse(f"{parts.scheme}://{parts.netloc}{parts.path}")
        self._path = (path or b"/") + (b"/" if parts.path.endswith("/") and path else b"")
        if parts.query:
            self._path += b"?" + parts.query.encode("ascii")
        self._headers = headers
        self._most_bytes = most_bytes
        self._deadlines = Deadlines(first_byte_seconds=within_seconds, total_seconds=within_seconds)
        self._client = Client(limits=Limits(connections=1), tls=context_for(self._address))

    async def read(self) -> tuple[int, bytes]:
        """Its status and its body. Raises `HTTP1Error`."""
        async with await self._client.send(
            b"GET", self._address, self._path, self._headers, deadlines=self._deadlines
        ) as response:
            return response.status, await response.read(self._most_bytes)

    async def aclose(self) -> None:
        await self._client.aclose()
