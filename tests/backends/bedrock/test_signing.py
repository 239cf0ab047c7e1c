"""A call is addressed and signed as botocore's own client would do it."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.credentials import ReadOnlyCredentials

from gateway.backends.bedrock.endpoint import base_url, is_private, model_url
from gateway.backends.bedrock.signing import BearerAuthorizer, SigV4Authorizer, authorizer_for, sign
from gateway.policy.schema import BackendSettings

MODELS = [
    "meta.llama3-1-8b-instruct-v1:0",
    "us.meta.llama3-1-8b-instruct-v1:0",
    "arn:aws:bedrock:us-west-2:123456789012:imported-model/abcdef012345",
    "arn:aws:bedrock:us-west-2:123456789012:provisioned-model/abcdef012345",
    "arn:aws:bedrock:us-west-2:123456789012:inference-profile/us.meta.llama3-1-8b-instruct-v1:0",
]
MESSAGES = [{"role": "user", "content": [{"text": "h"}]}]
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "invoke": ("invoke_model", {"body": b"{}", "contentType": "application/json", "accept": "application/json"}),
    "invoke-with-response-stream": (
        "invoke_model_with_response_stream",
        {"body": b"{}", "contentType": "application/json", "accept": "application/json"},
    ),
    "converse": ("converse", {"messages": MESSAGES}),
    "converse-stream": ("converse_stream", {"messages": MESSAGES}),
}


class Captured(Exception):
    pass


@pytest.fixture
def one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both signatures carry the same second."""
    moment = datetime.datetime(2026, 11, 22, 12, 0, 0)  # noqa: DTZ001 - as botocore has it
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: moment)


def what_botocore_sends(operation: str, model: str) -> Any:
    method, arguments = CALLS[operation]
    client = boto3.client(
        "bedrock-runtime", region_name="us-west-2", aws_access_key_id="AKID", aws_secret_access_key="hush",
        aws_session_token="token",
    )  # fmt: skip
    seen: list[Any] = []

    def stop(request: Any, **_: Any) -> None:
        seen.append(request)
        raise Captured

    client.meta.events.register("before-send.bedrock-runtime", stop)
    with pytest.raises(Captured):
        getattr(client, method)(modelId=model, **arguments)
    return seen[0]


@pytest.mark.usefixtures("one_moment")
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("operation", CALLS)
def test_the_address_and_the_signature_are_botocore_s(operation: str, model: str) -> None:
    theirs = what_botocore_sends(operation, model)
    their_headers = {name: value.decode() for name, value in theirs.headers.items() if isinstance(value, bytes)}
    signed = ("Content-Type", "Accept", "X-Amzn-Bedrock-Accept")
    plain = {name: their_headers[name] for name in signed if name in their_headers}

    url = model_url(base_url(BackendSettings.model_validate(BEDROCK)), model, operation)
    ours = sign(url, theirs.body, plain, ReadOnlyCredentials("AKID", "hush", "token"), "us-west-2")

    assert url == theirs.url
    for name in ("Authorization", "X-Amz-Date", "X-Amz-Security-Token"):
        assert ours[name] == their_headers[name]


BEDROCK = {"wire": "bedrock", "region": "us-west-2", "speed": {"single_stream_tokens_per_second": 95}}


def settings(**fields: Any) -> BackendSettings:
    return BackendSettings.model_validate({**BEDROCK, **fields})


@pytest.fixture(autouse=True)
def no_bearer_token_around(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("AWS_BEARER_TOKEN_BEDROCK", raising=False)
    return


def authorizer(backend: BackendSettings) -> SigV4Authorizer | BearerAuthorizer:
    return authorizer_for("cloud", backend, base_url(backend), lambda: 0.0)


def test_the_region_s_own_endpoint_is_the_default() -> None:
    assert base_url(settings()) == "https://bedrock-runtime.us-west-2.amazonaws.com"
    assert base_url(settings(region="cn-north-1")) == "https://bedrock-runtime.cn-north-1.amazonaws.com.cn"
    assert base_url(settings(endpoint_url="https://vpce.example/prefix/")) == "https://vpce.example/prefix"


async def test_a_bearer_token_is_sent_as_it_is() -> None:
    bearer = authorizer(settings(credentials={"bearer_token": "key-1"}))
    assert await bearer.headers("https://x/", b"", {"A": "b"}) == {"A": "b", "Authorization": "Bearer key-1"}


@pytest.mark.parametrize(
    ("credentials", "kind"),
    [
        ({}, BearerAuthorizer),
        ({"profile": "lab"}, SigV4Authorizer),
        ({"access_key_id": "a", "secret_access_key": "b"}, SigV4Authorizer),
        ({"access_key_id": "a", "secret_access_key": "b", "bearer_token": "key"}, BearerAuthorizer),
    ],
)
def test_what_the_policy_says_wins_over_a_bearer_token_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, credentials: dict[str, str], kind: type
) -> None:
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", "from-environment")
    assert type(authorizer(settings(credentials=credentials))) is kind


@pytest.mark.parametrize(
    ("url", "private"),
    [
        ("https://vpce.example", True), ("http://127.0.0.1:9", True), ("http://localhost:9", True),
        ("http://[::1]:9", True), ("http://10.0.0.1", False), ("http://vpce.example", False),
        ("http://localhost.example", False), ("http://127.0.0.1.example", False),
    ],
)  # fmt: skip
def test_a_bearer_token_travels_in_the_clear_only_within_this_machine(url: str, private: bool) -> None:
    assert is_private(url) is private
    given = settings(endpoint_url=url, credentials={"bearer_token": "key-1"})
    if private:
        assert authorizer(given)
    else:
        with pytest.raises(ValueError, match="https") as caught:
            authorizer(given)
        assert "key-1" not in str(caught.value)


def test_no_secret_shows_in_a_repr() -> None:
    for credentials in ({"bearer_token": "hush"}, {"access_key_id": "hush", "secret_access_key": "hush"}):
        one = authorizer(settings(credentials=credentials))
        assert "hush" not in repr(one)
        assert "hush" not in repr(getattr(one, "_keeper", ""))
