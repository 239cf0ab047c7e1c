"""The headers of an answer to an application: where it came from, why, and which generation gave it."""

from __future__ import annotations

from gateway.policy.schema import ServedBy


def response_headers(
    content_type: str, request_id: str, decision: tuple[str, str] | None, target: ServedBy | None
) -> list[tuple[bytes, bytes]]:
    """`decision`: its id and reason, where one was made; `target`: what the request was last sent to."""
    headers = [(b"content-type", content_type.encode("latin-1")), (b"x-request-id", request_id.encode())]
    if decision is not None:
        id, reason = decision
        headers.append((b"x-crossover-decision", id.encode()))
        headers.append((b"x-crossover-reason", reason.encode()))
    if target is not None:
        headers.append((b"x-crossover-backend", target.backend.encode()))
        if target.generation is not None:
            headers.append((b"x-crossover-adapter", _printable(target.generation)))
    if content_type.startswith("text/event-stream"):
        headers.append((b"cache-control", b"no-cache"))
        headers.append((b"x-accel-buffering", b"no"))
    return headers


def _printable(name: str) -> bytes:
    """Whatever a policy calls a generation, the answer itself must go out: a control character would break it."""
    if not name.isprintable():
        name = "".join(letter if letter.isprintable() else "?" for letter in name)
    return name.encode("latin-1", "replace")
