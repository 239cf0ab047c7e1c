"""Which rows are held out."""

from __future__ import annotations

from trainer.data.rows import Row
from trainer.data.split import split

ROWS = [Row(number, prompt=f"question {number}", completion="answer") for number in range(1, 2001)]


def numbers(rows: list[Row]) -> set[int]:
    return {row.number for row in rows}


def test_about_the_share_is_held_out_and_every_row_is_on_one_side() -> None:
    learned, held_out = split(ROWS, 0.1)
    assert 150 < len(held_out) < 250
    assert numbers(learned) | numbers(held_out) == numbers(ROWS)
    assert len(learned) + len(held_out) == len(ROWS)


def test_a_row_keeps_its_side_when_rows_are_added_or_reordered() -> None:
    assert numbers(split(ROWS[:1000][::-1], 0.1)[1]) == {n for n in numbers(split(ROWS, 0.1)[1]) if n <= 1000}


def test_rows_with_one_question_are_on_one_side() -> None:
    twice = [*ROWS, *(Row(5000 + row.number, prompt=row.prompt, completion="another") for row in ROWS)]
    learned, held_out = split(twice, 0.3)
    assert not {row.prompt for row in learned} & {row.prompt for row in held_out}


def test_each_side_of_a_small_set_has_a_row() -> None:
    for count in range(2, 30):
        assert len(split(ROWS[:count], 0.001)[1]) == 1
        assert split(ROWS[:count], 0.999)[0]


def test_nothing_is_held_out_of_one_question_or_with_a_share_of_nothing() -> None:
    assert split(ROWS, 0) == (ROWS, [])
    assert split(ROWS[:1] * 3, 0.5) == (ROWS[:1] * 3, [])
    assert split([], 0.5) == ([], [])


def test_questions_that_differ_in_their_spacing_are_on_one_side() -> None:
    spaced = [*ROWS, *(Row(5000 + row.number, prompt=f" {row.prompt}\u00a0 ", completion="answer") for row in ROWS)]
    held_out = numbers(split(spaced, 0.3)[1])
    assert {number - 5000 for number in held_out if number > 5000} == {number for number in held_out if number < 5000}
