"""Keys, secrets and addresses: what a policy may say, where, and what its errors never show."""

from __future__ import annotations

import pytest

from gateway.policy import parse_policy
from tests.policy.texts import GOOD, backend, only, problems


@pytest.mark.parametrize(
    ("url", "refused"),
    [
        ("http://127.0.0.1:8000/v1", False),
        ("http://localhost:8000/v1", False),
        ("http://[::1]:8000/v1", False),
        ("https://vllm.example.com/v1", False),
        ("http://10.0.0.4:8000/v1", True),
        ("http://127.0.0.1.example.com/v1", True),
    ],
)
def test_a_bearer_token_goes_over_plain_http_to_loopback_only(url: str, refused: bool) -> None:
    text = backend(f'wire: openai\nbase_url: "{url}"\napi_key: sk-secret')
    if refused:
        problem = only(text)
        assert problem.path == "backends.b.base_url"
        assert "clear text" in problem.message
        assert "sk-secret" not in str(problem)
    else:
        parse_policy(text, environ={})


def test_bedrocks_bearer_token_is_guarded_alike_whether_written_or_in_the_environment() -> None:
    cloud = "wire: bedrock\nregion: us-west-2\nendpoint_url: http://10.0.0.4:9000\n"
    assert "clear text" in only(backend(cloud + "credentials: {bearer_token: t}")).message
    assert "clear text" in only(backend(cloud), {"AWS_BEARER_TOKEN_BEDROCK": "t"}).message
    parse_policy(backend(cloud), environ={})


@pytest.mark.parametrize(("host", "refused"), [("0.0.0.0", True), ("::", True), ("127.0.0.1", False), ("::1", False)])
def test_an_open_door_is_on_loopback_only(host: str, refused: bool) -> None:
    text = GOOD + f'server: {{host: "{host}"}}\nauth: {{open: true}}\n'
    if refused:
        assert only(text).path == "server.host"
    else:
        parse_policy(text, environ={})


def test_two_keys_of_one_name_are_refused() -> None:
    digest = "0" * 63
    keys = f"auth:\n  keys: [{{name: a, sha256: '{digest}0'}}]\n  admin_keys: [{{name: a, sha256: '{digest}1'}}]\n"
    assert only(GOOD + keys).path == "auth.admin_keys[0].name"


# -- secrets ---


@pytest.mark.parametrize(
    "settings",
    [
        "wire: openai\nbase_url: http://127.0.0.1/v1\napi_key: [SECRET]",
        "wire: openai\nbase_url: http://127.0.0.1/v1\napi_kye: SECRET",
        "wire: openai\nbase_url: ftp://user:SECRET@host/v1",
        "wire: bedrock\nregion: r\ncredentials: {secret_access_key: SECRET}",
        "wire: bedrock\nregion: r\ncredentials: {access_key_id: {a: SECRET}, secret_access_key: b}",
    ],
)
def test_no_error_shows_a_secret(settings: str) -> None:
    assert "SECRET" not in "\n".join(map(str, problems(backend(settings))))


@pytest.mark.parametrize("field", ["sha256", "env"])
def test_a_key_pasted_where_its_hash_belongs_is_not_shown(field: str) -> None:
    found = problems(GOOD + f"auth: {{keys: [{{name: a, {field}: sk-SECRET}}]}}\n")
    assert "SECRET" not in "\n".join(map(str, found))


def test_a_policy_does_not_show_its_secrets() -> None:
    policy = parse_policy(backend("wire: openai\nbase_url: http://127.0.0.1/v1\napi_key: SECRET"), environ={})
    assert "SECRET" not in repr(policy)
    assert "SECRET" not in policy.model_dump_json()


# -- files ---


@pytest.mark.parametrize(
    "settings",
    [
        "wire: openai\nbase_url: http://user:SECRET@127.0.0.1:8000/v1",
        "wire: openai\nbase_url: https://SECRET@host/v1",
        "wire: openai\nbase_url: https://user:SE/CRET@host/v1",
        "wire: openai\nbase_url: https://user:p@SECRET@host/v1",
        "wire: openai\nbase_url: user:SECRET@host/v1",
        "wire: openai\nbase_url: http://host/v1\nmetrics_url: http://user:SECRET@host/metrics",
        "wire: bedrock\nregion: us-west-2\nendpoint_url: https://user:SECRET@host",
    ],
)
def test_a_url_holds_no_password_and_the_error_does_not_repeat_it(settings: str) -> None:
    found = problems(backend(settings))
    assert any("user name or password" in problem.message for problem in found)
    for problem in found:
        assert not any(part in str(problem) for part in ("SECRET", "SE/", "CRET"))


def test_a_password_that_a_variable_puts_into_a_url_is_refused_too() -> None:
    problem = only(backend("wire: openai\nbase_url: ${URL}"), {"URL": "http://user:SECRET@host/v1"})
    assert problem.path == "backends.b.base_url"
    assert "SECRET" not in str(problem)
    assert "use api_key" in str(problem)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/v1", "http://[::1]:8000/v1/@x", "https://host/v1?x=a@b"])
def test_an_at_sign_behind_the_host_is_no_password(url: str) -> None:
    assert parse_policy(backend(f"wire: openai\nbase_url: {url}"), environ={}).backends["b"].base_url == url


def test_a_key_is_one_applications_or_the_owners_and_not_both() -> None:
    digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"  # of "secret"
    auth = f"auth:\n  keys:\n    - {{name: a, sha256: {digest}}}\n  admin_keys:\n    - {{name: b, env: ADMIN}}\n"
    problem = only(GOOD + auth, {"ADMIN": "secret"})
    assert problem.path == "auth.admin_keys[0].env"
    assert "the same key as auth.keys[0]" in problem.message
    assert digest not in str(problem)
    parse_policy(GOOD + auth, environ={"ADMIN": "another"})


@pytest.mark.parametrize(
    ("server", "refused"),
    [
        ("{port: 9464}", True),
        ("{port: 7000, metrics_port: 7000}", True),
        ("{port: 7000, metrics_port: 7000, metrics_host: 0.0.0.0}", True),
        ("{port: 7000, metrics_port: 7000, metrics_host: 127.0.0.2}", False),
        ("{port: 0, metrics_port: 0}", False),
    ],
)
def test_the_api_and_the_metrics_need_a_port_each(server: str, refused: bool) -> None:
    text = f"{GOOD}server: {server}\n"
    if refused:
        assert "metrics_port are both" in only(text).message
    else:
        parse_policy(text, environ={})


@pytest.mark.parametrize(
    ("endpoint", "refused"),
    [
        ("http://127.0.0.1:4318", False),
        ("https://[::1]:4318/otlp/", False),
        ("http://host:99999", True),
        ("http://:4318", True),
        ("http://[::1", True),
        ("http://ho st", True),
        ("http://host/?token=1", True),
        ("http://host#1", True),
        ("collector:4317", True),
    ],
)
def test_a_collector_is_an_address_that_a_path_can_be_put_behind(endpoint: str, refused: bool) -> None:
    text = GOOD + f'telemetry: {{otlp_endpoint: "{endpoint}"}}\n'
    if not refused:
        parse_policy(text, environ={})
        return
    problem = only(text)
    assert problem.path == "telemetry"
    assert "otlp_endpoint" in problem.message
