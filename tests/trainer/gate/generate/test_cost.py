"""What an answer cost: its tokens at list price, and its share of what its backend cost while it was busy with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainer.gate.errors import LedgerUnreadableError
from trainer.gate.generate.cost import Rate, Sent, busy_groups, cost_of, priced
from trainer.gate.schema import Answer


def sent(id: str, begin: float, end: float, tokens: int, nanousd: int | None = 0, backend: str = "box") -> Sent:
    return Sent(id, backend, (begin, end), tokens, nanousd)


def test_tokens_that_are_paid_by_the_token_cost_their_charge_all_attempts_together() -> None:
    first, again, unknown = sent("a", 0, 1, 5, 300), sent("a", 1, 2, 5, 200), sent("b", 0, 1, 5, None)
    assert cost_of([first, again, unknown], {}, {}) == {"a": 500, "b": None}


def test_a_box_costs_while_it_is_busy_and_its_answers_share_that_by_their_tokens() -> None:
    own = [sent("a", 0, 4, 30), sent("b", 2, 10, 10), sent("c", 100, 110, 7)]
    other = sent("someone-else's", 8, 12, 40)
    rates = {"box": [Rate((0, 60), 100.0), Rate((60, 1000), 50.0)]}
    costs = cost_of(own, {"box": [*own, other]}, rates)
    assert costs == {"a": 1200 * 30 / 80, "b": 1200 * 10 / 80, "c": 500}


def test_a_box_whose_cost_is_not_in_the_ledger_yet_is_not_free() -> None:
    assert cost_of([sent("a", 0, 4, 30), sent("b", 0, 4, 0)], {}, {}) == {"a": None, "b": 0}


def test_answers_without_a_token_share_alike() -> None:
    own = [sent("a", 0, 4, 0), sent("b", 0, 4, 0)]
    assert cost_of(own, {"box": own}, {"box": [Rate((0, 9), 10.0)]}) == {"a": 20, "b": 20}


def test_copies_that_run_beside_each_other_add_up() -> None:
    own = [sent("a", 0, 4, 3)]
    rates = {"box": [Rate((0, 300), 10.0), Rate((2, 302), 10.0)]}
    assert cost_of(own, {"box": own}, rates) == {"a": 60}


def test_busy_groups_end_where_nothing_is_under_way() -> None:
    one, two, three = sent("a", 0, 2, 1), sent("b", 1, 5, 1), sent("c", 5.5, 6, 1)
    assert busy_groups([three, two, one]) == [[one, two], [three]]


async def test_what_is_no_ledger_is_said(tmp_path: Path) -> None:
    answers = [Answer("q", "g", "x", decision="0a")]
    file = tmp_path / "ledger.sqlite3"
    with pytest.raises(LedgerUnreadableError, match="cannot be read"):
        await priced(answers, file)
    file.write_bytes(b"no database" * 100)
    with pytest.raises(LedgerUnreadableError, match="setting `ledger`"):
        await priced(answers, file)
