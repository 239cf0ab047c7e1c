"""Who may ask, and where the gateway listens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field

from gateway.policy.base import Name, PositiveFloat, Settings


class KeySettings(Settings):
    """An API key: its SHA-256 in hex, or the name of the environment variable that holds the key itself."""

    name: Name
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    env: str | None = Field(
        None, description="checked when the policy is read; unset is an error", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$"
    )
    may_pin: bool = Field(False, description="may choose the backend with x-crossover-backend")

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[str]:
        if (given.get("sha256") is None) == (given.get("env") is None):
            yield "give either sha256 (`crossover policy hash-key` makes it) or env"


class AuthSettings(Settings):
    keys: tuple[KeySettings, ...] = ()
    admin_keys: tuple[KeySettings, ...] = ()
    open: bool = Field(False, description="true: requests need no key (only sensible on loopback)")


class ServerSettings(Settings):
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    metrics_host: str = "127.0.0.1"
    metrics_port: Annotated[int, Field(ge=0, le=65535)] = 9464
    max_body_bytes: Annotated[int, Field(ge=1024)] = 20 * 1024 * 1024
    body_timeout_seconds: PositiveFloat = 30.0
    drain_seconds: Annotated[float, Field(ge=0)] = Field(20.0, description="time that running answers get at shutdown")

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[str]:
        port, host, metrics_port, metrics_host = (
            given.get(name, cls.model_fields[name].default) for name in ("port", "host", "metrics_port", "metrics_host")
        )
        anywhere = "0.0.0.0", "::"  # noqa: S104  compared, not bound
        same_host = host == metrics_host or host in anywhere or metrics_host in anywhere
        if port == metrics_port and port != 0 and same_host:
            yield f"port and metrics_port are both {port} on the same host: give each its own"
