"""A collector for tests: takes OTLP over HTTP as the protocol has it (protobuf), and keeps what came.

The messages are decoded by OpenTelemetry's own definitions (`opentelemetry-proto`)."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

SERVER, CLIENT, ERROR = Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT, 2


def plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    return None if kind is None else getattr(value, kind)


def attributes(pairs: Any) -> dict[str, Any]:
    found: list[KeyValue] = list(pairs)
    return {pair.key: plain(pair.value) for pair in found}


class Collector:
    """`status`: what it answers."""

    def __init__(self) -> None:
        self.endpoint = ""
        self.status = 200
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.raw: list[bytes] = []
        self.spans: list[Span] = []
        self.resources: list[dict[str, Any]] = []
        self.metrics: list[dict[str, Metric]] = []
        """Each export, by name."""

    def take(self, path: str, headers: dict[str, str], body: bytes) -> None:
        self.paths.append(path)
        self.headers.append(headers)
        self.raw.append(body)
        if path == "/v1/traces":
            for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                self.resources.append(attributes(of_resource.resource.attributes))
                self.spans += [span for scope in of_resource.scope_spans for span in scope.spans]
        elif path == "/v1/metrics":
            sent: dict[str, Metric] = {}
            for with_resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                self.resources.append(attributes(with_resource.resource.attributes))
                sent |= {metric.name: metric for scope in with_resource.scope_metrics for metric in scope.metrics}
            self.metrics.append(sent)

    def wait_for(self, there: Callable[[Collector], bool], timeout_seconds: float = 15.0) -> None:
        deadline = time.monotonic() + timeout_seconds
        while not there(self):
            assert time.monotonic() < deadline, (
                f"{len(self.spans)} spans and {len(self.metrics)} exports of metrics came"
            )
            time.sleep(0.02)

    def wait_for_spans(self, count: int) -> list[Span]:
        self.wait_for(lambda collector: len(collector.spans) >= count)
        return self.spans


@contextmanager
def collector() -> Iterator[Collector]:
    """Listens on 127.0.0.1."""
    kept = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            if kept.status == 200:
                assert self.headers["content-type"] == "application/x-protobuf"
                kept.take(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            self.send_response(kept.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    kept.endpoint = f"http://127.0.0.1:{server.server_port}"
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()
