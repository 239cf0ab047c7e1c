"""One share: how many of n independent questions came out well, and what that says of all such questions.

Wilson's interval is right on average and is what a reader is shown. Clopper and Pearson's is exact: it errs at most as
often as it says, for every share and every n, and is what the tests use.

Sources: Wilson 1927 (JASA 22, 209-212); Clopper and Pearson 1934 (Biometrika 26, 404-413); both compared by Newcombe
1998 (Statistics in Medicine 17, 857-872).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from statistics import NormalDist

import msgspec


class Interval(msgspec.Struct, frozen=True):
    low: float
    high: float


def wilson(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Two-sided score interval. No trials: from 0 to 1."""
    return Interval(
        wilson_lower(successes, trials, (1 - confidence) / 2), wilson_upper(successes, trials, (1 - confidence) / 2)
    )


def wilson_lower(successes: int, trials: int, alpha: float) -> float:
    """One-sided: the true share is below it about `alpha` of the time."""
    _check(successes, trials, alpha)
    if successes == 0:
        return 0.0  # what the formula gives, without its rounding
    middle, half = _wilson(successes, trials, alpha)
    return max(0.0, middle - half)


def wilson_upper(successes: int, trials: int, alpha: float) -> float:
    _check(successes, trials, alpha)
    if successes == trials:
        return 1.0
    middle, half = _wilson(successes, trials, alpha)
    return min(1.0, middle + half)


def clopper_pearson(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Two-sided exact interval. No trials: from 0 to 1."""
    tail = (1 - confidence) / 2
    return Interval(clopper_pearson_lower(successes, trials, tail), clopper_pearson_upper(successes, trials, tail))


def clopper_pearson_lower(successes: int, trials: int, alpha: float) -> float:
    """The share at which `successes` or more have a probability of `alpha`."""
    _check(successes, trials, alpha)
    if successes == 0:
        return 0.0
    return _bisect(lambda share: at_least(successes, trials, share) > alpha)


def clopper_pearson_upper(successes: int, trials: int, alpha: float) -> float:
    """The share at which `successes` or fewer have a probability of `alpha`."""
    _check(successes, trials, alpha)
    if successes == trials:
        return 1.0
    return _bisect(lambda share: at_most(successes, trials, share) < alpha)


def at_least(successes: int, trials: int, share: float) -> float:
    """P(X >= successes), X binomial."""
    if successes <= 0:
        return 1.0
    if successes > trials:
        return 0.0
    if successes <= trials * share:  # the other tail is the short one, and its sum the exact one
        return 1.0 - _tail(trials - successes + 1, trials, 1 - share)
    return _tail(successes, trials, share)


def at_most(successes: int, trials: int, share: float) -> float:
    """P(X <= successes), X binomial."""
    return at_least(trials - successes, trials, 1 - share)


@lru_cache(maxsize=4096)
def least_to_show(share: float, trials: int, alpha: float) -> int | None:
    """The fewest successes whose exact one-sided lower bound is `share` or more; None: not even `trials` of them."""
    alpha *= 1 + 1e-9  # a tie is a tie, whatever the rounding of the sum
    if at_least(trials, trials, share) > alpha:
        return None
    low, high = 0, trials
    while low < high:
        middle = (low + high) // 2
        if at_least(middle, trials, share) <= alpha:
            high = middle
        else:
            low = middle + 1
    return low


def most_to_refute(share: float, trials: int, alpha: float) -> int | None:
    """The most successes whose exact one-sided upper bound is `share` or less; None: not even none of them."""
    failures = least_to_show(1 - share, trials, alpha)
    return None if failures is None else trials - failures


@lru_cache(maxsize=256)
def quantile(alpha: float) -> float:
    """z with a probability of `alpha` above it, in the standard normal distribution."""
    return NormalDist().inv_cdf(1 - alpha)


def _wilson(successes: int, trials: int, alpha: float) -> tuple[float, float]:
    z = quantile(alpha)
    share = successes / trials
    scale = 1 + z * z / trials
    middle = (share + z * z / (2 * trials)) / scale
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials)) / scale
    return middle, half


def _tail(successes: int, trials: int, share: float) -> float:
    """P(X >= successes) for `successes` above the mean: the terms fall, and the sum ends when they no longer count."""
    if share <= 0.0:
        return 0.0
    term = math.exp(
        math.lgamma(trials + 1)
        - math.lgamma(successes + 1)
        - math.lgamma(trials - successes + 1)
        + successes * math.log(share)
        + (trials - successes) * math.log1p(-share)
    )
    total = term
    odds = share / (1 - share)
    for count in range(successes, trials):
        term *= (trials - count) / (count + 1) * odds
        total += term
        if term < total * 1e-17:
            break
    return min(1.0, total)


def _bisect(is_above: Callable[[float], bool]) -> float:
    """The share at which `is_above` turns from False to True."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if is_above(middle):
            high = middle
        else:
            low = middle
    return (low + high) / 2


def _check(successes: int, trials: int, alpha: float) -> None:
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} of {trials}: successes must lie between 0 and the number of trials")
    if not 0 < alpha < 1:
        raise ValueError(f"alpha is {alpha:g}: it must lie between 0 and 1")
