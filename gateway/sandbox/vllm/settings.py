"""Settings of the local vLLM server, and the command line and environment they stand for. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

# Nothing else is inherited: the server needs none of the credentials that a shell may hold.
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ", "LD_LIBRARY_PATH")


@dataclass(frozen=True, kw_only=True)
class VllmSettings:
    """One server: a base model under `served_name` and each adapter under its own name.

    `python` is the interpreter of the vLLM environment; `adapters` maps a model name to the adapter's folder.
    """

    python: Path
    model_dir: Path
    log_file: Path
    served_name: str = "smollm2"
    adapters: Mapping[str, Path] = field(default_factory=dict)
    host: str = "127.0.0.1"
    port: int = 8000
    max_model_len: int = 2048
    """Tokens of prompt and answer together."""
    max_num_seqs: int = 8
    """Requests computed at the same time; more wait."""
    kv_cache_bytes: int = 192 * 1024 * 1024
    max_adapters_in_batch: int = 2
    max_adapter_rank: int = 8
    dtype: str = "bfloat16"
    omp_threads_bind: str = "auto"
    """vLLM's VLLM_CPU_OMP_THREADS_BIND: `auto` leaves one core to the server's own processes and to the gateway."""
    stop_grace_seconds: float = 8.0
    """From SIGTERM to SIGKILL; it ends by itself in 3 to 5."""

    @property
    def root_url(self) -> str:
        """Address of the server without a path: `/health` and `/metrics` are under it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def base_url(self) -> str:
        """Address for an OpenAI client, ending in /v1."""
        return f"{self.root_url}/v1"

    def command(self) -> list[str]:
        """`vllm serve` and its arguments."""
        command = [str(self.python), "-m", "vllm.entrypoints.cli.main", "serve", str(self.model_dir)]
        command += ["--served-model-name", self.served_name, "--host", self.host, "--port", str(self.port)]
        command += ["--dtype", self.dtype, "--enforce-eager", "--max-model-len", str(self.max_model_len)]
        command += ["--max-num-seqs", str(self.max_num_seqs), "--kv-cache-memory-bytes", str(self.kv_cache_bytes)]
        command += ["--enable-server-load-tracking", "--enable-auto-tool-choice", "--tool-call-parser", "hermes"]
        command += ["--enable-lora", "--max-loras", str(self.max_adapters_in_batch)]
        command += ["--max-lora-rank", str(self.max_adapter_rank)]
        if self.adapters:
            command += ["--lora-modules", *(f"{name}={folder}" for name, folder in self.adapters.items())]
        return command

    def environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        """Environment variables of the server process; `inherited` is the environment of this one.

        VLLM_CPU_KVCACHE_SPACE is left out on purpose: it would override the size given as a flag.
        """
        environment = {name: inherited[name] for name in _INHERITED if name in inherited}
        environment["PATH"] = f"{self.python.parent}:{environment.get('PATH', '/usr/bin:/bin')}"
        return environment | {
            "HF_HUB_OFFLINE": "1",
            "TORCHDYNAMO_DISABLE": "1",  # else the first request for logprobs waits half a minute for a C++ compiler
            "VLLM_CPU_OMP_THREADS_BIND": self.omp_threads_bind,
            "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
            "VLLM_NO_USAGE_STATS": "1",
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",  # the environment is compiled already
        }
