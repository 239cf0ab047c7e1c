"""A request that cannot be served gets OpenAI's error shape and status, and costs nothing."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import openai
import pytest

from tests.gateway_process import API_KEY, GatewayProcess
from tests.server.fleets import one

NOBODY = "http://127.0.0.1:9/v1"
CHAT = {"model": "tuned", "messages": [{"role": "user", "content": "hi"}]}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder: Path = tmp_path_factory.mktemp("refused")
    policy = one(NOBODY)
    policy["aliases"]["tuned"]["max_output_tokens"] = 100
    running = GatewayProcess({**policy, "server": {"max_body_bytes": 4096, "body_timeout_seconds": 0.5}}, folder)
    yield running
    running.close()


def post(gateway: GatewayProcess, path: str = "/chat/completions", **request: object) -> httpx.Response:
    arguments: dict[str, object] = {"headers": gateway.headers(), "json": CHAT} | request
    if "content" in arguments:
        arguments.pop("json")
    return httpx.post(gateway.url + path, **arguments)  # type: ignore[arg-type]


def error_of(response: httpx.Response, status: int) -> dict[str, object]:
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-request-id"]
    error: dict[str, object] = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    return error


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {API_KEY}"}])
def test_without_a_good_key_nobody_gets_in(gateway: GatewayProcess, headers: dict[str, str]) -> None:
    error = error_of(post(gateway, headers=headers), 401)
    assert error["code"] == "invalid_api_key"
    assert "wrong" not in str(error["message"])


NESTED = b"[" * 2000 + b"]" * 2000
MANY_FIELDS = b"{" + b",".join(b'"f%d":1' % number for number in range(200)) + b"}"


@pytest.mark.parametrize(
    "body", [MANY_FIELDS, b'{"model":"tuned","' + b"x" * 100 + b'":1}', b'{"model":' + NESTED[:1000]]
)
def test_a_body_of_unreasonable_shape_is_refused(gateway: GatewayProcess, body: bytes) -> None:
    assert error_of(post(gateway, content=body), 400)["code"] == "invalid_json"


def test_headers_without_end_are_refused(gateway: GatewayProcess) -> None:
    response = post(gateway, headers=gateway.headers() | {"x-long": "x" * 200_000})
    assert response.status_code == 431


def test_an_unknown_quality_class_is_refused_with_those_there_are(gateway: GatewayProcess) -> None:
    error = error_of(post(gateway, headers=gateway.headers() | {"x-crossover-quality": "gold"}), 400)
    assert error["param"] == "x-crossover-quality"
    assert "any" in str(error["message"])


def test_a_bad_query_of_an_admin_page_has_openais_shape(gateway: GatewayProcess) -> None:
    headers = {"authorization": "Bearer xo-test-admin"}
    response = httpx.get(gateway.root + "/admin/decisions?limit=abc", headers=headers)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "limit"


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'"x"', b'{"model": }', b"\xff\xfe{}"])
def test_a_body_that_is_no_json_object_is_said_so(gateway: GatewayProcess, body: bytes) -> None:
    assert error_of(post(gateway, content=body), 400)["code"] == "invalid_json"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"model": 7}, "model"),
        ({"stream": "yes"}, "stream"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": 101}, "max_completion_tokens"),
        ({"stream_options": 3}, "stream_options"),
        ({"max_tokens": 10**400}, "max_tokens"),
    ],
)
def test_a_field_of_the_wrong_kind_is_named(gateway: GatewayProcess, change: dict[str, object], param: str) -> None:
    assert error_of(post(gateway, json=CHAT | change), 400)["param"] == param


def test_a_missing_model_is_named(gateway: GatewayProcess) -> None:
    assert error_of(post(gateway, json={"messages": []}), 400)["param"] == "model"


def test_an_unknown_model_is_a_404_and_never_another_model(gateway: GatewayProcess) -> None:
    assert error_of(post(gateway, json=CHAT | {"model": "gpt-9"}), 404)["code"] == "model_not_found"


def test_a_body_over_the_limit_is_refused_before_it_is_read(gateway: GatewayProcess) -> None:
    error = error_of(post(gateway, content=b"x" * 5000), 413)
    assert "4096" in str(error["message"])


def test_a_body_over_the_limit_without_a_length_is_refused_too(gateway: GatewayProcess) -> None:
    def parts() -> Iterator[bytes]:
        for _ in range(10):
            yield b"x" * 1000

    assert error_of(post(gateway, content=parts()), 413)["code"] == "request_too_large"


async def test_a_body_that_never_comes_is_not_waited_for(gateway: GatewayProcess) -> None:
    host, port = gateway.root.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {API_KEY}\r\n"
    writer.write(f"{head}content-length: 99\r\n\r\n{{".encode())
    assert b"408" in await asyncio.wait_for(reader.readline(), 10)
    writer.close()


@pytest.mark.parametrize("value", ["soon", "-1", "0", "nan"])
def test_a_ceiling_that_is_no_number_is_named(gateway: GatewayProcess, value: str) -> None:
    headers = gateway.headers() | {"x-crossover-max-ttft-ms": value}
    assert error_of(post(gateway, headers=headers), 400)["param"] == "x-crossover-max-ttft-ms"


def test_unknown_paths_and_methods_have_openais_shape(gateway: GatewayProcess) -> None:
    for method, path, status in (("GET", "/nothing", 404), ("GET", "/chat/completions", 404), ("PUT", "/models", 405)):
        response = httpx.request(method, gateway.url + path, headers=gateway.headers())
        assert response.status_code == status
        assert response.json()["error"]["code"] == "unknown_url"


def test_the_openai_client_raises_its_own_classes(gateway: GatewayProcess) -> None:
    def client(key: str = API_KEY) -> openai.OpenAI:
        return openai.OpenAI(base_url=gateway.url, api_key=key, max_retries=0)

    messages = [{"role": "user", "content": "hi"}]
    with pytest.raises(openai.AuthenticationError):
        client("wrong").chat.completions.create(model="tuned", messages=messages)  # type: ignore[arg-type]
    with pytest.raises(openai.NotFoundError):
        client().chat.completions.create(model="gpt-9", messages=messages)  # type: ignore[arg-type]
    with pytest.raises(openai.BadRequestError):
        client().chat.completions.create(model="tuned", messages=messages, max_tokens=101)  # type: ignore[arg-type]
    with pytest.raises(openai.NotFoundError):
        client().embeddings.create(model="tuned", input="x")


def test_models_are_those_of_the_policy(gateway: GatewayProcess) -> None:
    client = openai.OpenAI(base_url=gateway.url, api_key=API_KEY)
    assert [model.id for model in client.models.list()] == ["tuned"]
    assert client.models.retrieve("tuned").id == "tuned"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("gpt-9")


def test_invented_model_names_make_no_new_series(gateway: GatewayProcess) -> None:
    before = gateway.metrics().count("\n")
    for number in range(50):
        post(gateway, json=CHAT | {"model": f"invented-{number}"})
    assert gateway.metrics().count("\n") == before
    assert gateway.metric('crossover_requests_total{backend="none",model="other",outcome="client_error"}') >= 50


def test_an_admin_page_wants_the_admin_key(gateway: GatewayProcess) -> None:
    for headers in ({}, gateway.headers()):
        assert httpx.get(gateway.root + "/admin/decisions", headers=headers).status_code == 401
    assert httpx.get(gateway.root + "/admin/decisions", headers={"authorization": "Bearer xo-test-admin"}).is_success


def test_the_keys_are_in_no_page_and_no_log(gateway: GatewayProcess) -> None:
    post(gateway)
    seen = str(gateway.admin("policy")) + gateway.metrics() + gateway.log() + str(gateway.admin("decisions"))
    assert API_KEY not in seen
    assert "xo-test-admin" not in seen


def test_a_port_in_use_is_said_plainly(start_gateway: Callable[..., GatewayProcess]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(AssertionError, match=f"port {port} of 127.0.0.1 cannot be had"):
            start_gateway(**one(NOBODY), server={"port": port})
