"""How likely each test is to decide, at given true rates, and how many questions make that likely: exact, by counting.

`gain` and `loss` are the shares of questions that are good from the second generator only, and from the first only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from trainer.gate.statistics.paired import score
from trainer.gate.statistics.proportions import at_least, at_most, least_to_show, most_to_refute, quantile

MOST_QUESTIONS = 2_000
"""Past this no number is given: whoever reads it would not ask so many, and the rates seen do not bear it."""


def bar_power(share: float, bar: float, questions: int, alpha: float) -> float:
    """Chance that the exact test shows `bar`, where the true share is `share`."""
    least = least_to_show(bar, questions, alpha)
    return 0.0 if least is None else at_least(least, questions, share)


def below_bar_power(share: float, bar: float, questions: int, alpha: float) -> float:
    """Chance that the exact test shows that the share is below `bar`."""
    most = most_to_refute(bar, questions, alpha)
    return 0.0 if most is None else at_most(most, questions, share)


def gain_power(gain: float, loss: float, questions: int, alpha: float, minimum_gain: float = 0.0) -> float:
    """Chance that McNemar's exact test finds the second better, and by `minimum_gain` or more as seen."""
    chance = 0.0
    for differing, probability, share in _differing(gain, loss, questions):
        least = least_to_show(0.5, differing, alpha / 2)
        if least is not None:
            for_the_gain = math.ceil((differing + minimum_gain * questions) / 2 - 1e-9)
            chance += probability * at_least(max(least, for_the_gain), differing, share)
    return min(1.0, chance)


def above_power(gain: float, loss: float, questions: int, difference: float, alpha: float) -> float:
    """Chance that the one-sided score test shows that the true difference is above `difference`."""
    z = quantile(alpha)
    chance = 0.0
    for differing, probability, share in _differing(gain, loss, questions):
        least, above = 0, differing + 1  # the score rises with the gains: the first that shows it, or none
        while least < above:
            middle = (least + above) // 2
            if score(middle, differing - middle, questions, difference) > z:
                above = middle
            else:
                least = middle + 1
        chance += probability * at_least(least, differing, share)
    return min(1.0, chance)


def below_power(gain: float, loss: float, questions: int, difference: float, alpha: float) -> float:
    """Chance that the one-sided score test shows that the true difference is below `difference`."""
    return above_power(loss, gain, questions, -difference, alpha)


def questions_needed(
    decided: Callable[[int], float], asked: int, *, power: float = 0.8, limit: int = MOST_QUESTIONS
) -> int | None:
    """How many more than `asked` give `decided(total)` a chance of `power`; None: more than `limit` in all would.

    Power does not rise smoothly with the number of questions, so this is the first number found, not the only one.
    """
    missed = total = asked
    while True:
        if total >= limit:
            return None
        total = min(limit, max(total + 1, total * 11 // 10))
        if decided(total) >= power:
            break
        missed = total
    while total - missed > 1:
        middle = (total + missed) // 2
        if decided(middle) >= power:
            total = middle
        else:
            missed = middle
    return total - asked


def _differing(gain: float, loss: float, questions: int) -> Iterator[tuple[int, float, float]]:
    """How many questions may differ, the probability of that, and the share of gains among them."""
    either = gain + loss
    if gain < 0 or loss < 0 or either > 1 + 1e-9:
        raise ValueError(f"gain {gain:g} and loss {loss:g} are shares of the same questions: they add up to 1 at most")
    if either <= 0:
        yield 0, 1.0, 0.5
        return
    if either >= 1 - 1e-12:
        yield questions, 1.0, gain / either
        return
    log_same, log_either, log_all = math.log1p(-either), math.log(either), math.lgamma(questions + 1)
    for count in range(questions + 1):
        ways = log_all - math.lgamma(count + 1) - math.lgamma(questions - count + 1)
        probability = math.exp(ways + count * log_either + (questions - count) * log_same)
        if probability > 1e-10:
            yield count, probability, gain / either
