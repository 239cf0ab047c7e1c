"""From a base URL to where the connection goes."""

from __future__ import annotations

import pytest

from gateway.backends.http1 import Address
from gateway.backends.http1.errors import InvalidRequest


@pytest.mark.parametrize(
    ("url", "host", "port", "tls", "host_header", "path"),
    [
        ("http://box:8000/v1/", "box", 8000, False, b"box:8000", b"/v1"),
        ("http://box", "box", 80, False, b"box", b""),
        ("https://runtime.example", "runtime.example", 443, True, b"runtime.example", b""),
        ("https://Runtime.Example:8443/a%2Fb", "runtime.example", 8443, True, b"runtime.example:8443", b"/a%2Fb"),
        ("http://[::1]:8000", "::1", 8000, False, b"[::1]:8000", b""),
        ("http://bücher.example", "xn--bcher-kva.example", 80, False, b"xn--bcher-kva.example", b""),
    ],
)
def test_a_base_url_is_an_address_and_a_path(
    url: str, host: str, port: int, tls: bool, host_header: bytes, path: bytes
) -> None:
    address, base_path = Address.parse(url)
    assert (address.host, address.port, address.tls) == (host, port, tls)
    assert (address.host_header, base_path) == (host_header, path)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://box", "box:8000", "http://", "http://user:pw@box", "http://box?x=1", "http://box#f", "http://box:99999",
        "http://box:0", "http://bo x", "http://box\r\nx", "http://[::1", "http://box/é", "http://..", "http://[fe80::1%25eth0]",
    ],
)  # fmt: skip
def test_what_is_no_plain_http_address_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest):
        Address.parse(url)


def test_addresses_are_equal_by_value() -> None:
    assert Address("Box", 80) == Address("box", 80)
    assert hash(Address("Box", 80)) == hash(Address("box", 80))
    assert Address("box", 80) != Address("box", 81)
    assert Address("box", 443) != Address("box", 443, tls=True)
