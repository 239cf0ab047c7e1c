"""How long to wait before a request that was turned away is sent again. Pure; the clock is passed in."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime

FIRST_WAIT_SECONDS = 0.5


def wait_seconds(retry_after: str | None, tries_before: int, now: float, longest_seconds: float) -> float | None:
    """Seconds; None: the server asks for more than `longest_seconds`, so it is not asked again.

    retry_after: the header as it came, seconds or a date. Without one that can be read, the wait doubles each time.
    tries_before: requests already sent, at least 1. now: wall clock, seconds since 1970.
    """
    asked = _asked(retry_after, now)
    if asked is None:
        return min(longest_seconds, FIRST_WAIT_SECONDS * 2.0 ** min(tries_before - 1, 30))
    return asked if asked <= longest_seconds else None


def _asked(retry_after: str | None, now: float) -> float | None:
    value = (retry_after or "").strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value):
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, OverflowError):
        return None
