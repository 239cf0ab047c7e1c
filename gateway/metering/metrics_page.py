"""The Prometheus page: a port and threads of its own. Few connections at once, each for a limited time, so that whoever
reaches the port cannot take the descriptors that applications need."""

from __future__ import annotations

import logging
import socket
import sys
import threading
from io import StringIO
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any, TextIO
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

MOST_CONNECTIONS = 32
SILENT_SECONDS = 5.0
"""A connection that brings or takes nothing for so long is closed."""

log = logging.getLogger(__name__)


class _Handler(WSGIRequestHandler):
    timeout = SILENT_SECONDS

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:
            self.close_connection = True  # it went away, or said nothing

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: scrapes come every few seconds."""

    def get_stderr(self) -> TextIO:
        return StringIO()  # tracebacks in a format of their own: what fails is logged below


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, host: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._room = threading.BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__((host, port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread could be started
            self._room.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        del request, client_address
        if not isinstance(sys.exception(), OSError):
            log.exception("a connection to the metrics page failed")


def serve_page(registry: CollectorRegistry, host: str, port: int) -> WSGIServer:
    """Listens, and answers from a thread. `shutdown()` ends it; `server_port` is the port it got (0: any free one).

    Raises OSError when the port cannot be had."""
    server = _Server(host, port)
    server.set_app(_logged(make_wsgi_app(registry)))
    threading.Thread(target=server.serve_forever, name="metrics page", daemon=True).start()
    return server


def _logged(app: WSGIApplication) -> WSGIApplication:
    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        try:
            return app(environ, start)
        except Exception:
            log.exception("the metrics page could not be made")
            start("500 Internal Server Error", [("content-type", "text/plain")])
            return [b"The gateway's log says why.\n"]

    return answer
