"""One line a request when it ends: what it was, what it cost and how it went. No prompt, no key, nothing that could
break the line; and a log that nobody reads stops nothing."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import pty
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import httpx
import pytest

from gateway.backends.usage import Certainty
from gateway.metering.records import Attempt, OperationRecord
from gateway.policy.schema import LogSettings
from gateway.server.request_log import (
    MOST_WAITING,
    PROMPT_CHARACTERS,
    Line,
    Log,
    LogHandler,
    Said,
    as_json,
    as_text,
    configure_logging,
    fields_of,
)
from gateway.telemetry.request_end import RequestEnd
from tests.gateway_process import API_KEY, GatewayProcess
from tests.scripted_peer import Connection, answer, scripted_peer
from tests.server.fleets import one, two
from tests.server.in_process import Running, gateway_in_process

Start = Callable[..., GatewayProcess]
StartHere = Callable[..., AbstractAsyncContextManager["Here"]]
SECRET_WORDS = "the-prompt-nobody-else-should-read"
MESSAGES: Any = [{"role": "user", "content": SECRET_WORDS}]


async def ask(root: str, key: str = API_KEY, *, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
    body = {"model": "tuned", "messages": MESSAGES, **fields}
    sent = {"authorization": f"Bearer {key}", **(headers or {})}
    async with httpx.AsyncClient(timeout=20) as http:
        return await http.post(f"{root}/v1/chat/completions", json=body, headers=sent)


class Here(NamedTuple):
    running: Running
    file: Path

    @property
    def root(self) -> str:
        return self.running.root

    async def requests(self, count: int) -> list[dict[str, Any]]:
        """The lines of so many requests, once they are written."""
        while len(lines := self.file.read_text().splitlines()) < count:
            await asyncio.sleep(0.02)
        return [json.loads(line) for line in lines]


def lines(gateway: GatewayProcess) -> list[dict[str, Any]]:
    """Every line of its log, after its end. Raises where one is not JSON."""
    gateway.stop()
    return [json.loads(line) for line in gateway.log().splitlines()]


def requests(gateway: GatewayProcess) -> list[dict[str, Any]]:
    return [line for line in lines(gateway) if line["event"] == "request"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StartHere:
    """A gateway in this loop with a log of its own."""

    @asynccontextmanager
    async def start(**policy: Any) -> AsyncIterator[Here]:
        async with gateway_in_process(policy, tmp_path, monkeypatch) as running:
            settings = running.core.policy.log
            kinds = {name: backend.cost.kind for name, backend in running.core.settings.items() if backend.cost}
            log_file = tmp_path / "log"
            with log_file.open("w") as stream:
                log = Log(stream, lambda line: as_json(fields_of(line, kinds)), prompts=settings.prompts)
                running.core.request_log = log
                yield Here(running, log_file)
                running.core.request_log = None
                log.close()

    return start


def attempt(backend: str, nanousd: int | None, certainty: Certainty = "exact") -> Attempt:
    return Attempt("op", 1, backend, "m", 0.0, "ok", 200, 7, 2, certainty, nanousd, None, 0.5)


def end(*attempts: Attempt, prompt: bytes | None = None, alias: str = "tuned") -> RequestEnd:
    record = OperationRecord(
        "op", "app", alias, "chat", False, 1_790_000_000.0, "ok", 200, "cloud", "only_choice", len(attempts) or 1,
        7, 2, "exact", None, 0.5, None,
    )  # fmt: skip
    return RequestEnd(record, attempts, None, prompt)


# -- what a line says -------------------------------------------------------------------------------------------------


async def test_a_request_leaves_one_line_with_what_became_of_it(start_gateway: Start) -> None:
    async with scripted_peer(answer("a b c")) as peer:
        gateway = start_gateway(**one(peer.url))
        assert (await ask(gateway.root, stream=True)).is_success
        (line,) = requests(gateway)
    told = {name: line[name] for name in ("key", "alias", "operation", "stream", "backend", "outcome", "status")}
    assert told == {
        "key": "app", "alias": "tuned", "operation": "chat", "stream": True, "backend": "box", "outcome": "ok",
        "status": 200,
    }  # fmt: skip
    assert (line["input_tokens"], line["output_tokens"], line["certainty"]) == (7, 3, "exact")
    assert (line["cost_usd"], line["cost_kind"], line["generation"]) == (0.0, "amortized", "domain@v0001")
    assert (line["attempts"], line["reason"], line["held_seconds"]) == (1, "only_choice", 0.0)
    assert 0 < line["ttft_seconds"] <= line["seconds"]
    assert line["at"].endswith("Z")


async def test_a_line_has_the_id_the_answer_had_and_the_verdict_on_its_ceiling(here: StartHere) -> None:
    async with scripted_peer() as peer, here(**one(peer.url)) as gateway:
        answered = await ask(gateway.root, headers={"x-crossover-max-latency-ms": "60000"})
        (line,) = await gateway.requests(1)
    assert line["id"] == answered.headers["x-crossover-decision"]
    assert line["verdict"] == "in_time"
    assert line["ttft_seconds"] is None, "an answer that is not streamed has none"


async def test_what_all_attempts_were_charged_is_in_the_line(here: StartHere) -> None:
    async def break_down(connection: Connection) -> None:
        connection.writer.close()

    async with (
        scripted_peer(break_down) as first,
        scripted_peer(answer("a b")) as second,
        here(**two(first.url, second.url)) as gateway,
    ):
        assert (await ask(gateway.root)).is_success
        (line,) = await gateway.requests(1)
    assert (line["attempts"], line["backend"], line["reason"]) == (2, "cloud", "fallback")
    assert line["cost_usd"] == pytest.approx((7 + 2) * 0.22e-6)
    assert line["cost_kind"] == "per_token"


def test_a_cost_is_unknown_as_soon_as_one_attempt_s_is() -> None:
    assert fields_of(end(attempt("cloud", 5), attempt("cloud", None)), {})["cost_usd"] is None
    assert fields_of(end(attempt("cloud", 5), attempt("cloud", 7)), {})["cost_usd"] == 12e-9


async def test_refused_at_the_door_leaves_a_line_too(here: StartHere) -> None:
    async with scripted_peer() as peer, here(**one(peer.url)) as gateway:
        assert (await ask(gateway.root, model="invented\nmodel")).status_code == 404
        assert (await ask(gateway.root, "not-a-key")).status_code == 401
        unknown, stranger = await gateway.requests(2)
    assert (unknown["alias"], unknown["status"], unknown["outcome"]) == ("other", 404, "client_error")
    assert (unknown["key"], unknown["backend"], unknown["attempts"], unknown["cost_usd"]) == ("app", None, 0, 0.0)
    assert (stranger["key"], stranger["alias"], stranger["status"]) == (None, "other", 401)
    assert "invented" not in gateway.file.read_text()
    assert "not-a-key" not in gateway.file.read_text()


async def test_a_policy_may_want_no_lines_of_requests(start_gateway: Start) -> None:
    async with scripted_peer() as peer:
        gateway = start_gateway(**one(peer.url), log={"requests": False})
        assert (await ask(gateway.root)).is_success
        assert requests(gateway) == []


# -- what a line never says -------------------------------------------------------------------------------------------


async def test_no_prompt_no_answer_and_no_key_is_in_the_log(start_gateway: Start) -> None:
    async with scripted_peer(answer("an-answer-nobody-else-should-read")) as peer:
        gateway = start_gateway(**one(peer.url, api_key="key-of-the-backend"))
        assert (await ask(gateway.root, headers={"x-of-the-caller": "header-of-the-caller"})).is_success
        assert len(requests(gateway)) == 1
    for secret in (SECRET_WORDS, "an-answer", API_KEY, "key-of-the-backend", "header-of-the-caller"):
        assert secret not in gateway.log()


async def test_a_policy_may_want_the_start_of_prompts_but_never_answers(here: StartHere) -> None:
    long = [{"role": "user", "content": SECRET_WORDS + "x" * 9000}]
    async with (
        scripted_peer(answer("an-answer-nobody-else-should-read")) as peer,
        here(**one(peer.url), log={"prompts": True}) as gateway,
    ):
        assert (await ask(gateway.root, messages=long)).is_success
        (line,) = await gateway.requests(1)
    assert SECRET_WORDS in line["prompt"]
    assert len(line["prompt"]) == PROMPT_CHARACTERS
    assert "an-answer" not in gateway.file.read_text()


NASTY = 'one\ntwo\r\x1b[31mred\x9b1m\u2028\u202e"quoted" \udc80 {"event":"request"}'


@pytest.mark.parametrize("line", [Said(1.0, "warning", "gateway", NASTY), end(alias=NASTY)], ids=["said", "request"])
@pytest.mark.parametrize("render", [as_json, lambda fields: as_text(fields, colour=False)], ids=["json", "text"])
def test_nothing_in_a_line_can_end_it_or_steer_a_terminal(line: Line, render: Callable[[dict[str, Any]], str]) -> None:
    shown = render(fields_of(line, {}))
    assert len(shown.splitlines()) == 1
    assert shown.isascii()
    assert shown.isprintable()


def test_json_gives_back_what_was_put_in() -> None:
    assert json.loads(as_json(fields_of(end(alias=NASTY), {})))["alias"] == NASTY


# -- formats ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def logged() -> Iterator[Callable[[Log], Log]]:
    """Ends a log, and takes its handler from Python's logging."""
    logs: list[Log] = []

    def keep(log: Log) -> Log:
        logs.append(log)
        return log

    yield keep
    for log in logs:
        log.close()
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, LogHandler):
            root.removeHandler(handler)
    logging.captureWarnings(False)


def on_a_terminal(settings: LogSettings, keep: Callable[[Log], Log]) -> str:
    mine, its = pty.openpty()
    with os.fdopen(its, "w") as terminal:
        log = keep(configure_logging(settings, terminal, {"cloud": "per_token"}))
        log.put(end(attempt("cloud", 1980)))
        log.close()
        shown = os.read(mine, 65536).decode()
    os.close(mine)
    return shown


def test_a_terminal_gets_words_and_colours(logged: Callable[[Log], Log], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    shown = on_a_terminal(LogSettings(), logged)
    assert "\x1b[32mok\x1b[0m" in shown
    assert "cost_usd=" in shown
    assert "0.00000198" in shown


def test_no_color_is_respected(logged: Callable[[Log], Log], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    shown = on_a_terminal(LogSettings(), logged)
    assert "\x1b" not in shown
    assert " INFO id=op key=app alias=tuned operation=chat backend=cloud reason=only_choice outcome=ok " in shown
    assert " cost_usd=0.00000198 cost_kind=per_token seconds=0.5\r\n" in shown


def test_a_policy_can_ask_for_json_on_a_terminal(logged: Callable[[Log], Log]) -> None:
    assert json.loads(on_a_terminal(LogSettings(format="json"), logged))["id"] == "op"


def test_what_the_program_says_has_the_same_form(logged: Callable[[Log], Log], tmp_path: Any) -> None:
    with (tmp_path / "log").open("w+") as file:
        log = logged(configure_logging(LogSettings(), file))
        try:
            raise ValueError("with\na traceback")
        except ValueError:
            logging.getLogger("gateway.somewhere").exception("went %s", "wrong")
        logging.getLogger("gateway.somewhere").info("too small to mention")
        log.close()
        logging.getLogger("gateway.somewhere").warning("after its end")
        line, last = [json.loads(text) for text in (tmp_path / "log").read_text().splitlines()]
    assert last["message"] == "after its end"
    assert (line["event"], line["level"], line["logger"], line["message"]) == (
        "log", "error", "gateway.somewhere", "went wrong",
    )  # fmt: skip
    assert "ValueError: with" in line["traceback"]


def test_a_traceback_in_text_stays_below_its_line() -> None:
    shown = as_text(fields_of(Said(1.0, "error", "g", "broke", "Traceback:\n  \x1b[2Jodd\nEnd"), {}), colour=False)
    first, *below = shown.split("\n")
    assert first.endswith("ERROR logger=g message=broke")
    assert below == ["  Traceback:", "    \\u001b[2Jodd", "  End"]


# -- nobody reads it --------------------------------------------------------------------------------------------------


def pipe() -> tuple[int, TextIO]:
    reading, writing = os.pipe()
    return reading, os.fdopen(writing, "w")


def test_a_log_that_is_not_read_loses_lines_says_how_many_and_stops_nobody(logged: Callable[[Log], Log]) -> None:
    reading, stream = pipe()
    log = logged(Log(stream, lambda line: as_json(fields_of(line, {}))))
    sent = MOST_WAITING + 5000  # much more than the pipe, the thread and the queue take together
    for _ in range(sent):
        log.put(end(prompt=b"x" * 400))
    text: list[bytes] = []
    reader = threading.Thread(target=lambda: text.extend(iter(lambda: os.read(reading, 65536), b"")))
    reader.start()  # only now somebody reads
    log.close(20)
    stream.close()
    reader.join(20)
    os.close(reading)
    written = [json.loads(line) for line in b"".join(text).splitlines()]
    lost = sum(int(line["message"].split()[0]) for line in written if line["event"] == "log")
    assert lost > 0
    assert sum(line["event"] == "request" for line in written) + lost == sent


def test_a_reader_that_went_away_stops_nobody(logged: Callable[[Log], Log]) -> None:
    reading, stream = pipe()
    os.close(reading)
    log = logged(Log(stream, lambda line: as_json(fields_of(line, {}))))
    log.put(end())
    log.close()
    log.put(end())
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_a_log_goes_on_after_what_could_not_be_written_and_says_how_much_that_was(logged: Callable[[Log], Log]) -> None:
    reading, stream = pipe()
    os.set_blocking(stream.fileno(), False)  # as whoever shares the other end may have set it
    log = logged(Log(stream, lambda line: as_json(fields_of(line, {}))))
    sent = 2000  # more than the pipe takes
    for _ in range(sent):
        log.put(end(prompt=b"x" * 400))
    while len(log._waiting):
        time.sleep(0.01)
    os.set_blocking(stream.fileno(), True)
    text: list[bytes] = []
    reader = threading.Thread(target=lambda: text.extend(iter(lambda: os.read(reading, 65536), b"")))
    reader.start()
    log.put(end(alias="afterwards"))
    log.close(20)
    stream.close()
    reader.join(20)
    os.close(reading)
    *_, said, last = [line for line in b"".join(text).splitlines() if line]
    assert b"log lines were lost: could not be written" in said + last
    assert b"afterwards" in said + last
    json.loads(said)
    json.loads(last)


def test_a_line_that_cannot_be_rendered_costs_only_itself(logged: Callable[[Log], Log]) -> None:
    reading, stream = pipe()

    def render(line: Line) -> str:
        if isinstance(line, RequestEnd) and line.record.alias == "bad":
            raise KeyError("a mistake of ours")
        return as_json(fields_of(line, {}))

    log = logged(Log(stream, render))
    log.put(end(alias="bad"))
    log.put(end(alias="good"))
    log.close()
    stream.close()
    with os.fdopen(reading) as text:
        first, second = [json.loads(line) for line in text]
    assert first["message"] == "a log line failed: KeyError"
    assert second["alias"] == "good"
