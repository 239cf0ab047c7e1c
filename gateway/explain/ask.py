"""Asking a running gateway's admin pages. Every failure is an `ExplainError` that says what to do."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

TIMEOUT_SECONDS = 10.0
OPERATIONS = {"messages": "chat", "prompt": "completions", "input": "embeddings"}
"""Which operation a body belongs to, by the field that has its prompt."""


class ExplainError(Exception):
    """What went wrong, and how to mend it."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """`url`: with or without /v1. `admin_key` never shows in its repr."""

    url: str
    admin_key: str

    def __repr__(self) -> str:
        return f"Gateway({self.url!r})"

    def would_do(self, body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
        """What would become of the request now."""
        return self._ask("POST", f"/admin/explain?operation={operation_of(body)}", body, headers)

    def did(self, decision: str) -> dict[str, Any]:
        """What became of a request: its id is in its answer's x-crossover-decision."""
        return self._ask("GET", f"/admin/decisions/{quote(decision, safe='')}", None, {})

    def _ask(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> dict[str, Any]:
        try:
            parts = urlsplit(self.url)
        except ValueError:
            parts = urlsplit("")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ExplainError(f"--url is {self.url!r}: give the gateway's address, as http://127.0.0.1:8080")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        root = parts.path.rstrip("/").removesuffix("/v1")
        try:
            connection = kind(parts.hostname, parts.port, timeout=TIMEOUT_SECONDS)
            try:
                said = {"authorization": f"Bearer {self.admin_key}", "content-type": "application/json", **headers}
                connection.request(method, root + path, body, said)
                response = connection.getresponse()
                return _read(response.status, response.read())
            finally:
                connection.close()
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ExplainError(
                f"no gateway answers at {self.url} ({error}): is `crossover serve` running, and is --url its address?"
            ) from None


def operation_of(body: bytes) -> str:
    """Raises `ExplainError` for what is no JSON object."""
    try:
        fields = json.loads(body)
    except ValueError as error:
        raise ExplainError(f"the request is not JSON ({error})") from None
    if not isinstance(fields, dict):
        raise ExplainError(f"the request must be a JSON object, not {type(fields).__name__}: give a chat body")
    return next((operation for field, operation in OPERATIONS.items() if field in fields), "chat")


def _read(status: int, body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
        if status == 200 and isinstance(answer, dict):
            return answer
        message = str(answer["error"]["message"])
    except (ValueError, KeyError, TypeError):
        raise ExplainError(f"what answered with HTTP {status} is no gateway of this kind: check --url") from None
    if status == 401:
        raise ExplainError("the gateway refused the admin key: --admin-key-env must name the variable that has it")
    raise ExplainError(message)
