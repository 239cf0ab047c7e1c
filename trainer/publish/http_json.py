"""A few JSON requests by the standard library: no proxy, no redirect, every wait and every answer bounded."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from trainer.publish.errors import UnreachableError

MAX_ANSWER_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """`body`: the decoded JSON, or the text where it is none."""

    status: int
    body: Any

    @property
    def message(self) -> str:
        """What went wrong, in the server's own words."""
        error = self.body.get("error", self.body.get("detail")) if isinstance(self.body, dict) else self.body
        said = error.get("message") if isinstance(error, dict) else error
        return str(said)[:500] if said else f"HTTP {self.status}"


def ask(method: str, url: str, sent: Any = None, *, key: str | None = None, timeout_seconds: float = 10.0) -> Answer:
    """Raises UnreachableError when no whole answer comes. `key` goes out as a bearer token, and into no message."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    secure = parts.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(host, port, timeout=timeout_seconds)
    headers = {"accept": "application/json", "connection": "close"}
    body = None
    if sent is not None:
        body = json.dumps(sent).encode()
        headers["content-type"] = "application/json"
    if key is not None:
        headers["authorization"] = f"Bearer {key}"
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    where = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    written = False
    try:
        connection.connect()
        written = True
        connection.request(method, path or "/", body, headers)
        answer = connection.getresponse()
        content = answer.read(MAX_ANSWER_BYTES + 1)
        if len(content) > MAX_ANSWER_BYTES:
            raise UnreachableError(where, f"its answer is longer than {MAX_ANSWER_BYTES} bytes", sent=True)
        return Answer(answer.status, _decoded(content))
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UnreachableError(where, why, sent=written) from None
    finally:
        connection.close()


def _decoded(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return content.decode("utf-8", "replace")
