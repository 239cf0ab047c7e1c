"""The systems under test: how each is started before the mock, and that it truly answers before it is measured."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from gateway.bench.gateway import mock
from gateway.bench.gateway.accounting import cpu_seconds, on_core, rss_bytes
from gateway.bench.gateway.peers import PeerMissingError, Say, installed

DIRECT, AGAIN, CROSSOVER = "direct", "direct again", "crossover"
PEERS = ("nginx", "vllm-router", "sglang-router", "litellm")
ALL = (DIRECT, AGAIN, CROSSOVER, *PEERS)
CONDITIONS = {
    DIRECT: "the client asks the mock itself",
    AGAIN: "the same once more: what it 'adds' is the floor of this tool",
    CROSSOVER: "keys, routing, metering, metrics and ledger on; the log line for each request off",
    "nginx": "one worker, a plain proxy: kept-alive upstream connections, proxy_buffering off, no access log",
    "vllm-router": "0.1.17 of PyPI; round robin over the one worker, no API key, log level error",
    "sglang-router": "0.3.2 of PyPI; round robin over the one worker, no API key, log level error",
    "litellm": "1.109.1 of PyPI; one uvicorn worker, openai/ provider, a master key, no database, log level ERROR",
}
_READY_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class System:
    """A running one. `pid` is None for going direct; `metrics_url` is the gateway's own page."""

    name: str
    port: int
    key: str = "none"
    pid: int | None = None
    metrics_url: str | None = None

    def cpu_seconds(self) -> float:
        return 0.0 if self.pid is None else cpu_seconds(self.pid)

    def rss_bytes(self) -> int:
        return 0 if self.pid is None else rss_bytes(self.pid)

    def metrics(self) -> str:
        if self.metrics_url is None:
            return ""
        with urllib.request.urlopen(self.metrics_url, timeout=10) as page:  # noqa: S310
            text: str = page.read().decode()
            return text


@dataclass(frozen=True, slots=True)
class _Command:
    """What to run. `addresses`: the program prints them as one JSON line when it is up."""

    words: list[str]
    port: int
    key: str = "none"
    environment: tuple[tuple[str, str], ...] = ()
    addresses: bool = False


@contextmanager
def started(name: str, upstream: int, folder: Path, core: int, say: Say) -> Iterator[System]:
    """The system, answering. Raises PeerMissingError where it cannot be installed or does not come to answer."""
    if name in (DIRECT, AGAIN):
        yield System(name, upstream)
        return
    folder.mkdir()
    command = _COMMANDS[name](upstream, folder, say)
    say(f"starting {name}")
    log_file = folder / "log"
    with log_file.open("w") as log, on_core(core):
        process = subprocess.Popen(  # noqa: S603
            command.words, cwd=folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if command.addresses else log, stderr=log, text=True, start_new_session=True,
            env={**os.environ, **dict(command.environment)},
        )  # fmt: skip
    try:
        port, metrics_url = command.port, None
        if command.addresses:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise PeerMissingError(f"did not start: {_tail(log_file)}")
            addresses = json.loads(line)
            port, metrics_url = int(addresses["api"].rpartition(":")[2].partition("/")[0]), addresses["metrics"]
        system = System(name, port, command.key, process.pid, metrics_url)
        _wait_until_it_answers(system, process, log_file)
        yield system
    finally:
        _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        pass
    try:
        os.killpg(process.pid, signal.SIGKILL)  # its own session: whatever it started and left behind
    except ProcessLookupError:
        pass
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _wait_until_it_answers(system: System, process: subprocess.Popen[str], log_file: Path) -> None:
    body = json.dumps({"model": mock.MODEL, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 4}).encode()
    headers = {"content-type": "application/json", "authorization": f"Bearer {system.key}"}
    url = f"http://127.0.0.1:{system.port}/v1/chat/completions"
    deadline = time.monotonic() + _READY_SECONDS
    said = ""
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise PeerMissingError(f"ended with {process.returncode} at its start: {_tail(log_file)}")
        try:
            request = urllib.request.Request(url, body, headers)
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
                if b'"message"' in answer.read():
                    return
        except urllib.error.HTTPError as error:
            said = f"{error.code} {error.read()[:200]!r}"
        except (OSError, ValueError) as error:
            said = str(error)
        time.sleep(0.2)
    raise PeerMissingError(f"gave no answer within {_READY_SECONDS:.0f} s ({said}): {_tail(log_file)}")


def _tail(log_file: Path) -> str:
    return " / ".join(log_file.read_text(errors="replace").strip().splitlines()[-4:])[-600:]


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def _crossover(upstream: int, folder: Path, say: Say) -> _Command:
    del say
    key = "xo-" + secrets.token_hex(16)
    speed = {"single_stream_tokens_per_second": 50, "max_tokens_per_second": 51200, "at_concurrency": 1024}
    box = {
        "wire": "openai", "base_url": f"http://127.0.0.1:{upstream}/v1", "max_in_flight": 1024, "speed": speed,
        "cost": {"kind": "amortized", "usd_per_month": 200},
    }  # fmt: skip
    policy = {
        "version": 1,
        "server": {"port": 0, "metrics_port": 0, "drain_seconds": 1},
        "auth": {"keys": [{"name": "benchmark", "env": "XO_BENCH_KEY"}]},
        "ledger": {"path": str(folder / "ledger.sqlite3")},
        "log": {"requests": False},
        "backends": {"box": box},
        "aliases": {mock.MODEL: {"served_by": [{"backend": "box", "model": mock.MODEL}]}},
    }
    file = folder / "policy.yaml"
    file.write_text(yaml.safe_dump(policy))
    words = [sys.executable, "-m", "gateway.cli", "serve", "--policy", str(file), "--json"]
    return _Command(words, 0, key, (("XO_BENCH_KEY", key),), addresses=True)


_NGINX = """{user}
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log crit;
events {{ worker_connections 8192; }}
http {{
  access_log off; client_max_body_size 64m; client_body_buffer_size 1m; keepalive_requests 1000000;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  upstream mock {{ server 127.0.0.1:{upstream}; keepalive 1024; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=2048;
    location / {{
      proxy_pass http://mock; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
    }}
  }}
}}
"""


def _nginx(upstream: int, folder: Path, say: Say) -> _Command:
    program, port = installed("nginx", say), free_port()
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(_NGINX.format(user=user, folder=folder, upstream=upstream, port=port))
    log = str(folder / "error.log")
    return _Command([str(program), "-p", str(folder), "-e", log, "-c", str(folder / "nginx.conf")], port)


def _router(name: str, module: list[str]) -> Callable[[int, Path, Say], _Command]:
    def command(upstream: int, folder: Path, say: Say) -> _Command:
        del folder
        python, port = installed(name, say) / "python", free_port()
        return _Command(
            [str(python), *module, "--host", "127.0.0.1", "--port", str(port), "--policy", "round_robin",
             "--worker-urls", f"http://127.0.0.1:{upstream}", "--log-level", "error",
             "--prometheus-host", "127.0.0.1", "--prometheus-port", str(free_port())],
            port,
        )  # fmt: skip

    return command


def _litellm(upstream: int, folder: Path, say: Say) -> _Command:
    program, port, key = installed("litellm", say) / "litellm", free_port(), "sk-" + secrets.token_hex(16)
    parameters = {
        "model": f"openai/{mock.MODEL}", "api_base": f"http://127.0.0.1:{upstream}/v1", "api_key": "none",
    }  # fmt: skip
    settings = {
        "model_list": [{"model_name": mock.MODEL, "litellm_params": parameters}],
        "general_settings": {"master_key": key},
        "litellm_settings": {"set_verbose": False, "request_timeout": 600},
    }
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(settings))
    words = [str(program), "--config", str(file), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    quiet = (("LITELLM_LOG", "ERROR"), ("LITELLM_MODE", "PRODUCTION"), ("LITELLM_LOCAL_MODEL_COST_MAP", "True"))
    return _Command(words, port, key, quiet)


_COMMANDS: dict[str, Callable[[int, Path, Say], _Command]] = {
    CROSSOVER: _crossover,
    "nginx": _nginx,
    "vllm-router": _router("vllm-router", ["-m", "vllm_router.launch_router"]),
    "sglang-router": _router("sglang-router", ["-m", "sglang_router.launch_router"]),
    "litellm": _litellm,
}
