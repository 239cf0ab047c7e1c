"""How much of their triples of words texts share."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainer.data.doctor.conftest import sentence
from trainer.data.doctor.shingles import Index, Shingles, alike, contained, jaccard, words


def by_hand(text: str) -> set[tuple[str, ...]]:
    found = words(text)
    return {tuple(found[i : i + 3]) for i in range(max(1, len(found) - 2))} if found else set()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(alphabet="ab .,", max_size=30), min_size=1, max_size=20))
def test_the_sets_are_those_that_a_plain_count_finds(texts: list[str]) -> None:
    shingles = Shingles(texts)
    assert len(shingles) == len(texts)
    for one in range(len(texts)):
        assert len(shingles[one]) == max(1, len(by_hand(texts[one])))
        first, other = by_hand(texts[0]), by_hand(texts[one])
        if first and other:
            assert jaccard(shingles[0], shingles[one]) == len(first & other) / len(first | other)


def test_case_marks_and_spacing_do_not_count() -> None:
    one, other = Shingles(["How many DAYS, please?"])[0], Shingles(["how  many\ndays please"])[0]
    assert np.array_equal(one, other)


def test_scripts_without_spaces_are_split_into_characters() -> None:
    assert words("年休は何日") == ["年", "休", "は", "何", "日"]


def test_signatures_agree_about_as_often_as_the_sets_overlap() -> None:
    choice = random.Random(0)
    base = sentence(choice, 200)
    texts = [base, base.rsplit(" ", 40)[0], sentence(choice, 200)]
    shingles, signatures = Shingles(texts), Shingles(texts).signatures()
    for other in (1, 2):
        assert abs((signatures[0] == signatures[other]).mean() - jaccard(shingles[0], shingles[other])) < 0.3
    assert (signatures[0] == signatures[2]).mean() < 0.2 < 0.6 < (signatures[0] == signatures[1]).mean()


def test_alike_finds_every_near_copy_and_nothing_else() -> None:
    choice = random.Random(1)
    questions = [sentence(choice, 30) for _ in range(300)]
    answers = [sentence(choice, 30) for _ in range(300)]
    copies = {300 + n: n for n in range(0, 300, 10)}
    questions += [f"please {questions[n]}" for n in copies.values()]
    answers += [f"{answers[n]} indeed" for n in copies.values()]
    found = {later: earlier for earlier, later in alike(Shingles(questions), Shingles(answers), 0.8)}
    assert found == {300 + place: n for place, n in enumerate(copies.values())}


def test_rows_that_share_their_passages_alone_or_their_answer_alone_are_not_alike() -> None:
    choice = random.Random(2)
    passages = sentence(choice, 300)
    questions = [f"{passages} {sentence(choice, 8)}" for _ in range(50)] + [sentence(choice, 20) for _ in range(50)]
    answers = [sentence(choice, 20) for _ in range(50)] + ["yes"] * 50
    assert not list(alike(Shingles(questions), Shingles(answers), 0.8))


def test_an_index_finds_a_text_in_a_longer_one_and_says_how_much_of_it() -> None:
    choice = random.Random(3)
    question = sentence(choice, 12)
    index = Index(Shingles([question, sentence(choice, 12)]))
    texts = Shingles([sentence(choice, 40), f"{sentence(choice, 20)} {question} {sentence(choice, 20)}"])
    assert list(index.containing(texts, 0.8)) == [(1, 0, 1.0)]
    assert contained(Shingles([question])[0], texts[1]) == 1.0


def test_what_many_indexed_texts_share_is_their_frame_and_does_not_count() -> None:
    choice = random.Random(5)
    frame = "according to the handbook of the company please answer this question in one short sentence"
    texts = [f"{frame} {sentence(choice, 10)}" for _ in range(20)]
    index = Index(Shingles(texts))
    assert not list(index.containing(Shingles([f"{frame} {sentence(choice, 10)}"]), 0.6))
    assert list(index.containing(Shingles([texts[7].removeprefix(frame)]), 0.6)) != []


def test_no_texts_are_alike_to_nothing() -> None:
    assert not list(alike(Shingles([]), Shingles([]), 0.8))
    assert not list(Index(Shingles(["one two three four five six"])).containing(Shingles([]), 0.5))
