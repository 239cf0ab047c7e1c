"""Errors as OpenAI's clients expect them: `{"error": {"message", "type", "param", "code"}}` and the right status."""

from __future__ import annotations

import msgspec

from gateway.backends.errors import Fault, UpstreamError
from gateway.routing.decision import Refusal

_encode = msgspec.json.Encoder().encode


class ApiError(Exception):
    """What a client is told instead of an answer."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        retry_after_seconds: float | None = None,
        body: bytes | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.type = type
        self.code = code
        self.param = param
        self.retry_after_seconds = retry_after_seconds
        self._body = body

    @classmethod
    def refused(cls, refusal: Refusal) -> ApiError:
        return cls(
            refusal.status, refusal.message, type=refusal.type, code=refusal.code, param=refusal.param,
            retry_after_seconds=refusal.retry_after_seconds,
        )  # fmt: skip

    @classmethod
    def upstream(cls, error: UpstreamError) -> ApiError:
        return cls(
            error.status, error.message, type=error.type, code=error.code, param=error.param,
            retry_after_seconds=error.retry_after_seconds, body=error.body,
        )  # fmt: skip

    def body(self) -> bytes:
        """The JSON body: the backend's own words where it said them in OpenAI's shape."""
        return self._body if self._body is not None else error_body(self.message, self.type, self.code, self.param)


def error_body(message: str, type: str, code: str | None, param: str | None) -> bytes:
    return _encode({"error": {"message": message, "type": type, "param": param, "code": code}})


def error_event(error: UpstreamError) -> bytes:
    """The server-sent event that ends a stream which cannot go on. OpenAI's clients raise it as an APIError."""
    body = error.body or error_body(error.message, error.type, error.code, error.param)
    return b"data: " + body + b"\n\n"


def shutting_down() -> UpstreamError:
    """For those who come, or are still there, when the gateway ends."""
    return UpstreamError(
        "The gateway is shutting down.",
        status=503, type="server_error", code="shutting_down", fault=Fault.CAPACITY,
    )  # fmt: skip


def nobody_now() -> UpstreamError:
    """It should wait for a cheaper moment, says the router, and the gateway can keep nobody waiting now."""
    return UpstreamError(
        "No backend can take the request now, and the gateway keeps too many waiting (routing.max_held).",
        status=503, type="server_error", code="no_backend_available", fault=Fault.CAPACITY, retry_after_seconds=5.0,
    )  # fmt: skip


def internal_error(id: str) -> UpstreamError:
    """A mistake of the gateway's own, with the id that its log has too."""
    return UpstreamError(
        f"The gateway failed on request {id}. Its log says why.",
        status=500, type="server_error", code="internal_error", fault=Fault.UPSTREAM,
    )  # fmt: skip
