"""Who signs a request: SigV4 for service `bedrock` or `s3vectors`, or a bearer key, which is for Bedrock alone.

Without configured credentials only the form is checked; with them the signature is computed and compared.
"""

from __future__ import annotations

import hmac
import re
from datetime import UTC, datetime, timedelta
from typing import Literal

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials

from gateway.sandbox.bedrock.errors import BedrockError
from gateway.sandbox.bedrock.settings import SandboxSettings

_SIGV4 = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/,\s]+)/(?P<date>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request,"
    r"\s*SignedHeaders=(?P<signed>[^,\s]+),\s*Signature=(?P<signature>[0-9a-f]{64})$"
)
_SKEW = timedelta(minutes=5)


def authenticate(
    method: str,
    raw_path: bytes,
    query: bytes,
    headers: dict[str, str],
    body: bytes,
    settings: SandboxSettings,
    service: Literal["bedrock", "s3vectors"] = "bedrock",
) -> None:
    """BedrockError (403) when the request is not signed, or not by the configured credentials."""
    given = headers.get("authorization", "")
    if not given:
        raise BedrockError("MissingAuthenticationTokenException", "Missing Authentication Token")
    credentials = settings.credentials
    if given.startswith("Bearer "):
        if service != "bedrock":
            raise BedrockError(
                "AccessDeniedException", f"A Bedrock API key is not valid for {service}: sign the request."
            )
        key = given.removeprefix("Bearer ").strip()
        wanted = credentials.bearer_key if credentials else None
        if not key or (wanted and not hmac.compare_digest(key.encode(), wanted.get_secret_value().encode())):
            raise BedrockError("AccessDeniedException", "Authentication failed: the API key is not valid.")
        return
    match = _SIGV4.match(given)
    date = headers.get("x-amz-date", "")
    if match is None or not date:
        raise BedrockError(
            "IncompleteSignatureException",
            "Authorization needs Credential, SignedHeaders and Signature, and an X-Amz-Date header beside it.",
        )
    if match["service"] != service or match["region"] != settings.region:
        raise BedrockError(
            "InvalidSignatureException",
            f"Credential should be scoped to {settings.region}/{service}, not {match['region']}/{match['service']}.",
        )
    if credentials is None:
        return
    if match["key"] != credentials.access_key_id:
        raise BedrockError("UnrecognizedClientException", "The security token included in the request is invalid.")
    _check_age(date)
    request = AWSRequest(
        method=method,
        url=f"http://{headers.get('host', '')}{raw_path.decode()}" + (f"?{query.decode()}" if query else ""),
        headers={name: headers.get(name, "") for name in match["signed"].split(";")},
        data=body,
    )
    request.context["timestamp"] = date
    token = credentials.session_token
    secret = credentials.secret_access_key.get_secret_value()
    signer = SigV4Auth(
        BotocoreCredentials(credentials.access_key_id, secret, token.get_secret_value() if token else None),
        service,
        settings.region,
    )
    to_sign = signer.string_to_sign(request, signer.canonical_request(request))
    if not hmac.compare_digest(signer.signature(to_sign, request), match["signature"]):
        raise BedrockError(
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided. "
            "Check the secret access key and the signing of the path.",
        )


def _check_age(date: str) -> None:
    try:
        signed = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise BedrockError("IncompleteSignatureException", f"X-Amz-Date {date!r} is not YYYYMMDDTHHMMSSZ.") from None
    if abs(datetime.now(UTC) - signed) > _SKEW:
        raise BedrockError("InvalidSignatureException", f"Signature expired: {date} is more than 5 minutes from now.")
