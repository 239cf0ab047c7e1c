"""Whether a browser sent a request from our own page: the guard against another site's forms."""

from __future__ import annotations

from urllib.parse import urlsplit


def from_own_page(fetch_site: str | None, origin: str | None, host: str | None) -> bool:
    """`fetch_site`, `origin`, `host`: the headers Sec-Fetch-Site, Origin and Host.

    Every browser of today sends the first to https and to loopback addresses, and no page can set it. Elsewhere Origin
    says it. Who sends neither is refused: a program says `Origin` too."""
    if fetch_site is not None:
        return fetch_site == "same-origin"
    if not origin or not host:
        return False
    parts = urlsplit(origin)
    return parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower()
