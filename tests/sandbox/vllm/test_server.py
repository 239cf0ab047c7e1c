"""Settings become a command line; a server that cannot start says why, at once."""

import itertools
import socket
import sys
from pathlib import Path

import pytest

from gateway.sandbox.vllm.server import VllmFailedError, VllmServer
from gateway.sandbox.vllm.settings import VllmSettings


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def settings(tmp_path: Path, **changes: object) -> VllmSettings:
    values = {
        "python": Path(sys.executable),
        "model_dir": tmp_path / "model",
        "log_file": tmp_path / "logs" / "vllm.log",
        "port": free_port(),
    }
    return VllmSettings(**(values | changes))


def test_adapters_are_served_under_their_names(tmp_path):
    command = settings(tmp_path, adapters={"tuned": Path("/a"), "other": Path("/b")}).command()
    at = command.index("--lora-modules")
    assert command[at + 1 :] == ["tuned=/a", "other=/b"]
    assert command[command.index("--served-model-name") + 1] == "smollm2"


def test_without_adapters_none_is_named_but_they_can_be_loaded_later(tmp_path):
    command = settings(tmp_path).command()
    assert "--lora-modules" not in command
    assert "--enable-lora" in command


def test_limits_are_passed_on(tmp_path):
    command = settings(tmp_path, max_model_len=512, max_num_seqs=3, port=8123).command()
    pairs = dict(itertools.pairwise(command))
    assert pairs["--max-model-len"] == "512"
    assert pairs["--max-num-seqs"] == "3"
    assert pairs["--port"] == "8123"
    assert pairs["--host"] == "127.0.0.1"


def test_the_server_inherits_no_credentials(tmp_path):
    inherited = {"PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "secret", "VLLM_CPU_KVCACHE_SPACE": "40"}
    environment = settings(tmp_path).environment(inherited)
    assert environment["PATH"].endswith(":/bin")
    assert "AWS_SECRET_ACCESS_KEY" not in environment
    assert "VLLM_CPU_KVCACHE_SPACE" not in environment
    assert environment["HF_HUB_OFFLINE"] == "1"


async def test_a_server_that_dies_fails_at_once_with_its_last_lines(tmp_path):
    """This interpreter has no vLLM, so the command ends with an ImportError."""
    server = VllmServer(settings(tmp_path))
    server.start()
    try:
        with pytest.raises(VllmFailedError, match=r"exit status 1(.|\n)*No module named 'vllm'"):
            await server.wait_ready(timeout_seconds=60)
        assert not server.running
    finally:
        server.stop()


def test_a_taken_port_is_refused_before_anything_starts(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        server = VllmServer(settings(tmp_path, port=port))
        with pytest.raises(VllmFailedError, match=f"127.0.0.1:{port}.*choose another port"):
            server.start()
    assert server.pid is None


def test_a_missing_interpreter_is_named(tmp_path):
    server = VllmServer(settings(tmp_path, python=tmp_path / "nowhere" / "python"))
    with pytest.raises(VllmFailedError, match="nowhere"):
        server.start()
    assert not server.running


def test_stopping_twice_or_before_the_start_does_nothing(tmp_path):
    server = VllmServer(settings(tmp_path))
    server.stop()
    server.start()
    server.stop()
    server.stop()
    assert server.pid is None
    assert not server.running
