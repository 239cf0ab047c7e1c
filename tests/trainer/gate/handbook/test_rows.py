"""The training rows: made by the program that is here, in the gate's prompt, short, with the right page among two."""

from __future__ import annotations

import re

import msgspec
import pytest

from trainer.data.rows import Row
from trainer.gate.handbook.rows import FOLDER, REFUSAL, Asked, current, instruction, read_asked, rows, withheld
from trainer.gate.prompt import messages
from trainer.gate.schema import Passage, Question
from trainer.retrieval.chunk import Chunk

_PASSAGE = re.compile(r"^\[([a-z]+-\d+)\] (.+)$", re.MULTILINE)


def passages_of(row: Row) -> dict[str, str]:
    return dict(_PASSAGE.findall(row.question))


def test_the_committed_rows_are_those_that_the_program_makes(pages: dict[str, Chunk]) -> None:
    made = rows(current(list(pages.values())), read_asked(), instruction(), withheld())
    assert [msgspec.json.encode(row) for row in made] == (FOLDER / "train.jsonl").read_bytes().splitlines()


def test_another_seed_gives_the_same_rows_in_another_order(pages: dict[str, Chunk]) -> None:
    shown, asked = current(list(pages.values())), read_asked()
    first, second = rows(shown, asked, "x", seed=1), rows(shown, asked, "x", seed=2)
    assert first != second
    answers = [sorted(row["messages"][-1]["content"] for row in made) for made in (first, second)]
    assert answers[0] == answers[1]


def test_a_fact_that_its_page_does_not_hold_stops_the_program(pages: dict[str, Chunk]) -> None:
    wrong = Asked("leave-01", "Leave is 99 days.", ("How much leave is there?",))
    with pytest.raises(ValueError, match="leave-01 does not hold"):
        rows(current(list(pages.values())), [wrong], "x")


def test_a_fact_that_is_withheld_stops_the_program(pages: dict[str, Chunk]) -> None:
    fact = read_asked()[0]
    assert fact.answer is not None
    with pytest.raises(ValueError, match="does not hold"):
        rows(current(list(pages.values())), [fact], "x", [fact.answer])


def test_there_are_about_three_hundred(learned: list[Row]) -> None:
    assert 270 <= len(learned) <= 330


def test_a_row_is_the_prompt_of_the_gate_with_two_passages(learned: list[Row]) -> None:
    for row in learned:
        shown = tuple(Passage(id, text, "") for id, text in passages_of(row).items())
        asked = row.question.rpartition("\n\nQuestion: ")[2]
        assert row.messages is not None
        assert len(shown) == 2
        assert row.messages[:-1] == messages(instruction(), Question("", asked, shown))


def test_an_answer_is_a_sentence_of_the_passage_that_it_cites_or_a_refusal(learned: list[Row]) -> None:
    for row in learned:
        if row.answer != REFUSAL:
            sentence, _, cited = row.answer.rpartition(" [")
            assert sentence in passages_of(row)[cited.removesuffix("]")]


def test_the_right_passage_is_first_about_as_often_as_second(learned: list[Row]) -> None:
    places = [
        list(passages_of(row)).index(row.answer.rpartition(" [")[2].removesuffix("]"))
        for row in learned
        if row.answer != REFUSAL
    ]
    assert 0.4 <= places.count(0) / len(places) <= 0.6


def test_some_rows_are_refusals_and_half_of_those_ask_what_another_row_answers(learned: list[Row]) -> None:
    refused = [row.question.rpartition("\n\n")[2] for row in learned if row.answer == REFUSAL]
    answered = {row.question.rpartition("\n\n")[2] for row in learned if row.answer != REFUSAL}
    assert 0.1 <= len(refused) / len(learned) <= 0.25
    assert sum(question in answered for question in refused) >= len(refused) / 2


def test_a_refusal_never_has_a_passage_with_the_answer(learned: list[Row]) -> None:
    holding = {ask: fact.answer for fact in read_asked() if fact.answer for ask in fact.asks}
    for row in learned:
        answer = holding.get(row.question.rpartition("\n\nQuestion: ")[2])
        if row.answer == REFUSAL and answer is not None:
            assert answer not in row.question


def test_a_row_is_short_enough_for_a_training_on_a_cpu(learned: list[Row]) -> None:
    words = [sum(len(text.split()) for text in row.texts) for row in learned]
    assert max(words) <= 190
    assert sum(words) / len(words) <= 160
