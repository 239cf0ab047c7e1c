"""Where a version is published: the alias and the backend, and how to reach the gateway and the model server."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gateway.policy import PolicyError, load_policy
from gateway.policy.checks import is_loopback
from gateway.policy.schema import Policy
from trainer.publish.errors import PublishError
from trainer.publish.gateway_admin import GatewayAdmin
from trainer.publish.model_server import ModelServer
from trainer.registry import Registry, Version

if TYPE_CHECKING:
    from trainer.gate.terms import NamedGate

_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  compared, not bound


@dataclass(frozen=True, slots=True)
class Place:
    """`sharing`: the policy's backends that are this same model server, this one among them."""

    alias: str
    backend: str
    gateway: GatewayAdmin
    server: ModelServer
    registry: Registry
    max_lora_rank: int = 16
    registry_there: PurePath | None = None
    """The registry's folder as the model server sees it; None: as it is here."""
    sharing: frozenset[str] = frozenset()
    warnings: tuple[str, ...] = ()
    """What is doubtful in the way there."""
    gate: str | None = None
    """Name of the gate whose verdicts count; None: any gate's."""
    asks: NamedGate | None = None
    """What that gate asks for now; None: any of that name counts."""

    @property
    def name(self) -> str:
        return f"{self.alias} on {self.backend}"

    def folder(self, version: Version) -> PurePath:
        """What vLLM is told to load: absolute, on its own machine."""
        root = self.registry.root.absolute()
        adapter = version.adapter.absolute()
        return adapter if self.registry_there is None else self.registry_there / adapter.relative_to(root)


def find_place(
    policy_file: str | Path,
    alias: str,
    backend: str,
    registry: str | Path,
    *,
    max_lora_rank: int = 16,
    gateway_url: str | None = None,
    server_url: str | None = None,
    registry_there: str | None = None,
    admin_key_variable: str | None = None,
    gate: str | None = None,
    asks: NamedGate | None = None,
    environ: Mapping[str, str] | None = None,
) -> Place:
    """From the gateway's own policy file; what is given wins over it. Raises PublishError for what is wrong in it."""
    environ = os.environ if environ is None else environ
    try:
        policy = load_policy(policy_file, environ, require_environment=False)
    except PolicyError as error:
        raise PublishError("settings", f"the gateway's policy cannot be read:\n{error}", 2) from None
    served = policy.aliases.get(alias)
    if served is None:
        known = ", ".join(policy.aliases) or "none"
        raise PublishError("settings", f"publish.alias is {alias!r}; the aliases of {policy_file} are: {known}", 2)
    if all(target.backend != backend for target in served.served_by):
        known = ", ".join(target.backend for target in served.served_by)
        raise PublishError("settings", f"publish.backend is {backend!r}; {alias} is served by: {known}", 2)
    settings = policy.backends[backend]
    if settings.wire != "openai":
        raise PublishError(
            "settings",
            f"the backend {backend} speaks {settings.wire}: adapters are published to a vLLM server (wire openai). For "
            "Bedrock, import the merged model and name it in the policy",
            2,
        )
    server = ((settings.base_url or "") if server_url is None else _server(server_url)).rstrip("/")
    key = None
    if settings.api_key is not None:
        key = _sendable(settings.api_key.get_secret_value(), f"the api_key of the backend {backend}")
    gateway = _gateway_url(policy) if gateway_url is None else _given(gateway_url)
    warnings = [
        f"{what} crosses the network in clear text to {host}: use https, or a tunnel to a loopback address"
        for what, host in (("the admin key", _in_clear(gateway)), ("vLLM's key", key and _in_clear(server)))
        if host
    ]
    return Place(
        alias,
        backend,
        GatewayAdmin(gateway, _admin_key(policy, admin_key_variable, environ)),
        ModelServer(server if server.endswith("/v1") else f"{server}/v1", key),
        Registry(Path(registry)),
        max_lora_rank,
        None if registry_there is None else PurePath(registry_there),
        frozenset(
            name for name, other in policy.backends.items() if other.base_url is not None
            and _who_listens(other.base_url) == _who_listens(settings.base_url or "")
        ),
        tuple(warnings),
        gate,
        asks,
    )  # fmt: skip


def _given(url: str) -> str:
    """The admin key would go there."""
    if not _is_address(url):
        raise PublishError("settings", f"{url!r} is no address of a gateway: write it like http://127.0.0.1:8080", 2)
    if host := _in_clear(url):
        raise PublishError(
            "settings", f"the admin key would cross the network in clear text to {host}: use https, or a tunnel to a "
            "loopback address", 2,
        )  # fmt: skip
    return url.rstrip("/").removesuffix("/v1")


def _server(url: str) -> str:
    if not _is_address(url):
        raise PublishError(
            "settings", f"{url!r} is no address of a model server: write it like http://127.0.0.1:8000/v1", 2
        )
    return url


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and url.isprintable()
    except ValueError:
        return False


def _in_clear(url: str) -> str | None:
    """The host, where a key would be read by whoever is between."""
    parts = urlsplit(url)
    return parts.hostname if parts.scheme == "http" and not is_loopback(parts.hostname or "") else None


def _who_listens(url: str) -> tuple[str, str, int, str]:
    """Equal for two ways to write one server's address."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return parts.scheme, "127.0.0.1" if is_loopback(host) else host, port, parts.path.rstrip("/")


def _sendable(key: str, what: str) -> str:
    """Without the line's end that a file or a shell leaves. The key is in no message."""
    key = key.strip()
    if not key.isprintable() or any(ord(letter) > 0xFF for letter in key):
        raise PublishError("settings", f"{what} holds characters that no HTTP header can carry: set it anew", 2)
    return key


def _gateway_url(policy: Policy) -> str:
    if policy.server.port == 0:
        raise PublishError(
            "settings", "the policy lets the gateway take any free port (server.port: 0): say where it is with "
            "--gateway", 2,
        )  # fmt: skip
    host = _ANYWHERE.get(policy.server.host, policy.server.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{policy.server.port}"


def _admin_key(policy: Policy, variable: str | None, environ: Mapping[str, str]) -> str:
    """From the environment alone: a command line can be read by every user of the machine."""
    named = [key.env for key in policy.auth.admin_keys if key.env is not None] if variable is None else [variable]
    for name in named:
        if key := _sendable(environ.get(name, ""), f"the environment variable {name}"):
            return key
    if named:
        raise PublishError("settings", f"the environment variable {named[0]} is not set: it must hold an admin key", 2)
    raise PublishError(
        "settings",
        "the policy names no environment variable for an admin key (auth.admin_keys has none, or hashes alone): give "
        "the name of one that holds the key with --admin-key-env",
        2,
    )
