"""The thread that sends spans and metrics to a collector. One that cannot be reached costs the requests nothing: what
it misses is lost, counted, and said now and then."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import requests
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics.export import MetricExportResult
from opentelemetry.sdk.trace.export import SpanExportResult
from requests.adapters import HTTPAdapter

from gateway.policy.schema import TelemetrySettings
from gateway.telemetry.metrics import RegistryReader
from gateway.telemetry.spans import SpanMaker
from gateway.telemetry.tracing import Tracing

LOOK_SECONDS = 0.5
"""Spans wait for at most about this long."""
TRACES_AT_ONCE = 32
"""A batch holds Python's lock for a few milliseconds; one of hundreds would be felt in every stream."""
TIMEOUT_SECONDS = 5.0
FLUSH_SECONDS = 3.0
_END_SECONDS = 0.2
MOST_ANSWER_BYTES = 256
SAID_SECONDS = 60.0
"""An unreachable collector is mentioned this often."""

log = logging.getLogger(__name__)


class Telemetry:
    """Sends until `close`. `tracing` is what requests use; None: no traces."""

    def __init__(
        self,
        settings: TelemetrySettings,
        tracing: Tracing | None,
        maker: SpanMaker,
        reader: RegistryReader,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.tracing = tracing
        self._settings = settings
        self._maker = maker
        self._reader = reader
        self._clock = clock
        self._troubles = _Troubles(settings.otlp_endpoint, clock)
        base = settings.otlp_endpoint.rstrip("/")
        headers = {name: value.get_secret_value() for name, value in settings.headers.items()}
        self._spans = OTLPSpanExporter(
            f"{base}/v1/traces", headers=headers, timeout=TIMEOUT_SECONDS, session=_session()
        )
        self._metrics = OTLPMetricExporter(
            f"{base}/v1/metrics", headers=headers, timeout=TIMEOUT_SECONDS, session=_session()
        )
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
        self._thread.start()

    def close(self, timeout_seconds: float = FLUSH_SECONDS) -> None:
        """Sends what waits, and the last metrics; gives up after so long. Blocks. A collector that was not reached
        lately is not waited for."""
        self._closing.set()
        if self._troubles.reached:
            self._thread.join(timeout_seconds)
        self._spans.shutdown()  # type: ignore[no-untyped-call]  # ends a retry that is waiting
        self._metrics.shutdown()
        self._thread.join(_END_SECONDS)
        if self._thread.is_alive() or not self._troubles.reached:
            log.warning("telemetry: the last of it did not reach the collector, and is lost")

    def _run(self) -> None:
        next_metrics = self._clock()
        while not self._closing.wait(LOOK_SECONDS):
            self._send_spans()
            if self._settings.metrics and self._clock() >= next_metrics:
                next_metrics = self._clock() + self._settings.export_seconds
                self._send_metrics()
        if self._troubles.reached:
            self._send_spans()
            if self._settings.metrics:
                self._send_metrics()

    def _send_spans(self) -> None:
        """All that wait; after a failure the rest waits for the next look."""
        tracing = self.tracing
        if tracing is None:
            return
        while ended := tracing.ended.take(TRACES_AT_ONCE):
            sent = False
            try:
                sent = self._spans.export(self._maker.spans(ended)) is SpanExportResult.SUCCESS
            except Exception as error:
                log.error("telemetry: %d traces could not be made: %s", len(ended), type(error).__name__)
            self._troubles.note(sent, (0 if sent else len(ended)) + tracing.ended.take_lost())
            if not sent:
                return

    def _send_metrics(self) -> None:
        sent = False
        try:
            sent = self._metrics.export(self._reader.read(time.time_ns())) is MetricExportResult.SUCCESS
        except Exception as error:
            log.error("telemetry: the metrics could not be made: %s", type(error).__name__)
        self._troubles.note(sent, 0)


class _Troubles:
    """Says when the collector cannot be reached, and when it can again; not each time."""

    def __init__(self, endpoint: str, clock: Callable[[], float]) -> None:
        parts = urlsplit(endpoint)
        self._shown = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
        self._clock = clock
        self._lost = 0
        self._said_at: float | None = None
        """None: it is reached."""
        self._full_at = -SAID_SECONDS
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)  # it says every try

    @property
    def reached(self) -> bool:
        return self._said_at is None

    def note(self, sent: bool, lost: int) -> None:
        self._lost += lost
        now = self._clock()
        if not sent and (self._said_at is None or now - self._said_at >= SAID_SECONDS):
            self._said_at = now
            log.warning(
                "telemetry: the collector at %s is not reached; traces of %d requests lost so far; it is tried again",
                self._shown, self._lost,
            )  # fmt: skip
        elif sent and self._said_at is not None:
            log.warning(
                "telemetry: the collector at %s is reached again; traces of %d requests were lost",
                self._shown, self._lost,
            )  # fmt: skip
            self._said_at, self._lost = None, 0
        elif sent and self._lost and now - self._full_at >= SAID_SECONDS:
            log.warning("telemetry: traces of %d requests were lost: more than can be sent", self._lost)
            self._full_at, self._lost = now, 0


def _session() -> requests.Session:
    """Like every connection of the gateway: no proxy and no password from the environment."""
    session = requests.Session()
    session.trust_env = False
    for scheme in ("http://", "https://"):
        session.mount(scheme, _OneAnswer())
    return session


class _OneAnswer(HTTPAdapter):
    """For the exporter, which would take a redirection for success, and read an answer of any length."""

    def send(self, *asked: Any, **options: Any) -> requests.Response:
        """Only a short body is read: nothing of it is used. Raises `requests.RequestException` for a redirection:
        nothing was taken there."""
        answer = super().send(*asked, **options)
        length = answer.headers.get("content-length", "")
        if length.isdigit() and int(length) <= MOST_ANSWER_BYTES:
            answer._content = answer.raw.read(decode_content=False)  # the connection can serve again
        else:
            answer.close()
            answer._content = b""
        answer._content_consumed = True
        if 300 <= answer.status_code < 400:
            raise requests.TooManyRedirects(f"the collector answered {answer.status_code}")
        return answer
