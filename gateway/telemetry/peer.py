"""A backend as spans and metrics name it."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from gateway.backends.bedrock.endpoint import base_url
from gateway.policy.schema import BackendSettings
from gateway.telemetry.names import PROVIDERS


class Peer(msgspec.Struct, frozen=True):
    provider: str
    address: str
    port: int | None
    cost_kind: str | None

    @classmethod
    def of(cls, backend: BackendSettings) -> Peer:
        url = urlsplit(backend.base_url or base_url(backend))
        port = url.port or {"http": 80, "https": 443}.get(url.scheme)
        kind = None if backend.cost is None else backend.cost.kind
        return cls(PROVIDERS.get(backend.wire or "", "other"), url.hostname or "", port, kind)
