"""The decoder reads what botocore reads, in any pieces, and refuses what is damaged."""

from __future__ import annotations

import itertools
import struct
import zlib

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from gateway.backends.bedrock.eventstream import MAX_PAYLOAD_BYTES, DamagedStream, Decoder, parse_headers
from tests.backends.bedrock.frames import chunk, event, exception, frame

names = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=20)
headers = st.dictionaries(names, st.text(max_size=40), max_size=4)
messages = st.lists(st.tuples(headers, st.binary(max_size=200)), max_size=6)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


@given(messages, st.lists(st.integers(0, 5000), max_size=12))
def test_it_gives_the_messages_that_botocore_gives_however_the_bytes_are_cut(
    sent: list[tuple[dict[str, str], bytes]], cuts: list[int]
) -> None:
    data = b"".join(frame(head, payload) for head, payload in sent)
    reference = EventStreamBuffer()
    reference.add_data(data)
    expected = [(dict(message.headers), message.payload) for message in reference]

    decoder = Decoder()
    got = [message for piece in pieces(data, cuts) for message in decoder.feed(piece)]

    assert [(message.headers, message.payload) for message in got] == expected == sent
    assert decoder.pending_bytes == 0


def test_a_message_is_given_as_soon_as_its_last_byte_is_there() -> None:
    data = event("messageStart", {"role": "assistant"})
    decoder = Decoder()
    assert [decoder.feed(bytes([byte])) for byte in data[:-1]] == [[]] * (len(data) - 1)
    assert decoder.pending_bytes == len(data) - 1
    (message,) = decoder.feed(data[-1:])
    assert (message.kind, message.name) == ("event", "messageStart")


def test_an_exception_message_says_so() -> None:
    (message,) = Decoder().feed(exception("throttlingException", {"message": "slow down"}))
    assert (message.kind, message.name) == ("exception", "throttlingException")


def test_an_unmodelled_error_is_named_by_its_code() -> None:
    head = {":message-type": "error", ":error-code": "internalFailure", ":error-message": "oops"}
    (message,) = Decoder().feed(frame(head, b""))
    assert (message.kind, message.name) == ("error", "internalFailure")


@given(st.integers(0), st.integers(0, 7))
def test_one_flipped_bit_anywhere_is_noticed(place: int, bit: int) -> None:
    data = bytearray(chunk({"generation": "hello"}))
    data[place % len(data)] ^= 1 << bit
    decoder = Decoder()
    with pytest.raises(DamagedStream):
        decoder.feed(bytes(data))


def test_the_messages_before_the_damage_are_not_lost() -> None:
    good = event("a", {})
    bad = bytearray(event("b", {}))
    bad[-1] ^= 1
    with pytest.raises(DamagedStream) as caught:
        Decoder().feed(good + bytes(bad))
    assert [message.name for message in caught.value.before] == ["a"]


@pytest.mark.parametrize(
    ("total", "header_bytes"),
    [(MAX_PAYLOAD_BYTES + 17, 0), (2**31, 130 * 1024), (15, 0), (40, 30)],
    ids=["payload too long", "headers too long", "shorter than a prelude", "headers longer than the message"],
)
def test_lengths_out_of_bounds_are_refused_at_the_prelude(total: int, header_bytes: int) -> None:
    prelude = struct.pack(">II", total, header_bytes)
    with pytest.raises(DamagedStream, match="out of bounds"):
        Decoder().feed(prelude + struct.pack(">I", zlib.crc32(prelude)))


def test_every_header_type_is_read() -> None:
    block = (
        b"\x01t\x00" b"\x01f\x01" b"\x01b\x02\xff" b"\x01s\x03\xff\xfe" b"\x01i\x04\x00\x00\x00\x05"
        b"\x01l\x05" + struct.pack(">q", -7) + b"\x01y\x06\x00\x02hi" b"\x01z\x07\x00\x02hi"
        b"\x01d\x08" + struct.pack(">q", 1_700_000_000_000) + b"\x01u\x09" + bytes(range(16))
    )  # fmt: skip
    assert parse_headers(block) == {
        "t": True, "f": False, "b": -1, "s": -2, "i": 5, "l": -7, "y": b"hi", "z": "hi", "d": 1_700_000_000_000,
        "u": bytes(range(16)),
    }  # fmt: skip


@pytest.mark.parametrize(
    "block",
    [b"\x01a\x0a", b"\x01a\x07\x00\x05hi", b"\x05a", b"\x01a\x07\x00\x01\xff", b"\x01a\x00\x01a\x00", b"\x01a\x04\x00"],
    ids=["unknown type", "cut value", "cut name", "not UTF-8", "twice", "cut integer"],
)
def test_a_header_block_that_is_wrong_is_refused(block: bytes) -> None:
    with pytest.raises(DamagedStream):
        parse_headers(block)
