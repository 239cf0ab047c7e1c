"""One Bedrock backend: sign, call, wait out a cold start, translate.

A call goes out once. The only one that is repeated is the one Bedrock answers with ModelNotReadyException, until the
model is there or the request's own deadline forbids another wait; SDK retries would give up long before a model of
16 GB is restored.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import aiohttp
import msgspec
import yarl

import gateway
from gateway.backends.bedrock import endpoint, errors, shapes
from gateway.backends.bedrock.answer import Answer
from gateway.backends.bedrock.cold_start import cold_start_of
from gateway.backends.bedrock.reply import StreamReply
from gateway.backends.bedrock.signing import authorizer_for
from gateway.backends.bedrock.tally import Tally, TokenRates
from gateway.backends.contract import Operation, Reply, UpstreamRequest
from gateway.backends.errors import Fault, UpstreamError, garbage, timed_out
from gateway.backends.whole import WholeReply
from gateway.backends.wire import MAX_ERROR_BODY_BYTES, Body, broken
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
        self._max_in_flight = settings.max_in_flight
        self._cold_start = cold_start_of(settings)
        self._authorizer = authorizer_for(name, settings, self._base_url, clock)
        self._rates = TokenRates()
        self._session: aiohttp.ClientSession | None = None
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
            if now + poll_seconds >= min(request.first_byte_deadline, request.cold_deadline):
                waited_seconds = now - asked_at
                raise errors.cold(self._name, waited_seconds, self._cold_start.seconds_left(waited_seconds))
            await asyncio.sleep(poll_seconds)

    async def aclose(self) -> None:
        self._closed = True
        await self._authorizer.aclose()
        if self._session is not None:
            await self._session.close()

    async def _attempt(self, request: UpstreamRequest, shape: shapes.Shape, url: str, body: bytes) -> Reply:
        """One signed call, up to its first bytes. Raises `UpstreamError`."""
        patience_seconds = min(request.first_byte_deadline - self._clock(), self._timeouts.first_byte_seconds)
        response: aiohttp.ClientResponse | None = None
        try:
            async with asyncio.timeout(patience_seconds):
                headers = await self._authorizer.headers(url, body, _plain_headers(request))
                sent_at = self._clock()
                request.wire.sent(sent_at)
                response = await self._open_session().post(
                    # Encoded already: requoted by yarl, the path would no longer be the one that was signed.
                    yarl.URL(url, encoded=True), data=body, headers={**headers, **_UNSIGNED_HEADERS},
                    allow_redirects=False,
                )  # fmt: skip
                return await self._reply(request, shape, response, sent_at)
        except aiohttp.ClientError as error:  # before TimeoutError: a connect timeout of aiohttp's is both
            if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
                request.wire.refused()  # it never left
            failure = broken(self._name, error)
        except TimeoutError:
            failure = timed_out(self._name, "the first byte", max(0.0, round(patience_seconds, 3)))
        except BaseException:
            if response is not None:
                response.close()
            raise
        if response is not None:
            response.close()
        raise failure

    async def _reply(
        self, request: UpstreamRequest, shape: shapes.Shape, response: aiohttp.ClientResponse, sent_at: float
    ) -> Reply:
        upstream = Body(self._name, response)
        if response.status != 200:
            request.wire.sent_at = None  # whatever its body says, and even if that never comes
            refusal = self._refusal(response, await upstream.read_all(MAX_ERROR_BODY_BYTES))
            request.wire.refused(refusal)
            raise refusal
        answer = Answer(request, int(time.time()))
        tally = Tally(request.prompt_bytes, self._rates)
        translator = shape.translator(answer, tally)
        if not request.stream:
            whole = await upstream.read_all(MAX_BODY_BYTES)
            try:
                translated = translator.whole(whole, response.headers)
            except (ValueError, msgspec.MsgspecError):
                raise garbage(self._name, f"a body of {len(whole)} bytes that is not the model's JSON") from None
            return WholeReply("application/json", translated, tally.usage, sent_at)
        if response.content_type != EVENT_STREAM:
            raise garbage(self._name, f"content type {response.content_type!r} where an event stream was asked for")
        reply = StreamReply(
            self._name, upstream, translator, answer, tally,
            include_usage=request.include_usage, admitted_at=sent_at,
        )  # fmt: skip
        await reply.begin(self._timeouts.stall_seconds)
        return reply

    def _refusal(self, response: aiohttp.ClientResponse, body: bytes) -> UpstreamError:
        error = errors.from_response(self._name, response.status, response.headers, body)
        if error.code == errors.CREDENTIALS_REFUSED:
            self._authorizer.refused()
        return error

    def _open_session(self) -> aiohttp.ClientSession:
        if self._closed:
            raise RuntimeError(f"backend {self._name!r} is closed")
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=self._max_in_flight, keepalive_timeout=KEEPALIVE_SECONDS, ttl_dns_cache=30
                ),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._timeouts.connect_seconds),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            )
        return self._session


def _plain_headers(request: UpstreamRequest) -> dict[str, str]:
    if request.target.api == "converse":
        return _CONVERSE_HEADERS
    return _INVOKE_STREAM_HEADERS if request.stream else _INVOKE_HEADERS
