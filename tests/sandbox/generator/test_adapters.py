"""Adapters of the generator box: loaded, listed, asked and unloaded by name, refused as vLLM 0.32 refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import pytest


def adapter(folder: Path, name: str, rank: int = 8) -> str:
    place = folder / name
    place.mkdir()
    (place / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": rank}))
    return str(place)


async def call(box: Any, what: str, name: str, path: str | None = None) -> Any:
    body = {"lora_name": name} | ({} if path is None else {"lora_path": path})
    return await box.http.post(f"/v1/{what}_lora_adapter", json=body)


async def test_a_loaded_name_is_listed_with_its_folder_answers_and_is_gone_when_unloaded(
    start: Callable[..., Any], tmp_path: Path
) -> None:
    box = await start()
    path = adapter(tmp_path, "handbook@v0001")
    with pytest.raises(openai.NotFoundError):
        await box.chat(model="handbook@v0001")
    assert (await call(box, "load", "handbook@v0001", path)).status_code == 200
    listed = {model.id: model for model in (await box.client.models.list()).data}
    assert listed["handbook@v0001"].root == path
    assert listed["handbook@v0001"].parent == "tuned"
    assert (await box.chat(model="handbook@v0001")).model == "handbook@v0001"
    assert (await call(box, "unload", "handbook@v0001")).status_code == 200
    with pytest.raises(openai.NotFoundError):
        await box.chat(model="handbook@v0001")


@pytest.mark.parametrize(
    ("what", "name", "rank", "status", "said"),
    [
        ("load", "there", 8, 400, "already been loaded"),
        ("load", "tuned", 8, 400, "base model"),
        ("load", "big", 64, 500, "LoRA rank 64 is greater than max_lora_rank 16"),
        ("load", "nowhere", None, 404, "No adapter found"),
        ("load", "", 8, 400, "must be provided"),
        ("unload", "nowhere", None, 404, "cannot be found"),
    ],
)
async def test_what_vllm_refuses_is_refused_alike(
    start: Callable[..., Any], tmp_path: Path, what: str, name: str, rank: int | None, status: int, said: str
) -> None:
    box = await start()
    await call(box, "load", "there", adapter(tmp_path, "first"))
    path = str(tmp_path / "no folder") if rank is None else adapter(tmp_path, "second", rank)
    refused = await call(box, what, name, path)
    assert refused.status_code == status
    assert said in refused.json()["error"]["message"]
    assert refused.json()["error"]["code"] == status
