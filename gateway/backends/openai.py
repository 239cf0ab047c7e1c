"""The `openai` wire: vLLM, or any server that speaks OpenAI's API. The body goes out as it came but for the model's
name and `stream_options.include_usage`; the answer comes back byte for byte."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import aiohttp
import msgspec
import yarl

from gateway.backends.contract import Operation, Sink, UpstreamRequest
from gateway.backends.errors import Fault, UpstreamError, garbage, timed_out, unreachable
from gateway.backends.sse import EventRelay, EventTooLong, usage_of
from gateway.backends.tokens import BytesPerToken
from gateway.backends.usage import MISSING, Usage
from gateway.backends.wire import MAX_ERROR_BODY_BYTES, Body, broken
from gateway.policy.schema import BackendSettings, ServedBy

MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""A whole (not streamed) answer larger than this is refused: it would be held in memory."""
KEEPALIVE_SECONDS = 4.0
"""Shorter than the 5 s after which uvicorn, which vLLM serves with, closes an idle connection."""
DRAIN_SECONDS = 0.1
"""After [DONE] the end of the body is waited for so long, so that the connection can be used again."""
VLLM_LACKS = "NotFoundError"
"""The `type` of vLLM's error for a model, or an adapter, that it does not have."""
PATHS: dict[Operation, str] = {
    "chat": "/chat/completions",
    "completions": "/completions",
    "embeddings": "/embeddings",
}


class _Answer(msgspec.Struct):
    usage: msgspec.Raw = msgspec.Raw(b"null")


class _ErrorObject(msgspec.Struct):
    message: str = ""
    type: str | None = None
    param: str | None = None
    code: str | int | None = None


class _ErrorBody(msgspec.Struct):
    error: _ErrorObject


_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_error = msgspec.json.Decoder(_ErrorBody).decode
_decode_options = msgspec.json.Decoder(dict[str, msgspec.Raw] | None).decode
_encode = msgspec.json.Encoder().encode
_TRUE = msgspec.Raw(b"true")


class OpenAIBackend:
    """One OpenAI-compatible server."""

    def __init__(self, name: str, settings: BackendSettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        if settings.base_url is None:
            raise ValueError(f"backend {name!r} has no base_url")
        self.name = name
        self.timeouts = settings.timeouts
        self._max_in_flight = settings.max_in_flight
        self._urls = {operation: yarl.URL(settings.base_url.rstrip("/") + path) for operation, path in PATHS.items()}
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None
        self._prompt_bytes_per_token = BytesPerToken()
        self._headers = {"content-type": "application/json", "accept-encoding": "identity"}
        if settings.api_key is not None:
            self._headers["authorization"] = f"Bearer {settings.api_key.get_secret_value()}"

    def refuses(self, request_fields: frozenset[str], operation: Operation, target: ServedBy) -> frozenset[str]:  # noqa: ARG002
        """Nothing: the body is passed on, and the server itself says what it cannot do."""
        return frozenset()

    async def send(self, request: UpstreamRequest) -> OpenAIReply:
        now = self._clock()
        patience = min(self.timeouts.first_byte_seconds, max(0.0, request.first_byte_deadline - now))
        reply: OpenAIReply | None = None
        try:
            async with asyncio.timeout(patience):
                response = await self._post(request)
                reply = OpenAIReply(self, request, response, now)
                if response.status != 200:
                    request.wire.refused(refusal := await _refusal(self.name, response))
                    raise refusal
                await reply.read_first()
                return reply
        except TimeoutError:
            _close(reply)
            raise timed_out(self.name, "the first byte", patience) from None
        except BaseException:
            _close(reply)
            raise

    async def _post(self, request: UpstreamRequest) -> aiohttp.ClientResponse:
        if self._session is None:
            self._session = self._new_session()
        try:
            request.wire.sent(self._clock())
            return await self._session.post(
                self._urls[request.operation], data=_outgoing_body(request),
                headers={**self._headers, "x-request-id": request.request_id, **request.trace_headers},
                allow_redirects=False,
            )  # fmt: skip
        except aiohttp.ClientError as error:
            if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
                request.wire.refused()  # it never left
            raise broken(self.name, error) from error

    def _new_session(self) -> aiohttp.ClientSession:
        """One for life, made inside the running loop."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=self._max_in_flight, keepalive_timeout=KEEPALIVE_SECONDS, ttl_dns_cache=60
            ),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self.timeouts.connect_seconds, sock_read=None),
            auto_decompress=False,
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    def learn_prompt(self, request: UpstreamRequest, usage: Usage) -> None:
        """An exact prompt count corrects the guess made for requests that end without one."""
        if usage.certainty == "exact":
            self._prompt_bytes_per_token.learn(request.prompt_bytes, usage.input_tokens)

    def guess_prompt_tokens(self, request: UpstreamRequest) -> int:
        return self._prompt_bytes_per_token.estimate(request.prompt_bytes)

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


class OpenAIReply:
    """An answer under way. See `contract.Reply`."""

    def __init__(
        self, backend: OpenAIBackend, request: UpstreamRequest, response: aiohttp.ClientResponse, sent_at: float
    ) -> None:
        self.admitted_at = sent_at
        self.content_type = response.headers.get("content-type", "application/json")
        self._backend = backend
        self._request = request
        self._body = Body(backend.name, response)
        self._relay = EventRelay(request.include_usage) if request.stream else None
        self.first = b""
        self._usage = MISSING
        self._finished = False

    @property
    def usage(self) -> Usage:
        if self._relay is None:
            return self._usage
        if self._relay.usage is not None:
            return self._relay.usage
        if self._relay.content_events == 0 and not self._relay.done:
            return MISSING
        prompt = self._backend.guess_prompt_tokens(self._request)
        return Usage(prompt, self._relay.content_events, "estimated")

    async def read_first(self) -> None:
        """Waits for the first event of a stream, or for the whole of a body."""
        if self._relay is None:
            self.first = await self._read_whole()
            return
        while self._relay.content_events == 0 and not self._relay.done:
            data = await self._read()
            self.first += self._feed(data) if data else self._relay.end()
            self._raise_if_reported(self._relay)
            if not data:
                break
        await self._drain_if_done(self._relay)
        if not self._finished:
            self._body.watch(self._backend.timeouts.stall_seconds)

    async def relay(self, sink: Sink) -> None:
        relay = self._relay
        if relay is None:
            return
        while not relay.done:
            data = await self._read()
            events = self._feed(data) if data else relay.end()
            if not data and not events:
                break
            await self._drain_if_done(relay)
            if events:
                sink.write(events)
                await sink.drained()
            self._raise_if_reported(relay)
        self._raise_if_cut_short()

    def close(self) -> None:
        if not self._finished:
            self._body.close()

    def _feed(self, data: bytes) -> bytes:
        assert self._relay is not None
        try:
            return self._relay.feed(data)
        except EventTooLong as error:
            raise garbage(self._backend.name, str(error)) from error

    async def _read(self) -> bytes:
        data = await self._body.read()
        if not data:
            self._finished = True
        return data

    async def _drain_if_done(self, relay: EventRelay) -> None:
        """Before the client gets its [DONE]: it may leave on it, and the answer is whole."""
        if not relay.done:
            return
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while await self._read():
                    pass
        except (TimeoutError, UpstreamError):
            pass

    async def _read_whole(self) -> bytes:
        body = await self._body.read_all(MAX_ANSWER_BYTES)
        self._finished = True
        try:
            told = _decode_answer(body).usage
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise garbage(self._backend.name, f"not JSON ({error})") from error
        usage = usage_of(told)
        if usage is not None:
            self._usage = usage
            self._backend.learn_prompt(self._request, usage)
        return body

    def _raise_if_reported(self, relay: EventRelay) -> None:
        """The backend itself said in the stream that it failed."""
        if relay.error is not None:
            raise _error_from(self._backend.name, 500, relay.error)

    def _raise_if_cut_short(self) -> None:
        assert self._relay is not None
        if not self._relay.done:
            raise unreachable(self._backend.name, "the stream ended before [DONE]")
        self._backend.learn_prompt(self._request, self.usage)


def _outgoing_body(request: UpstreamRequest) -> bytes:
    """The client's body with the upstream's model name and, in a stream, the usage asked for; else byte for byte."""
    fields = dict(request.fields)
    fields["model"] = msgspec.Raw(_encode(request.target.model))
    if request.stream and request.operation != "embeddings":
        options = _decode_options(fields.get("stream_options", msgspec.Raw(b"null"))) or {}
        options["include_usage"] = _TRUE
        fields["stream_options"] = msgspec.Raw(_encode(options))
    return _encode(fields)


def _close(reply: OpenAIReply | None) -> None:
    if reply is not None:
        reply.close()


async def _refusal(backend: str, response: aiohttp.ClientResponse) -> UpstreamError:
    body = await Body(backend, response).read_all(MAX_ERROR_BODY_BYTES)
    wait = response.headers.get("retry-after", "")
    return _error_from(backend, response.status, body, float(wait) if wait.isdecimal() and len(wait) < 7 else None)


def _error_from(backend: str, status: int, body: bytes, retry_after: float | None = None) -> UpstreamError:
    """OpenAI's error object in `body`, or whatever else came, as an `UpstreamError` with its fault."""
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
