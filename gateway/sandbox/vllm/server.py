"""Start, await and end one local vLLM server; none of its processes outlives this one."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import aiohttp

from gateway.sandbox.exit_status import in_words
from gateway.sandbox.vllm.lora_fix import LOADED_MESSAGE
from gateway.sandbox.vllm.settings import VllmSettings

_SUPERVISOR = Path(__file__).with_name("supervise.py")
_POLL_SECONDS = 0.25
_LAST_LINES = 25


class VllmFailedError(RuntimeError):
    """The server did not start, died, or is not safe to use; the message ends with the last lines of its log."""


class VllmServer:
    """A vLLM server as a child process group. Not thread-safe; may be started again after `stop`."""

    def __init__(self, settings: VllmSettings) -> None:
        self.settings = settings
        self._supervisor: subprocess.Popen[str] | None = None
        self._pid: int | None = None

    @property
    def pid(self) -> int | None:
        """Process id of `vllm serve`, which is also its process group's; None when it was not started."""
        return self._pid

    @property
    def running(self) -> bool:
        """True from `start` until the server ends, by whatever cause."""
        return self._supervisor is not None and self._supervisor.poll() is None

    def start(self) -> None:
        """Start the processes and return at once. Raises VllmFailedError when the port is taken."""
        if self.running:
            return
        settings = self.settings
        require_free_port(settings.host, settings.port)
        settings.log_file.parent.mkdir(parents=True, exist_ok=True)
        settings.log_file.write_bytes(b"")
        supervisor = [sys.executable, "-I", str(_SUPERVISOR), "--grace-seconds", str(settings.stop_grace_seconds)]
        self._supervisor = subprocess.Popen(  # noqa: S603
            [*supervisor, "--log", str(settings.log_file), "--", *settings.command()],
            stdin=subprocess.PIPE,  # the lifeline: it closes when this process ends, however it ends
            stdout=subprocess.PIPE,
            env=settings.environment(os.environ),
            start_new_session=True,  # a Ctrl-C in the terminal is for us to act on, in order
            text=True,
        )
        assert self._supervisor.stdout is not None
        first_line = self._supervisor.stdout.readline()
        if not first_line.strip().isdigit():
            self.stop()
            raise VllmFailedError(f"could not start {settings.python}: does the vLLM environment exist?")
        self._pid = int(first_line)

    async def wait_ready(self, timeout_seconds: float = 240.0) -> float:
        """Wait until the server answers; return the seconds waited.

        Raises VllmFailedError at once when it dies, when the time is over, and when it serves adapters without the
        plugin that keeps them out of the base model's answers.
        """
        started = time.monotonic()
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            while True:
                if not self.running:
                    how = in_words(self._supervisor.returncode) if self._supervisor else "not started"
                    raise VllmFailedError(f"vLLM ended before it was ready ({how}).{self._log_tail()}")
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with session.get(f"{self.settings.root_url}/health") as response:
                        if response.status == 200:
                            break
                if time.monotonic() - started > timeout_seconds:
                    raise VllmFailedError(
                        f"vLLM did not answer {self.settings.root_url}/health in {timeout_seconds:.0f} s; "
                        f"give it longer, or free the machine's cores.{self._log_tail()}"
                    )
                await asyncio.sleep(_POLL_SECONDS)
        if LOADED_MESSAGE not in self.settings.log_file.read_text(errors="replace"):
            raise VllmFailedError(
                "vLLM started without the plugin that keeps adapters out of the base model's answers; "
                f"delete the environment of {self.settings.python} and prepare again.{self._log_tail()}"
            )
        return time.monotonic() - started

    async def wait_end(self) -> None:
        """Wait while the server runs. Raises VllmFailedError when it ends without having been asked to."""
        while self.running:  # noqa: ASYNC110  a process's end is polled for
            await asyncio.sleep(_POLL_SECONDS)
        if self._supervisor is not None:
            raise VllmFailedError(f"vLLM ended ({in_words(self._supervisor.returncode)}).{self._log_tail()}")

    def stop(self) -> None:
        """End every process of the server and wait for it: SIGTERM, then SIGKILL. Does nothing the second time."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is None:
            return
        if supervisor.stdin is not None:
            supervisor.stdin.close()  # the supervisor ends the group
        try:
            supervisor.wait(self.settings.stop_grace_seconds + 5)
        except subprocess.TimeoutExpired:
            supervisor.kill()
            supervisor.wait()
        if supervisor.stdout is not None:
            supervisor.stdout.close()
        if supervisor.returncode < 0 and self._pid is not None:  # it was killed and could not do its work
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._pid, signal.SIGKILL)
        self._pid = None

    def _log_tail(self) -> str:
        try:
            lines = self.settings.log_file.read_text(errors="replace").splitlines()[-_LAST_LINES:]
        except OSError:
            lines = []
        return f" The end of {self.settings.log_file}:\n  " + "\n  ".join(lines or ["(empty)"])


def require_free_port(host: str, port: int) -> None:
    """Raises VllmFailedError: another server on the port would answer the health check in vLLM's place."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise VllmFailedError(f"cannot listen on {host}:{port} ({error.strerror}): choose another port") from error
