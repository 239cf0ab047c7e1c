"""Bedrock's exceptions in OpenAI's terms: one table, for errors before a stream and in the middle of one.

Names and statuses are those of the service model (`bedrock-runtime`, `service-2.json`). A message of Bedrock's is told
to the client only where it helps to mend the request, and without what names an account: ARNs, `<account>-<model>`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping

import msgspec

from gateway.backends.errors import Fault, UpstreamError, garbage

log = logging.getLogger(__name__)


class Rule(msgspec.Struct, frozen=True):
    """What becomes of one exception. `text` replaces Bedrock's message; empty: its own message is told."""

    status: int
    type: str
    code: str | None
    fault: Fault
    text: str = ""


CREDENTIALS_REFUSED = "backend_credentials_refused"

_INVALID = Rule(400, "invalid_request_error", None, Fault.CLIENT)
_TOO_LARGE = Rule(413, "invalid_request_error", "request_too_large", Fault.CLIENT)
_TOO_LONG = Rule(400, "invalid_request_error", "context_length_exceeded", Fault.CLIENT)
_CREDENTIALS = Rule(
    502, "api_error", CREDENTIALS_REFUSED, Fault.UPSTREAM,
    "refused the gateway's credentials, or they may not invoke this model",
)  # fmt: skip
_WRONG_MODEL = Rule(
    502, "api_error", "backend_model_unusable", Fault.UPSTREAM,
    "does not serve the model that the policy names, or not by this API",
)  # fmt: skip
_BUSY = Rule(429, "rate_limit_error", "rate_limit_exceeded", Fault.CAPACITY, "is throttling requests")
_QUOTA = Rule(429, "rate_limit_error", "quota_exceeded", Fault.CAPACITY, "has no quota left for this request")
_COLD = Rule(503, "service_unavailable_error", "model_not_ready", Fault.COLD, "is still restoring the model")
_MODEL_TIMEOUT = Rule(504, "timeout_error", "model_timeout", Fault.UPSTREAM, "took too long to run the model")
_MODEL_ERROR = Rule(502, "api_error", "model_error", Fault.UPSTREAM, "failed while it ran the model")
_DOWN = Rule(503, "service_unavailable_error", "backend_unavailable", Fault.UPSTREAM, "is unavailable at the moment")
_BROKEN = Rule(502, "api_error", "backend_error", Fault.UPSTREAM, "failed inside")

RULES: dict[str, Rule] = {
    "validationexception": _INVALID,
    "serializationexception": _INVALID,
    "accessdeniedexception": _CREDENTIALS,
    "accessdenied": _CREDENTIALS,
    "unrecognizedclientexception": _CREDENTIALS,
    "invalidclienttokenid": _CREDENTIALS,
    "expiredtokenexception": _CREDENTIALS,
    "expiredtoken": _CREDENTIALS,
    "invalidsignatureexception": _CREDENTIALS,
    "signaturedoesnotmatch": _CREDENTIALS,
    "incompletesignatureexception": _CREDENTIALS,
    "incompletesignature": _CREDENTIALS,
    "missingauthenticationtokenexception": _CREDENTIALS,
    "missingauthenticationtoken": _CREDENTIALS,
    "optinrequired": _CREDENTIALS,
    "requestexpired": _CREDENTIALS,
    "resourcenotfoundexception": _WRONG_MODEL,
    "unknownoperationexception": _WRONG_MODEL,
    "throttlingexception": _BUSY,
    "throttling": _BUSY,
    "toomanyrequestsexception": _BUSY,
    "servicequotaexceededexception": _QUOTA,
    "modelnotreadyexception": _COLD,
    "modeltimeoutexception": _MODEL_TIMEOUT,
    "modelerrorexception": _MODEL_ERROR,
    "modelstreamerrorexception": _MODEL_ERROR,
    "serviceunavailableexception": _DOWN,
    "serviceunavailable": _DOWN,
    "internalserverexception": _BROKEN,
    "internalfailure": _BROKEN,
    "conflictexception": _BROKEN,
}
# For an exception that is not in the table: by its HTTP status.
BY_STATUS: dict[int, Rule] = {
    400: _INVALID,
    401: _CREDENTIALS,
    403: _CREDENTIALS,
    404: _WRONG_MODEL,
    408: _MODEL_TIMEOUT,
    413: _TOO_LARGE,
    424: _MODEL_ERROR,
    429: _BUSY,
    503: _DOWN,
    504: _MODEL_TIMEOUT,
}

# ValidationException also says that the policy is wrong. These requests fail for every client: not the client's fault.
_policy_is_wrong = re.compile(
    r"doesn.t support the model|model identifier is invalid|on-demand throughput isn.t supported|"
    r"model is not supported|not supported for this model|Available for this model:",
    re.IGNORECASE,
)
_too_long = re.compile(r"too long|maximum context|context length|too many (input )?tokens|exceeds? .{0,40}tokens", re.I)
_account = re.compile(r"arn:aws[a-z-]*:[^\s\"'`,)]+|\b\d{12}-[a-z0-9]{12}\b")


class _Body(msgspec.Struct):
    message: str | None = None
    capital: str | None = msgspec.field(default=None, name="Message")
    type: str | None = msgspec.field(default=None, name="__type")


_decode_body = msgspec.json.Decoder(_Body).decode


def from_response(backend: str, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
    """An answer with an error status, before any stream. `garbage` when it does not look like Bedrock's at all."""
    name = headers.get("x-amzn-errortype", "")
    try:
        parsed = _decode_body(body) if body.strip() else _Body()
    except msgspec.DecodeError:
        if not name:
            return garbage(backend, f"HTTP {status} with a body that is not JSON ({len(body)} bytes)")
        parsed = _Body()
    name = plain_name(name or parsed.type or "")
    if not name and 300 <= status < 400:
        return garbage(backend, f"HTTP {status}: a redirection, which is not followed with credentials")
    rule = RULES.get(name.lower()) or BY_STATUS.get(status) or (_BROKEN if status >= 500 else _INVALID)
    return _error(
        backend,
        rule,
        name or f"HTTP {status}",
        parsed.message or parsed.capital or "",
        aws_request_id=headers.get("x-amzn-requestid", ""),
        retry_after_seconds=_retry_after_seconds(headers),
    )


def from_stream(backend: str, name: str, payload: bytes) -> UpstreamError:
    """An exception event in the middle of a stream; `name` comes in lower camel case there."""
    try:
        parsed = _decode_body(payload) if payload.strip() else _Body()
    except msgspec.DecodeError:
        parsed = _Body()
    rule = RULES.get(plain_name(name).lower(), _BROKEN)
    return _error(backend, rule, name or "an error event", parsed.message or parsed.capital or "")


def bad_request(message: str, param: str) -> UpstreamError:
    """The client's request cannot be put into a Bedrock body: `param` names where."""
    return UpstreamError(message, status=400, type="invalid_request_error", param=param, fault=Fault.CLIENT)


def cold(backend: str, waited_seconds: float, retry_after_seconds: float) -> UpstreamError:
    """The model was still being restored when the time for a first byte was over."""
    return UpstreamError(
        f"backend {backend!r} is still restoring the model after {waited_seconds:.1f} s, and the time for a first byte "
        f"ends before it is asked again; retry in {retry_after_seconds:.0f} s",
        status=_COLD.status, type=_COLD.type, code=_COLD.code, fault=_COLD.fault,
        retry_after_seconds=retry_after_seconds,
    )  # fmt: skip


def no_credentials(backend: str, why: str) -> UpstreamError:
    """The gateway has none to sign with."""
    return UpstreamError(
        f"backend {backend!r} has no AWS credentials: {why}",
        status=502, type="api_error", code="backend_credentials_missing", fault=Fault.UPSTREAM,
    )  # fmt: skip


def plain_name(name: str) -> str:
    """`com.amazon#ThrottlingException:http://...` -> `ThrottlingException`."""
    return name.partition(":")[0].rpartition("#")[2].strip()


def _error(
    backend: str,
    rule: Rule,
    name: str,
    told: str,
    *,
    aws_request_id: str = "",
    retry_after_seconds: float | None = None,
) -> UpstreamError:
    if rule is _INVALID:
        if _policy_is_wrong.search(told):
            rule = _WRONG_MODEL
        elif _too_long.search(told):
            rule = _TOO_LONG
    if rule.fault is Fault.UPSTREAM:
        # Never the message: that of a refused signature repeats the signed headers, session token and all.
        log.warning("backend %r: %s (AWS request id %s)", backend, name, aws_request_id or "unknown")
    if rule.text:
        message = f"backend {backend!r} {rule.text} ({name})"
    else:
        message = _account.sub("[model]", told) or f"backend {backend!r} refused the request ({name})"
    return UpstreamError(
        message,
        status=rule.status,
        type=rule.type,
        code=rule.code,
        fault=rule.fault,
        retry_after_seconds=retry_after_seconds,
    )


def _retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    for header, unit_seconds in (("x-amz-retry-after", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers[header]) * unit_seconds
        except (KeyError, ValueError):  # absent, or an HTTP date: no hint
            continue
        if 0 <= seconds <= 3600:
            return seconds
    return None
