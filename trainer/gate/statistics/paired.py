"""Two generators on the same questions. Only the questions on which they differ tell them apart.

`gains`: good from the second only. `losses`: good from the first only. The difference is (gains - losses) / pairs.

Sources: McNemar 1947 (Psychometrika 12, 153-157), in its exact form a sign test; Tango 1998 (Statistics in Medicine 17,
891-908) for the score test of a difference, whose bounds hold where little or nothing differs; Efron 1979 (Annals of
Statistics 7, 1-26) for the bootstrap.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from trainer.gate.statistics.proportions import Interval, quantile


def mcnemar_exact(gains: int, losses: int) -> float:
    """Two-sided p: how often a coin would split gains + losses at least as unevenly. 1 where nothing differs."""
    if gains < 0 or losses < 0:
        raise ValueError(f"gains {gains} and losses {losses} are counts: they cannot be negative")
    differing = gains + losses
    rarer = sum(math.comb(differing, count) for count in range(min(gains, losses) + 1))
    return min(1.0, 2 * rarer / (1 << differing))


def counted(pairs: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """(gains, losses) of pairs of 0 and 1."""
    return sum(second > first for first, second in pairs), sum(second < first for first, second in pairs)


def paired_bootstrap(pairs: Sequence[tuple[int, int]], confidence: float = 0.95) -> Interval:
    """Percentile interval of the difference, over all resamples of the questions. No pairs: from -1 to 1.

    A resample's difference is a sum of independent steps of +1, -1 and 0, so its distribution is worked out whole, not
    drawn from: there is no seed, and the same answers have the same interval. Where nothing differs, it has no width,
    which is not the truth: tests use `score_bound`.
    """
    if not pairs:
        return Interval(-1.0, 1.0)
    count = len(pairs)
    gains, losses = counted(pairs)
    up, down = gains / count, losses / count
    same = 1 - up - down
    chances = [1.0]  # of the sums -k ... k after k steps
    for _ in range(count):
        longer = [0.0] * (len(chances) + 2)
        for place, chance in enumerate(chances):
            longer[place] += chance * down
            longer[place + 1] += chance * same
            longer[place + 2] += chance * up
        chances = longer
    tail = (1 - confidence) / 2
    return Interval(_percentile(chances, tail) / count, _percentile(chances, 1 - tail) / count)


def score(gains: int, losses: int, pairs: int, difference: float) -> float:
    """Tango's z: how far the difference seen lies above `difference`, in standard errors under that difference."""
    _check(gains, losses, pairs)
    distance = gains - losses - pairs * difference
    # The share of losses, restricted to this difference, that makes what was seen likeliest: a quadratic equation.
    linear = (2 * pairs - gains + losses) * difference - gains - losses
    constant = -losses * difference * (1 - difference)
    share = (math.sqrt(max(0.0, linear * linear - 8 * pairs * constant)) - linear) / (4 * pairs)
    variance = pairs * (2 * share + difference * (1 - difference))
    if variance <= 1e-12:
        return 0.0 if abs(distance) < 1e-9 else math.copysign(math.inf, distance)
    return distance / math.sqrt(variance)


def score_bound(gains: int, losses: int, pairs: int, alpha: float, side: int) -> float:
    """One-sided bound of the difference: the lower (`side` -1) or the upper one (+1). No pairs: -1 or 1."""
    if pairs == 0:
        return float(side)
    z = quantile(alpha)
    low, high = -1.0, 1.0
    for _ in range(50):  # the score falls as the difference rises
        middle = (low + high) / 2
        if score(gains, losses, pairs, middle) > -side * z:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def score_interval(gains: int, losses: int, pairs: int, confidence: float = 0.95) -> Interval:
    tail = (1 - confidence) / 2
    return Interval(score_bound(gains, losses, pairs, tail, -1), score_bound(gains, losses, pairs, tail, 1))


def _percentile(chances: list[float], share: float) -> int:
    """The least sum that has `share` of all resamples at or below it."""
    total = 0.0
    for place, chance in enumerate(chances):
        total += chance
        if total >= share - 1e-12:
            return place - (len(chances) - 1) // 2
    return (len(chances) - 1) // 2


def _check(gains: int, losses: int, pairs: int) -> None:
    if gains < 0 or losses < 0 or gains + losses > pairs or pairs < 1:
        raise ValueError(
            f"{gains} gains and {losses} losses of {pairs} pairs: they are counts, at most all pairs together"
        )
