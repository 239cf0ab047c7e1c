"""Every exception of Bedrock's becomes an OpenAI error with the right status and blame, and tells no secret."""

from __future__ import annotations

import botocore.session
import pytest

from gateway.backends.bedrock.errors import RULES, from_response, from_stream
from gateway.backends.errors import Fault

OPERATIONS = ("InvokeModel", "InvokeModelWithResponseStream", "Converse", "ConverseStream")


def service_model():
    return botocore.session.Session().get_service_model("bedrock-runtime")


def modelled_exceptions() -> list[tuple[str, int]]:
    model = service_model()
    shapes = {shape.name: shape for name in OPERATIONS for shape in model.operation_model(name).error_shapes}
    return sorted((name, shape.metadata["error"]["httpStatusCode"]) for name, shape in shapes.items())


def stream_exceptions() -> list[str]:
    model = service_model()
    names: set[str] = set()
    for operation in ("InvokeModelWithResponseStream", "ConverseStream"):
        stream = model.operation_model(operation).get_event_stream_output()
        names |= {name for name, shape in stream.members.items() if shape.metadata.get("exception")}
    return sorted(names)


EXPECTED = {
    "ValidationException": (400, Fault.CLIENT),
    "AccessDeniedException": (502, Fault.UPSTREAM),
    "ResourceNotFoundException": (502, Fault.UPSTREAM),
    "ThrottlingException": (429, Fault.CAPACITY),
    "ServiceQuotaExceededException": (429, Fault.CAPACITY),
    "ModelNotReadyException": (503, Fault.COLD),
    "ModelTimeoutException": (504, Fault.UPSTREAM),
    "ModelErrorException": (502, Fault.UPSTREAM),
    "ModelStreamErrorException": (502, Fault.UPSTREAM),
    "ServiceUnavailableException": (503, Fault.UPSTREAM),
    "InternalServerException": (502, Fault.UPSTREAM),
    "ConflictException": (502, Fault.UPSTREAM),
}


@pytest.mark.parametrize(("name", "status"), modelled_exceptions())
def test_each_modelled_exception_has_its_status_and_blame(name: str, status: int) -> None:
    error = from_response("cloud", status, {"x-amzn-errortype": f"{name}:http://internal/"}, b'{"message":"why"}')
    assert (error.status, error.fault) == EXPECTED[name]


@pytest.mark.parametrize("name", stream_exceptions())
def test_each_exception_of_a_stream_is_in_the_table(name: str) -> None:
    assert name.lower() in RULES
    error = from_stream("cloud", name, b'{"message":"why"}')
    assert (error.status, error.fault) == EXPECTED[name[0].upper() + name[1:]]


def test_a_validation_message_is_told_so_that_the_client_can_mend_the_request() -> None:
    error = from_response("c", 400, {"x-amzn-errortype": "ValidationException"}, b'{"message":"top_p must be <= 1"}')
    assert (error.message, error.type, error.code) == ("top_p must be <= 1", "invalid_request_error", None)
    assert not error.may_try_another


def test_a_prompt_that_is_too_long_has_openai_s_code() -> None:
    body = b'{"message":"This model\'s maximum context length is 131072 tokens."}'
    error = from_response("c", 400, {"x-amzn-errortype": "ValidationException"}, body)
    assert (error.code, error.fault) == ("context_length_exceeded", Fault.CLIENT)


@pytest.mark.parametrize(
    "message",
    [
        "This action doesn't support the model that you provided. Try again with a supported text or chat model.",
        "The provided model identifier is invalid.",
        "Invocation of model ID meta.llama3-1-8b-instruct-v1:0 with on-demand throughput isn\u2019t supported.",
    ],
)
def test_a_validation_error_that_every_request_would_get_is_not_the_client_s_fault(message: str) -> None:
    body = f'{{"message":"{message}"}}'.encode()
    error = from_response("cloud", 400, {"x-amzn-errortype": "ValidationException"}, body)
    assert (error.status, error.fault, error.code) == (502, Fault.UPSTREAM, "backend_model_unusable")


@pytest.mark.parametrize(
    "name",
    ["AccessDeniedException", "UnrecognizedClientException", "ExpiredTokenException", "InvalidSignatureException"],
)
def test_refused_credentials_are_the_gateway_s_trouble_and_nothing_of_them_is_told(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "arn:aws:iam::123456789012:user/eve x-amz-security-token:SECRET"
    body = f'{{"message":"User: {secret} is not authorized"}}'.encode()
    error = from_response("cloud", 403, {"x-amzn-errortype": name}, body)
    assert (error.status, error.fault, error.code) == (502, Fault.UPSTREAM, "backend_credentials_refused")
    for text in (str(error), repr(error), caplog.text):
        assert "SECRET" not in text
        assert "123456789012" not in text


@pytest.mark.parametrize(
    "model", ["arn:aws:bedrock:us-east-1:123456789012:imported-model/abcdefabcdef", "123456789012-abcdefabcdef"]
)
def test_what_names_an_account_is_taken_out_of_a_message_that_is_told(model: str) -> None:
    body = f'{{"message":"bad value for {model} here"}}'.encode()
    error = from_response("c", 400, {"x-amzn-errortype": "ValidationException"}, body)
    assert error.message == "bad value for [model] here"


def test_the_exception_s_name_may_stand_in_the_body() -> None:
    body = b'{"__type":"com.amazon.coral.service#UnrecognizedClientException","Message":"no"}'
    assert from_response("cloud", 403, {}, body).code == "backend_credentials_refused"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [({"x-amz-retry-after": "1500"}, 1.5), ({"retry-after": "7"}, 7.0), ({"retry-after": "Mon"}, None), ({}, None)],
)
def test_retry_after_is_read_in_milliseconds_or_seconds(headers: dict[str, str], seconds: float | None) -> None:
    told = {"x-amzn-errortype": "ThrottlingException", **headers}
    assert from_response("cloud", 429, told, b'{"message":"slow"}').retry_after_seconds == seconds


def test_an_unknown_exception_is_judged_by_its_status() -> None:
    error = from_response("cloud", 503, {"x-amzn-errortype": "BrandNewException"}, b"{}")
    assert (error.status, error.fault) == (503, Fault.UPSTREAM)


def test_a_proxy_s_html_is_garbage() -> None:
    error = from_response("cloud", 502, {"content-type": "text/html"}, b"<html>Bad gateway</html>")
    assert error.code == "backend_garbage"
