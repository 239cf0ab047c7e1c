"""Frozen sets on disk: what is written is read, and what was changed or never fitted is refused, all of it at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from trainer.gate import frozen as module
from trainer.gate.frozen import FrozenSetError, read_frozen, sha256_of_text, write_frozen
from trainer.gate.prompt import sha256_of_set
from trainer.gate.schema import FrozenSet, Passage, Question


def _passage(name: str, text: str) -> Passage:
    return Passage(name, text, sha256_of_text(text), {"department": "travel"})


DINNER = Question(
    "q1",
    "What is paid?",
    (_passage("p1", "31 euros."), _passage("p2", "Nothing.")),
    "31 euros.",
    (("31 euros",),),
    ("p1",),
)
NOBODY = Question("q2", "Who?", (_passage("p2", "Nothing."),))
SET = FrozenSet(1, "small", "Answer.", {"embedder": "none"}, (DINNER, NOBODY))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_frozen(SET, tmp_path / "deep" / "set.json")
    return tmp_path / "deep" / "set.json"


def _changed(file: Path, change: Any) -> str:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    with pytest.raises(FrozenSetError) as error:
        read_frozen(file)
    return str(error.value)


def test_a_set_is_read_as_it_was_written_and_its_hash_stands_in_the_file(file: Path) -> None:
    assert read_frozen(file) == SET
    assert json.loads(file.read_text())["sha256"] == sha256_of_set(SET)
    assert [path.name for path in file.parent.iterdir()] == ["set.json"]


def test_a_reference_that_was_changed_later_is_noticed(file: Path) -> None:
    said = _changed(file, lambda content: content["questions"][0].update(reference="32 euros."))
    assert "it was changed" in said
    assert sha256_of_set(SET)[:12] in said


def test_a_file_without_a_hash_is_not_trusted(file: Path) -> None:
    assert "it has no sha256" in _changed(file, lambda content: content.pop("sha256"))


def test_a_passage_that_was_changed_is_named(file: Path) -> None:
    said = _changed(file, lambda content: content["questions"][0]["passages"][0].update(text="33 euros."))
    assert "question 1 ('q1'): the text of passage 'p1' has the hash" in said


def test_every_problem_is_said_at_once(tmp_path: Path) -> None:
    other = replace(NOBODY, passages=(_passage("p2", "Something else."), _passage("p2", "Something else.")))
    bad = replace(
        SET,
        name=" ",
        questions=(
            DINNER, replace(DINNER, question=" ", passages=()), other, replace(NOBODY, id="", sources=("p2",)),
            replace(DINNER, id="q9", reference="", facts=((),)),
        ),
    )  # fmt: skip
    with pytest.raises(FrozenSetError) as error:
        write_frozen(bad, tmp_path / "set.json")
    text = str(error.value)
    for said in (
        "its name is empty", "question 2 ('q1') has the id of question 1", "question 2 ('q1'): its text is empty",
        "it has 0 passages", "passage 'p2' is another text than in a question before", "passage 'p2' is there twice",
        "question 4 (''): its id is empty", "no reference but facts or sources", "its reference is empty",
        "has no spelling",
    ):  # fmt: skip
        assert said in text
    assert not (tmp_path / "set.json").exists()


def test_two_broken_questions_are_both_named(file: Path) -> None:
    def change(content: Any) -> None:
        content["questions"] = [{"id": 1}, content["questions"][0], {"id": "x", "question": "?"}]

    said = _changed(file, change)
    assert "question 1: Expected `str`, got `int`" in said
    assert "question 3: Object missing required field" in said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not a frozen set"), ("[]", "not a frozen set"),
        ('{"schema": 2}', "its schema is 2 and this program reads 1"),
        ('{"schema": 1}', "it has no list `questions`"), ('{"schema": 1, "questions": []}', "missing required field"),
        ('{"schema": 1, "name": "n", "instruction": "i", "index": {}, "questions": []}', "it has no questions"),
    ],
)  # fmt: skip
def test_what_is_no_frozen_set_is_refused(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "set.json").write_text(content)
    with pytest.raises(FrozenSetError, match=said):
        read_frozen(tmp_path / "set.json")


def test_sizes_are_bounded(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_QUESTIONS", 1)
    with pytest.raises(FrozenSetError, match="2 questions and the limit is 1"):
        read_frozen(file)
    monkeypatch.setattr(module, "MOST_BYTES", 100)
    with pytest.raises(FrozenSetError, match="bytes and the limit is 100"):
        read_frozen(file)
    with pytest.raises(FrozenSetError, match="bytes and the limit is 100"):
        write_frozen(SET, file)
