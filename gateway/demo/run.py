"""The demo, start to end: prepare, start the parts, measure the box, send traffic, show the account."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from rich.console import Console
from rich.live import Live
from rich.markup import escape

from gateway.demo import screen
from gateway.demo.children import Child, PartFailedError, wait_for_port, wait_for_words
from gateway.demo.cloud_text import cache_file, write_answers
from gateway.demo.load import Traffic
from gateway.demo.local_box import BoxChoice, LocalBox, open_box
from gateway.demo.measure import BoxSpeed, measure_box
from gateway.demo.sandbox_settings import sandbox_settings
from gateway.demo.stages import Stages
from gateway.demo.summary import CrossoverRow, PathRow, crossover_rows, in_time_shares, path_rows
from gateway.demo.traffic import arrivals, plan
from gateway.economics.path import Path as ServingPath
from gateway.policy import load_policy
from gateway.policy.paths import serving_paths
from gateway.policy.schema import Policy
from gateway.sandbox.bedrock.reconcile import differences
from gateway.sandbox.bedrock.settings import TextSettings
from gateway.sandbox.home import require_home
from gateway.sandbox.hosting import free_port

POLICY = Path(__file__).parents[2] / "policies" / "demo.yaml"
PORT_TAKEN = "cannot be had"
"""What `crossover serve` says of a port that somebody has."""
TRIES = 3
SETTLE_SECONDS = 40.0
"""At most so long after the traffic until the last window has closed and both books agree."""


@dataclass(frozen=True, slots=True)
class DemoSettings:
    """`seconds` of recorded arrivals, thinned to about `requests_per_second`."""

    home: Path
    seconds: float = 60.0
    requests_per_second: float = 1.6
    once: bool = False
    box: BoxChoice = "auto"


@dataclass(slots=True)
class Outcome:
    """What `--json` prints."""

    local_engine: str
    rows: Sequence[PathRow]
    crossovers: Sequence[CrossoverRow]
    differences: Sequence[str]
    failed: int
    seconds: Mapping[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {
            "local_engine": self.local_engine,
            "backends": {
                row.name: {
                    "requests": row.requests,
                    "input_tokens": row.input_tokens,
                    "output_tokens": row.output_tokens,
                    "windows": row.windows,
                    "usd": row.usd,
                    "usd_per_1m_tokens": row.usd_per_1m_tokens,
                    "simulated": row.simulated,
                }
                for row in self.rows
            },
            "crossovers": [
                {"box": c.box, "against": c.against, "utilization": c.utilization, "measured_utilization": c.measured}
                for c in self.crossovers
            ],
            "ledger_matches_bill": not self.differences,
            "ledger_differences": list(self.differences),
            "failed_requests": self.failed,
            "seconds": dict(self.seconds),
        }


def run(settings: DemoSettings, console: Console, show: Callable[[Outcome], None]) -> Outcome:
    """Everything; `show` is called after the traffic. Returns then with `once`, else runs until it is interrupted
    (KeyboardInterrupt).

    Raises `PartFailedError`, `HomeError` and the errors of preparing vLLM. However it ends, no process of it is
    left."""
    if not POLICY.exists():
        raise PartFailedError(f"{POLICY} is missing: run the demo from a checkout of the project, which carries it")
    require_home(settings.home)
    signal.signal(signal.SIGTERM, _as_interrupt)
    signal.signal(signal.SIGHUP, _as_interrupt)
    stages = Stages(console)
    box = open_box(settings.box, settings.home, stages, console)
    try:
        return asyncio.run(_Demo(settings, console, stages, box, show).run())
    finally:
        box.stop()


class _Demo:
    def __init__(
        self, settings: DemoSettings, console: Console, stages: Stages, box: LocalBox, show: Callable[[Outcome], None]
    ) -> None:
        self._show_outcome = show
        self._settings = settings
        self._console = console
        self._stages = stages
        self._box = box
        self._folder = settings.home / "demo"
        self._children: list[Child] = []
        self._key, self._admin_key = (f"xo-demo-{secrets.token_urlsafe(16)}" for _ in range(2))

    async def run(self) -> Outcome:
        try:
            return await self._run()
        finally:
            for child in reversed(self._children):
                child.stop()

    async def _run(self) -> Outcome:
        stages = self._stages
        with stages.stage("box", f"starting {self._box.engine}") as say:
            await self._box.ready(say)
        with stages.stage("measure", "measuring the box"):
            speed = await measure_box(self._box.base_url, self._box.tuned_model)
        text = await self._cloud_text()
        with stages.stage("bedrock", "starting the Bedrock sandbox"):
            sandbox_url = self._start_sandbox(text)
        with stages.stage("gateway", "starting the gateway"):
            policy, url = self._start_gateway(speed, sandbox_url)
        self._say_where(url)
        outcome = await self._traffic(policy, url, sandbox_url, speed)
        self._show_outcome(outcome)
        if not self._settings.once:
            self._console.print(f"\nThe gateway stays up at [bold]{url}[/]. Ctrl-C ends everything.")
            await self._watch()
        return outcome

    # -- parts -----------------------------------------------------------------------------------------------------

    async def _cloud_text(self) -> TextSettings:
        """The sandbox's words, written by the local model once; the built-in generator's where there is no model."""
        if self._box.adapter_dir is None:
            return TextSettings()
        file = cache_file(self._settings.home, self._box.adapter_dir)
        text = TextSettings(source="openai", base_url=self._box.base_url, model=self._box.base_model, cache_file=file)
        with self._stages.stage("cloud text", "writing the sandbox's answers with the local model") as say:
            models = {"tuned": self._box.tuned_model, "base": self._box.base_model}
            await write_answers(text, models, say)
        return text

    def _start_sandbox(self, text: TextSettings) -> str:
        policy = load_policy(POLICY, require_environment=False)
        port = free_port()
        file = self._folder / "sandbox.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(sandbox_settings(policy, text, self._box), sort_keys=False))
        arguments = ["sandbox", "bedrock", "--settings", str(file), "--port", str(port)]
        self._start("the Bedrock sandbox", arguments, port, {})
        return f"http://127.0.0.1:{port}"

    def _start_gateway(self, speed: BoxSpeed, sandbox_url: str) -> tuple[Policy, str]:
        """On its usual ports; on others when somebody has those, or takes them while it starts."""
        try:
            return self._start_gateway_on(free_port(8080), free_port(9464), speed, sandbox_url)
        except PartFailedError as error:
            if PORT_TAKEN not in str(error):
                raise
            self._children.pop()
            return self._start_gateway_on(free_port(), free_port(), speed, sandbox_url)

    def _start_gateway_on(self, port: int, metrics_port: int, speed: BoxSpeed, sandbox_url: str) -> tuple[Policy, str]:
        ledger = self._folder / "ledger.sqlite3"
        for old in self._folder.glob("ledger.sqlite3*"):
            old.unlink()
        environment = {
            "CROSSOVER_DEMO_PORT": str(port),
            "CROSSOVER_DEMO_METRICS_PORT": str(metrics_port),
            "CROSSOVER_DEMO_KEY": self._key,
            "CROSSOVER_DEMO_ADMIN_KEY": self._admin_key,
            "CROSSOVER_DEMO_LEDGER": str(ledger),
            "CROSSOVER_DEMO_BOX_URL": self._box.base_url,
            "CROSSOVER_DEMO_BOX_SIMULATED": "true" if self._box.simulated else "false",
            "CROSSOVER_DEMO_BOX_SINGLE": f"{speed.single_stream:.2f}",
            "CROSSOVER_DEMO_BOX_MAX": f"{speed.together:.2f}",
            "CROSSOVER_DEMO_ADAPTER": self._box.tuned_model,
            "CROSSOVER_DEMO_BASE_MODEL": self._box.base_model,
            "CROSSOVER_DEMO_BEDROCK_URL": sandbox_url,
        }
        policy = load_policy(POLICY, {**os.environ, **environment})
        log = self._settings.home / "logs" / "demo-serve.log"
        child = Child("the gateway", ["serve", "--policy", str(POLICY), "--json"], log, environment)
        self._children.append(child)
        wait_for_words(child, '"api":')  # its own word: on that port another gateway might listen
        return policy, f"http://127.0.0.1:{port}/v1"

    def _start(self, name: str, arguments: Sequence[str], port: int, environment: Mapping[str, str]) -> None:
        log = self._settings.home / "logs" / f"demo-{arguments[0]}.log"
        child = Child(name, arguments, log, environment)
        self._children.append(child)
        wait_for_port(child, port)

    def _say_where(self, url: str) -> None:
        self._console.print()
        self._console.print(f"  base_url   [bold]{url}[/]")
        self._console.print(f"  api_key    {self._key}")
        self._console.print(f"  console    [bold]{url.removesuffix('/v1')}/console[/]")
        self._console.print(f"  admin key  {self._admin_key}   [dim]for the console and /admin[/]")
        self._console.print("  models     tuned, base\n")

    # -- traffic ---------------------------------------------------------------------------------------------------

    async def _traffic(self, policy: Policy, url: str, sandbox_url: str, speed: BoxSpeed) -> Outcome:
        settings, stages = self._settings, self._stages
        traffic = Traffic(plan(arrivals(), settings.seconds, settings.requests_per_second))
        paths = serving_paths(policy)
        began = time.monotonic()
        async with aiohttp.ClientSession() as session, self._watched():
            root = url.removesuffix("/v1")
            sending = asyncio.create_task(traffic.send_all(url, self._key))
            try:
                await self._show(session, root, traffic, paths, sending, began)
            finally:
                sending.cancel()
            await sending
            stages.seconds["traffic"] = round(time.monotonic() - began, 2)
            if traffic.first_answer_at is not None:
                stages.seconds["first answer"] = round(traffic.first_answer_at - stages.began, 2)
            models = {
                name: policy.aliases[alias].served_by[1].model
                for name, alias in (("cmi", "tuned"), ("bedrock-base", "base"))
            }
            with stages.stage("settle", "letting the last window close, and holding the books against the bill"):
                books, unlike = await self._settle(session, root, sandbox_url, models)
        rows = path_rows(books, paths, traffic.answers)
        crossovers = crossover_rows(paths, rows, stages.seconds["traffic"])
        failed = [answer.error for answer in traffic.answers if answer.error is not None]
        outcome = Outcome(self._box.engine, rows, crossovers, unlike, len(failed), stages.seconds)
        self._account(outcome, policy, traffic, speed)
        return outcome

    async def _show(
        self, session: aiohttp.ClientSession, root: str, traffic: Traffic, paths: Sequence[ServingPath],
        sending: asyncio.Task[None], began: float,
    ) -> None:  # fmt: skip
        """The live table, until the traffic has ended; off a terminal a line now and then."""
        total = self._settings.seconds
        with Live(console=self._console, refresh_per_second=4, transient=True, auto_refresh=False) as shown:
            last = began
            while not sending.done():
                await asyncio.wait([sending], timeout=0.5)
                elapsed = time.monotonic() - began
                rows = path_rows(await self._books(session, root), paths, traffic.answers)
                if self._console.is_terminal:
                    states = (await _get(session, f"{root}/health/backends"))["backends"]
                    shown.update(screen.live(traffic, rows, states, elapsed, total), refresh=True)
                elif time.monotonic() - last > 10:
                    last = time.monotonic()
                    served = ", ".join(f"{row.name} {row.requests}" for row in rows)
                    self._console.print(
                        f"    {screen.progress(elapsed, total)}: {traffic.sent} sent; answered by {served}",
                        markup=False,
                    )

    async def _settle(
        self, session: aiohttp.ClientSession, root: str, sandbox_url: str, models: Mapping[str, str]
    ) -> tuple[Mapping[str, Mapping[str, Any]], list[str]]:
        """Waits until no window is open any more, then compares; once more where the two were a moment apart."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while True:
            books = await self._books(session, root)
            bill = await _get(session, f"{sandbox_url}/_sandbox/bill")
            state = (await _get(session, f"{root}/health/backends"))["backends"]
            unlike = differences(books, bill, models)
            closed = not state["cmi"]["window"]["copies"] and state["cmi"]["window"]["seconds_left"] == 0
            if (closed and not unlike) or time.monotonic() > deadline:
                return books, unlike
            await asyncio.sleep(0.5)

    async def _books(self, session: aiohttp.ClientSession, root: str) -> dict[str, dict[str, Any]]:
        rows = await _get(session, f"{root}/admin/books", {"authorization": f"Bearer {self._admin_key}"})
        return {row["backend"]: row for row in rows["backends"]}

    def _account(self, outcome: Outcome, policy: Policy, traffic: Traffic, speed: BoxSpeed) -> None:
        console = self._console
        console.print()
        console.print(screen.account(outcome.rows, in_time_shares(policy, traffic.answers), outcome.seconds["traffic"]))
        console.print(
            f"\nThe box was measured at {speed.single_stream:.1f} tok/s alone and {speed.together:.1f} with "
            f"{speed.at_concurrency} at once. Its crossover, at that capacity:", highlight=False,
        )  # fmt: skip
        for sentence in screen.crossover_sentences(outcome.crossovers):
            console.print(f"  {sentence}", highlight=False, markup=False)
        if outcome.differences:
            console.print("\n[red]The ledger and the sandbox's bill differ:[/]")
            for line in outcome.differences:
                console.print(f"  {line}", highlight=False, markup=False)
        else:
            console.print("\n[green]The ledger and the sandbox's bill agree[/] in tokens, windows and nano-dollars.")
        for error in sorted({a.error for a in traffic.answers if a.error is not None}):
            console.print(f"[red]failed:[/] {escape(error)}", highlight=False)

    # -- watching the parts ----------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Raises when a part has ended."""
        while True:
            self._check_parts()
            await asyncio.sleep(0.25)

    def _check_parts(self) -> None:
        for child in self._children:
            child.check()
        self._box.check()

    @asynccontextmanager
    async def _watched(self) -> AsyncIterator[None]:
        """Ends what happens within with `PartFailedError` as soon as a part has ended."""
        task = asyncio.current_task()
        assert task is not None
        watcher = asyncio.create_task(self._watch())
        watcher.add_done_callback(lambda ended: None if ended.cancelled() else task.cancel())
        try:
            yield
        except asyncio.CancelledError:
            if watcher.done() and not watcher.cancelled():
                task.uncancel()
                watcher.result()  # raises why
            raise
        except aiohttp.ClientError:
            # Perhaps the first news of a part that has just died: the part's own last words say more.
            watcher.cancel()
            await asyncio.sleep(0.5)
            self._check_parts()
            raise
        finally:
            watcher.cancel()
            with suppress(asyncio.CancelledError, PartFailedError):
                await watcher


async def _get(session: aiohttp.ClientSession, url: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A page of a part's. On a busy machine one may fail in passing: it is asked for three times."""
    for attempt in range(1, TRIES + 1):
        try:
            async with session.get(url, headers=headers) as response:
                response.raise_for_status()
                body: dict[str, Any] = await response.json()
                return body
        except aiohttp.ClientError:
            if attempt == TRIES:
                raise
            await asyncio.sleep(0.3)
    raise AssertionError("unreachable")


def _as_interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt
