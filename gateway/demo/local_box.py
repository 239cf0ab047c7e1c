"""The demo's local box: a real vLLM on the CPU, or, where that cannot be had, the generator, which says what it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

import aiohttp
from rich.console import Console
from rich.markup import escape

from gateway.demo.children import Child, wait_for_port
from gateway.demo.stages import Stages
from gateway.sandbox.hosting import free_port
from gateway.sandbox.vllm.environment import EnvironmentFailedError
from gateway.sandbox.vllm.prepare import Prepared, prepare
from gateway.sandbox.vllm.server import VllmFailedError, VllmServer
from gateway.sandbox.vllm.settings import VllmSettings

BoxChoice: TypeAlias = Literal["auto", "vllm", "generator"]


class LocalBox(Protocol):
    """An OpenAI-compatible server on this machine, with a base model and a tuned one."""

    engine: str
    """What serves, with its version once it is ready."""
    simulated: bool
    base_model: str
    tuned_model: str
    adapter_dir: Path | None

    @property
    def base_url(self) -> str: ...

    async def ready(self, say: Callable[[str], None]) -> None: ...

    def check(self) -> None:
        """Raises when it has ended."""

    def stop(self) -> None: ...


class VllmBox:
    """vLLM's CPU build with the adapter that the demo trained."""

    simulated = False

    def __init__(self, prepared: Prepared, home: Path) -> None:
        self.engine = "vllm (cpu)"
        self.tuned_model = prepared.adapter
        self.adapter_dir: Path | None = prepared.adapter_dir
        self._server = VllmServer(
            VllmSettings(
                python=prepared.python,
                model_dir=prepared.model_dir,
                adapters={prepared.adapter: prepared.adapter_dir},
                port=free_port(),
                log_file=home / "logs" / "demo-vllm.log",
            )
        )
        self.base_model = self._server.settings.served_name
        self._server.start()

    @property
    def base_url(self) -> str:
        return self._server.settings.base_url

    async def ready(self, say: Callable[[str], None]) -> None:
        say("loading the model and the adapter")
        await self._server.wait_ready()
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self._server.settings.root_url}/version") as reply,
        ):
            version = str((await reply.json())["version"])
        self.engine = f"vllm {version.partition('+')[0]} (cpu)"

    def check(self) -> None:
        if not self._server.running:
            raise VllmFailedError(f"vLLM ended by itself. Log: {self._server.settings.log_file}")

    def stop(self) -> None:
        self._server.stop()


class GeneratorBox:
    """The sandbox's generator behind vLLM's wire and a real queue, at the speeds of vLLM on two cores. Simulated."""

    engine = "generator (simulated)"
    simulated = True
    base_model = "smollm2"
    tuned_model = "handbook@v0001"
    adapter_dir: Path | None = None
    SINGLE, TOGETHER, STREAMS, FIRST = 9, 45, 8, 0.25

    def __init__(self, home: Path) -> None:
        self._port = free_port()
        arguments = ["sandbox", "generator", "--port", str(self._port)]
        arguments += ["--models", f"{self.tuned_model},{self.base_model}", "--max-streams", str(self.STREAMS)]
        arguments += ["--tokens-per-second", str(self.SINGLE), "--max-tokens-per-second", str(self.TOGETHER)]
        arguments += ["--first-token-seconds", str(self.FIRST), "--context-tokens", "2048"]
        self._child = Child("the generator box", arguments, home / "logs" / "demo-generator.log", {})

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    async def ready(self, say: Callable[[str], None]) -> None:
        say("this needs no model")
        wait_for_port(self._child, self._port)

    def check(self) -> None:
        self._child.check()

    def stop(self) -> None:
        self._child.stop()


def open_box(wanted: BoxChoice, home: Path, stages: Stages, console: Console) -> LocalBox:
    """Prepares what is missing (minutes, once) and starts the box.

    `auto` falls back to the generator, and says why, where vLLM's environment cannot be made here."""
    if wanted == "generator":
        return GeneratorBox(home)
    try:
        with stages.stage("prepare", "preparing vLLM, the model and its adapter") as say:
            prepared = prepare(home, say)
    except EnvironmentFailedError as error:
        if wanted == "vllm":
            raise
        console.print(f"[yellow]vLLM cannot be installed here:[/] {escape(str(error))}", highlight=False)
        console.print("[yellow]The box is the sandbox's small generator instead: SIMULATED text and speed.[/]")
        return GeneratorBox(home)
    stages.seconds.update({f"prepare {name}": seconds for name, seconds in prepared.seconds.items()})
    return VllmBox(prepared, home)
