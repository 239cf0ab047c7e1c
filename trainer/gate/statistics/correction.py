"""The share of right answers, from the share that imperfect judges accepted and from how they did on labelled answers.

Estimate: Rogan and Gladen 1978 (Am. J. Epidemiol. 107, 71-76). Interval, with the labelled answers' own uncertainty:
Lang and Reiczigel 2014 (Prev. Vet. Med. 113, 13-22), for judges Lee et al. 2025 (arXiv 2511.21140,
equations 4-7).
"""

from __future__ import annotations

import math

import msgspec

from trainer.gate.statistics.proportions import Interval, quantile


class Corrected(msgspec.Struct, frozen=True):
    estimate: float | None
    """Between 0 and 1. None: the judges did no better than chance on the labelled answers, or one kind is missing."""
    interval: Interval
    """From 0 to 1 where nothing is known."""
    sensitivity: float | None
    """Accepted among the answers that people called right; None: there are none."""
    specificity: float | None
    """Not accepted among those that people called wrong."""
    right: int
    wrong: int


def corrected(
    accepted: int,
    trials: int,
    *,
    right: int,
    right_accepted: int,
    wrong: int,
    wrong_rejected: int,
    confidence: float = 0.95,
) -> Corrected:
    """`right` and `wrong`: answers that people labelled, and how many of them the judges accepted, or did not."""
    for part, whole in ((accepted, trials), (right_accepted, right), (wrong_rejected, wrong)):
        if not 0 <= part <= whole:
            raise ValueError(f"{part} of {whole}: a part must lie between 0 and its whole")
    sensitivity = right_accepted / right if right else None
    specificity = wrong_rejected / wrong if wrong else None
    unknown = Corrected(None, Interval(0.0, 1.0), sensitivity, specificity, right, wrong)
    if sensitivity is None or specificity is None or not trials or sensitivity + specificity <= 1:
        return unknown
    estimate = (accepted / trials + specificity - 1) / (sensitivity + specificity - 1)

    # The interval is of smoothed shares: two labelled answers are added to each kind, and z squared to the questions.
    z = quantile((1 - confidence) / 2)
    rights, wrongs, asked = right + 2, wrong + 2, trials + z * z
    sensed, spared, share = (right_accepted + 1) / rights, (wrong_rejected + 1) / wrongs, (accepted + z * z / 2) / asked
    slope = sensed + spared - 1
    if slope <= 0:
        return msgspec.structs.replace(unknown, estimate=_clip(estimate))
    middle = (share + spared - 1) / slope
    sensed_variance, spared_variance = sensed * (1 - sensed) / rights, spared * (1 - spared) / wrongs
    shift = 2 * z * z * (middle * sensed_variance - (1 - middle) * spared_variance)
    variance = share * (1 - share) / asked + (1 - middle) ** 2 * spared_variance + middle**2 * sensed_variance
    half = z * math.sqrt(variance) / slope
    interval = Interval(_clip(middle + shift - half), _clip(middle + shift + half))
    return Corrected(_clip(estimate), interval, sensitivity, specificity, right, wrong)


def _clip(share: float) -> float:
    return min(1.0, max(0.0, share))
