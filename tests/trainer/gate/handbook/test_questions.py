"""The frozen questions and the sealed ones: each has its answer on its page, or nowhere."""

from __future__ import annotations

import re

from tests.trainer.gate.handbook.conftest import Raw
from trainer.data.hashing import normal
from trainer.gate.handbook.rows import current
from trainer.retrieval.chunk import Chunk


def holds(text: str, phrase: str) -> bool:
    """Whether `text` has `phrase` as whole words at its beginning: `swim` is in `swims`, and 4 is not in 14 or 4.5."""
    end = r"(?![\d.:]?\d)" if phrase[-1].isdigit() else ""
    return re.search(rf"(?<![\w.:]){re.escape(phrase.casefold())}{end}", text.casefold()) is not None


def test_there_are_sixty_frozen_questions_and_thirty_sealed_ones(frozen: list[Raw], holdout: list[Raw]) -> None:
    assert len(frozen) == 60
    assert sum(question.reference is None for question in frozen) == 8
    assert len(holdout) == 30
    assert sum(question.reference is None for question in holdout) == 5


def test_no_question_is_asked_twice_and_no_id_given_twice(asked_by_the_gate: list[Raw]) -> None:
    assert len({question.id for question in asked_by_the_gate}) == len(asked_by_the_gate)
    assert len({normal(question.question).casefold() for question in asked_by_the_gate}) == len(asked_by_the_gate)


def test_the_sets_ask_for_different_facts(asked_by_the_gate: list[Raw]) -> None:
    facts = [(question.sources, question.sentence) for question in asked_by_the_gate if question.reference]
    assert len(set(facts)) == len(facts)


def test_every_reference_is_a_sentence_of_its_source_with_the_sources_id(
    asked_by_the_gate: list[Raw], pages: dict[str, Chunk]
) -> None:
    now = {page.id for page in current(list(pages.values()))}
    for question in asked_by_the_gate:
        if question.reference is None:
            assert not question.facts
            assert not question.sources
            continue
        (source,) = question.sources
        assert source in now, question.id
        assert question.sentence
        assert question.sentence in pages[source].text
        assert question.reference == f"{question.sentence} [{source}]"


def test_a_spelling_of_every_fact_is_on_the_source_and_in_no_other_sentence_of_it(
    asked_by_the_gate: list[Raw], pages: dict[str, Chunk]
) -> None:
    for question in asked_by_the_gate:
        for spellings in question.facts:
            rest = pages[question.sources[0]].text.replace(question.sentence or "", "")
            assert any(holds(question.sentence or "", spelling) for spelling in spellings), question.id
            assert not any(holds(rest, spelling) for spelling in spellings), question.id


def test_a_question_does_not_give_its_answer_away(asked_by_the_gate: list[Raw]) -> None:
    for question in asked_by_the_gate:
        for spelling in (spelling for spellings in question.facts for spelling in spellings):
            assert not holds(question.question, spelling), question.id


def test_what_an_unanswerable_question_asks_for_is_on_no_page(
    asked_by_the_gate: list[Raw], pages: dict[str, Chunk]
) -> None:
    for question in asked_by_the_gate:
        assert (question.labels["answer"] == "none") == (question.reference is None)
        if question.reference is not None:
            continue
        absent = question.labels["absent"]
        assert holds(question.question, absent), question.id
        assert [page.id for page in pages.values() if holds(page.text, absent)] == []


def test_some_questions_ask_what_changed_between_the_editions(frozen: list[Raw], pages: dict[str, Chunk]) -> None:
    changed = [question for question in frozen if question.labels.get("changed") == "yes"]
    assert len(changed) >= 6
    for question in changed:
        old = pages[f"{question.sources[0]}-2025"]
        assert not any(holds(old.text, spelling) for spelling in question.facts[0]), question.id
