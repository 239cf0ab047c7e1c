"""LoRA adapters by name, loaded and unloaded while the box runs: vLLM's own calls, answers and refusals.

What is real: the names, the folder that is looked for, the limits of rank and number that are kept. What is simulated:
the weights. They change nothing about the text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from gateway.sandbox.generator.questions import RefusedError
from gateway.sandbox.generator.settings import GeneratorSettings


class _Load(msgspec.Struct):
    lora_name: str
    lora_path: str
    load_inplace: bool = False


class _Unload(msgspec.Struct):
    lora_name: str


_decode_load = msgspec.json.Decoder(_Load).decode
_decode_unload = msgspec.json.Decoder(_Unload).decode


class Adapters:
    """Those of one box. `paths`: the folder of each, by name, in the order in which they were loaded."""

    def __init__(self, settings: GeneratorSettings) -> None:
        self._settings = settings
        self.paths: dict[str, str] = {}

    def knows(self, model: str) -> bool:
        return model in self._settings.models or model in self.paths

    def load(self, raw: bytes) -> str:
        """What is answered. Raises `RefusedError` with vLLM's statuses."""
        asked = _read(_decode_load, raw)
        name, path = asked.lora_name, asked.lora_path
        if not name or not path:
            raise RefusedError(400, "Both 'lora_name' and 'lora_path' must be provided.")
        if name in self._settings.models:
            raise RefusedError(400, f"The lora adapter '{name}' conflicts with a served base model.")
        if name in self.paths and not asked.load_inplace:
            raise RefusedError(
                400, f"The lora adapter '{name}' has already been loaded. To load the adapter in place, set "
                "'load_inplace' to True.",
            )  # fmt: skip
        self._check(Path(path))
        self.paths[name] = path
        return f"Success: LoRA adapter '{name}' added successfully."

    def unload(self, raw: bytes) -> str:
        """Answers under way go on. Raises `RefusedError`."""
        name = _read(_decode_unload, raw).lora_name
        if name not in self.paths:
            raise RefusedError(404, f"The lora adapter '{name}' cannot be found.", type="NotFoundError")
        del self.paths[name]
        return f"Success: LoRA adapter '{name}' removed successfully."

    def cards(self) -> list[dict[str, Any]]:
        """As /v1/models lists them, behind the base models."""
        parent = self._settings.models[0]
        return [{"id": name, "root": path, "parent": parent} for name, path in self.paths.items()]

    def _check(self, folder: Path) -> None:
        file = folder / "adapter_config.json"
        try:
            config = json.loads(file.read_text())
            rank = int(config["r"])
        except FileNotFoundError:
            raise RefusedError(
                404, f"Loading lora failed: No adapter found for {folder}", type="NotFoundError"
            ) from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RefusedError(500, f"{file} cannot be read: {error}", type="InternalServerError") from None
        most = self._settings.max_lora_rank
        if rank > most:
            raise RefusedError(
                500, f"LoRA rank {rank} is greater than max_lora_rank {most}.", type="InternalServerError"
            )  # fmt: skip


def _read(decode: Any, raw: bytes) -> Any:
    try:
        return decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RefusedError(400, f"The request body cannot be read: {error}.", "invalid_json") from None
