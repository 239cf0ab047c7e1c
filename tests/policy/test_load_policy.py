"""A policy file is read into settings, or everything that is wrong with it is said at once, with its place."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from gateway.economics.money import NANO
from gateway.economics.prices import AmortizedCost
from gateway.policy import Policy, PolicyError, Problem, load_policy, parse_policy
from gateway.policy.schema import AmortizedSettings, BackendSettings, SpeedSettings

GOOD = """\
version: 1
backends:
  box:
    wire: openai
    base_url: http://127.0.0.1:8000/v1
    cost: {kind: amortized, usd_per_month: 200}
    speed: {single_stream_tokens_per_second: 14}
  cloud:
    wire: bedrock
    region: us-west-2
    cost: {kind: per_token, output_usd_per_1m: 0.22}
    speed: {single_stream_tokens_per_second: 95}
aliases:
  base:
    served_by:
      - {backend: box, model: base}
      - {backend: cloud, model: meta.llama3-1-8b-instruct-v1:0, api: converse}
"""


def problems(text: str, environ: dict[str, str] | None = None) -> list[Problem]:
    with pytest.raises(PolicyError) as caught:
        parse_policy(text, "p.yaml", environ or {})
    return list(caught.value.problems)


def only(text: str, environ: dict[str, str] | None = None) -> Problem:
    (problem,) = problems(text, environ)
    return problem


def backend(settings: str) -> str:
    """A policy whose one backend, `b`, has these settings from line 4 on, beside its speed on line 3."""
    head = "version: 1\nbackends:\n  b: &b\n    speed: {single_stream_tokens_per_second: 1}\n"
    return head + "".join(f"    {line}\n" for line in settings.splitlines())


def test_a_good_policy_is_read() -> None:
    policy = parse_policy(GOOD, environ={})
    assert list(policy.backends) == ["box", "cloud"]
    assert policy.aliases["base"].served_by[1].api == "converse"
    assert policy.server.host == "127.0.0.1"


def test_a_price_is_read_exactly_as_it_is_written() -> None:
    policy = parse_policy(GOOD.replace("200", "0.1000000000000001"), environ={})
    cost = policy.backends["box"].cost
    assert isinstance(cost, AmortizedSettings)
    assert cost.usd_per_month == Decimal("0.1000000000000001")


def test_a_bought_box_costs_its_write_off_and_its_power() -> None:
    text = "cost: {kind: amortized, purchase_usd: 3600, months: 36, watts: 100, usd_per_kwh: 0.20}"
    cost = parse_policy(backend(text), environ={}).backends["b"].cost
    assert cost is not None
    model = cost.model()
    assert isinstance(model, AmortizedCost)
    assert model.nanousd_per_month == (100 + Fraction(146, 10)) * NANO


# -- all at once, with their places ---


def test_every_error_is_reported_at_once_in_the_order_of_the_file() -> None:
    text = """\
version: 1
server: {host: 0.0.0.0, prot: 80}
auth:
  open: true
backends:
  box:
    wire: openai
    base_url: http://127.0.0.1:8000/v1
    cost:
      kind: amortized
      usd_per_mnth: 200
      months: -3
    speed: {single_stream_tokens_per_second: fast}
  cloud:
    wire: bedrock
    cost: {kind: windw, usd_per_unit_minute: ${RATE}}
aliases:
  tuned:
    needs: tuned
    served_by:
      - {backend: bocks, model: m, quality: base}
""".replace("${RATE}", '"${RATE}"')
    found = [(one.line, one.column, one.path) for one in problems(text)]
    assert found == [
        (2, 16, "server.host"),
        (2, 25, "server.prot"),
        (11, 7, "backends.box.cost.usd_per_mnth"),
        (12, 15, "backends.box.cost.months"),
        (13, 46, "backends.box.speed.single_stream_tokens_per_second"),
        (14, 3, "backends.cloud"),
        (14, 3, "backends.cloud.speed"),
        (16, 18, "backends.cloud.cost.kind"),
        (16, 46, "backends.cloud.cost.usd_per_unit_minute"),
        (19, 12, "aliases.tuned.needs"),
        (21, 19, "aliases.tuned.served_by[0].backend"),
    ]


def test_an_error_names_the_place_the_value_and_the_mend() -> None:
    problem = only(GOOD.replace("usd_per_month: 200", "usd_per_mnth: 200"))
    assert str(problem) == (
        "p.yaml:6:29: backends.box.cost.usd_per_mnth: unknown setting; did you mean `usd_per_month`?"
    )
    problem = only(GOOD.replace("usd_per_month: 200", "usd_per_month: -1"))
    assert str(problem) == "p.yaml:6:44: backends.box.cost.usd_per_month: must be greater than 0 (got -1)"


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("", "p.yaml:1:1", "empty"),
        ("version: 1\nbackends: [1,\n", "p.yaml:3:1", "not YAML"),
        ("version: 1\n\tbackends: {}\n", "p.yaml:2:1", "spaces, not tabs"),
        ("version: 1\nbackends: \x07\n", "p.yaml:2:11", "U+0007"),
        ("version: 1\n---\nversion: 1\n", "p.yaml:2:1", "not YAML"),
        ("[" * 3000, "p.yaml:1:1", "nested too deeply"),
        (GOOD + "version: 1\n", "p.yaml:18:1", "written twice: first on line 1"),
        (GOOD + "server: !python/object:os.system {}\n", "p.yaml:18:9", "unknown tag !python/object:os.system"),
        (GOOD + "? [a, b]\n: 1\n", "p.yaml:18:3", "a key must be a name"),
    ],
)
def test_what_is_not_a_yaml_mapping_is_placed_too(text: str, place: str, message: str) -> None:
    found = [str(one) for one in problems(text)]
    assert any(one.startswith(place) and message in one for one in found), found


def test_anchors_that_would_expand_without_end_are_refused() -> None:
    bomb = "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n"
    bomb += "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))
    assert any("100000 values" in one.message for one in problems(bomb))
    assert any("contains itself" in one.message for one in problems("a: &a [*a]\n"))


def test_an_anchor_can_be_merged_and_its_settings_replaced() -> None:
    text = backend("cost: {kind: amortized, usd_per_month: 200}") + "  c:\n    <<: *b\n    description: another\n"
    policy = parse_policy(text, environ={})
    assert policy.backends["c"].cost == policy.backends["b"].cost
    assert policy.backends["c"].description == "another"


@pytest.mark.parametrize("settings", ["wire: openai", "wire: bedrock", "region: us-west-2", "api_key: k"])
def test_a_wire_and_its_settings_belong_together(settings: str) -> None:
    assert only(backend(settings)).line == 3


@pytest.mark.parametrize(
    ("cost", "message"),
    [
        ("{kind: amortized}", "either usd_per_month, or purchase_usd"),
        ("{kind: amortized, usd_per_month: 1, purchase_usd: 1, months: 1}", "either usd_per_month, or purchase_usd"),
        ("{kind: amortized, purchase_usd: 1}", "over how many months"),
        ("{kind: amortized, usd_per_month: 1, watts: 5}", "watts and usd_per_kwh"),
        ("{kind: amortized, usd_per_month: 1, band_usd_per_month: [5, 2]}", "swap them"),
        ("{usd_per_month: 1}", "amortized, window, per_token or provisioned"),
        ("{kind: provisionned}", "did you mean `provisioned`?"),
        ("{kind: per_token, output_usd_per_1m: 1e999999999}", "type float"),
        ('{kind: per_token, output_usd_per_1m: "1e999999999"}', "less than or equal"),
        ('{kind: per_token, output_usd_per_1m: "1e-999999999"}', "decimal places"),
        ("{kind: per_token, output_usd_per_1m: .inf}", "decimal"),
    ],
)
def test_a_cost_that_contradicts_itself_is_refused(cost: str, message: str) -> None:
    assert message in str(only(backend(f"cost: {cost}")))


def test_a_rule_is_checked_beside_other_errors_of_the_same_mapping() -> None:
    found = problems(backend("wire: openai\ncolour: red"))
    assert [one.message.split(":")[0] for one in found] == [
        "wire openai needs base_url, for example http", "unknown setting",
    ]  # fmt: skip


def test_rules_hold_for_settings_made_in_code_as_well() -> None:
    with pytest.raises(ValueError, match="wire openai needs base_url"):
        BackendSettings(wire="openai", speed=SpeedSettings(single_stream_tokens_per_second=1.0))


def test_no_speed_is_infinite() -> None:
    assert "finite" in str(only(GOOD.replace("second: 14", 'second: "inf"')))


# -- the environment ---


def test_variables_are_filled_in_and_their_numbers_are_numbers() -> None:
    text = GOOD.replace("usd_per_month: 200", 'usd_per_month: "${MONTH}"')
    text += "server:\n  port: ${PORT}\n  host: ${HOST:-localhost}\nledger:\n  path: /data/${NAME}/$${x}.db\n"
    policy = parse_policy(text, environ={"MONTH": "199", "PORT": "9000", "NAME": "a b"})
    cost = policy.backends["box"].cost
    assert isinstance(cost, AmortizedSettings)
    assert cost.usd_per_month == 199
    assert (policy.server.port, policy.server.host) == (9000, "localhost")
    assert policy.ledger.path == "/data/a b/${x}.db"


def test_an_unset_variable_is_an_error_that_names_it_and_its_line() -> None:
    problem = only(GOOD + "server:\n  port: ${PORT}\n")
    assert (problem.line, problem.column, problem.path) == (19, 9, "server.port")
    assert "PORT is not set" in problem.message
    assert problem.mend == "set it, or write ${PORT:-default}"


def test_what_a_variable_held_is_not_shown_in_errors() -> None:
    problem = only(GOOD + "server:\n  port: ${PORT}\n", {"PORT": "hunter2"})
    assert problem.value == "${PORT}"
    assert "hunter2" not in str(problem)


def test_a_variable_cannot_add_structure() -> None:
    policy = parse_policy(GOOD + "description: ${X}\n", environ={"X": "a\nserver: {port: 1}"})
    assert policy.description == "a\nserver: {port: 1}"
    assert policy.server.port == 8080


def test_a_malformed_variable_is_an_error() -> None:
    assert "does not begin a variable" in str(only(GOOD + "description: ${1x}\n"))


def test_without_the_environment_unset_variables_matter_only_where_text_will_not_do() -> None:
    text = GOOD + "auth: {keys: [{name: a, env: KEY}]}\nledger: {path: '${DIR}/x'}\n"
    assert parse_policy(text, environ={}, require_environment=False).ledger.path == "${DIR}/x"
    with pytest.raises(PolicyError, match="PORT is not set"):
        parse_policy(text + "server:\n  port: ${PORT}\n", environ={}, require_environment=False)


@pytest.mark.parametrize("environ", [{}, {"KEY": ""}])
def test_a_key_whose_variable_is_unset_or_empty_is_an_error(environ: dict[str, str]) -> None:
    problem = only(GOOD + "auth:\n  keys:\n    - {name: a, env: KEY}\n", environ)
    assert (problem.line, problem.path) == (20, "auth.keys[0].env")
    parse_policy(GOOD + "auth:\n  keys:\n    - {name: a, env: KEY}\n", environ={"KEY": "xo-1"})


# -- between the sections ---


@pytest.mark.parametrize(
    ("change", "path", "message"),
    [
        (("backend: box", "backend: bx"), "aliases.base.served_by[0].backend", "did you mean `box`?"),
        (("model: base}", "model: base, api: invoke}"), "aliases.base.served_by[0].api", "belongs to wire bedrock"),
        (("model: base}", "model: base, body: meta}"), "aliases.base.served_by[0].body", "belongs to wire bedrock"),
        (("  box:", "  paper: {speed: {single_stream_tokens_per_second: 1}}\n  box:"), None, ""),
    ],
)
def test_an_alias_is_served_by_backends_that_can(change: tuple[str, str], path: str | None, message: str) -> None:
    text = GOOD.replace(*change)
    if path is None:
        problem = only(text.replace("backend: box", "backend: paper"))
        assert "no wire" in problem.message
    else:
        problem = only(text)
        assert problem.path == path
        assert message in str(problem)


def test_an_alias_that_needs_what_nobody_gives_is_refused() -> None:
    text = GOOD.replace("  base:\n    served", "  base:\n    needs: tuned\n    served")
    parse_policy(text, environ={})  # an entry without a quality gives what the alias needs
    text = text.replace("model: base}", "model: base, quality: base}").replace("converse}", "converse, quality: base}")
    problem = only(text)
    assert problem.path == "aliases.base.needs"
    assert "'tuned': they give base" in problem.message


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


def test_a_file_that_cannot_be_read_is_an_error_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"missing\.yaml:1:1: cannot be read: No such file"):
        load_policy(tmp_path / "missing.yaml", {})
    with pytest.raises(PolicyError, match="cannot be read"):
        load_policy(tmp_path, {})


def test_a_file_over_1_mib_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "big.yaml"
    file.write_text(GOOD + "#" * 1024 * 1024)
    with pytest.raises(PolicyError, match="larger than the limit of 1048576 bytes"):
        load_policy(file, {})


def test_a_file_that_is_not_utf_8_is_refused_with_the_place(tmp_path: Path) -> None:
    file = tmp_path / "latin.yaml"
    file.write_bytes(b"version: 1\ndescription: caf\xe9\n")
    with pytest.raises(PolicyError, match=r"latin\.yaml:2:17: not UTF-8"):
        load_policy(file, {})


def test_the_fingerprint_changes_with_a_setting_and_not_with_a_comment() -> None:
    def fingerprint(text: str) -> str:
        return parse_policy(text, environ={}).fingerprint()

    assert fingerprint(GOOD) == fingerprint("# a comment\n" + GOOD)
    assert fingerprint(GOOD) != fingerprint(GOOD.replace("200", "201"))
    assert isinstance(parse_policy(GOOD, environ={}), Policy)


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
