"""The `openai` wire: vLLM, or any server that speaks OpenAI's API. The body goes out as it came but for the model's
name and `stream_options.include_usage`; the answer comes back byte for byte."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import msgspec

from gateway.backends.contract import Operation, Reply, UpstreamRequest
from gateway.backends.dialects import DIALECTS
from gateway.backends.errors import UpstreamError, garbage, timed_out
from gateway.backends.http1 import Address, Client, HeadTemplate, Limits, Response
from gateway.backends.http1.errors import HTTP1Error
from gateway.backends.http1.opening import context_for
from gateway.backends.openai_body import outgoing_body
from gateway.backends.openai_errors import error_from
from gateway.backends.openai_stream import StreamReply, content_type_of
from gateway.backends.tokens import BytesPerToken
from gateway.backends.usage import MISSING
from gateway.backends.whole import WholeReply
from gateway.backends.wire import Patience, refusal_body, worded
from gateway.policy.schema import BackendSettings, ServedBy

MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""A whole (not streamed) answer larger than this is refused: it would be held in memory."""
KEEPALIVE_SECONDS = 4.0
"""Shorter than the 5 s after which uvicorn, which vLLM serves with, closes an idle connection."""


class OpenAIBackend:
    """One OpenAI-compatible server."""

    def __init__(self, name: str, settings: BackendSettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        if settings.base_url is None:
            raise ValueError(f"backend {name!r} has no base_url")
        self.name = name
        self.timeouts = settings.timeouts
        self._clock = clock
        self._address, path = Address.parse(settings.base_url)
        headers = [(b"content-type", b"application/json"), (b"accept-encoding", b"identity")]
        if settings.api_key is not None:
            headers.append((b"authorization", b"Bearer " + settings.api_key.get_secret_value().encode()))
        self._heads = {
            operation: HeadTemplate(b"POST", self._address.host_header, path + dialect.path.encode(), headers)
            for operation, dialect in DIALECTS.items()
        }
        self._client = Client(
            limits=Limits(connections=settings.max_in_flight, idle_seconds=KEEPALIVE_SECONDS),
            tls=context_for(self._address),
        )
        self._prompts = BytesPerToken()

    def refuses(self, request_fields: frozenset[str], operation: Operation, target: ServedBy) -> frozenset[str]:  # noqa: ARG002
        """Nothing: the body is passed on, and the server itself says what it cannot do."""
        return frozenset()

    async def send(self, request: UpstreamRequest) -> Reply:
        now = self._clock()
        timeouts = self.timeouts
        patience = Patience(
            min(timeouts.first_byte_seconds, request.first_byte_deadline - now), timeouts.stall_seconds,
            request.total_deadline - now,
        )  # fmt: skip
        if patience.first_byte_seconds <= 0 or patience.total_seconds <= 0:
            raise timed_out(self.name, "the first byte", 0.0)
        response: Response | None = None
        request.wire.sent(now)
        try:
            response = await self._post(request, patience)
            if response.status != 200:
                request.wire.refused(refusal := await _refusal(self.name, request.operation, response))
                raise refusal
            if not request.stream:
                return await self._whole(request, response, now)
            reply = StreamReply(self.name, request, response, now, patience, self._prompts)
            await reply.begin()
            return reply
        except HTTP1Error as error:
            if not error.sent:
                request.wire.refused()  # it never left
            failure = worded(self.name, error, patience)
        except BaseException:
            if response is not None:
                response.close()
            raise
        if response is not None:
            response.close()
        raise failure

    async def _post(self, request: UpstreamRequest, patience: Patience) -> Response:
        """Until the head of an answer."""
        body = outgoing_body(request)
        size = len(body) if isinstance(body, bytes) else sum(map(len, body))
        headers = [(b"x-request-id", request.request_id.encode())]
        for name, value in request.trace_headers.items():
            headers.append((name.encode(), value.encode()))
        now = asyncio.get_running_loop().time()
        first_due = now + min(patience.first_byte_seconds, patience.total_seconds)
        response = await self._client.exchange(
            self._address, self._heads[request.operation].head(headers, size), body, self.timeouts.connect_seconds,
            first_due, patience.stall_seconds, now + patience.total_seconds,
        )  # fmt: skip
        if response.status != 200 or not request.stream:
            response.whole_by(first_due)
        return response

    async def _whole(self, request: UpstreamRequest, response: Response, sent_at: float) -> WholeReply:
        body = await response.read(MAX_ANSWER_BYTES)
        try:
            usage = DIALECTS[request.operation].usage_of_body(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise garbage(self.name, f"not JSON ({error})") from error
        if usage is not None:
            self._prompts.learn(request.prompt_bytes, usage.input_tokens)
        return WholeReply(content_type_of(response), body, usage or MISSING, sent_at)

    async def aclose(self) -> None:
        await self._client.aclose()


async def _refusal(backend: str, operation: Operation, response: Response) -> UpstreamError:
    body = await refusal_body(response)
    wait = (response.header(b"retry-after") or b"").decode("latin-1")
    seconds = float(wait) if wait.isdecimal() and len(wait) < 7 else None
    return error_from(backend, response.status, body, seconds, operation)
