"""Generations of one alias agree, or the policy says which may lag."""

from __future__ import annotations

import pytest

from gateway.policy import parse_policy
from tests.policy.texts import GOOD, only

ENTRY = "      - {{backend: {0}, model: {0}, generation: {1}{2}}}\n"


def served_by(*entries: tuple[str, str, str]) -> str:
    head = GOOD[: GOOD.index("      - {backend: box")]
    return head + "".join(ENTRY.format(*entry) for entry in entries)


def test_two_generations_of_one_alias_are_an_error_at_the_second_with_both_mends() -> None:
    problem = only(served_by(("box", "handbook@v0002", ""), ("cloud", "handbook@v0001", "")))
    assert problem.path == "aliases.base.served_by[1].generation"
    assert "handbook@v0002" in problem.message
    assert problem.mend is not None
    assert "may_lag: true" in problem.mend


@pytest.mark.parametrize("entry", [("cloud", "handbook@v0001", ", may_lag: true"), ("cloud", "handbook@v0002", "")])
def test_the_same_generation_or_one_that_may_lag_is_well(entry: tuple[str, str, str]) -> None:
    policy = parse_policy(served_by(("box", "handbook@v0002", ""), entry), environ={})
    assert policy.aliases["base"].served_by[1].may_lag == ("may_lag" in entry[2])


def test_nothing_is_kept_unless_the_policy_says_where() -> None:
    assert parse_policy(GOOD, environ={}).adapters.state is None
    assert parse_policy(GOOD + "adapters: {state: /var/lib/a.json}\n", environ={}).adapters.state == "/var/lib/a.json"


def test_an_unknown_setting_of_the_section_is_named() -> None:
    assert "unknown setting" in only(GOOD + "adapters: {stat: x}\n").message
