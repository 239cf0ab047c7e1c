"""Freezing: the same passages for everybody, and a refusal to freeze what nobody could be measured by."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest

from tests.trainer.retrieval.pages import CHUNKS
from trainer.data.problem import DataError
from trainer.gate.frozen import FrozenSetError, read_frozen, write_frozen
from trainer.retrieval.chunk import Chunk
from trainer.retrieval.embedded import build
from trainer.retrieval.freeze import INSTRUCTION, freeze, not_retrieved
from trainer.retrieval.questions import RawQuestion, read_raw_questions
from trainer.retrieval.split import split_pages
from trainer.retrieval.where import WhereError

DINNER = RawQuestion(
    "q1", "What is paid for dinner?", "Up to 31 euros.", ("31 euros",), ("travel-01",), {"kind": "sum"}
)
NOBODY = RawQuestion("q2", "Who may open the gate?")


def test_a_question_carries_its_best_passages_with_their_hashes_and_labels() -> None:
    store = build(CHUNKS, None, "bm25")
    frozen = freeze([DINNER, NOBODY], store, 2, "small", INSTRUCTION)
    dinner, nobody = frozen.questions
    assert [passage.id for passage in dinner.passages] == [hit.id for hit in store.query(DINNER.question, 2)]
    first = dinner.passages[0]
    assert (first.id, first.text) == ("travel-01", CHUNKS[1].text)
    assert first.sha256 == sha256(CHUNKS[1].text.encode()).hexdigest()
    assert first.labels == {"department": "travel", "edition": "2026"}
    assert dinner.facts == (("31 euros",),)
    assert dinner.labels == {"kind": "sum"}
    assert dinner.answerable
    assert not nobody.answerable
    assert nobody.passages
    assert frozen.index["corpus_sha256"] == store.manifest.corpus_sha256
    assert frozen.index["k"] == "2"


def test_freezing_twice_gives_the_same_set_and_a_file_reads_back_as_it_was(tmp_path: Path) -> None:
    sets = [freeze([DINNER, NOBODY], build(order, None, "bm25"), 3, "s", "Answer.") for order in (CHUNKS, CHUNKS[::-1])]
    assert sets[0] == sets[1]
    assert write_frozen(sets[0], tmp_path / "a.json") == write_frozen(sets[1], tmp_path / "b.json")
    assert read_frozen(tmp_path / "a.json") == sets[0]


def test_filters_of_the_set_and_of_a_question_both_hold() -> None:
    store = build(CHUNKS, None, "bm25")
    own = RawQuestion("q3", "What is paid for dinner on the night train?", where={"edition": 2024})
    frozen = freeze([own], store, 5, "s", "Answer.", where={"department": "travel"})
    assert [passage.id for passage in frozen.questions[0].passages] == ["travel-02"]
    assert frozen.index["where"] == '{"department":"travel"}'


def test_sources_that_no_chunk_has_and_questions_that_find_nothing_are_all_said() -> None:
    wrong = RawQuestion("q4", "What is paid for dinner?", "31", (), ("travel-99",))
    lost = RawQuestion("q5", "Zebra?")
    with pytest.raises(FrozenSetError) as error:
        freeze([wrong, lost], build(CHUNKS, None, "bm25"), 2, "s", "Answer.")
    assert "'q4': no chunk has the id of its source 'travel-99'" in str(error.value)
    assert "'q5': no passage is found for it" in str(error.value)


def test_a_source_that_was_not_retrieved_is_told_and_a_part_counts_as_its_page() -> None:
    far = RawQuestion("q6", "What is paid for dinner?", "At nine.", (), ("yard-01",))
    assert not_retrieved(freeze([DINNER, far, NOBODY], build(CHUNKS, None, "bm25"), 1, "s", "Answer.")) == ["q6"]
    long = split_pages([Chunk("long", "apple pear\n\ndinner train", {})], lambda text: len(text.split()), 2)
    parted = RawQuestion("q7", "Which train?", "Dinner.", (), ("long",))
    assert not_retrieved(freeze([parted], build(long, None, "bm25"), 1, "s", "Answer.")) == []


def test_questions_are_read_from_json_lines_with_every_mistake_and_its_line(tmp_path: Path) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text(
        '{"id": "a", "question": "Who?", "reference": "Ann.", "facts": ["Ann", ["Bo", "Beau"]], "sources": ["p"]}\n\n'
        '{"id": "b", "question": "What?"}\n'
    )
    first, second = read_raw_questions(file)
    assert first.spellings == (("Ann",), ("Bo", "Beau"))
    assert second.reference is None
    file.write_text(
        '{"id": "a", "question": "Who?"}\n{"id": "a", "question": "Who?"}\nnot json\n{"id": "c"}\n'
        '{"id": "d", "question": "?", "reference": "x"}\n{"id": "e", "question": "?", "sources": ["p"]}\n'
        '{"id": "f", "question": "?", "answer": "x"}\n{"id": "g", "question": "?", "where": {"a": {"$no": 1}}}\n'
    )
    with pytest.raises(DataError) as error:
        read_raw_questions(file)
    assert [problem.line for problem in error.value.problems] == [2, 3, 4, 5, 6, 7, 8]
    file.write_text("")
    with pytest.raises(DataError, match="no questions"):
        read_raw_questions(file)


def test_a_filter_that_names_no_label_is_said_with_its_question_and_with_the_other_mistakes() -> None:
    wrong = [RawQuestion(f"q{n}", "What is paid?", where={"colour": "red"}) for n in (8, 9)]
    with pytest.raises(FrozenSetError) as error:
        freeze([DINNER, *wrong], build(CHUNKS, None, "bm25"), 2, "s", "Answer.", {"department": "travel"})
    assert "question 'q8': where.$and[1].colour: no chunk of the index has this label" in str(error.value)
    assert "question 'q9': " in str(error.value)
    with pytest.raises(WhereError, match=r"^where\.colour: no chunk"):
        freeze([DINNER], build(CHUNKS, None, "bm25"), 2, "s", "Answer.", {"colour": "red"})


@pytest.mark.parametrize("name", ["\x1b[31mq1", "q\n1", "q" * 101])
def test_an_id_that_no_log_can_show_is_refused_where_it_is_written_and_where_it_is_frozen(
    tmp_path: Path, name: str
) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text(json.dumps({"id": name, "question": "What is paid for dinner?"}))
    with pytest.raises(DataError, match=r":1: its id has more than 100 characters, or one that cannot be printed"):
        read_raw_questions(file)
    with pytest.raises(FrozenSetError, match="its id has more than 100 characters") as error:
        freeze([RawQuestion(name, "What is paid for dinner?")], build(CHUNKS, None, "bm25"), 2, "s", "Answer.")
    assert "\x1b" not in str(error.value)
    assert len(str(error.value)) < 400
