"""The head of a request: what goes out, and what is refused before anything does."""

from __future__ import annotations

import pytest

from gateway.backends.http1.errors import InvalidRequest
from gateway.backends.http1.request import HeadTemplate, request_head


def head(
    method: bytes = b"POST", path: bytes = b"/v1", headers: list[tuple[bytes, bytes]] | None = None, length: int = 0
) -> bytes:
    return request_head(method, b"box:8000", path, headers or [], length)


def test_the_head_is_written_as_given_with_host_and_length_added() -> None:
    assert head(path=b"/a%2Fb?x=1", headers=[(b"X-Id", b"7"), (b"accept", b"a, b")], length=12) == (
        b"POST /a%2Fb?x=1 HTTP/1.1\r\nhost: box:8000\r\nX-Id: 7\r\naccept: a, b\r\ncontent-length: 12\r\n\r\n"
    )


def test_a_post_without_a_body_says_so_and_a_get_says_nothing() -> None:
    assert b"content-length: 0\r\n" in head(b"POST")
    assert b"content-length" not in head(b"GET")


@pytest.mark.parametrize(
    "value",
    [b"a\r\nx: y", b"a\nx: y", b"a\rx: y", b"\r\n", b"a\0b", b"a\x7fb", b"a\x1bb", b"a\r\n\r\nGET / HTTP/1.1"],
)
def test_a_header_value_cannot_smuggle_in_a_line(value: bytes) -> None:
    with pytest.raises(InvalidRequest, match="control character"):
        head(headers=[(b"x-id", value)])


@pytest.mark.parametrize("name", [b"", b"a b", b"a:", b"a\r\nb", b"a\0", b" a", "é".encode(), b"a\n"])
def test_a_header_name_is_a_token(name: bytes) -> None:
    with pytest.raises(InvalidRequest, match="name"):
        head(headers=[(name, b"x")])


@pytest.mark.parametrize(
    "name", [b"Host", b"content-length", b"Transfer-Encoding", b"CONNECTION", b"upgrade", b"Expect", b"te"]
)
def test_headers_that_frame_the_message_are_the_clients_own(name: bytes) -> None:
    with pytest.raises(InvalidRequest, match="belongs to the connection"):
        head(headers=[(name, b"1")])


@pytest.mark.parametrize(
    "path", [b"", b"v1", b"/a b", b"/a\r\nx: y", b"/a\0", "/é".encode(), b"http://other/", b"/\x7f"]
)
def test_a_path_is_absolute_and_already_encoded(path: bytes) -> None:
    with pytest.raises(InvalidRequest, match="path"):
        head(path=path)


@pytest.mark.parametrize("method", [b"", b"post", b"CONNECT", b"TRACE", b"GET /x HTTP/1.1\r\n", b"GE T"])
def test_only_plain_methods(method: bytes) -> None:
    with pytest.raises(InvalidRequest, match="method"):
        head(method)


def test_an_error_does_not_repeat_a_secret() -> None:
    with pytest.raises(InvalidRequest) as caught:
        head(headers=[(b"authorization", b"Bearer sk-123\n")])
    assert "sk-123" not in str(caught.value)


def test_values_may_hold_tabs_and_bytes_above_ascii() -> None:
    assert "x: \té\r\n".encode() in head(headers=[(b"x", "\té".encode())])


def test_a_template_makes_the_same_head_as_all_headers_at_once() -> None:
    constant, own = [(b"a", b"1"), (b"b", b"2")], [(b"x-request-id", b"r1"), (b"traceparent", b"00-0-0-00")]
    made = HeadTemplate(b"POST", b"host:1", b"/v1", constant).head(own, 17)
    line, *lines = made.removesuffix(b"\r\n\r\n").split(b"\r\n")
    at_once = request_head(b"POST", b"host:1", b"/v1", [*constant, *own], 17).removesuffix(b"\r\n\r\n")
    assert [line, *sorted(lines)] == [line, *sorted(at_once.split(b"\r\n")[1:])]
    assert HeadTemplate(b"POST", b"h", b"/", []).head([], 0).count(b"\r\n\r\n") == 1


@pytest.mark.parametrize("value", [b"a\r\nb: c", b"a\nb", b"a\rb", b"a\0", b"\r\n"])
def test_a_template_lets_no_value_smuggle_in_a_line(value: bytes) -> None:
    template = HeadTemplate(b"POST", b"h", b"/", [])
    with pytest.raises(InvalidRequest) as raised:
        template.head([(b"x-request-id", value)], 1)
    assert "b: c" not in str(raised.value)
    with pytest.raises(InvalidRequest):
        HeadTemplate(b"POST", b"h", b"/", [(b"authorization", value)])


@pytest.mark.parametrize("name", [b"", b"a b", b"content-length", b"Host", b"a\r\n"])
def test_a_template_takes_no_name_that_belongs_to_the_connection(name: bytes) -> None:
    with pytest.raises(InvalidRequest):
        HeadTemplate(b"POST", b"h", b"/", []).head([(name, b"1")], 1)
