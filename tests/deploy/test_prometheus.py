"""The shipped Prometheus files: valid for the real Prometheus, tested rule by rule, and about series that exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.deploy.fleets import one_of_each
from tests.gateway_process import GatewayProcess
from tests.prometheus_server import ROOT, promtool

FOLDER = ROOT / "deploy/prometheus"
RULES = sorted((FOLDER / "rules").glob("*.yml"))
UNIT_TESTS = sorted((FOLDER / "tests").glob("*.yml"))
SERIES = re.compile(r"(?<![\w:])(?:crossover|process)_\w+")
RECORDED = re.compile(r"(?<!\w)crossover:[\w:]+")


def rules() -> list[dict[str, Any]]:
    return [rule for file in RULES for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


def recorded() -> set[str]:
    return {rule["record"] for rule in rules() if "record" in rule}


def texts(rule: dict[str, Any]) -> str:
    """Everything of a rule in which series are named: its expression and the queries in its annotations."""
    return " ".join([rule["expr"], *rule.get("annotations", {}).values()])


def test_prometheus_takes_the_configuration_and_all_rules() -> None:
    checked = promtool("check", "config", FOLDER / "prometheus.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(RULES)} rule files found" in checked.stdout


@pytest.mark.parametrize("file", UNIT_TESTS, ids=lambda file: file.stem)
def test_the_rules_unit_tests_pass(file: Path) -> None:
    tested = promtool("test", "rules", file)
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_every_recorded_series_and_every_alert_has_a_unit_test() -> None:
    expected, fired = "", set()
    for file in UNIT_TESTS:
        for case in yaml.safe_load(file.read_text())["tests"]:
            for check in case.get("promql_expr_test", ()):
                expected += " ".join(["", *(sample["labels"] for sample in check["exp_samples"])])
            for check in case.get("alert_rule_test", ()):
                fired |= {
                    (check["alertname"], alert["exp_labels"]["severity"]) for alert in check.get("exp_alerts", ())
                }
    assert {name for name in recorded() if not re.search(rf"{name}(?![\w:])", expected)} == set()
    assert {(rule["alert"], rule["labels"]["severity"]) for rule in alerts()} == fired


def test_every_alert_says_what_it_means_and_has_a_section_in_the_runbook() -> None:
    sections = set(re.findall(r"^## (\w+)$", (FOLDER / "RUNBOOK.md").read_text(), re.MULTILINE))
    assert sections == {rule["alert"] for rule in alerts()}
    for rule in alerts():
        assert rule["labels"]["severity"] in ("page", "ticket"), rule["alert"]
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}, rule["alert"]
        assert rule["annotations"]["runbook"] == f"deploy/prometheus/RUNBOOK.md#{rule['alert'].lower()}"


def test_every_severity_in_the_runbook_is_the_alerts() -> None:
    sections = re.split(r"^## ", (FOLDER / "RUNBOOK.md").read_text(), flags=re.MULTILINE)[1:]
    said = {text.split("\n")[0]: set(re.findall(r"`(page|ticket)`", text)) for text in sections}
    meant: dict[str, set[str]] = {}
    for rule in alerts():
        meant.setdefault(rule["alert"], set()).add(rule["labels"]["severity"])
    assert said == meant


def test_rules_name_only_series_that_are_recorded_or_that_a_gateway_has(every_kind: GatewayProcess) -> None:
    on_the_page = {
        sample.name
        for family in text_string_to_metric_families(httpx.get(every_kind.metrics_url).text)
        for sample in family.samples
    }
    for rule in rules():
        assert set(RECORDED.findall(texts(rule))) <= recorded(), rule
        assert set(SERIES.findall(texts(rule))) <= on_the_page, rule
    runbook = (FOLDER / "RUNBOOK.md").read_text()
    assert set(RECORDED.findall(runbook)) <= recorded()
    assert set(SERIES.findall(runbook)) - {"crossover_backend_"} <= on_the_page


def test_labels_that_rules_ask_for_exist(every_kind: GatewayProcess) -> None:
    """A label's value that no gateway ever shows would make a rule that cannot fire."""
    shown: dict[str, dict[str, set[str]]] = {}
    for family in text_string_to_metric_families(httpx.get(every_kind.metrics_url).text):
        for sample in family.samples:
            for label, value in sample.labels.items():
                shown.setdefault(sample.name, {}).setdefault(label, set()).add(value)
    asked = 0
    for rule in rules():
        for name, selectors in re.findall(r"(?<![\w:])(crossover_\w+)\{([^}]*)\}", rule["expr"]):
            for label, values in re.findall(r'(\w+)=~?"([^"]*)"', selectors):
                asked += 1
                assert set(values.split("|")) <= shown[name][label], rule
    assert asked


def test_promtool_finds_nothing_to_say_about_the_metrics_page(every_kind: GatewayProcess) -> None:
    checked = promtool("check", "metrics", stdin=httpx.get(every_kind.metrics_url).content)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


@pytest.fixture(scope="module")
def every_kind(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A gateway with a backend of each kind, of which the box was asked once."""
    with one_of_each(tmp_path_factory.mktemp("gateway")) as gateway:
        yield gateway
