"""Nothing that the gate asks was learned or read: no question, no answer, no fact, and some pages not at all."""

from __future__ import annotations

from tests.trainer.gate.handbook.conftest import Raw
from trainer.data.doctor.duplicates import Indexed, check_gate
from trainer.data.doctor.shingles import Shingles, contained
from trainer.data.hashing import normal
from trainer.data.rows import Row
from trainer.gate.handbook.rows import REFUSAL, read_asked

RESEMBLES = 0.6


def asked_in(row: Row) -> str:
    return row.question.rpartition("\n\nQuestion: ")[2]


def test_no_training_row_asks_a_question_of_the_gate(learned: list[Row], asked_by_the_gate: list[Raw]) -> None:
    def plain(text: str) -> str:
        return "".join(letter for letter in normal(text).casefold() if letter.isalnum())

    learned_questions = {plain(asked_in(row)) for row in learned}
    assert [each.id for each in asked_by_the_gate if plain(each.question) in learned_questions] == []


def test_no_training_question_is_nearly_one_of_the_gate(learned: list[Row], asked_by_the_gate: list[Raw]) -> None:
    ours = Shingles([question.question for question in asked_by_the_gate])
    theirs = Shingles(sorted({asked_in(row) for row in learned}))
    near = [
        asked_by_the_gate[n].id
        for n in range(len(ours))
        for m in range(len(theirs))
        if contained(ours[n], theirs[m]) >= RESEMBLES
    ]
    assert near == []


def test_the_data_doctor_finds_nothing_of_the_gate_in_the_rows(
    learned: list[Row], asked_by_the_gate: list[Raw]
) -> None:
    found = list(check_gate(Indexed(learned), [question.question for question in asked_by_the_gate]))
    assert [finding.message for finding in found] == []


def test_the_doctor_would_have_found_a_question_of_the_gate(learned: list[Row], frozen: list[Raw]) -> None:
    leaked = Row(
        number=len(learned) + 1,
        messages=[
            {"role": "user", "content": frozen[0].question},
            {"role": "assistant", "content": "27 days."},
        ],
    )
    found = list(check_gate(Indexed([*learned, leaked]), [frozen[0].question]))
    assert [finding.severity for finding in found] == ["error"]


def test_no_answer_that_is_learned_is_one_that_the_gate_waits_for(
    learned: list[Row], asked_by_the_gate: list[Raw]
) -> None:
    answers = {row.answer for row in learned} - {REFUSAL}
    sentences = {answer.rpartition(" [")[0] for answer in answers}
    for question in asked_by_the_gate:
        assert question.reference not in answers
        assert question.sentence not in sentences


def test_no_sentence_that_answers_the_gate_is_in_any_row_not_even_to_be_read(
    learned: list[Row], asked_by_the_gate: list[Raw]
) -> None:
    texts = "\n".join(text for row in learned for text in row.texts)
    assert [each.id for each in asked_by_the_gate if each.sentence and each.sentence in texts] == []


def test_no_fact_of_a_page_is_both_learned_and_asked(asked_by_the_gate: list[Raw]) -> None:
    learned_facts = {(fact.page, fact.answer) for fact in read_asked() if fact.page}
    asked = {(question.sources[0], question.sentence) for question in asked_by_the_gate if question.reference}
    assert learned_facts & asked == set()


def test_the_questions_say_which_pages_training_never_showed(learned: list[Row], asked_by_the_gate: list[Raw]) -> None:
    shown = "\n".join(row.question for row in learned)
    for question in asked_by_the_gate:
        if question.reference:
            assert (question.labels["page"] == "new") == (f"[{question.sources[0]}]" not in shown), question.id
    assert sum(question.labels.get("page") == "new" for question in asked_by_the_gate) >= 20
