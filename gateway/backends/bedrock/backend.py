"""One Bedrock backend: sign, call, wait out a cold start, translate.

A call goes out once. The only one that is repeated is the one Bedrock answers with ModelNotReadyException, until the
model is there or the request's own deadline forbids another wait; SDK retries would give up long before a model of
16 GB is restored.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import msgspec

import gateway
from gateway.backends.bedrock import endpoint, errors, shapes
from gateway.backends.bedrock.answer import Answer
from gateway.backends.bedrock.cold_start import cold_start_of
from gateway.backends.bedrock.reply import StreamReply
from gateway.backends.bedrock.signing import authorizer_for
from gateway.backends.bedrock.tally import Tally, TokenRates
from gateway.backends.contract import Operation, Reply, UpstreamRequest
from gateway.backends.errors import Fault, UpstreamError, garbage
from gateway.backends.http1 import Address, Client, Limits, Response
from gateway.backends.http1.errors import FirstByteTimeout, HTTP1Error
from gateway.backends.http1.opening import context_for
from gateway.backends.http1.request import request_head
from gateway.backends.whole import WholeReply
from gateway.backends.wire import Patience, refusal_body, worded
from gateway.policy.schema import BackendSettings, ServedBy

# Bedrock's network drops a connection that was idle for 350 s without a word.
KEEPALIVE_SECONDS = 300.0
TIMED_OUT = "backend_timeout"
EVENT_STREAM = "application/vnd.amazon.eventstream"
# Bedrock's own limit on a body is 25,000,000 bytes.
MAX_BODY_BYTES = 32 * 1024 * 1024

# The signed headers are those that botocore sends for the same operation.
_INVOKE_HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}
_INVOKE_STREAM_HEADERS = {"Content-Type": "application/json", "X-Amzn-Bedrock-Accept": "application/json"}
_CONVERSE_HEADERS = {"Content-Type": "application/json"}
# Sent, but not signed: a proxy may change them.
_UNSIGNED_HEADERS = {"User-Agent": f"crossover/{gateway.__version__}", "Accept-Encoding": "identity"}
# Signed where the signer names them, and set by the client itself, to the same values.
_THE_CLIENTS = frozenset({"host", "content-length"})


class BedrockBackend:
    """Implements `gateway.backends.contract.Backend` for a policy's `wire: bedrock`.

    Raises `ValueError` at once where a bearer token would travel in the clear. Its connections are made inside the
    running loop, at the first request.
    """

    def __init__(self, name: str, settings: BackendSettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._clock = clock
        self._base_url = endpoint.base_url(settings)
        self._timeouts = settings.timeouts
        self._address, _ = Address.parse(self._base_url)
        self._origin_characters = len(self._base_url) - len(urlsplit(self._base_url).path)
        self._client = Client(
            limits=Limits(connections=settings.max_in_flight, idle_seconds=KEEPALIVE_SECONDS, resolved_seconds=30.0),
            tls=context_for(self._address),
        )
        self._cold_start = cold_start_of(settings)
        self._authorizer = authorizer_for(name, settings, self._base_url, clock)
        self._rates = TokenRates()
        self._closed = False

    def __repr__(self) -> str:
        return f"<BedrockBackend {self._name!r} at {self._base_url}>"

    @property
    def name(self) -> str:
        return self._name

    def refuses(self, request_fields: frozenset[str], operation: Operation, target: ServedBy) -> frozenset[str]:
        return shapes.refused_fields(request_fields, operation, target)

    async def send(self, request: UpstreamRequest) -> Reply:
        shape = shapes.shape_for(request.target)
        if shape.carries(request.operation) is None:
            raise UpstreamError(
                f"backend {self._name!r} serves no {request.operation} of {request.alias!r}",
                status=404, type="invalid_request_error", code="operation_not_supported", fault=Fault.CLIENT,
            )  # fmt: skip
        body = shape.encode(request)
        operation = shape.stream_path if request.stream else shape.path
        url = endpoint.model_url(self._base_url, request.target.model, operation)
        asked_at = self._clock()
        cold = False
        while True:
            try:
                return await self._attempt(request, shape, url, body)
            except UpstreamError as error:
                # A call may also be held while the model is restored: a late answer of a cold model is no hang.
                held = cold and error.code == TIMED_OUT
                if error.fault is not Fault.COLD and not held:
                    raise
                cold = True
            now = self._clock()
            poll_seconds = self._cold_start.poll_seconds
            if now + poll_seconds >= min(request.first_byte_deadline, request.cold_deadline, request.total_deadline):
                waited_seconds = now - asked_at
                raise errors.cold(self._name, waited_seconds, self._cold_start.seconds_left(waited_seconds))
            await asyncio.sleep(poll_seconds)

    async def aclose(self) -> None:
        self._closed = True
        await self._authorizer.aclose()
        await self._client.aclose()

    async def _attempt(self, request: UpstreamRequest, shape: shapes.Shape, url: str, body: bytes) -> Reply:
        """One signed call, up to its first bytes. Raises `UpstreamError`."""
        if self._closed:
            raise RuntimeError(f"backend {self._name!r} is closed")
        now, loop_now = self._clock(), asyncio.get_running_loop().time()
        patience = Patience(
            max(0.0, min(request.first_byte_deadline - now, self._timeouts.first_byte_seconds)),
            self._timeouts.stall_seconds, max(0.0, request.total_deadline - now),
        )  # fmt: skip
        first_due = loop_now + min(patience.first_byte_seconds, patience.total_seconds)
        response: Response | None = None
        try:
            head = await self._head(request, url, body, first_due)
            sent_at = self._clock()
            request.wire.sent(sent_at)
            response = await self._client.exchange(
                self._address, head, body, self._timeouts.connect_seconds, first_due, patience.stall_seconds,
                loop_now + patience.total_seconds,
            )  # fmt: skip
            if response.status != 200 or not request.stream:
                response.whole_by(first_due)
            return await self._reply(request, shape, response, sent_at, patience)
        except HTTP1Error as error:
            if not error.sent:
                request.wire.refused()  # it never left
            failure = worded(self._name, error, patience)
        except BaseException:
            if response is not None:
                response.close()
            raise
        if response is not None:
            response.close()
        raise failure

    async def _head(self, request: UpstreamRequest, url: str, body: bytes, due: float) -> bytes:
        """Signed; the path is the very one that was signed, byte for byte."""
        try:
            async with asyncio.timeout_at(due):
                signed = await self._authorizer.headers(url, body, _plain_headers(request))
        except TimeoutError:
            raise FirstByteTimeout("no credentials before the first-byte deadline", sent=False) from None
        headers = [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in (signed | _UNSIGNED_HEADERS).items()
            if name.lower() not in _THE_CLIENTS
        ]
        path = url[self._origin_characters :].encode("ascii")
        return request_head(b"POST", self._address.host_header, path, headers, len(body))

    async def _reply(
        self, request: UpstreamRequest, shape: shapes.Shape, response: Response, sent_at: float, patience: Patience
    ) -> Reply:
        """Raises `UpstreamError`, `HTTP1Error`."""
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
        if response.status != 200:
            request.wire.sent_at = None  # whatever its body says, and even if that never comes
            refusal = self._refusal(response.status, headers, await refusal_body(response))
            request.wire.refused(refusal)
            raise refusal
        answer = Answer(request, int(time.time()))
        tally = Tally(request.prompt_bytes, self._rates)
        translator = shape.translator(answer, tally)
        if not request.stream:
            whole = await response.read(MAX_BODY_BYTES)
            try:
                translated = translator.whole(whole, headers)
            except (ValueError, msgspec.MsgspecError):
                raise garbage(self._name, f"a body of {len(whole)} bytes that is not the model's JSON") from None
            return WholeReply("application/json", translated, tally.usage, sent_at)
        content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type != EVENT_STREAM:
            raise garbage(self._name, f"content type {content_type!r} where an event stream was asked for")
        reply = StreamReply(
            self._name, response, translator, answer, tally, patience=patience,
            include_usage=request.include_usage, admitted_at=sent_at,
        )  # fmt: skip
        await reply.begin()
        return reply

    def _refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError:
        error = errors.from_response(self._name, status, headers, body)
        if error.code == errors.CREDENTIALS_REFUSED:
            self._authorizer.refused()
        return error


def _plain_headers(request: UpstreamRequest) -> dict[str, str]:
    if request.target.api == "converse":
        return _CONVERSE_HEADERS
    return _INVOKE_STREAM_HEADERS if request.stream else _INVOKE_HEADERS
