"""Every policy in `policies/` is one that a reader can start from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.policy import load_policy
from gateway.policy.paths import serving_paths
from gateway.policy.resolved import masked
from gateway.report.contents import as_json, report

POLICIES = sorted((Path(__file__).parents[2] / "policies").glob("*.yaml"))


def environment(text: str) -> dict[str, str]:
    """A value for each variable that the file needs."""
    code = re.sub(r"(?m)^\s*#.*$|\s#\s.*$", "", text)
    names = re.findall(r"\$\{([A-Za-z_]\w*)\}", code) + re.findall(r"\benv:\s*([A-Za-z_]\w*)", code)
    return {name: f"given-by-the-test-as-{name.lower()}" for name in names}


def test_there_are_policies() -> None:
    assert {"seed-lab.yaml", "spark-bedrock.yaml"} <= {file.name for file in POLICIES}


@pytest.mark.parametrize("file", POLICIES, ids=lambda file: file.name)
def test_a_shipped_policy_is_read_and_reported(file: Path) -> None:
    policy = load_policy(file, environment(file.read_text()))
    assert as_json(report(serving_paths(policy)))["paths"]
    assert masked(policy)["version"] == 1


@pytest.mark.parametrize("file", POLICIES, ids=lambda file: file.name)
def test_the_economics_of_a_shipped_policy_need_no_environment(file: Path) -> None:
    assert serving_paths(load_policy(file, {}, require_environment=False))


@pytest.mark.parametrize("file", POLICIES, ids=lambda file: file.name)
def test_every_price_of_a_shipped_policy_says_where_it_comes_from(file: Path) -> None:
    policy = load_policy(file, environment(file.read_text()))
    assert [name for name, one in policy.backends.items() if one.cost is not None and not one.price.source] == []


@pytest.mark.parametrize("name", ["seed-lab.yaml", "spark-bedrock.yaml"])
def test_the_policies_people_start_from_are_explained_line_by_line(name: str) -> None:
    (file,) = [file for file in POLICIES if file.name == name]
    lines = [line for line in file.read_text().splitlines() if re.match(r"\s*(- )?\w+: *\S", line)]
    # what speaks for itself: prose, and settings whose own text is the explanation
    plain = re.compile(r"\s*(- )?(description|source|kind|wire|price|region|cost):")
    assert [line for line in lines if " # " not in line and not plain.match(line)] == []
