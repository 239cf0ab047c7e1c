"""Clients of AWS services through botocore, and what their refusals mean. Blocking: for commands, not for a server."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import botocore.config
import botocore.exceptions
import botocore.parsers
import botocore.session

ATTEMPTS = 8
"""Of one call. botocore waits between them, longer each time up to 20 s, when it is throttled (429) or fails (5xx)."""
_CONNECT_SECONDS = 10.0
_READ_SECONDS = 60.0
CONNECTIONS = 16

_MENDS = {
    "AccessDeniedException": "allow {service}:{operation} (and for filters and texts {service}:GetVectors)",
    "NotFoundException": "make it first, or check the name and the region",
    "ConflictException": "choose another name, or replace it",
    "TooManyRequestsException": f"{ATTEMPTS} attempts were made: try later, or with less at a time",
    "ThrottlingException": f"{ATTEMPTS} attempts were made: try later, or with less at a time",
    "ServiceQuotaExceededException": "ask AWS for more, or use less",
    "UnrecognizedClientException": "check the credentials",
    "ExpiredTokenException": "log in again",
}


class AwsError(RuntimeError):
    """A call to AWS failed. `code`: AWS's own word, like `NotFoundException`; empty where there was no answer."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


def client(service: str, region: str | None, endpoint_url: str | None) -> Any:
    """A client for `s3vectors` or `bedrock-runtime`. Credentials, and what is None here, are found as AWS's own tools
    find them: the environment, profiles, roles. AWS_REGION is read here: botocore knows AWS_DEFAULT_REGION alone.
    Raises AwsError."""
    config = botocore.config.Config(
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        max_pool_connections=CONNECTIONS,
    )
    session = botocore.session.get_session()
    try:
        where = region or os.environ.get("AWS_REGION") or None
        return session.create_client(service, region_name=where, endpoint_url=endpoint_url, config=config)
    except botocore.exceptions.NoRegionError:
        raise AwsError("no AWS region is set: give --region, or AWS_REGION") from None
    except (botocore.exceptions.BotoCoreError, ValueError) as error:
        raise AwsError(f"no client for {service} can be made: {error}") from None


def call(operation: Callable[..., Any], what: str, gives: str | None = None, **parameters: Any) -> Any:
    """One operation's answer. `what`: what is tried, for the error. `gives`: a field that the answer must have, since
    botocore reads what is no JSON as an empty answer. Raises AwsError."""
    try:
        answer = operation(**parameters)
        if gives is not None and gives not in answer:
            raise AwsError(f"{what}: the answer has no `{gives}`: check what listens at the endpoint")
        return answer
    except botocore.exceptions.ClientError as error:
        raise _refused(error, what) from None
    except botocore.exceptions.NoCredentialsError:
        raise AwsError(
            f"{what}: no AWS credentials were found: set up a profile, or AWS_ACCESS_KEY_ID and the rest"
        ) from None
    except botocore.exceptions.ParamValidationError as error:
        said = "; ".join(str(error).splitlines()[1:4])
        raise AwsError(f"{what}: {said}", "ValidationException") from None
    except (botocore.exceptions.BotoCoreError, botocore.parsers.ResponseParserError) as error:
        said = " ".join(str(error).split())
        raise AwsError(f"{what}: {said if len(said) <= 300 else said[:297] + '...'}") from None


def _refused(error: Any, what: str) -> AwsError:
    said = error.response.get("Error", {})
    code, message = str(said.get("Code", "")), str(said.get("Message", "")).strip().rstrip(".")
    fields = error.response.get("fieldList") or []
    places = "; ".join(f"{each.get('path')}: {each.get('message')}" for each in fields[:5] if isinstance(each, dict))
    mend = _MENDS.get(code, "").format(service="s3vectors", operation=error.operation_name)
    if error.operation_name == "InvokeModel" and code == "AccessDeniedException":
        mend = "allow bedrock:InvokeModel for the model, and ask for access to it in the Bedrock console"
    text = f"{what}: {code}: {message}" + (f" ({places})" if places else "")
    return AwsError(f"{text}: {mend}" if mend else text, code)
