"""What an OpenAI-compatible server's refusal means: whose fault it is, and what the client is told."""

from __future__ import annotations

import msgspec

from gateway.backends.contract import Operation
from gateway.backends.dialects import DIALECTS
from gateway.backends.errors import Fault, UpstreamError, not_served

VLLM_LACKS = "NotFoundError"
"""The `type` of vLLM's error for a model, or an adapter, that it does not have."""


class _ErrorObject(msgspec.Struct):
    message: str = ""
    type: str | None = None
    param: str | None = None
    code: str | int | None = None


class _ErrorBody(msgspec.Struct):
    error: _ErrorObject


_decode_error = msgspec.json.Decoder(_ErrorBody).decode


_NO_SUCH_PATH = (404, 405, 501)


def error_at_once(backend: str, event: bytes) -> UpstreamError:
    """The error with which a stream began. vLLM checks much of a request only then, and says in `code` the status that
    it would have answered: 400 is the client's fault here as there."""
    try:
        code = _decode_error(event).error.code
    except msgspec.DecodeError:
        code = None
    return error_from(backend, code if isinstance(code, int) and 400 <= code < 600 else 500, event)


def error_from(
    backend: str, status: int, body: bytes, retry_after: float | None = None, operation: Operation = "chat"
) -> UpstreamError:
    """The error object in `body` (OpenAI's, or Anthropic's), or whatever else came, as an `UpstreamError` with its
    fault."""
    try:
        said = _decode_error(body).error
        shaped = True
    except msgspec.DecodeError:
        said = _ErrorObject(f"backend {backend!r} answered HTTP {status}")
        shaped = False
    code = None if said.code is None else str(said.code)
    if status == 404 and (said.param == "model" or code == "model_not_found" or said.type == VLLM_LACKS):
        return UpstreamError(
            f"backend {backend!r} does not have the model that it was asked for",
            status=502, type="api_error", code="backend_lacks_model", fault=Fault.MODEL,
        )  # fmt: skip
    if status in _NO_SUCH_PATH and DIALECTS[operation].optional:
        return not_served(backend, "/v1" + DIALECTS[operation].path)
    if status in (401, 403, 404):
        # Its own key, or a model that the policy names and it does not have: nothing the client could mend.
        return UpstreamError(
            f"backend {backend!r} refused the gateway (HTTP {status})",
            status=502, type="api_error", code="backend_refused", fault=Fault.UPSTREAM,
        )  # fmt: skip
    if status == 429:
        fault = Fault.CAPACITY
    elif 400 <= status < 500 and status not in (408, 425):
        fault = Fault.CLIENT
    else:
        fault = Fault.UPSTREAM
    return UpstreamError(
        said.message or f"backend {backend!r} answered HTTP {status}",
        status=status if 400 <= status < 600 and status != 500 else 502,
        type=said.type or ("invalid_request_error" if fault is Fault.CLIENT else "api_error"),
        code=code,
        param=said.param,
        body=body if shaped and fault is Fault.CLIENT else None,
        fault=fault,
        retry_after_seconds=retry_after,
    )  # fmt: skip
