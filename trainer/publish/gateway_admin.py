"""The gateway's /admin/adapters: what serves an alias, and changing it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from trainer.publish.errors import PublishError
from trainer.publish.http_json import Answer, ask


@dataclass(frozen=True, slots=True)
class GatewayAdmin:
    """`url` without a path. Methods raise UnreachableError, and PublishError with the gateway's own words."""

    url: str
    key: str

    def __repr__(self) -> str:
        return f"GatewayAdmin({self.url!r})"

    def states(self) -> list[dict[str, Any]]:
        """One for each alias."""
        read = self._ask("GET", "")
        return list(read["adapters"])

    def publish(
        self, alias: str, backend: str, name: str, share: float | None, gate: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """`share` None: all requests. `gate`: what the quality gate said of it, for the console. Gives the alias's new
        state, with `warnings`."""
        sent: dict[str, Any] = {"model": name, "generation": name}
        if share is not None:
            sent["share"] = share
        if gate:
            sent["gate"] = dict(gate)
        return self._ask("PUT", _place(alias, backend), sent)

    def promote(self, alias: str, backend: str) -> dict[str, Any]:
        return self._ask("POST", _place(alias, backend) + "/promote")

    def rollback(self, alias: str, backend: str, expected: str) -> dict[str, Any]:
        """Takes back the generation `expected`, or nothing: the gateway refuses when another one would go."""
        return self._ask("POST", _place(alias, backend) + "/rollback", {"expected": expected})

    def _ask(self, method: str, path: str, sent: Any = None) -> dict[str, Any]:
        answer = ask(method, f"{self.url}/admin/adapters{path}", sent, key=self.key)
        if answer.status == 200 and isinstance(answer.body, dict):
            return answer.body
        raise PublishError("gateway", _why(self.url, answer))


def _place(alias: str, backend: str) -> str:
    return "/" + quote(f"{alias}/{backend}", safe="/@:")


def _why(url: str, answer: Answer) -> str:
    if answer.status == 401:
        return f"the gateway at {url} does not take this admin key: set the variable that auth.admin_keys names"
    if answer.status == 404 and "Unknown request URL" in answer.message:
        return f"{url} has no /admin/adapters: is it a Crossover gateway of this version?"
    return f"the gateway refused (HTTP {answer.status}): {answer.message}"
