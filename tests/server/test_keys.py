"""The key of a request: in `Authorization: Bearer`, in `x-api-key`, or the same in both."""

from __future__ import annotations

import hashlib

import pytest

from gateway.policy.schema import AuthSettings, KeySettings
from gateway.server.auth import ANYONE, Doors


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


DOORS = Doors(
    AuthSettings(
        keys=[KeySettings(name="app", sha256=digest("right")), KeySettings(name="other", sha256=digest("also-right"))],
        admin_keys=[KeySettings(name="owner", sha256=digest("the-owners"))],
    )
)


@pytest.mark.parametrize(
    ("authorization", "api_key", "name"),
    [
        (b"Bearer right", None, "app"),
        (b"bearer  right ", None, "app"),
        (None, b"right", "app"),
        (None, b" right ", "app"),
        (b"Bearer right", b"right", "app"),
        (b"Bearer right", b"also-right", None),
        (b"Bearer right", b"", None),
        (b"Bearer wrong", b"right", None),
        (b"Basic cmlnaHQ=", b"right", None),
        (b"Bearer ", b"right", None),
        (None, b"wrong", None),
        (None, b"", None),
        (None, None, None),
        (None, b"x" * 10_000, None),
        (b"Bearer " + b"x" * 10_000, None, None),
        (None, b"the-owners", None),
    ],
)
def test_who_asks(authorization: bytes | None, api_key: bytes | None, name: str | None) -> None:
    caller = DOORS.data(authorization, api_key)
    assert (None if caller is None else caller.name) == name


def test_an_open_gateway_asks_for_no_key() -> None:
    assert Doors(AuthSettings(open=True)).data(None, None) is ANYONE
