"""A policy file is read into settings, or everything that is wrong with it is said at once, with its place."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from gateway.economics.money import NANO
from gateway.economics.prices import AmortizedCost
from gateway.policy import Policy, PolicyError, load_policy, parse_policy
from gateway.policy.schema import AmortizedSettings, BackendSettings, SpeedSettings
from tests.policy.texts import GOOD, backend, only, problems


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
