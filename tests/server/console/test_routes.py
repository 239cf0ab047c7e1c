"""The console over plain HTTP: who gets in, what every answer says of itself, and what is refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.gateway_process import ADMIN_KEY, API_KEY, GatewayProcess
from tests.server.console.conftest import policy
from tests.server.in_process import gateway_in_process


@pytest.fixture
def visitor(idle_gateway: GatewayProcess) -> Iterator[httpx.Client]:
    """A browser of the console's own page, without a session."""
    root = idle_gateway.root
    with httpx.Client(base_url=root, headers={"origin": root}, timeout=10) as client:
        yield client


@pytest.fixture
def owner(visitor: httpx.Client) -> httpx.Client:
    assert visitor.post("/console/login", json={"key": ADMIN_KEY}).status_code == 204
    return visitor


def test_every_answer_carries_the_strict_headers(visitor: httpx.Client) -> None:
    refused = visitor.get("/console/api/state")
    form = visitor.post("/console/login", data={"key": "wrong"})
    page = visitor.get("/console/login")
    assert (refused.status_code, form.status_code, page.status_code) == (401, 401, 200)
    static = visitor.get("/console/static/app.js")
    for answer in (refused, form, page, static, visitor.get("/console/static/nothing.js")):
        rules = dict(rule.split(" ", 1) for rule in answer.headers["content-security-policy"].split("; "))
        assert rules == {
            "default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "img-src": "'self' data:",
            "connect-src": "'self'", "form-action": "'self'", "base-uri": "'none'", "frame-ancestors": "'none'",
        }  # fmt: skip
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == ("no-cache" if answer is static else "no-store")
    assert refused.headers["referrer-policy"] == "no-referrer"
    assert page.headers["referrer-policy"] == "same-origin"  # else the form's Origin would be null


def test_without_a_session_there_is_the_login_and_nothing_else(visitor: httpx.Client) -> None:
    moved = visitor.get("/console")
    assert (moved.status_code, moved.headers["location"]) == (303, "/console/login")
    for path in ("state", "history?span=24h", "stream", "decisions/x", "replay"):
        answer = visitor.get(f"/console/api/{path}")
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "no_session"), path
    with_key = visitor.get("/console/api/state", headers={"authorization": f"Bearer {ADMIN_KEY}"})
    assert with_key.status_code == 401, "the figures are for sessions: /admin is for keys"


def test_the_key_opens_a_session_that_no_script_can_read(visitor: httpx.Client) -> None:
    answer = visitor.post("/console/login", data={"key": ADMIN_KEY})
    assert (answer.status_code, answer.headers["location"]) == (303, "/console")
    cookie = answer.headers["set-cookie"].lower()
    for said in ("httponly", "samesite=strict", "path=/console", "max-age=43200"):
        assert said in cookie
    assert "secure" not in cookie  # plain http here
    assert ADMIN_KEY not in cookie
    assert visitor.get("/console").headers["content-type"].startswith("text/html")
    assert visitor.get("/console/login").status_code == 303
    assert {"verdict", "tiles", "boxes", "run"} <= visitor.get("/console/api/state").json().keys()
    assert visitor.get("/console/api/history", params={"span": "24h"}).json()["span"] == "24h"
    assert visitor.get("/console/api/history", params={"span": "1y"}).status_code == 400
    assert visitor.get("/console/api/replay").status_code == 204
    assert visitor.get("/console/api/decisions/none").json()["error"]["code"] == "decision_not_found"


def test_behind_tls_the_cookie_is_for_tls_alone(visitor: httpx.Client) -> None:
    answer = visitor.post("/console/login", json={"key": ADMIN_KEY}, headers={"x-forwarded-proto": "https"})
    assert "secure" in answer.headers["set-cookie"].lower()


def test_logging_out_ends_the_session_itself(owner: httpx.Client) -> None:
    cookies = dict(owner.cookies)
    assert owner.post("/console/logout").status_code == 204
    owner.cookies.update(cookies)
    assert owner.get("/console/api/state").status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
    ],
)
def test_another_sites_form_neither_logs_in_nor_out(owner: httpx.Client, headers: dict[str, str]) -> None:
    for path in ("login", "logout"):
        answer = owner.post(f"/console/{path}", data={"key": ADMIN_KEY}, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "cross_site")
    assert owner.get("/console/api/state").status_code == 200


def test_a_login_that_cannot_be_read_says_so(visitor: httpx.Client) -> None:
    said = {"content-type": "application/json"}
    assert visitor.post("/console/login", content=b"{", headers=said).json()["error"]["code"] == "invalid_login"
    assert visitor.post("/console/login", content=b'{"key": 1}', headers=said).status_code == 400
    assert visitor.post("/console/login", content=b"key=" + b"x" * 5000).status_code == 413
    assert visitor.post("/console/login", json={"key": API_KEY}).status_code == 401, "a data key is no admin key"


async def test_wrong_keys_are_counted_and_never_keep_the_owner_out(
    peer_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with gateway_in_process(policy(peer_url), tmp_path, monkeypatch) as running, at(running.root) as visitor:
        tried = [(await visitor.post("/console/login", json={"key": f"guess {n}"})).status_code for n in range(6)]
        assert tried == [401] * 5 + [429]
        late = await visitor.post("/console/login", json={"key": "guess"})
        assert (late.status_code, late.json()["error"]["code"]) == (429, "too_many_tries")
        assert 0 < int(late.headers["retry-after"]) <= 14
        page = await visitor.post("/console/login", data={"key": "guess"})
        assert page.status_code == 429
        assert "Too many wrong keys. The next is looked at in " in page.text
        owner = await visitor.post("/console/login", json={"key": ADMIN_KEY})
        assert owner.status_code == 204, "from the same address"
    assert caplog.text.count("wrong admin key") == 5
    assert "guess" not in caplog.text


async def test_what_breaks_off_or_is_nested_too_deep_is_refused_and_leaves_no_traceback(
    peer_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with gateway_in_process(policy(peer_url), tmp_path, monkeypatch) as running, at(running.root) as visitor:
        deep = '{"a":' + "[" * 4000
        answer = await visitor.post("/console/login", content=deep, headers={"content-type": "application/json"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_login")
        host = running.root.removeprefix("http://")
        name, _, port = host.partition(":")
        head = f"POST /console/login HTTP/1.1\r\nhost: {host}\r\norigin: {running.root}\r\ncontent-length: 99\r\n\r\nk"
        _, gone = await asyncio.open_connection(name, int(port))
        gone.write(head.encode())
        await gone.drain()
        gone.close()
        long = await visitor.post("/console/login", json={"key": "x"}, headers={"x-forwarded-for": "A" * 60000})
        assert long.status_code == 401
    assert "Traceback" not in caplog.text
    assert len(caplog.text) < 1000


@pytest.mark.parametrize(
    ("rest", "status"),
    [
        (b"content-length: 6000\r\n\r\n" + b"x" * 5000, 413),
        (b"content-length: 99000000\r\n\r\n", 413),
        (b"transfer-encoding: chunked\r\n\r\nno size\r\n", 400),
    ],
    ids=["some of it came", "none of it came", "not HTTP"],
)
async def test_a_login_that_is_not_read_to_its_end_ends_its_connection(
    peer_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, rest: bytes,
    status: int,
) -> None:  # fmt: skip
    async with gateway_in_process(policy(peer_url), tmp_path, monkeypatch) as running:
        host = running.root.removeprefix("http://")
        name, _, port = host.partition(":")
        reader, writer = await asyncio.open_connection(name, int(port))
        head = f"POST /console/login HTTP/1.1\r\nhost: {host}\r\norigin: {running.root}\r\n"
        writer.write(head.encode() + rest)
        said = await reader.read()
        writer.close()
    assert said.startswith(b"HTTP/1.1 %d " % status)
    assert said.count(b"connection: close") == 1
    assert "Traceback" not in caplog.text


def test_files_are_kept_by_the_browser_until_they_change(visitor: httpx.Client) -> None:
    script = visitor.get("/console/static/app.js")
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    tag = script.headers["etag"]
    assert not tag.startswith("W/")
    for known in (tag, f'"other", {tag}', "*"):
        again = visitor.get("/console/static/app.js", headers={"if-none-match": known})
        assert (again.status_code, again.content) == (304, b"")
    assert visitor.get("/console/static/app.js", headers={"if-none-match": '"other"'}).status_code == 200


@pytest.mark.parametrize(
    "path", ["nothing.js", "index.html", "vendor/README.md", "../routes.py", "%2e%2e/routes.py", "vendor/", ""]
)
def test_only_the_pages_own_files_are_served(visitor: httpx.Client, path: str) -> None:
    assert visitor.get(f"/console/static/{path}").status_code == 404


async def test_the_replay_report_is_shown_when_it_is_there(
    peer_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    replay_report: str,
) -> None:
    file = tmp_path / "replay.json"
    settings = policy(peer_url, console={"replay_report": str(file)})
    async with gateway_in_process(settings, tmp_path, monkeypatch) as running, at(running.root) as owner:
        await owner.post("/console/login", json={"key": ADMIN_KEY})
        assert (await owner.get("/console/api/replay")).status_code == 204
        file.write_text(replay_report)
        assert (await owner.get("/console/api/replay")).json() == json.loads(replay_report)
        file.write_text("half a repo")
        assert (await owner.get("/console/api/replay")).status_code == 204
    assert "console.replay_report" in caplog.text


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"console": {"enabled": False}}, "console.enabled"),
        ({"auth": {"open": True}}, "auth.admin_keys"),
    ],
)
async def test_without_a_console_every_address_says_why(
    peer_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, object], why: str
) -> None:
    settings = policy(peer_url, **changed)
    async with gateway_in_process(settings, tmp_path, monkeypatch) as running, at(running.root) as visitor:
        for path in ("", "/login", "/static/app.js", "/api/state"):
            answer = await visitor.get(f"/console{path}")
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_console")
            assert why in answer.json()["error"]["message"]


def at(root: str) -> httpx.AsyncClient:
    """A browser of the console's own page."""
    return httpx.AsyncClient(base_url=root, headers={"origin": root}, timeout=10)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/console/nothing/here", 404), ("PUT", "/console/login", 405), ("GET", "/console/", 307)],
)
def test_what_the_console_does_not_have_is_refused_with_its_headers_too(
    visitor: httpx.Client, method: str, path: str, status: int
) -> None:
    answer = visitor.request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"


def test_who_is_not_logged_in_learns_nothing_of_what_a_request_should_look_like(visitor: httpx.Client) -> None:
    assert visitor.get("/console/api/history", params={"span": "1y"}).status_code == 401


def test_the_rest_of_the_gateway_has_headers_of_its_own(visitor: httpx.Client) -> None:
    assert "content-security-policy" not in visitor.get("/health/live").headers
