"""Whole chunks are told without a parser, and nothing else is taken for them."""

from __future__ import annotations

import pytest

from gateway.backends.http1.chunks import one_chunk, whole_chunks


def framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


@pytest.mark.parametrize("size", [*range(1, 300), 1000, 2041, 2042, 4095, 4096, 70_000])
def test_a_chunk_of_any_size_is_one(size: int) -> None:
    data = b"d" * size
    chunk = framed(data)
    assert one_chunk(chunk) in (0, len(chunk) - size - 2)
    assert bool(one_chunk(chunk)) == (len(chunk) < 2048)
    assert whole_chunks(chunk, b"d", b"d")
    assert whole_chunks(chunk * 3, b"d", b"d")
    for cut in (chunk[:-1], chunk[1:], chunk + b"1", chunk[:-2], chunk + b"0\r\n\r\n", chunk + chunk[:-1]):
        assert not whole_chunks(cut, b"d", b"d")
        assert not one_chunk(cut)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\r\n", b"0\r\n\r\n", b"3\r\nabcd\r\n", b"5\r\nabcd\r\n", b"4;x=y\r\nabcd\r\n", b"+4\r\nabcd\r\n",
        b"0x4\r\nabcd\r\n", b"1_0\r\n" + b"a" * 16 + b"\r\n", b" 4\r\nabcd\r\n", b"4\nabcd\r\n", b"4\r\nabcdXX",
    ],
)  # fmt: skip
def test_what_is_framed_oddly_is_left_to_the_parser(data: bytes) -> None:
    assert not one_chunk(data)
    assert not whole_chunks(data, b"a", b"d")


def test_every_chunk_begins_and_ends_as_told() -> None:
    event = framed(b"data: 1\n\n")
    assert whole_chunks(event + event, b"data:", b"\n\n")
    assert not whole_chunks(event + framed(b"data: 1\n"), b"data:", b"\n\n")
    assert not whole_chunks(event + framed(b"1\n\n"), b"data:", b"\n\n")
