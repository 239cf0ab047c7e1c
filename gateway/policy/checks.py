"""What must hold between the sections of a policy, and between the policy and its environment.

Each check reads the raw values (they may be wrong in other ways: all errors are reported at once) and says nothing
about what it cannot judge.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from gateway.policy.adapters import other_generations
from gateway.policy.problem import PathInPolicy
from gateway.policy.walk import closest

URL_SETTINGS = ("base_url", "endpoint_url", "metrics_url")


@dataclass(frozen=True, slots=True)
class Broken:
    path: PathInPolicy
    message: str
    mend: str
    show_value: bool = False


def check_sections(data: Any, environ: Mapping[str, str], *, environment: bool = True) -> Iterator[Broken]:
    """Every check. `environment` False: the variables that keys name are not looked up."""
    yield from _aliases(data)
    yield from _keys(data, environ, environment)
    yield from _shared_keys(data, environ)
    yield from _passwords_in_urls(data)
    yield from _cleartext_tokens(data, environ)
    yield from _open_door(data)


def is_loopback(host: str) -> bool:
    host = host.strip("[]").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _aliases(data: Any) -> Iterator[Broken]:
    backends = _mapping(data, "backends")
    for alias, settings in _mapping(data, "aliases").items():
        entries = _get(settings, "served_by")
        if not isinstance(entries, list):
            continue
        path: PathInPolicy = ("aliases", alias)
        for index, entry in enumerate(entries):
            if isinstance(entry, dict):
                yield from _entry(entry, backends, (*path, "served_by", index))
        for index, generation, first in other_generations(entries):
            yield Broken(
                (*path, "served_by", index, "generation"),
                f"this is {generation}, and another entry of the alias serves {first}",
                "give both the same generation, or set may_lag: true on the one that may be behind",
            )
        needs = _get(settings, "needs")
        classes = {_get(entry, "quality") for entry in entries}
        if isinstance(needs, str) and needs != "any" and entries and not classes & {None, needs}:
            offered = ", ".join(sorted(str(quality) for quality in classes))
            yield Broken(
                (*path, "needs"),
                f"no served_by entry gives the quality class {needs!r}: they give {offered}",
                f"add a backend whose quality is {needs}, or lower needs",
            )


def _entry(entry: dict[str, Any], backends: dict[str, Any], path: PathInPolicy) -> Iterator[Broken]:
    name = entry.get("backend")
    if not isinstance(name, str):
        return
    if name not in backends:
        meant = closest(name, backends)
        known = ", ".join(backends) or "none"
        mend = f"did you mean `{meant}`?" if meant else f"the backends are: {known}"
        yield Broken((*path, "backend"), "names no backend of this policy", mend, show_value=True)
        return
    backend = backends[name]
    if not isinstance(backend, dict):
        return
    wire = backend.get("wire")
    if wire is None:
        yield Broken(
            (*path, "backend"),
            f"backend {name} has no wire: it is a price on paper and can serve nothing",
            f"give backends.{name} a wire, or take it out of served_by",
        )
    elif wire == "openai":
        for key in ("api", "body"):
            if key in entry:
                yield Broken(
                    (*path, key),
                    f"belongs to wire bedrock, but backend {name} speaks {wire}",
                    "remove it",
                    show_value=True,
                )


def _keys(data: Any, environ: Mapping[str, str], environment: bool) -> Iterator[Broken]:
    names: dict[str, PathInPolicy] = {}
    for section in ("keys", "admin_keys"):
        entries = _get(_get(data, "auth"), section)
        for index, key in enumerate(entries if isinstance(entries, list) else []):
            path: PathInPolicy = ("auth", section, index)
            name = _get(key, "name")
            if isinstance(name, str):
                if name in names:
                    first = names[name]
                    yield Broken(
                        (*path, "name"),
                        f"another key has this name (auth.{first[1]}[{first[2]}])",
                        "give each its own: the books are kept by it",
                        show_value=True,
                    )
                names.setdefault(name, path)
            variable = _get(key, "env")
            if environment and isinstance(variable, str) and variable.isidentifier() and not environ.get(variable):
                state = "empty" if variable in environ else "not set"
                yield Broken(
                    (*path, "env"),
                    f"the environment variable {variable} is {state}",
                    "set it to the key, or give the key's sha256 (`crossover policy hash-key` makes it)",
                )


def _shared_keys(data: Any, environ: Mapping[str, str]) -> Iterator[Broken]:
    """One secret under two names: the gateway could not tell who asks, nor an owner from an application."""
    seen: dict[str, PathInPolicy] = {}
    for section in ("keys", "admin_keys"):
        entries = _get(_get(data, "auth"), section)
        for index, key in enumerate(entries if isinstance(entries, list) else []):
            digest, variable = _get(key, "sha256"), _get(key, "env")
            field = "sha256"
            if isinstance(variable, str) and environ.get(variable):
                digest, field = hashlib.sha256(environ[variable].encode()).hexdigest(), "env"
            if not isinstance(digest, str):
                continue
            if digest in seen:
                first = seen[digest]
                yield Broken(
                    ("auth", section, index, field),
                    f"the same key as auth.{first[1]}[{first[2]}]",
                    "give each its own: it tells who asks, and an owner from an application",
                )
            seen.setdefault(digest, ("auth", section, index))


def _passwords_in_urls(data: Any) -> Iterator[Broken]:
    for name, backend in _mapping(data, "backends").items():
        for key in URL_SETTINGS:
            if has_userinfo(_get(backend, key)):
                yield Broken(
                    ("backends", name, key),
                    "holds a user name or password before an @",
                    "use api_key" if key == "base_url" else "take it out: api_key and credentials are for secrets",
                )


def has_userinfo(url: Any) -> bool:
    """Whether `user:password@` stands before the host; also where the password holds a / of its own."""
    if not isinstance(url, str) or "@" not in url:
        return False
    rest = url.rpartition("://")[2] if url.count("://") == 1 else url
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    port = authority.rpartition(":")[2] if ":" in authority and not authority.endswith("]") else "0"
    return "@" in authority or not port.isdigit()


def _cleartext_tokens(data: Any, environ: Mapping[str, str]) -> Iterator[Broken]:
    for name, backend in _mapping(data, "backends").items():
        path: PathInPolicy = ("backends", name)
        credentials = _get(backend, "credentials")
        from_environ = environ.get("AWS_BEARER_TOKEN_BEDROCK") and not _get(credentials, "access_key_id")
        for url_key, token, whence in (
            ("base_url", _get(backend, "api_key"), "api_key"),
            ("endpoint_url", _get(credentials, "bearer_token"), "credentials.bearer_token"),
            ("endpoint_url", from_environ, "AWS_BEARER_TOKEN_BEDROCK"),
        ):
            host = _cleartext_host(_get(backend, url_key))
            if token and host is not None:
                yield Broken(
                    (*path, url_key),
                    f"{whence} would cross the network in clear text to {host}",
                    "use https, or a loopback address, or leave the token out",
                )
                break


def _cleartext_host(url: Any) -> str | None:
    """The host of a plain http URL that is not on loopback; None for every other URL."""
    if not isinstance(url, str) or not url.startswith("http://"):
        return None
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return None
    return host if host and not is_loopback(host) else None


def _open_door(data: Any) -> Iterator[Broken]:
    host = _get(_get(data, "server"), "host")
    if isinstance(host, str) and not is_loopback(host) and _get(_get(data, "auth"), "open") is True:
        yield Broken(
            ("server", "host"),
            "auth.open lets anyone in, and this address is not loopback",
            "listen on 127.0.0.1, or set auth.open: false and give keys",
            show_value=True,
        )


def _get(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def _mapping(data: Any, key: str) -> dict[str, Any]:
    value = _get(data, key)
    return value if isinstance(value, dict) else {}
