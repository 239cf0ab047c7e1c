"""vLLM's own pages for adapters. Its /v1/models is the one truth about what is loaded; nothing is remembered here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath

from trainer.publish.errors import PublishError
from trainer.publish.http_json import Answer, ask

LOAD_SECONDS = 120.0
"""An adapter of hundreds of megabytes from a slow disk, on a server that answers others meanwhile."""
WARM_UP_SECONDS = 300.0
"""The first request of an adapter may compile a kernel."""
WARM_UP_TOKENS = 4
_MAX_LORA = re.compile(r'vllm:lora_requests_info\{[^}]*max_lora="(\d+)"')
ADAPTERS_OFF = (
    "it has no page for loading adapters: start vLLM with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True"
)


@dataclass(frozen=True, slots=True)
class ModelServer:
    """`url` ends in /v1; `key` is what it asks for, if anything. Methods raise UnreachableError where none answers."""

    url: str
    key: str | None = None

    def __repr__(self) -> str:
        return f"ModelServer({self.url!r})"

    def loaded(self) -> dict[str, str | None]:
        """Every model and adapter by name, with the folder that it says it comes from. Raises PublishError."""
        return {name: root for name, root, _ in self._cards()}

    def bases(self) -> list[str]:
        """The folders, or names on a hub, of the models beneath the adapters, where it tells. Raises PublishError."""
        return sorted({root for _, root, parent in self._cards() if root is not None and parent is None})

    def _cards(self) -> list[tuple[str, str | None, str | None]]:
        """(name, root, parent)"""
        answer = ask("GET", f"{self.url}/models", key=self.key)
        try:
            if answer.status == 200:
                return [(str(one["id"]), one.get("root"), one.get("parent")) for one in answer.body["data"]]
        except (TypeError, KeyError, AttributeError):
            pass
        raise PublishError(
            "model server", f"{self.url}/models cannot be read ({answer.message}): is this a vLLM server?"
        )

    def load(self, name: str, folder: PurePath) -> bool:
        """Makes sure that `name` is loaded from `folder`; False: it was. Raises PublishError with vLLM's own words."""
        before = self.loaded()
        if name in before:
            self._require_same(name, before[name], folder)
            return False
        sent = {"lora_name": name, "lora_path": str(folder)}
        answer = ask("POST", f"{self.url}/load_lora_adapter", sent, key=self.key, timeout_seconds=LOAD_SECONDS)
        if answer.status == 200:
            return True
        if answer.status == 400 and "already been loaded" in answer.message:  # by somebody else, since we looked
            self._require_same(name, self.loaded().get(name), folder)
            return False
        raise PublishError("model server", f"vLLM refused to load {name} from {folder}: {_why(answer)}")

    def unload(self, name: str) -> bool:
        """False: it was not loaded. Requests under way there may fail: see that there are none."""
        answer = ask("POST", f"{self.url}/unload_lora_adapter", {"lora_name": name}, key=self.key)
        if answer.status in (200, 404):
            return answer.status == 200
        raise PublishError("model server", f"vLLM did not unload {name}: {answer.message}")

    def warm_up(self, name: str) -> None:
        """One short answer of the adapter itself, so that the first user does not wait for what comes with it, and a
        server that cannot serve it says so now. Raises PublishError."""
        sent = {"model": name, "prompt": "Hello", "max_tokens": WARM_UP_TOKENS, "temperature": 0}
        answer = ask("POST", f"{self.url}/completions", sent, key=self.key, timeout_seconds=WARM_UP_SECONDS)
        choices = answer.body.get("choices") if isinstance(answer.body, dict) else None
        if answer.status != 200 or not choices:
            raise PublishError("warm-up", f"{name} gave no answer when it was warmed up: {answer.message}")
        if answer.body.get("model") != name:
            raise PublishError(
                "warm-up", f"{name} was asked, and {answer.body.get('model')!r} answered: {self.url} does not serve it"
            )

    def slots(self) -> int | None:
        """How many adapters one batch may mix (--max-loras), by its metrics; None: it does not tell."""
        answer = ask("GET", f"{self.url.removesuffix('/v1')}/metrics", key=self.key)
        found = _MAX_LORA.findall(answer.body) if isinstance(answer.body, str) else []
        return int(found[-1]) if found else None

    def _require_same(self, name: str, root: str | None, folder: PurePath) -> None:
        if root is not None and PurePath(root) != folder:
            raise PublishError(
                "model server",
                f"vLLM has {name} loaded from {root}, and it should come from {folder}: a name is immutable. Unload it "
                f"there if nobody uses it (POST {self.url}/unload_lora_adapter), then publish again",
            )


def _why(answer: Answer) -> str:
    if answer.status == 404 and answer.message in ("Not Found", "HTTP 404"):
        return ADAPTERS_OFF
    said = answer.message.rstrip(". ")
    if answer.status == 404:
        return f"{said}. The folder must be readable on the server's own machine (--registry-there says where)"
    if "max_lora_rank" in said:
        return f"{said}. Train with a lower rank, or start vLLM with a larger --max-lora-rank"
    return f"{said} (HTTP {answer.status}). Its log says more"
