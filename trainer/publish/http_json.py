"""A few JSON requests by the standard library: no proxy, no redirect, every wait and every answer bounded."""

from __future__ import annotations

import http.client
import json
import socket
import threading
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
    """Raises UnreachableError when no whole answer comes in that time. `key` goes out as a bearer token, and into no
    message."""
    parts = urlsplit(url)
    where = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    try:
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise UnreachableError(where, "its port is no number from 1 to 65535", sent=False) from None
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
    written = False
    late = threading.Event()
    timer: threading.Timer | None = None
    try:
        connection.connect()
        # The time-out of a socket begins anew with every byte: who sends one at a time could hold us for ever.
        timer = threading.Timer(timeout_seconds, _hang_up, (connection.sock, late))
        timer.daemon = True
        timer.start()
        written = True
        connection.request(method, path or "/", body, headers)
        answer = connection.getresponse()
        content = answer.read(MAX_ANSWER_BYTES + 1)
        if late.is_set():
            raise TimeoutError
        if len(content) > MAX_ANSWER_BYTES:
            raise UnreachableError(where, f"its answer is longer than {MAX_ANSWER_BYTES} bytes", sent=True)
        return Answer(answer.status, _decoded(content))
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        if late.is_set() or isinstance(error, TimeoutError):
            why = f"no whole answer within {timeout_seconds:g} s"
        raise UnreachableError(where, why, sent=written) from None
    except ValueError:  # of a header that cannot be written: its text would hold the key
        raise UnreachableError(where, "its key or its path holds what HTTP cannot carry", sent=False) from None
    finally:
        if timer is not None:
            timer.cancel()
        connection.close()


def _hang_up(open_socket: socket.socket, late: threading.Event) -> None:
    late.set()
    try:
        socket.socket.shutdown(open_socket, socket.SHUT_RDWR)  # the plain one: TLS state belongs to the other thread
    except OSError:
        pass


def _decoded(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return content.decode("utf-8", "replace")
