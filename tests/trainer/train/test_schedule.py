"""The learning rate of each step."""

from __future__ import annotations

import itertools

import pytest

from trainer.train.schedule import learning_rate, planned_steps, warmup_steps


def rates(steps: int, warmup_share: float, decay: str) -> list[float]:
    return [
        learning_rate(step, steps, peak=1.0, warmup_share=warmup_share, decay=decay)  # type: ignore[arg-type]
        for step in range(1, steps + 1)
    ]


def test_the_rate_rises_to_the_peak_over_the_warm_up() -> None:
    assert rates(20, 0.2, "constant")[:6] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0, 1.0])


def test_a_linear_rate_would_be_zero_one_step_after_the_last() -> None:
    assert rates(5, 0.0, "linear") == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.2])


def test_a_cosine_is_half_way_down_in_the_middle() -> None:
    found = rates(10, 0.0, "cosine")
    assert found[0] == 1.0
    assert found[5] == pytest.approx(0.5)
    assert all(later < earlier for earlier, later in itertools.pairwise(found))


@pytest.mark.parametrize("decay", ["cosine", "linear", "constant"])
@pytest.mark.parametrize("steps", [1, 2, 7, 100])
@pytest.mark.parametrize("share", [0.0, 0.03, 0.5, 0.999])
def test_no_step_has_a_rate_of_zero_or_above_the_peak(decay: str, steps: int, share: float) -> None:
    assert all(0 < rate <= 1.0 for rate in rates(steps, share, decay))


def test_a_share_of_the_steps_is_a_whole_number_of_warm_up_steps() -> None:
    assert [warmup_steps(100, share) for share in (0.0, 0.03, 0.031)] == [0, 3, 4]


def test_a_step_outside_the_run_has_no_rate() -> None:
    with pytest.raises(ValueError, match="1 to 5"):
        learning_rate(6, 5, peak=1.0, warmup_share=0.0, decay="linear")


def test_a_run_ends_with_whichever_limit_is_first() -> None:
    assert planned_steps(10, 3, None) == 30
    assert planned_steps(10, 0.25, None) == 3
    assert planned_steps(10, 3, 12) == 12
    assert planned_steps(10, None, 500) == 500
    with pytest.raises(ValueError, match="neither"):
        planned_steps(10, None, None)
