"""W3C trace context is read strictly: what is not valid begins a new trace instead of breaking the caller's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.telemetry.trace_context import TraceContext, parse_trace_context, passed_through

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
VALID = f"00-{TRACE}-{SPAN}-01"


def test_a_valid_header_is_the_parent() -> None:
    assert parse_trace_context(VALID, "rojo=1,congo=t61rcWkgMzE") == TraceContext(
        TRACE, SPAN, True, "rojo=1,congo=t61rcWkgMzE"
    )


@pytest.mark.parametrize(
    ("flags", "sampled"), [("00", False), ("01", True), ("02", False), ("03", True), ("ff", True)]
)  # fmt: skip
def test_only_the_sampled_flag_is_read(flags: str, sampled: bool) -> None:
    parent = parse_trace_context(f"00-{TRACE}-{SPAN}-{flags}", None)
    assert parent is not None
    assert parent.sampled is sampled


@pytest.mark.parametrize(
    "header",
    [
        "", "00", VALID.upper(), VALID + " ", " " + VALID, VALID + "-more", VALID + "\n", f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1", f"00-{TRACE}-{SPAN}-0g", f"0-{TRACE}-{SPAN}-01", f"00-{TRACE}-{SPAN}",
        f"01-{TRACE}-{SPAN}-01more", VALID.replace("-", "_"), f"00-{'٠' * 32}-{SPAN}-01",
    ],
)  # fmt: skip
def test_what_is_not_valid_begins_a_new_trace(header: str) -> None:
    assert parse_trace_context(header, "rojo=1") is None


def test_a_later_version_may_say_more() -> None:
    later = parse_trace_context(f"cc-{TRACE}-{SPAN}-01-what-the-future-holds", None)
    assert later == TraceContext(TRACE, SPAN, True)
    assert later.headers["traceparent"] == VALID, "passed on in the version that is known here"


@pytest.mark.parametrize(
    "state",
    ["a", "a=", "A=1", "a=1,a=2", "a=b=c", "a=1;b=2", "a=\x01", "a=" + "x" * 257, "=1",
     ",".join(f"k{n}=1" for n in range(33))],
)  # fmt: skip
def test_a_state_that_is_not_valid_is_left_out_and_the_trace_goes_on(state: str) -> None:
    parent = parse_trace_context(VALID, state)
    assert parent is not None
    assert "tracestate" not in parent.headers


@pytest.mark.parametrize("state", ["fw529a3039@dt=FfAAAA", "a=1 , b=2", "a=1,,b=2", "a*/_-1=x y"])
def test_what_other_tools_keep_there_is_passed_on(state: str) -> None:
    parent = parse_trace_context(VALID, state)
    assert parent is not None
    assert parent.headers["tracestate"] == ",".join(part.strip() for part in state.split(",") if part)


@given(st.text(max_size=80), st.text(max_size=80))
def test_no_header_breaks_it(traceparent: str, tracestate: str) -> None:
    parse_trace_context(traceparent, tracestate)


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.booleans())
def test_what_is_written_is_read_back(trace: int, span: int, sampled: bool) -> None:
    context = TraceContext(f"{trace:032x}", f"{span:016x}", sampled, "a=1")
    assert parse_trace_context(**context.headers) == context


def test_where_no_trace_is_kept_headers_pass_as_they_came() -> None:
    assert passed_through("not even valid", "x") == {"traceparent": "not even valid", "tracestate": "x"}
    assert passed_through(None, "a=1") == {}
    assert passed_through("", "a=1") == {}
