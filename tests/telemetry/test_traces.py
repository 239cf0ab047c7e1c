"""Over real OTLP: one span a request, one below it for each attempt, in the caller's trace and into the backend's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.gateway_process import API_KEY, GatewayProcess
from tests.scripted_peer import Connection, answer, scripted_peer
from tests.server.fleets import one, two
from tests.server.in_process import Running, gateway_in_process
from tests.telemetry.collector import CLIENT, ERROR, SERVER, Collector, attributes, collector

Start = Callable[..., GatewayProcess]
Here = Callable[..., AbstractAsyncContextManager[Running]]
SECRET_WORDS = "the-prompt-nobody-else-should-read"
MESSAGES: Any = [{"role": "user", "content": SECRET_WORDS}]
TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED, NOT_SAMPLED = f"00-{TRACE}-{CALLER}-01", f"00-{TRACE}-{CALLER}-00"


@pytest.fixture(scope="module")
def receiver() -> Iterator[Collector]:
    with collector() as kept:
        yield kept


@pytest.fixture
def sent(receiver: Collector) -> Collector:
    """What comes from now on."""
    for kept in (receiver.spans, receiver.metrics, receiver.raw, receiver.paths, receiver.headers, receiver.resources):
        kept.clear()
    return receiver


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    """A gateway in this loop. When its block is left, all that it had to send was sent."""

    def start(**policy: Any) -> AbstractAsyncContextManager[Running]:
        return gateway_in_process(policy, tmp_path, monkeypatch)

    return start


def traced(collector: Collector, **settings: Any) -> dict[str, Any]:
    return {"otlp_endpoint": collector.endpoint, "export_seconds": 0.2, **settings}


def client(gateway: GatewayProcess | Running) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{gateway.root}/v1", api_key=API_KEY, max_retries=0)


async def ask(gateway: GatewayProcess | Running, *, stream: bool = False, **headers: str) -> None:
    async with client(gateway) as caller:
        asked = await caller.chat.completions.create(
            model="tuned", messages=MESSAGES, stream=stream, extra_headers=headers
        )
        if stream:
            async for _ in asked:
                pass


def by_kind(spans: list[Span]) -> tuple[Span, list[Span]]:
    """(the operation, its attempts in order)."""
    (operation,) = [span for span in spans if span.kind == SERVER]
    attempts = [span for span in spans if span.kind == CLIENT]
    return operation, sorted(attempts, key=lambda span: span.start_time_unix_nano)


async def test_a_request_is_a_span_in_its_caller_s_trace_and_its_attempt_one_below(here: Here, sent: Collector) -> None:
    async with scripted_peer(answer("a b c")) as peer:
        async with here(**one(peer.url), telemetry=traced(sent)) as gateway:
            await ask(gateway, stream=True, traceparent=SAMPLED, tracestate="congo=t61rcWkgMzE")
        operation, (attempt,) = by_kind(sent.spans)
    assert {operation.trace_id.hex(), attempt.trace_id.hex()} == {TRACE}
    assert operation.parent_span_id.hex() == CALLER
    assert attempt.parent_span_id == operation.span_id
    assert (operation.name, attempt.name) == ("chat tuned", "chat up/stream")
    assert operation.start_time_unix_nano <= attempt.start_time_unix_nano
    assert attempt.end_time_unix_nano <= operation.end_time_unix_nano
    (first_token,) = attempt.events
    assert attempt.start_time_unix_nano < first_token.time_unix_nano <= attempt.end_time_unix_nano
    received = peer.requests[0].headers
    assert received["traceparent"] == f"00-{TRACE}-{attempt.span_id.hex()}-01"
    assert received["tracestate"] == "congo=t61rcWkgMzE"
    assert attempt.trace_state == "congo=t61rcWkgMzE"


async def test_spans_say_what_was_decided_and_what_came_of_it(here: Here, sent: Collector) -> None:
    async with scripted_peer(answer("a b c")) as peer:
        async with here(**one(peer.url), telemetry=traced(sent)) as gateway, client(gateway) as caller:
            raw = await caller.chat.completions.with_raw_response.create(
                model="tuned", messages=MESSAGES, extra_headers={"x-crossover-max-latency-ms": "60000"}
            )
        operation, (attempt,) = by_kind(sent.spans)
        port = int(peer.url.split(":")[2].split("/")[0])
    said = attributes(operation.attributes)
    decided = said.pop("crossover.decision.expected_cost"), said.pop("crossover.decision.late_chance")
    assert all(value >= 0 for value in decided)
    assert said == {
        "gen_ai.operation.name": "chat", "gen_ai.request.model": "tuned", "gen_ai.request.stream": False,
        "gen_ai.response.model": "up/stream", "gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 3,
        "http.response.status_code": 200, "crossover.request.id": raw.headers["x-crossover-decision"],
        "crossover.key.name": "app", "crossover.alias": "tuned", "crossover.backend": "box",
        "crossover.outcome": "ok", "crossover.reason": "only_choice", "crossover.attempts": 1,
        "crossover.verdict": "in_time", "crossover.cost": 0.0, "crossover.cost_kind": "amortized",
        "crossover.adapter.generation": "domain@v0001", "crossover.decision.backend": "box",
        "crossover.decision.candidates": 1, "crossover.decision.possible": 1,
        "crossover.decision.marginal_cost": 0.0,
    }  # fmt: skip
    assert attributes(attempt.attributes) == {
        "gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "up/stream",
        "gen_ai.request.stream": False, "gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 3,
        "server.address": "127.0.0.1", "server.port": port, "http.response.status_code": 200,
        "crossover.backend": "box", "crossover.attempt.number": 1, "crossover.reason": "only_choice",
        "crossover.outcome": "ok", "crossover.usage.certainty": "exact", "crossover.cost": 0.0,
        "crossover.cost_kind": "amortized", "crossover.adapter.generation": "domain@v0001",
    }  # fmt: skip
    resource = sent.resources[0]
    assert resource["service.name"] == "crossover"
    assert resource["service.version"]


async def test_each_attempt_of_a_request_has_a_span_and_the_failed_one_says_so(here: Here, sent: Collector) -> None:
    async def break_down(connection: Connection) -> None:
        connection.writer.close()

    async with scripted_peer(break_down) as first, scripted_peer(answer("a b")) as second:
        async with here(**two(first.url, second.url), telemetry=traced(sent)) as gateway:
            await ask(gateway)
        operation, (failed, good) = by_kind(sent.spans)
    assert {failed.parent_span_id, good.parent_span_id} == {operation.span_id}
    assert failed.status.code == ERROR
    assert attributes(failed.attributes)["error.type"] == "upstream_error"
    assert attributes(good.attributes)["crossover.reason"] == "fallback"
    assert operation.status.code != ERROR
    assert len({span.span_id for span in sent.spans}) == 3
    sent_on = [peer.requests[0].headers["traceparent"].split("-")[2] for peer in (first, second)]
    assert sent_on == [failed.span_id.hex(), good.span_id.hex()]


async def test_a_request_that_nobody_answered_is_an_error(here: Here, sent: Collector) -> None:
    async def refuse(connection: Connection) -> None:
        await connection.json({"error": {"message": "busy", "type": "t", "code": None}}, "503 Busy")

    async with scripted_peer(refuse) as peer:
        async with here(**one(peer.url), telemetry=traced(sent)) as gateway:
            with pytest.raises(openai.APIStatusError):
                await ask(gateway)
        operation, (attempt,) = by_kind(sent.spans)
    for span in (operation, attempt):
        assert span.status.code == ERROR
        said = attributes(span.attributes)
        assert (said["error.type"], said["http.response.status_code"]) == ("upstream_error", 503)
        assert "gen_ai.usage.output_tokens" not in said, "nobody counted any: 0 would be a claim"


async def test_without_a_caller_s_trace_one_begins_here(here: Here, sent: Collector) -> None:
    async with scripted_peer() as peer:
        async with here(**one(peer.url), telemetry=traced(sent)) as gateway:
            for header in ({}, {"traceparent": "00-not-valid"}):
                await ask(gateway, **header)
        operations = [span for span in sent.spans if span.kind == SERVER]
    assert [span.parent_span_id for span in operations] == [b"", b""]
    assert len({span.trace_id for span in operations}) == 2


async def test_who_calls_says_whether_it_is_sampled_and_the_ratio_decides_for_the_rest(
    here: Here, sent: Collector
) -> None:
    async with scripted_peer() as peer, here(**one(peer.url), telemetry=traced(sent, sample_ratio=0)) as gateway:
        await ask(gateway)
        await ask(gateway, traceparent=NOT_SAMPLED)
        await ask(gateway, traceparent=SAMPLED)
    assert [span.trace_id.hex() for span in sent.spans] == [TRACE, TRACE]
    by_itself, not_sampled, sampled = [r.headers["traceparent"] for r in peer.requests]
    assert by_itself.endswith("-00"), "the backend is told, sampled or not"
    assert not_sampled.startswith(f"00-{TRACE}-")
    assert not_sampled.endswith("-00")
    assert CALLER not in not_sampled
    assert sampled.endswith("-01")


async def test_a_trace_sent_twice_is_not_continued(here: Here, sent: Collector) -> None:
    async with scripted_peer() as peer:
        async with here(**one(peer.url), telemetry=traced(sent)) as gateway:
            twice = [("authorization", f"Bearer {API_KEY}"), ("traceparent", SAMPLED), ("traceparent", SAMPLED)]
            body = {"model": "tuned", "messages": MESSAGES}
            async with httpx.AsyncClient() as http:
                assert (await http.post(f"{gateway.root}/v1/chat/completions", json=body, headers=twice)).is_success
        operation, _ = by_kind(sent.spans)
    assert operation.trace_id.hex() != TRACE


@pytest.mark.parametrize("telemetry", [None, {"traces": False}], ids=["off", "metrics alone"])
async def test_without_traces_the_caller_s_headers_reach_the_backend_as_they_came(
    here: Here, sent: Collector, telemetry: dict[str, Any] | None
) -> None:
    settings = {} if telemetry is None else {"telemetry": traced(sent, **telemetry)}
    async with scripted_peer() as peer, here(**one(peer.url), **settings) as gateway:
        await ask(gateway, traceparent=SAMPLED, tracestate="a=1")
        await ask(gateway)
    with_trace, without = [request.headers for request in peer.requests]
    assert (with_trace["traceparent"], with_trace["tracestate"]) == (SAMPLED, "a=1")
    assert "traceparent" not in without
    assert sent.spans == []


async def test_no_prompt_answer_or_key_is_in_what_was_sent(
    start_gateway: Start, sent: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XO_COLLECTOR_TOKEN", "token-of-the-collector")
    secret = {"authorization": "Bearer ${XO_COLLECTOR_TOKEN}"}
    async with scripted_peer(answer("an-answer-nobody-else-should-read")) as peer:
        gateway = start_gateway(
            **one(peer.url, api_key="key-of-the-backend"),
            log={"prompts": True},
            telemetry=traced(sent, headers=secret),
        )
        await ask(gateway)
        sent.wait_for(lambda got: len(got.spans) == 2 and len(got.metrics) > 1)
        gateway.stop()
    assert {headers["authorization"] for headers in sent.headers} == {"Bearer token-of-the-collector"}
    assert "token-of-the-collector" not in gateway.log()
    exported = b"".join(sent.raw)
    for words in (SECRET_WORDS, "an-answer", API_KEY, "key-of-the-backend", "token-of-the-collector"):
        assert words.encode() not in exported


async def test_what_waits_is_sent_when_the_gateway_ends(start_gateway: Start, sent: Collector) -> None:
    async with scripted_peer() as peer:
        gateway = start_gateway(**one(peer.url), telemetry=traced(sent, export_seconds=3600))
        for _ in range(40):  # more than one batch
            await ask(gateway)
        gateway.stop()
    assert len(sent.spans) == 80
    assert sent.paths[-1] == "/v1/metrics"
