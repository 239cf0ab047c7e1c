"""Where a model is called: `POST {endpoint}/model/{model id as one quoted segment}/{operation}`."""

from __future__ import annotations

import ipaddress
from urllib.parse import quote, urlsplit

from gateway.policy.schema import BackendSettings


def base_url(settings: BackendSettings) -> str:
    """The configured endpoint, or the region's public one. No slash at the end."""
    if settings.endpoint_url:
        return settings.endpoint_url.rstrip("/")
    region = settings.region or ""
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://bedrock-runtime.{region}.{domain}"


def model_url(base: str, model: str, operation: str) -> str:
    """Every reserved character of the id is quoted: an ARN's slash must arrive as %2F, within one segment."""
    return f"{base}/model/{quote(model, safe='')}/{operation}"


def is_private(url: str) -> bool:
    """May a bearer token be sent there? Over TLS, or to this very machine."""
    parts = urlsplit(url)
    if parts.scheme == "https" or parts.hostname == "localhost":
        return True
    try:
        return ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False
