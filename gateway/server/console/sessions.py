"""Who may look at the console: sessions opened with an admin key, and a limit on wrong keys. Pure but for the dice."""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from dataclasses import dataclass

LONGEST_SECONDS = 12 * 3600.0
"""A session ends so long after its login, used or not."""
IDLE_SECONDS = 2 * 3600.0
"""And so long after its last request. A page that is open, and so listens to the stream, is in use."""
MOST_SESSIONS = 64
MOST_WRONG_KEYS = 5
"""From one address; as many again each `FORGIVEN_SECONDS`."""
FORGIVEN_SECONDS = 60.0
MOST_ADDRESSES = 1024


@dataclass(slots=True)
class _Session:
    opened_at: float
    used_at: float


class Sessions:
    """Only the digest of a session's token is kept: reading the gateway's memory opens no door. At most `most` at once:
    the one unused for longest makes room. Times are the caller's monotonic seconds."""

    def __init__(self, most: int = MOST_SESSIONS) -> None:
        self._most = most
        self._sessions: OrderedDict[bytes, _Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, now: float) -> str:
        """A new session's token: 256 random bits, URL-safe."""
        token = secrets.token_urlsafe(32)
        while len(self._sessions) >= self._most:
            self._sessions.popitem(last=False)
        self._sessions[_digest(token)] = _Session(now, now)
        return token

    def use(self, token: str | None, now: float) -> bool:
        """True while the session lives; this counts as a use of it.

        A token is looked up by its digest, so the time this takes says nothing of how much of a guess was right."""
        if token is None:
            return False
        digest = _digest(token)
        session = self._sessions.get(digest)
        if session is None:
            return False
        if now - session.opened_at >= LONGEST_SECONDS or now - session.used_at >= IDLE_SECONDS:
            del self._sessions[digest]
            return False
        session.used_at = now
        self._sessions.move_to_end(digest)
        return True

    def close(self, token: str | None) -> None:
        if token is not None:
            self._sessions.pop(_digest(token), None)


@dataclass(slots=True)
class _Tries:
    wrong: float
    at: float


class WrongKeys:
    """How many wrong keys each address has shown: a bucket that empties with time. At most `MOST_ADDRESSES` are
    remembered, the oldest is forgotten first; whoever holds more addresses than that still has 256 bits to guess."""

    def __init__(self) -> None:
        self._tries: OrderedDict[str, _Tries] = OrderedDict()

    def wait_seconds(self, address: str, now: float) -> float:
        """How long this address must wait before it may try again; 0: it may now."""
        tries = self._tries.get(address)
        if tries is None:
            return 0.0
        left = _drained(tries, now)
        if left <= MOST_WRONG_KEYS - 1:
            return 0.0
        return (left - (MOST_WRONG_KEYS - 1)) * FORGIVEN_SECONDS / MOST_WRONG_KEYS

    def note(self, address: str, now: float) -> None:
        """One more wrong key."""
        tries = self._tries.pop(address, None)
        while len(self._tries) >= MOST_ADDRESSES:
            self._tries.popitem(last=False)
        self._tries[address] = _Tries(1.0 + (0.0 if tries is None else _drained(tries, now)), now)

    def forgive(self, address: str) -> None:
        """The right key was shown."""
        self._tries.pop(address, None)


def _drained(tries: _Tries, now: float) -> float:
    return max(0.0, tries.wrong - (now - tries.at) * MOST_WRONG_KEYS / FORGIVEN_SECONDS)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
