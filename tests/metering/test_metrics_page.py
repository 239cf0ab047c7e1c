"""The metrics page takes little from the gateway, whoever connects to it, and breaks no line of the log."""

from __future__ import annotations

import logging
import socket
import struct
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter

from gateway.metering import metrics_page
from gateway.metering.metrics_page import MOST_CONNECTIONS, serve_page

Address = tuple[str, int]


@pytest.fixture
def address() -> Iterator[Address]:
    registry = CollectorRegistry()
    Counter("asked", "Times.", registry=registry).inc()
    server = serve_page(registry, "127.0.0.1", 0)
    yield "127.0.0.1", server.server_port
    server.shutdown()
    server.server_close()


def page(address: Address, **headers: str) -> httpx.Response:
    return httpx.get(f"http://{address[0]}:{address[1]}/metrics", headers=headers, timeout=10)


def closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


def test_a_scrape_is_answered(address: Address) -> None:
    assert "asked_total 1.0" in page(address).text


def test_connections_that_say_nothing_take_few_threads_and_go(
    address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_page._Handler, "timeout", 0.5)
    before = threading.active_count()
    silent = [socket.create_connection(address, timeout=10) for _ in range(MOST_CONNECTIONS + 20)]
    assert closed(silent[-1])
    assert threading.active_count() <= before + MOST_CONNECTIONS
    assert all(closed(connection) for connection in silent)
    for connection in silent:
        connection.close()
    while threading.active_count() > before:
        time.sleep(0.01)
    assert page(address).status_code == 200


def test_a_scraper_that_breaks_off_leaves_no_traceback(
    address: Address, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    for sent in (b"GET /met", b"GET /metrics HTTP/1.1\r\n\r\n"):
        connection = socket.create_connection(address)
        connection.sendall(sent)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # ends with a reset
        connection.close()
    assert page(address).status_code == 200
    assert (capfd.readouterr().err, caplog.records) == ("", [])


def test_a_page_that_cannot_be_made_is_said_in_the_log(
    address: Address, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    odd = "application/openmetrics-text; version=1.x"
    with caplog.at_level(logging.ERROR):
        answer = page(address, accept=odd)
    assert answer.status_code in (200, 500)
    assert capfd.readouterr().err == ""
    assert (answer.status_code == 500) == bool(caplog.records)
