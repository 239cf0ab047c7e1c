"""Sessions and wrong keys by the clock, where requests come from, and the files as they are kept."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from gateway.server.console.files import FOLDER, read_files
from gateway.server.console.origin import from_own_page
from gateway.server.console.replay_report import ReplayReport
from gateway.server.console.sessions import (
    FORGIVEN_SECONDS,
    IDLE_SECONDS,
    LONGEST_SECONDS,
    MOST_ADDRESSES,
    MOST_WRONG_KEYS,
    Sessions,
    WrongKeys,
)


def test_a_session_ends_when_it_is_idle_or_old() -> None:
    sessions = Sessions()
    token = sessions.open(0.0)
    assert sessions.use(token, IDLE_SECONDS - 1)
    assert not sessions.use(token, 2 * IDLE_SECONDS - 1)
    assert len(sessions) == 0
    kept_busy = sessions.open(0.0)
    for at in range(0, int(LONGEST_SECONDS), 3600):
        assert sessions.use(kept_busy, float(at))
    assert not sessions.use(kept_busy, LONGEST_SECONDS)


def test_a_guess_and_a_closed_session_open_nothing() -> None:
    sessions = Sessions()
    token = sessions.open(0.0)
    assert len(token) == 43  # 256 bits
    assert not sessions.use(None, 0.0)
    assert not sessions.use(token[:-1], 0.0)
    sessions.close(token)
    assert not sessions.use(token, 0.0)
    assert token not in repr(vars(sessions))


def test_the_session_unused_for_longest_makes_room() -> None:
    sessions = Sessions(most=2)
    first, second = sessions.open(0.0), sessions.open(1.0)
    sessions.use(first, 2.0)
    third = sessions.open(3.0)
    assert [sessions.use(token, 4.0) for token in (first, second, third)] == [True, False, True]


def test_an_address_may_be_wrong_a_few_times_a_minute() -> None:
    tries = WrongKeys()
    for at in range(MOST_WRONG_KEYS):
        assert tries.wait_seconds("a", float(at)) == 0
        tries.note("a", float(at))
    wait = tries.wait_seconds("a", 5.0)
    assert 0 < wait <= FORGIVEN_SECONDS / MOST_WRONG_KEYS
    assert tries.wait_seconds("b", 5.0) == 0
    assert tries.wait_seconds("a", 5.0 + wait + 0.001) == 0
    tries.forgive("a")
    assert tries.wait_seconds("a", 5.0) == 0


def test_the_addresses_remembered_are_bounded() -> None:
    tries = WrongKeys()
    for number in range(MOST_ADDRESSES + 10):
        tries.note(f"address {number}", 0.0)
    assert len(tries._tries) == MOST_ADDRESSES


@pytest.mark.parametrize(
    ("fetch_site", "origin", "host", "own"),
    [
        ("same-origin", None, "gw", True),
        ("same-origin", "null", "gw", True),
        ("cross-site", "http://gw", "gw", False),
        ("none", None, "gw", False),
        (None, "https://gw:8080", "GW:8080", True),
        (None, "https://gw:8081", "gw:8080", False),
        (None, "file://gw", "gw", False),
        (None, "null", "gw", False),
        (None, None, "gw", False),
        (None, "http://gw", None, False),
    ],
)
def test_a_request_is_from_our_page_when_the_browser_says_so(
    fetch_site: str | None, origin: str | None, host: str | None, own: bool
) -> None:
    assert from_own_page(fetch_site, origin, host) is own


def test_the_vendored_library_is_what_its_note_says() -> None:
    vendor = FOLDER / "vendor"
    noted = dict(re.findall(r"^([0-9a-f]{64})  (\S+)$", (vendor / "README.md").read_text(), re.MULTILINE))
    assert sorted(noted.values()) == sorted(path.name for path in vendor.iterdir() if path.name != "README.md")
    for digest, name in noted.items():
        assert hashlib.sha256((vendor / name).read_bytes()).hexdigest() == digest


def test_nothing_on_the_page_asks_for_another_host_or_a_style_of_its_own() -> None:
    for name, file in read_files().items():
        text = file.body.decode()
        own = name.endswith((".html", ".css", ".js")) and not name.startswith("vendor/")
        if own:
            addresses = set(re.findall(r"https?://[^\"'\s)]+", text)) - {"http://www.w3.org/2000/svg"}
            assert addresses == set(), name
            assert " style=" not in text, name
            assert "innerHTML" not in text, name
            assert len(text.splitlines()) <= 300, f"{name} is long: one part a file"


def test_a_report_is_read_once_until_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "replay.json"
    report = ReplayReport(str(file))
    assert report.read() is None
    file.write_text('{"schema": 1, "replays": []}')
    first = report.read()
    assert first == b'{"schema": 1, "replays": []}'
    assert report.read() is first
    file.write_text('{"schema": 1}')
    assert report.read() is None
    assert ReplayReport(None).read() is None
