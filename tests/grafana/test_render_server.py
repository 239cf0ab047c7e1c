"""What the page for pictures is served: itself, the dashboards, and Prometheus's answers from the same origin."""

from __future__ import annotations

from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest

from gateway.sandbox.hosting import free_port
from grafana.build import FOLDER
from grafana.render.server import serve


class Echo(BaseHTTPRequestHandler):
    """Stands where Prometheus would: answers with what it was asked."""

    def do_GET(self) -> None:
        self.send_response(400 if "bad" in self.path else 200)
        self.end_headers()
        self.wfile.write(self.path.encode())

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def echo() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def address(echo: str, tmp_path: Path) -> Iterator[str]:
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "page.js").write_text("drawn()")
    (tmp_path / "secret.txt").write_text("not for the page")
    with serve(echo, {"/": tmp_path / "page", "/dashboards/": FOLDER}) as address:
        yield address


def test_it_serves_the_page_its_script_and_the_dashboards(address: str) -> None:
    assert '<script src="/page.js">' in httpx.get(f"{address}/").text
    script = httpx.get(f"{address}/page.js")
    assert (script.text, script.headers["content-type"]) == ("drawn()", "text/javascript")
    assert httpx.get(f"{address}/dashboards/cost-and-crossover.json").json()["uid"] == "crossover-cost"


def test_queries_go_to_prometheus_and_its_refusals_come_back(address: str) -> None:
    assert httpx.get(f"{address}/api/v1/query?query=up").text == "/api/v1/query?query=up"
    refused = httpx.get(f"{address}/api/v1/query_range?query=bad")
    assert (refused.status_code, refused.text) == (400, "/api/v1/query_range?query=bad")


def test_nothing_else_of_prometheus_is_reached(address: str) -> None:
    assert httpx.get(f"{address}/api/v1/admin/tsdb/snapshot").status_code == 404


@pytest.mark.parametrize("path", ["/../secret.txt", "/dashboards/../build.py", "/missing.js", "/dashboards/"])
def test_no_file_outside_its_folders_is_served(address: str, path: str) -> None:
    connection = HTTPConnection(address.removeprefix("http://"))  # sends a path as it is; httpx would tidy it
    connection.request("GET", path)
    assert connection.getresponse().status == 404
    connection.close()


def test_a_prometheus_that_is_not_there_is_told_as_an_error(tmp_path: Path) -> None:
    with serve(f"http://127.0.0.1:{free_port()}", {"/": tmp_path}) as address:
        answer = httpx.get(f"{address}/api/v1/query?query=up")
    assert answer.status_code == 502
    assert answer.json()["status"] == "error"
    assert "refused" in answer.json()["error"]
