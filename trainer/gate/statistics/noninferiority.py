"""Is the second not worse than the first by as much as a margin? The question for a routine refresh.

Asked again and again, "is it better?" finds an improvement sooner or later where there is none. This question does not
need one: it passes what is as good as before. Test: Tango 1998, `trainer.gate.statistics.paired`.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from trainer.gate.statistics.paired import score, score_bound


class NotWorse(msgspec.Struct, frozen=True):
    answer: Literal["not worse", "worse", "open"]
    """worse: shown to be worse by more than the margin. open: neither is shown."""
    p: float
    """One-sided: how often what was seen would come of a second that is worse by just the margin."""
    lower: float
    """One-sided bounds of the difference, at alpha."""
    upper: float


def noninferiority(gains: int, losses: int, pairs: int, margin: float, alpha: float) -> NotWorse:
    """`margin` > 0, as a difference of shares."""
    if not 0 < margin < 1:
        raise ValueError(f"margin is {margin:g}: it must lie between 0 and 1")
    if pairs == 0:
        return NotWorse("open", 1.0, -1.0, 1.0)
    lower, upper = score_bound(gains, losses, pairs, alpha, -1), score_bound(gains, losses, pairs, alpha, 1)
    p = 0.5 * math.erfc(score(gains, losses, pairs, -margin) / math.sqrt(2))
    return NotWorse("not worse" if lower > -margin else "worse" if upper < -margin else "open", p, lower, upper)
