"""What is read out of an answer: numbers, dates, names, cited pages, refusals."""

from __future__ import annotations

import pytest

from trainer.gate.checks import dates, names, numbers
from trainer.gate.checks.citations import cited, without_citations
from trainer.gate.checks.normal import digitised, normal
from trainer.gate.checks.refusal import only_refuses, refuses


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("1,200 euros", "1200 euros"),
        ("1 200 euros", "1200 euros"),
        ("1\u202f200\u00a0Euros", "1200 euros"),
        ("1'200", "1200"),
        ("12,345,678.5", "12345678.5"),
        ("2024 100", "2024 100"),
        ("4, 500", "4, 500"),
        ("5\u201310  days", "5-10 days"),
        ("it\u2019s\u200b fine", "it's fine"),
    ],
)
def test_spellings_of_one_thing_are_compared_as_one(text: str, same: str) -> None:
    assert normal(text) == same


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("twenty-five days", "25 days"),
        ("twenty five", "25"),
        ("two hundred euros", "200 euros"),
        ("one month", "1 month"),
        ("someone often", "someone often"),
        ("ninety", "90"),
    ],
)
def test_number_words_are_numbers(text: str, digits: str) -> None:
    assert digitised(text) == digits


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("25 days and 12.50 euros at 09:00", {"25", "12.5", "9:00"}),
        ("It is 25. That is all.", {"25"}),
        ("three days, one of them free", {"3"}),
        ("EUR250 or €30 for 5%", {"250", "30", "5"}),
        ("see [leave-25]", set()),
        ("007 and 0", {"7", "0"}),
    ],
)
def test_numbers_are_found_in_one_spelling(text: str, found: set[str]) -> None:
    assert numbers.numbers(text) == found


def test_numbers_that_no_text_holds() -> None:
    claimed = numbers.numbers("25 days, 250 euros, 9:00, 17:15, three weeks")
    assert numbers.unsupported(claimed, "25 days at 9 o'clock", "two or three weeks, 2500 euros") == ("17:15", "250")


def test_dates_that_no_text_holds() -> None:
    claimed = dates.dates("By 31 March, on Fridays, in May 2026, in December. May I? March on.")
    assert claimed == {"march", "friday", "may", "december"}
    assert dates.unsupported(claimed, "lapses 31 Mar.", "on Friday", "2026-05-01") == ("december",)


def test_names_that_no_text_holds() -> None:
    claimed = names.names("Claims go to Ines Valdrago in Lisbon. Ask HR. I think VPNs are for Managers, Friday or not.")
    assert claimed == {"ines", "valdrago", "lisbon", "hr", "vpns", "managers"}
    assert names.unsupported(claimed, "ask the manager or HR; Ines' office", "the vpn of Lisbon") == ("valdrago",)


@pytest.mark.parametrize(
    ("text", "ids", "rest"),
    [
        ("Yes. [leave-01]", ("leave-01",), "Yes."),
        ("[Leave-01] and [travel-03, leave-01].", ("leave-01", "travel-03"), "and ."),
        ("[a][b; c]", ("a", "b", "c"), ""),
        ("(leave-01) [two words] []", (), "(leave-01) [two words] []"),
    ],
)
def test_cited_pages(text: str, ids: tuple[str, ...], rest: str) -> None:
    assert cited(text) == ids
    assert " ".join(without_citations(text).split()) == rest


REFUSALS = (
    "The handbook does not say.",
    "the handbook doesn\u2019t say",
    "The passages do not mention the price of a parking space.",
    "The provided passages do not actually contain any information about this.",
    "That is not stated in the handbook.",
    "There is no information about parking in these pages.",
    "I don't know.",
    "I cannot find this in the text.",
    "It cannot be determined from the context.",
    "I'm unable to answer that. The text says nothing about it.",
)
ANSWERS = (
    "Staff do not need a receipt.",
    "Meals are not included.",
    "Interns may not work from home.",
    "The policy covers 25 days.",
    "Laptops up to 1,200 euros need no approval.",
    "There is no fee.",
    "",
)


@pytest.mark.parametrize("text", REFUSALS)
def test_refusals_are_recognised(text: str) -> None:
    assert refuses(text)
    assert only_refuses(text)


@pytest.mark.parametrize("text", ANSWERS)
def test_answers_that_deny_are_no_refusals(text: str) -> None:
    assert not refuses(text)


def test_a_refusal_with_an_answer_behind_it_is_not_only_a_refusal() -> None:
    assert refuses("The handbook does not say. It is probably 20 euros.")
    assert not only_refuses("The handbook does not say. It is probably 20 euros.")
