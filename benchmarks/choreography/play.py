"""Playing a burst against the gateway, and everything that is known of it afterwards."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import openai

from benchmarks.choreography.burst import Asked, Burst
from benchmarks.choreography.stage import Stage
from gateway.sandbox.bedrock.reconcile import differences

SAMPLE_SECONDS = 0.5
SETTLE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Answered:
    """What came of one request. Times are seconds after the start."""

    at: float
    alias: str
    backend: str
    reason: str
    seconds: float
    error: str | None


@dataclass(frozen=True, slots=True)
class Sample:
    """The gateway's own view of its backends at one moment, as /health/backends tells it."""

    at: float
    box_in_flight: int
    cmi: Mapping[str, Any]
    restoring: bool


@dataclass(slots=True)
class Performance:
    """`decisions`: as /admin/decisions gives them, oldest first, with `at` in seconds after the start. `cmi_calls`:
    when the sandbox took each call of the imported model in. `windows`: (from, until) of each on the bill."""

    answers: list[Answered] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    decisions: list[dict[str, Any]] = field(default_factory=list)
    cmi_calls: list[float] = field(default_factory=list)
    windows: list[tuple[float, float]] = field(default_factory=list)
    books: dict[str, dict[str, Any]] = field(default_factory=dict)
    bill_nanousd: dict[str, int] = field(default_factory=dict)
    differences: Sequence[str] = ()
    warmups: int = 0


async def play(stage: Stage, burst: Burst, say: Callable[[str], None] = lambda _: None) -> Performance:
    """Sends every request at its time, waits until the last window has closed, and collects what is known."""
    performance = Performance()
    began, began_wall = time.monotonic(), time.time()
    async with aiohttp.ClientSession() as session:
        sampling = asyncio.create_task(_sample(session, stage, performance, began, say))
        try:
            async with openai.AsyncOpenAI(
                base_url=f"{stage.root}/v1", api_key=stage.key, max_retries=0, timeout=120
            ) as client:
                async with asyncio.TaskGroup() as group:
                    for asked in burst.requests:
                        await asyncio.sleep(max(0.0, began + asked.at_seconds - time.monotonic()))
                        group.create_task(_send(client, asked, performance, began))
                await asyncio.sleep(max(0.0, began + burst.seconds - time.monotonic()))
            await _settle(session, stage, performance)
        finally:
            sampling.cancel()
        await _collect(session, stage, performance, began_wall)
    return performance


async def _send(client: openai.AsyncOpenAI, asked: Asked, performance: Performance, began: float) -> None:
    sent = time.monotonic()
    headers: Mapping[str, str] = {}
    error: str | None = None
    try:
        response = await client.chat.completions.with_raw_response.create(
            model=asked.alias,
            messages=[{"role": "user", "content": asked.prompt}],
            max_tokens=asked.max_tokens,
            temperature=0,
            stream=asked.stream,
        )
        headers = response.headers
        parsed: Any = response.parse()
        if asked.stream:
            async for _ in parsed:
                pass
    except openai.OpenAIError as failure:
        error = f"{type(failure).__name__}: {failure}"
    backend, reason = headers.get("x-crossover-backend", ""), headers.get("x-crossover-reason", "")
    now = time.monotonic()
    performance.answers.append(Answered(sent - began, asked.alias, backend, reason, now - sent, error))


async def _sample(
    session: aiohttp.ClientSession, stage: Stage, performance: Performance, began: float, say: Callable[[str], None]
) -> None:
    while True:
        states = (await _get(session, f"{stage.root}/health/backends"))["backends"]
        box, cmi = states["box"], states["cmi"]
        at = time.monotonic() - began
        performance.samples.append(Sample(at, box["in_flight"], cmi["window"], cmi["restoring_seconds"] is not None))
        if len(performance.samples) % 20 == 0:
            window = cmi["window"]
            say(
                f"{at:5.0f} s: {len(performance.answers)} answered; box {box['in_flight']} in flight, "
                f"imported {window['in_flight']} on {window['copies']} copies"
            )
        await asyncio.sleep(SAMPLE_SECONDS)


async def _settle(session: aiohttp.ClientSession, stage: Stage, performance: Performance) -> None:
    """Until no window is open, and the books agree with the bill; or they never do."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        books = await _get(session, f"{stage.root}/admin/books", stage.admin_key)
        bill = await _get(session, f"{stage.sandbox}/_sandbox/bill")
        performance.books = {row["backend"]: row for row in books["backends"]}
        performance.bill_nanousd = {name: bill["models"][m]["total_nanousd"] for name, m in stage.models.items()}
        performance.differences = differences(performance.books, bill, stage.models)
        window = (await _get(session, f"{stage.root}/health/backends"))["backends"]["cmi"]["window"]
        closed = not window["copies"] and window["seconds_left"] == 0
        if (closed and not performance.differences) or time.monotonic() > deadline:
            return
        await asyncio.sleep(0.5)


async def _collect(session: aiohttp.ClientSession, stage: Stage, performance: Performance, began_wall: float) -> None:
    decisions = (await _get(session, f"{stage.root}/admin/decisions?limit=1000", stage.admin_key))["decisions"]
    performance.decisions = sorted(
        ({**decision, "at": decision["decided_at"] - began_wall} for decision in decisions), key=lambda d: d["at"]
    )
    state = await _get(session, f"{stage.sandbox}/_sandbox/state")
    bill = await _get(session, f"{stage.sandbox}/_sandbox/bill?calls=1")

    def real(simulated: float) -> float:
        return float(state["epoch_unix_seconds"] + simulated / state["time_scale"] - began_wall)

    imported = bill["models"][stage.models["cmi"]]
    performance.cmi_calls = sorted(real(call["arrived_seconds"]) for call in imported["calls"])
    performance.windows = [(real(w["start_seconds"]), real(w["end_seconds"])) for w in imported["windows"]]
    performance.warmups = int(performance.books.get("cmi", {}).get("requests", 0)) - sum(
        answer.backend == "cmi" and answer.error is None for answer in performance.answers
    )


async def _get(session: aiohttp.ClientSession, url: str, admin_key: str | None = None) -> Any:
    headers = {} if admin_key is None else {"authorization": f"Bearer {admin_key}"}
    async with session.get(url, headers=headers) as response:
        response.raise_for_status()
        return await response.json()
