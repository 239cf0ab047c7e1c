"""Why a backend did not answer, in terms that decide what is next: whose fault, and may another backend be tried."""

from __future__ import annotations

import enum


class Fault(enum.Enum):
    """Who is to blame. Only `UPSTREAM` counts against a backend's circuit breaker."""

    CLIENT = "client"
    """The request itself is wrong: it would fail everywhere, and is answered as it is."""
    CAPACITY = "capacity"
    """Throttled, a quota, too many requests: another backend may serve it now."""
    COLD = "cold"
    """An imported model that is still being restored: another backend may be quicker."""
    MODEL = "model"
    """It is well, but does not have the model that it was asked for: an adapter that is not loaded (any more)."""
    OPERATION = "operation"
    """It is well, but does not have the path: a server without /v1/responses or /v1/messages."""
    UPSTREAM = "upstream"
    """Unreachable, hung, broken, garbage, or our own credentials refused."""
    DEADLINE = "deadline"
    """The time that the request itself allows is over: nobody's fault, and none is left for another backend."""


class UpstreamError(Exception):
    """A backend's refusal or failure, in OpenAI's terms.

    `status`, `type`, `code`, `param`, `message` are what a client would be told (OpenAI's error object). `body` is the
    backend's own error body where it is already OpenAI-shaped, passed on untouched. `retry_after_seconds` where told.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        type: str,
        fault: Fault,
        code: str | None = None,
        param: str | None = None,
        body: bytes | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.type = type
        self.fault = fault
        self.code = code
        self.param = param
        self.body = body
        self.retry_after_seconds = retry_after_seconds
        self.events_before = 0
        """Of a stream that broke: how many events had passed, where the grammar numbers them."""

    @property
    def may_try_another(self) -> bool:
        return self.fault not in (Fault.CLIENT, Fault.DEADLINE)


def unreachable(backend: str, why: str) -> UpstreamError:
    """No connection, or it broke before an answer."""
    return UpstreamError(
        f"backend {backend!r} could not be reached: {why}",
        status=502, type="api_connection_error", code="backend_unreachable", fault=Fault.UPSTREAM,
    )  # fmt: skip


def not_served(backend: str, operation: str) -> UpstreamError:
    """The server does not have this operation's path. Another backend may."""
    return UpstreamError(
        f"backend {backend!r} does not serve {operation}",
        status=404, type="invalid_request_error", code="operation_not_supported", fault=Fault.OPERATION,
    )  # fmt: skip


def timed_out(backend: str, waited_for: str, seconds: float) -> UpstreamError:
    """`waited_for`: 'the first byte', 'the next bytes'."""
    return UpstreamError(
        f"backend {backend!r} sent nothing while {waited_for} was waited for ({seconds:g} s)",
        status=504, type="timeout_error", code="backend_timeout", fault=Fault.UPSTREAM,
    )  # fmt: skip


def deadline_exceeded(header: str, seconds: float) -> UpstreamError:
    """`header`: in which the request said how long it waits; `seconds`: what it said."""
    return UpstreamError(
        f"No answer within the {seconds * 1000:g} ms that the request allows ({header}).",
        status=504, type="timeout_error", code="deadline_exceeded", fault=Fault.DEADLINE,
    )  # fmt: skip


def too_slow(backend: str, seconds: float) -> UpstreamError:
    """The answer as a whole took too long."""
    return UpstreamError(
        f"backend {backend!r} did not finish its answer in time ({seconds:g} s)",
        status=504, type="timeout_error", code="backend_timeout", fault=Fault.UPSTREAM,
    )  # fmt: skip


def garbage(backend: str, what: str) -> UpstreamError:
    """An answer that cannot be read."""
    return UpstreamError(
        f"backend {backend!r} answered what cannot be read: {what}",
        status=502, type="api_error", code="backend_garbage", fault=Fault.UPSTREAM,
    )  # fmt: skip
