"""The checks of an answer tell what is wrong with it in words, and never raise, whatever it is."""

from __future__ import annotations

import random

import pytest

from tests.trainer.gate.sets import LEAVE, MEALS, PARKING, QUESTIONS, RIGHT, answer
from trainer.gate.checks import check, check_all
from trainer.gate.judges.facts import facts
from trainer.gate.judges.grounding import grounding
from trainer.gate.schema import Question


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.id)
def test_nothing_is_wrong_with_a_right_answer(question: Question) -> None:
    assert check(question, answer(question, RIGHT[question.id])).findings == ()


@pytest.mark.parametrize(
    ("question", "text", "found"),
    [
        (LEAVE, "Staff get 25 days a year. [leave-07]", "cites what it was not shown: leave-07"),
        (LEAVE, "Staff get 30 days a year. [leave-01]", "numbers from nowhere: 30"),
        (LEAVE, "They lapse on 31 April. [leave-01]", "dates from nowhere: april"),
        (MEALS, "Claims go to Bodo Kranich. [travel-03]", "names from nowhere: bodo, kranich"),
        (LEAVE, "Staff get 25 days.", "cites nothing"),
        (LEAVE, "The handbook does not say.", "refused, though there is an answer"),
        (PARKING, "It is free of charge. [offices-01]", "answered, though there is none"),
        (LEAVE, "", "no answer"),
        (LEAVE, None, "no answer"),
        (LEAVE, "leave " * 200 + "[leave-01]", "200 words long"),
    ],
)
def test_what_is_wrong_is_said(question: Question, text: str | None, found: str) -> None:
    assert found in check(question, answer(question, text)).findings


@pytest.mark.parametrize(
    ("question", "text", "held"),
    [
        (LEAVE, "25 days. Everybody knows that.", True),
        (LEAVE, "250 days [leave-01]", False),
        (PARKING, "The handbook does not say.", False),
    ],
)
def test_a_fact_is_held_whatever_else_the_answer_says(question: Question, text: str, held: bool) -> None:
    assert check(question, answer(question, text)).holds_facts is held


def test_they_stand_in_the_order_of_the_answers() -> None:
    given = [answer(MEALS, "a"), answer(LEAVE, "b")]
    assert [one.question for one in check_all(QUESTIONS, given)] == ["q-meals", "q-leave"]


def test_no_text_is_too_strange() -> None:
    dice = random.Random(6)
    alphabet = "ab 1.,:-[]'\"\n\u2028\u200b\ud800\x00\uff10\u0660\u00bd\u2167Iİßﬁ<|>"
    for _ in range(300):
        check(LEAVE, answer(LEAVE, "".join(dice.choices(alphabet, k=dice.randrange(60)))))
    for text in ("[" * 20_000, "1,000" * 10_000, "A b " * 10_000, "May " * 10_000, "\n" * 20_000, "'" * 20_000):
        check(LEAVE, answer(LEAVE, text))
        facts(LEAVE, text)
        grounding(LEAVE, text)
