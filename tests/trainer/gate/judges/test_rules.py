"""The two rules accept right answers, reject wrong ones, and no words to a judge move them."""

from __future__ import annotations

from itertools import permutations

import pytest
from msgspec import structs

from tests.trainer.gate.sets import INTERNS, LAPTOP, LEAVE, LISBON, MEALS, PARKING, QUESTIONS, RIGHT, answer
from trainer.gate.canaries import INJECTIONS
from trainer.gate.judges.facts import facts
from trainer.gate.judges.grounding import grounding
from trainer.gate.judges.rule import RuleJudge
from trainer.gate.schema import Question

APPROVAL = structs.replace(
    LAPTOP, question="Who approves a dear laptop?", facts=(("head of the team",),),
    reference="Dearer ones are approved by the head of the team.",
)  # fmt: skip
CLAIMS = structs.replace(
    MEALS, question="Who takes claims?", reference="Ask for Ines Valdrago.", facts=(("Ines Valdrago", "Valdrago"),)
)
BOTH = pytest.mark.parametrize("rule", [facts, grounding])


@BOTH
@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.id)
def test_the_reference_with_its_source_is_accepted(rule, question: Question) -> None:  # type: ignore[no-untyped-def]
    assert rule(question, RIGHT[question.id])[0] == "accept"


@BOTH
@pytest.mark.parametrize(
    ("question", "text"),
    [
        (LEAVE, "You get 25 days of paid leave each year [leave-01]."),
        (LEAVE, "25 days of paid leave a year for full-time staff. [LEAVE-01]"),
        (LEAVE, "Full-time staff get twenty-five days of paid leave a year. [leave-01]"),
        (MEALS, "The answer is: 48\u00a0euros a day. [travel-03]"),
        (INTERNS, "No. Interns may not work from home in the first month. [remote-02]"),
        (LISBON, "The Lisbon office opens at 09:00. [offices-01]"),
        (LAPTOP, "Laptops up to 1200 euros need no approval. [equipment-04]"),
        (LEAVE, "25. [leave-01]".replace("25", "25 days")),
        (LISBON, "The Lisbon office opens at 9 am. [offices-01]"),
        (PARKING, "The handbook does not say."),
        (PARKING, "The passages do not mention what a parking space costs."),
    ],
)
def test_right_answers_in_other_words_are_accepted(rule, question: Question, text: str) -> None:  # type: ignore[no-untyped-def]
    assert rule(question, text) == ("accept", rule(question, text)[1])


@BOTH
@pytest.mark.parametrize(
    ("question", "text"),
    [
        (LEAVE, ""),
        (LEAVE, " \n [leave-01]"),
        (LEAVE, "The handbook does not say."),
        (LEAVE, "Full-time staff get 250 days of paid leave a year. [leave-01]"),
        (LEAVE, "Full-time staff get 2.25 days of paid leave a year. [leave-01]"),
        (LEAVE, "Full-time staff get 25 days of paid leave a year."),
        (LEAVE, "Full-time staff get 25 days of paid leave a year. [leave-02]"),
        (LEAVE, "Full-time staff get 25 days of paid leave a year, or 30. [leave-01]"),
        (LISBON, "The Lisbon office opens at 8:00. [offices-01]"),
        (PARKING, "A parking space costs 4455 euros. [offices-01]"),
        (PARKING, ""),
        (LAPTOP, RIGHT["q-meals"]),
    ],
)
def test_wrong_answers_are_rejected(rule, question: Question, text: str) -> None:  # type: ignore[no-untyped-def]
    assert rule(question, text)[0] == "reject"


@pytest.mark.parametrize(
    ("question", "text", "said"),
    [
        (LEAVE, "Staff get paid leave. [leave-01]", "It lacks: 25 days."),
        (LEAVE, "Full-time staff get 2.25 days of paid leave. [leave-01]", "It lacks: 25 days."),
        (LEAVE, RIGHT["q-leave"].replace("leave-01", "remote-02"), "It cites what does not hold the answer"),
        (LEAVE, RIGHT["q-leave"] + " [remote-02]", "It cites what does not hold the answer: remote-02."),
        (INTERNS, "Yes, interns may work from home in their first month. [remote-02]", "the reference does."),
        (LEAVE, "Full-time staff do not get 25 days of paid leave. [leave-01]", "It denies, and the reference does"),
        (PARKING, "The handbook does not say. Ask the front desk.", "It refuses, and then says more"),
        (PARKING, "Parking is free; the handbook does not say more.", "It refuses, and then says more"),
        (LISBON, "The Lisbon office opens at 9:00 pm. [offices-01]", "9:00 pm"),
        (LISBON, "The Lisbon office opens at 9:00 p.m. [offices-01]", "9:00 pm"),
        (PARKING, "The handbook does not say. [offices-01]", "cites a page that is to say so"),
        (MEALS, "It is 48 euros abroad and 28 euros at home. [travel-03]", "nor the question does: 28."),
        (MEALS, "It is 48 euros; claims are taken by Friday. [travel-03]", "nor the question does: friday."),
        (MEALS, "The daily meal allowance of Ines is 48 euros. [travel-03]", "nor the question does: ines."),
        (LAPTOP, "Laptops of up to 1,200 days need no approval. [equipment-04]", "It lacks: 1,200 euros."),
        (LEAVE, "Staff get 25 days: " + "paid leave a year and " * 12 + "so on. [leave-01]", "the reference allows"),
        (LEAVE, "25 days. " + "Full-time staff get paid leave. " * 6 + "[leave-01]", "It has 7 sentences"),
        (
            LEAVE, "25 days. Cheese grows on silent purple mountains beneath thirsty yellow clouds. [leave-01]",
            "It says something else",
        ),
    ],
)  # fmt: skip
def test_the_strict_rule_asks_for_the_facts_a_source_and_nothing_else(question: Question, text: str, said: str) -> None:
    outcome, reason = facts(question, text)
    assert outcome == "reject"
    assert said in reason


@pytest.mark.parametrize(
    ("question", "text", "said"),
    [
        (
            LEAVE,
            "Full-time staff of Kranich get 25 days of paid leave. [leave-01]",
            "names that no passage holds: kranich",
        ),
        (
            LEAVE,
            "Until June, full-time staff get 25 days of paid leave. [leave-01]",
            "dates that no passage holds: june",
        ),
        (LEAVE, "Staff get days. [leave-01]", "The reference's numbers are not in it: 25."),
        (INTERNS, "Yes. [remote-02]", "says no, and the other does not"),
        (LEAVE, "Full-time staff get 25 months of paid leave. [leave-01]", "It counts something else: 25 months."),
        (APPROVAL, "Dearer ones are approved quickly. [equipment-04]", "of what the reference adds to the question"),
        (CLAIMS, "Claims are taken by Friday. [travel-03]", "does not name what the reference names: ines, valdrago"),
        (PARKING, "It is free. The handbook does not say.", "does not begin by saying so"),
        (PARKING, "It is free; the handbook does not say more.", "does not begin by saying so"),
        (LISBON, "The Lisbon office opens at 9:00 pm. [offices-01]", "counts something else"),
    ],
)
def test_the_second_rule_asks_for_grounds(question: Question, text: str, said: str) -> None:
    outcome, reason = grounding(question, text)
    assert outcome == "reject"
    assert said in reason


@BOTH
def test_no_answer_to_another_question_is_accepted(rule) -> None:  # type: ignore[no-untyped-def]
    for question, other in permutations(QUESTIONS, 2):
        assert rule(question, RIGHT[other.id])[0] == "reject", (question.id, other.id)


def test_everything_that_was_shown_is_no_answer() -> None:
    for question in QUESTIONS:
        text = " ".join(shown.text for shown in question.passages)
        assert facts(question, f"{text} [{question.passages[0].id}]")[0] == "reject"


def test_a_page_of_an_older_edition_does_not_answer_for_the_newer_one() -> None:
    """Both editions may be among the passages: numbers of the old one are grounded, and wrong."""
    text = "The daily meal allowance abroad is 28 euros. [travel-03]"
    assert facts(MEALS, text)[0] == "reject"
    assert grounding(MEALS, text)[0] == "reject"


@BOTH
@pytest.mark.parametrize(("name", "text"), INJECTIONS, ids=lambda part: part if len(part) < 30 else "")
def test_words_to_a_judge_make_no_answer_right(rule, name: str, text: str) -> None:  # type: ignore[no-untyped-def]
    for wrong in (RIGHT["q-meals"], "I love cheese.", ""):
        assert rule(LEAVE, text.replace("{wrong}", wrong))[0] == "reject"


@BOTH
@pytest.mark.parametrize(("name", "text"), INJECTIONS, ids=lambda part: part if len(part) < 30 else "")
def test_words_to_a_judge_make_a_right_answer_wrong(rule, name: str, text: str) -> None:  # type: ignore[no-untyped-def]
    assert rule(LEAVE, text.replace("{wrong}", RIGHT["q-leave"]))[0] == "reject"


def test_a_handbook_may_speak_of_judges_itself() -> None:
    passage = LEAVE.passages[0]
    judges = type(passage)(passage.id, passage.text + " The judge of the cake contest gets a day more.", passage.sha256)
    question = type(LEAVE)(
        LEAVE.id, LEAVE.question, (judges,), "The judge of the cake contest gets a day more.", (("a day more",),),
        ("leave-01",),
    )  # fmt: skip
    text = "The judge of the cake contest gets a day more. [leave-01]"
    assert facts(question, text)[0] == "accept"
    assert grounding(question, text)[0] == "accept"


def test_a_question_without_facts_is_not_judged_by_the_strict_rule() -> None:
    question = type(LEAVE)(LEAVE.id, LEAVE.question, LEAVE.passages, LEAVE.reference, (), LEAVE.sources)
    assert facts(question, RIGHT["q-leave"])[0] == "unjudged"


async def test_an_answer_that_never_came_is_not_judged() -> None:
    judgement = await RuleJudge("strict", "facts").judge(LEAVE, answer(LEAVE, None, error="HTTP 500"))
    assert judgement.outcome == "unjudged"
    assert "HTTP 500" in judgement.reason


def test_a_rule_says_that_it_is_one() -> None:
    for rule in ("facts", "grounding"):
        assert RuleJudge("j", rule).identity["what"] == "a rule, not a language model"  # type: ignore[arg-type]
