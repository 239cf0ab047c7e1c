"""Streams of the Responses and the Messages API pass byte for byte, and their usage and failures are read off them."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from gateway.backends.dialects import Relay
from gateway.backends.dialects.messages import MessagesRelay
from gateway.backends.dialects.responses import ResponsesRelay
from gateway.backends.sse import EventTooLong
from gateway.backends.usage import Usage
from tests.backends.dialects.events import MESSAGES, MESSAGES_START, RESPONSES, event, response

New = Callable[[bool], Relay]
BOTH = pytest.mark.parametrize(
    ("new", "events"), [(ResponsesRelay, RESPONSES), (MessagesRelay, MESSAGES)], ids=["responses", "messages"]
)


@BOTH
@pytest.mark.parametrize("size", [1, 7, 64, 100_000])
def test_a_stream_passes_as_it_came_however_it_is_cut(new: New, events: list[bytes], size: int) -> None:
    relay, whole = new(False), b"".join(events)
    out = b"".join(relay.feed(whole[start : start + size]) for start in range(0, len(whole), size)) + relay.end()
    assert out == whole
    assert (relay.done, relay.error, relay.content_events) == (True, None, 3)
    assert relay.usage == Usage(32, 3, "exact")


@BOTH
def test_the_space_after_a_colon_may_be_left_out(new: New, events: list[bytes]) -> None:
    relay = new(False)
    bare = [one.replace(b"event: ", b"event:").replace(b"data: ", b"data:") for one in events]
    assert b"".join(relay.feed(one) for one in bare) == b"".join(bare)
    assert (relay.done, relay.content_events, relay.usage) == (True, 3, Usage(32, 3, "exact"))


@BOTH
def test_it_is_not_done_before_its_last_event(new: New, events: list[bytes]) -> None:
    relay = new(False)
    for one in events[:-1]:
        relay.feed(one)
    assert not relay.done


@BOTH
def test_nothing_counts_as_content_before_the_first_delta(new: New, events: list[bytes]) -> None:
    relay = new(False)
    first = next(n for n, one in enumerate(events) if b"delta\n" in one)
    for one in events[:first]:
        assert relay.feed(one) == one
    assert relay.content_events == 0
    assert not relay.between_events
    relay.feed(events[first])
    assert relay.content_events == 1
    assert relay.between_events


@BOTH
def test_plain_content_in_whole_chunks_is_counted_without_being_cut(new: New, events: list[bytes]) -> None:
    relay = new(False)
    deltas = [one for one in events if b"delta\n" in one and b"message_delta" not in one]
    relay.feed(deltas[0])
    assert relay.passed(b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in deltas))
    assert relay.content_events == 1 + len(deltas)
    assert not relay.passed(b"%x\r\n%b\r\n" % (len(events[-1]), events[-1]))


@BOTH
def test_lines_may_end_as_on_windows(new: New, events: list[bytes]) -> None:
    relay, whole = new(False), b"".join(events).replace(b"\n", b"\r\n")
    assert relay.feed(whole) == whole
    assert relay.done
    assert relay.content_events == 3


@BOTH
def test_an_event_without_a_line_for_its_name_is_known_by_its_type(new: New, events: list[bytes]) -> None:
    relay = new(False)
    for one in events:
        unnamed = one.partition(b"\n")[2]
        assert relay.feed(unnamed) == unnamed
    assert (relay.done, relay.content_events, relay.usage) == (True, 3, Usage(32, 3, "exact"))


@BOTH
def test_text_that_looks_like_an_event_is_text(new: New, events: list[bytes]) -> None:
    relay = new(False)
    name = "response.output_text.delta" if new is ResponsesRelay else "content_block_delta"
    said = "\n\nevent: error\ndata: {}\n\nevent: response.completed\nevent: message_stop\n"
    tricky = event(name, delta=said) * 2
    assert relay.feed(tricky) == tricky
    assert relay.feed(tricky) == tricky
    assert (relay.done, relay.error, relay.content_events) == (False, None, 4)


@BOTH
def test_comments_pings_and_unknown_events_pass(new: New, events: list[bytes]) -> None:
    relay = new(False)
    odd = b": keep-alive\n\n" + event("ping") + event("response.something.new") + b"data: [DONE]\n\n" + b"data: {]\n\n"
    assert relay.feed(odd) == odd
    assert (relay.done, relay.error, relay.content_events) == (False, None, 0)


@BOTH
def test_a_stream_without_an_end_of_an_event_is_garbage(
    new: New, events: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.backends.sse.MAX_EVENT_BYTES", 1000)
    with pytest.raises(EventTooLong, match="limit 1000"):
        new(False).feed(b"event: x\ndata: " + b"x" * 2000)


@BOTH
@pytest.mark.parametrize(
    ("report", "said"),
    [
        (
            b'event: error\ndata: {"type":"error","error":{"type":"internal_error","message":"out of memory"}}\n\n',
            {"message": "out of memory", "type": "internal_error", "code": None, "param": None},
        ),
        (
            b'event: error\ndata: {"type":"error","code":"server_error","message":"out of memory","param":null}\n\n',
            {"message": "out of memory", "type": None, "code": "server_error", "param": None},
        ),
        (
            b'data: {"error":{"message":"out of memory","type":"InternalServerError","param":null,"code":500}}\n\n',
            {"message": "out of memory", "type": "InternalServerError", "code": 500, "param": None},
        ),
    ],
    ids=["anthropic", "openai", "bare"],
)
@pytest.mark.parametrize("begun", [False, True])
def test_a_reported_failure_is_kept_back_for_the_server_to_word(
    new: New, events: list[bytes], report: bytes, said: dict[str, object], begun: bool
) -> None:
    relay = new(False)
    if begun:
        relay.feed(b"".join(events[:5]))
    assert relay.feed(report) == b""
    assert relay.error is not None
    assert json.loads(relay.error) == {"error": said}
    assert not relay.done
    assert relay.feed(events[-1]) == b""


def test_a_failed_response_is_a_failure_and_its_usage_still_counts() -> None:
    relay = ResponsesRelay()
    failed = response(
        "failed",
        error={"code": "server_error", "message": "the engine died"},
        usage={"input_tokens": 5, "output_tokens": 2},
    )
    assert relay.feed(b"".join(RESPONSES[:6]) + event("response.failed", response=failed)) == b"".join(RESPONSES[:6])
    assert relay.error is not None
    assert json.loads(relay.error)["error"]["message"] == "the engine died"
    assert relay.usage == Usage(5, 2, "exact")
    assert not relay.done


def test_an_answer_cut_at_its_limit_is_whole() -> None:
    relay = ResponsesRelay()
    last = event("response.incomplete", response=response("incomplete", usage={"input_tokens": 5, "output_tokens": 0}))
    assert relay.feed(last) == last
    assert relay.done
    assert relay.usage == Usage(5, 0, "exact")


@pytest.mark.parametrize("name", ["response.reasoning_text.delta", "response.function_call_arguments.delta"])
def test_thoughts_and_tool_arguments_are_content(name: str) -> None:
    relay = ResponsesRelay()
    relay.feed(event(name, delta="x"))
    relay.feed(event(name, delta="y") * 3)
    assert relay.content_events == 4


def test_events_are_numbered_for_the_one_that_may_have_to_end_them() -> None:
    relay = ResponsesRelay()
    relay.feed(b"".join(RESPONSES[:4]))
    relay.feed(RESPONSES[4])
    relay.feed(RESPONSES[5] + RESPONSES[6])
    assert relay.events == 7


def test_cached_tokens_of_a_messages_stream_are_input_tokens() -> None:
    relay = MessagesRelay()
    told = {"input_tokens": 10, "cache_read_input_tokens": 20, "cache_creation_input_tokens": 2, "output_tokens": 1}
    relay.feed(event("message_start", message={"usage": told}))
    assert relay.prompt_tokens == 32
    assert relay.usage is None
    relay.feed(event("message_delta", usage={"output_tokens": 9}))
    assert relay.usage == Usage(32, 9, "exact")


def test_the_last_count_of_a_messages_stream_is_the_one_that_holds() -> None:
    relay = MessagesRelay()
    relay.feed(MESSAGES_START)
    relay.feed(event("message_delta", usage={"output_tokens": 4}))
    relay.feed(event("message_delta", usage={"input_tokens": 40, "output_tokens": 0}))
    assert relay.usage == Usage(40, 0, "exact")


@pytest.mark.parametrize("usage", [{"input_tokens": -1, "output_tokens": 1}, {"output_tokens": "x"}, None, 7, {}])
def test_counts_that_cannot_be_read_are_no_usage(usage: object) -> None:
    for relay, last in (
        (MessagesRelay(), event("message_delta", usage=usage)),
        (ResponsesRelay(), event("response.completed", response=response("completed", usage=usage))),
    ):
        assert relay.feed(last) == last
        assert relay.usage is None
