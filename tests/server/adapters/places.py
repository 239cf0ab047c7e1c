"""A gateway in this loop before the shipped generator box, which loads adapters by name as vLLM does."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from gateway.sandbox.generator.server import Served, serve
from gateway.sandbox.generator.settings import GeneratorSettings
from tests.gateway_process import ADMIN_KEY, API_KEY
from tests.server.fleets import box, metered
from tests.server.in_process import Running, gateway_in_process

ONE, TWO, THREE = "handbook@v0001", "handbook@v0002", "handbook@v0003"
BODY = {"model": "tuned", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 3}


@dataclass
class Place:
    """`http` carries both keys where they belong: `ask` is an application, `admin` the owner."""

    gateway: Running
    served: Served
    http: httpx.AsyncClient
    folder: Path

    async def load(self, *names: str, rank: int = 8) -> None:
        for name in names:
            folder = self.folder / name
            folder.mkdir(exist_ok=True)
            (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": rank}))
            said = await self.http.post(
                f"{self.served.base_url}/load_lora_adapter", json={"lora_name": name, "lora_path": str(folder)}
            )
            assert said.status_code == 200, said.text

    async def unload(self, name: str) -> None:
        said = await self.http.post(f"{self.served.base_url}/unload_lora_adapter", json={"lora_name": name})
        assert said.status_code == 200, said.text

    async def admin(self, method: str, path: str = "", **sent: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {ADMIN_KEY}"}
        return await self.http.request(method, f"{self.gateway.root}/admin/adapters{path}", headers=headers, **sent)

    async def publish(self, name: str, share: float | None = None, place: str = "tuned/box") -> httpx.Response:
        body: dict[str, Any] = {"model": name, "generation": name}
        return await self.admin("PUT", f"/{place}", json=body if share is None else {**body, "share": share})

    async def state(self, backend: str = "box") -> dict[str, Any]:
        told = (await self.admin("GET")).json()["adapters"][0]
        return next(one for one in told["backends"] if one["backend"] == backend)

    async def ask(self, **changed: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {API_KEY}"}
        return await self.http.post(
            f"{self.gateway.root}/v1/chat/completions", headers=headers, json={**BODY, **changed}
        )

    async def answered_by(self) -> str | None:
        answer = await self.ask()
        assert answer.status_code == 200, answer.text
        return answer.headers.get("x-crossover-adapter")


def policy(
    url: str, state: Path | None, second: str | None = None, scrape_seconds: float = 0.02, **changed: Any
) -> dict[str, Any]:
    """`second`: another backend (ends in /v1) with the same generation, asked where the box cannot."""
    served: list[dict[str, Any]] = [{"backend": "box", "model": ONE, "generation": ONE}]
    backends = {"box": box(url, metrics_url=None)}
    if second is not None:
        served.append({"backend": "cloud", "model": "merged", "generation": ONE, **changed})
        backends["cloud"] = metered(second)
    return {
        "backends": backends,
        "aliases": {"tuned": {"served_by": served}},
        "routing": {"scrape_seconds": scrape_seconds},
    } | ({} if state is None else {"adapters": {"state": str(state)}})


@asynccontextmanager
async def placed(
    folder: Path, monkeypatch: Any, *, state: bool = True, generator: Mapping[str, Any] | None = None,
    loaded: bool = True, second: str | None = None, **changed: Any,
) -> AsyncIterator[Place]:  # fmt: skip
    """`loaded`: the box has the policy's own adapter from the start."""
    async with (
        serve(GeneratorSettings(models=("base",), **(generator or {}))) as served,
        httpx.AsyncClient(timeout=20, trust_env=False, limits=httpx.Limits(max_connections=64)) as http,
    ):
        settings = policy(served.base_url, folder / "adapters.json" if state else None, second, **changed)
        async with gateway_in_process(settings, folder, monkeypatch) as gateway:
            place = Place(gateway, served, http, folder)
            if loaded:
                await place.load(ONE)
            yield place
