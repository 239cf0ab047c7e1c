"""What the page asks for, from one origin: itself, a dashboard's JSON, Grafana's icons, and Prometheus's answers."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

PAGE = b"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Dashboard</title>
<link rel="stylesheet" href="/page.css"></head><body><main></main><script>
window.grafanaBootData = {settings: {featureToggles: {}}, user: {}}; window.__grafana_public_path__ = "/public/";
</script><script src="/page.js"></script></body></html>"""
TYPES = {".js": "text/javascript", ".css": "text/css", ".json": "application/json", ".svg": "image/svg+xml"}
PROMETHEUS_SECONDS = 30.0


@contextmanager
def serve(prometheus: str, folders: dict[str, Path]) -> Iterator[str]:
    """On 127.0.0.1. `folders`: what lies where, by how a path begins ('/': all the rest). Gives its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(prometheus, folders))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(prometheus: str, folders: dict[str, Path]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            if path == "/":
                self._send(200, "text/html", PAGE)
            elif path in ("/api/v1/query", "/api/v1/query_range"):
                self._send(*_from_prometheus(prometheus + self.path))
            else:
                self._send(*_from_folders(path, folders))

        def _send(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the browser's own errors are what matters."""

    return Handler


def _from_folders(path: str, folders: dict[str, Path]) -> tuple[int, str, bytes]:
    begins = max((beginning for beginning in folders if path.startswith(beginning)), key=len)
    root = folders[begins].resolve()
    file = (root / path.removeprefix(begins)).resolve()
    if not file.is_relative_to(root) or not file.is_file():
        return 404, "text/plain", b"not here"
    return 200, TYPES.get(file.suffix, "application/octet-stream"), file.read_bytes()


def _from_prometheus(url: str) -> tuple[int, str, bytes]:
    try:
        with urllib.request.urlopen(url, timeout=PROMETHEUS_SECONDS) as reply:
            return reply.status, "application/json", reply.read()
    except urllib.error.HTTPError as refused:
        return refused.code, "application/json", refused.read()
    except OSError as unreachable:
        return 502, "application/json", f'{{"status": "error", "error": "Prometheus: {unreachable}"}}'.encode()
