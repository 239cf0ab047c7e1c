"""When held-out rows are asked, which answer is the best, and when it is time to stop."""

from __future__ import annotations

from trainer.train.evaluation import interval, out_of_patience
from trainer.train.record import Evaluation, best


def losses(*values: float) -> list[Evaluation]:
    """Evaluations every ten steps; the first is the base's, at step 0."""
    return [Evaluation(step * 10, loss, 100, 0.1) for step, loss in enumerate(values)]


def test_ten_evaluations_a_run_unless_asked_otherwise() -> None:
    assert [interval(steps, None) for steps in (1, 9, 10, 95, 1000)] == [1, 1, 1, 10, 100]
    assert interval(1000, 7) == 7


def test_the_best_is_the_lowest_after_a_step() -> None:
    found = best(losses(1.0, 3.0, 2.0, 2.0))
    assert found is not None
    assert found.step == 20
    assert best(losses(1.0)) is None


def test_a_run_stops_after_so_many_evaluations_without_a_better_one() -> None:
    assert not out_of_patience(losses(9, 3.0, 2.0, 2.5, 2.4), 3)
    assert out_of_patience(losses(9, 3.0, 2.0, 2.5, 2.4, 2.3), 3)
    assert not out_of_patience(losses(9, 3.0, 2.0, 2.5, 2.4, 1.9), 3)
    assert out_of_patience(losses(9, 2.0, 2.0), 1)


def test_without_patience_or_evaluations_it_never_stops() -> None:
    assert not out_of_patience(losses(9, 1.0, 2.0, 3.0, 4.0), None)
    assert not out_of_patience([], 1)
