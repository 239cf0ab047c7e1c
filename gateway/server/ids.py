"""Names of requests: they sort by time, and no two are alike, over restarts too. They are no secrets."""

from __future__ import annotations

import secrets
from itertools import count
from time import time

_run = secrets.token_hex(4)
_count = count(secrets.randbits(16))


def new_id() -> str:
    """23 hexadecimal digits: milliseconds since 1970, this run, and the request's number in it. (Asking the system for
    chance each time took 2 microseconds.)"""
    return f"{int(time() * 1000):011x}{_run}{next(_count) & 0xFFFF:04x}"
