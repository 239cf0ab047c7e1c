"""The relay of server-sent events: whole events go out as they come, the usage is read, nothing else is touched."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.backends import sse
from gateway.backends.sse import EventRelay, EventTooLong
from gateway.backends.usage import Usage


def event(data: object) -> bytes:
    return b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"


def chunk(text: str) -> bytes:
    return event({"choices": [{"index": 0, "delta": {"content": text}}]})


ROLE = event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
WORDS = [chunk("Hel"), chunk('lo "usage" data: \n\n'), chunk("!")]
USAGE = event({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}})
DONE = b"data: [DONE]\n\n"
STREAM = b"".join([ROLE, *WORDS, USAGE, DONE])


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % len(data) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@given(st.lists(st.integers(0, 10_000), max_size=12), st.booleans())
def test_however_the_bytes_are_cut_the_client_gets_the_same_stream(places: list[int], keep: bool) -> None:
    relay = EventRelay(keep_usage=keep)
    passed = b"".join(relay.feed(part) for part in cut(STREAM, places))
    assert passed == (STREAM if keep else STREAM.replace(USAGE, b""))
    assert relay.usage == Usage(7, 3, "exact")
    assert relay.content_events == 3
    assert relay.done


def test_an_event_goes_out_as_soon_as_it_is_whole() -> None:
    relay = EventRelay(keep_usage=False)
    assert relay.feed(WORDS[0][:10]) == b""
    assert relay.feed(WORDS[0][10:] + WORDS[2][:4]) == WORDS[0]


def test_usage_beside_content_is_read_and_passed_on() -> None:
    both = event(
        {"choices": [{"index": 0, "delta": {"content": "x"}}], "usage": {"prompt_tokens": 5, "completion_tokens": 0}}
    )
    relay = EventRelay(keep_usage=False)
    assert relay.feed(both) == both
    assert relay.usage == Usage(5, 0, "exact")


def test_usage_null_on_each_event_is_no_usage() -> None:
    empty = event({"choices": [{"index": 0, "delta": {"content": "x"}}], "usage": None})
    relay = EventRelay(keep_usage=False)
    assert relay.feed(empty) == empty
    assert relay.usage is None


def test_events_may_end_with_crlf() -> None:
    crlf = STREAM.replace(b"\n\n", b"\r\n\r\n")
    relay = EventRelay(keep_usage=True)
    assert relay.feed(crlf) == crlf
    assert relay.done


def test_an_error_event_is_kept_back_for_the_server_to_word() -> None:
    relay = EventRelay(keep_usage=False)
    assert relay.feed(WORDS[0] + event({"error": {"message": "engine died"}})) == WORDS[0]
    assert relay.error is not None


def test_an_event_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 1000)
    relay = EventRelay(keep_usage=False)
    with pytest.raises(EventTooLong, match="limit 1000"):
        relay.feed(b"data: " + b"x" * 2000)


def test_done_without_an_empty_line_after_it_is_the_end_all_the_same() -> None:
    relay = EventRelay(keep_usage=False)
    assert relay.feed(WORDS[0] + b"data: [DONE]") == WORDS[0]
    assert relay.end() == b"data: [DONE]\n\n"
    assert relay.done


def test_a_comment_is_passed_on_and_is_no_token() -> None:
    relay = EventRelay(keep_usage=False)
    assert relay.feed(b": ping\n\n") == b": ping\n\n"
    assert relay.content_events == 0


def test_error_null_is_no_error() -> None:
    plain = event({"error": None, "choices": [{"index": 0, "delta": {"content": "x"}}]})
    relay = EventRelay(keep_usage=False)
    assert relay.feed(plain) == plain
    assert relay.error is None


def test_a_usage_that_cannot_be_read_is_taken_out_and_counts_for_nothing() -> None:
    odd = event({"choices": [], "usage": {"prompt_tokens": -1}})
    relay = EventRelay(keep_usage=False)
    assert relay.feed(WORDS[0] + odd) == WORDS[0]
    assert relay.usage is None


@given(st.text("\r\na", max_size=30))
def test_events_are_split_at_the_nearest_of_both_endings(text: str) -> None:
    data = text.encode()
    parts = sse.split_events(data)
    assert b"".join(parts) == data
    for part in parts[:-1]:
        ends = [part.find(end) + len(end) for end in (b"\n\n", b"\r\n\r\n") if end in part]
        assert min(ends) == len(part)
