"""API keys: who may ask. Only SHA-256 digests are kept; comparing takes the same time whichever key is wrong."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Sequence

import msgspec

from gateway.policy.schema import AuthSettings, KeySettings

MAX_KEY_BYTES = 512


class Caller(msgspec.Struct, frozen=True):
    """Whoever holds a key, by the key's name in the policy."""

    name: str
    may_pin: bool


ANYONE = Caller("anyone", True)


class Keyring:
    """The keys of one kind (data or admin)."""

    def __init__(self, keys: Sequence[KeySettings]) -> None:
        self._keys = [(_digest_of(key), Caller(key.name, key.may_pin)) for key in keys]

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"Keyring({[caller.name for _, caller in self._keys]})"

    def caller(self, authorization: bytes | None, api_key: bytes | None = None) -> Caller | None:
        """The holder of the key in an `Authorization: Bearer ...` header, or of `api_key`, that of an `x-api-key`
        header; None: no key, none of ours, or two different ones.

        Every key is compared, in constant time, so that time says nothing of which was nearly right."""
        key = api_key
        if authorization is not None:
            scheme, _, key = authorization.partition(b" ")
            if scheme.lower() != b"bearer":
                return None
        if not key or len(key) > MAX_KEY_BYTES:
            return None
        digest = hashlib.sha256(key.strip()).digest()
        if api_key is not None and not hmac.compare_digest(digest, hashlib.sha256(api_key.strip()).digest()):
            return None
        found: Caller | None = None
        for known, caller in self._keys:
            if hmac.compare_digest(known, digest):
                found = caller
        return found


class Doors:
    """Who may use the API, and who the admin pages."""

    def __init__(self, settings: AuthSettings) -> None:
        self._data = Keyring(settings.keys)
        self._admin = Keyring(settings.admin_keys)
        self._open = settings.open

    def data(self, authorization: bytes | None, api_key: bytes | None = None) -> Caller | None:
        return ANYONE if self._open else self._data.caller(authorization, api_key)

    def admin(self, authorization: bytes | None) -> Caller | None:
        """There is no open admin: without an admin key in the policy nobody gets in."""
        return self._admin.caller(authorization)


def _digest_of(key: KeySettings) -> bytes:
    if key.sha256 is not None:
        return bytes.fromhex(key.sha256)
    return hashlib.sha256(os.environ[key.env or ""].encode()).digest()
