"""How well predictions came true, and the margin that follows from their bias.

Each prediction is held against what came, as the logarithm of observed over predicted. Of that three things are kept,
each in a few numbers: the mean absolute error relative to what came (MAPE), the mean itself (bias), and its 95th
percentile, by stochastic approximation: a step up when an observation lies above it, a nineteenth of that down when
below. In the long run one in twenty then lies above, whatever the distribution and even when it drifts; this is what
adaptive conformal inference does (Gibbs and Candes, 2021). The p95 of a request is its prediction times that
percentile, and what share of observations stays below it is counted as well: it should be 95%.
"""

from __future__ import annotations

from math import exp, log

LEVEL = 0.95
WINDOW = 200
"""Observations that the running means reach back to, about."""
FIRST_P95 = 0.2
"""Before anything was seen, 22% more than predicted is taken as the 95th percentile, in logarithms."""
LEAST_STEP = 0.1
"""Of the stream's spread: smaller would be smoother, and follow a drift too late."""
MARGIN_LIMITS = (0.5, 1.0)
MARGIN_OBSERVATIONS = 50.0
"""So many observations near a ceiling have as much say in the margin as the policy."""
MARGIN_FADE_SECONDS = 3600.0
"""...and after this time without new ones 63% less: a backend once avoided for its errors is tried again."""
NEAR_CEILING = 0.25
"""Only predictions above this share of a ceiling move the margin: of one far below, even a large error harms nobody."""
LARGEST = 4.0
"""Logarithm of an observation 55 times off, and more: all the same."""


MOST_ERROR = exp(LARGEST)


class Quantile:
    """The running quantile of a stream: a share `level` of it lies below."""

    __slots__ = ("_count", "_level", "_scale", "value")

    def __init__(self, value: float, level: float) -> None:
        self.value = value
        self._level = level
        self._count = 0
        self._scale = 0.1

    def see(self, x: float) -> None:
        """Steps as large as the stream's spread at first, later a tenth of it: it keeps following."""
        count = self._count = self._count + 1
        scale = self._scale
        off = x - self.value
        spread = off if off > 0 else -off
        if spread > 10 * scale:
            spread = 10 * scale
        scale += (spread - scale) * (0.05 if count > 20 else 1.0 / (count + 1))
        self._scale = scale
        step = (LEAST_STEP if count > 46 else count**-0.6) * (scale if scale > 0.01 else 0.01)
        self.value += step * (self._level if off > 0 else self._level - 1.0)


class Accuracy:
    """Of one quantity (TTFT, time per token) of one backend."""

    __slots__ = ("_above", "_error", "_log_ratio", "_p95", "observations")

    def __init__(self) -> None:
        self.observations = 0
        self._error = 0.0
        self._log_ratio = 0.0
        self._above = 1.0 - LEVEL
        self._p95 = Quantile(FIRST_P95, LEVEL)

    def observed(self, predicted: float, seen: float) -> None:
        """Seconds of either. Left out where one is not above 0: no ratio."""
        if not (predicted > 0.0 and seen > 0.0):
            return
        if not (predicted < 1e12 and seen < 1e12):
            return
        ratio = log(seen / predicted)
        ratio = LARGEST if ratio > LARGEST else -LARGEST if ratio < -LARGEST else ratio
        count = self.observations = self.observations + 1
        weight = 1.0 / (count if count < WINDOW else WINDOW)
        error = predicted / seen - 1.0
        if error < 0:
            error = -error
        self._error += ((error if error < MOST_ERROR else MOST_ERROR) - self._error) * weight
        self._log_ratio += (ratio - self._log_ratio) * weight
        # As the quantile stood before this observation, which it did not know.
        self._above += ((ratio > self._p95.value) - self._above) * (weight if count > 20 else 0.05)
        self._p95.see(ratio)

    @property
    def error_ratio(self) -> float | None:
        """Mean of |predicted - observed| / observed; None: nothing was observed."""
        return self._error if self.observations else None

    @property
    def bias_ratio(self) -> float | None:
        """Geometric mean of observed over predicted: above 1, things came later than said."""
        return exp(self._log_ratio) if self.observations else None

    @property
    def p95_ratio(self) -> float:
        """Observed over predicted that one in twenty exceeds."""
        return exp(self._p95.value)

    @property
    def coverage_ratio(self) -> float | None:
        """Share of observations that came within their p95. Should be 0.95."""
        return 1.0 - self._above if self.observations else None


class Margin:
    """The share of a ceiling that a prediction of one backend may use: the policy's while little is known of how
    predictions come true, then one over their bias, the running median of observed over predicted.

    The median and not a high percentile: how far a wait or an answer's length strays by chance is priced already, in
    the chance of being late (`lateness.py`), and a margin for the 95th percentile counts that chance twice. Replayed,
    such a margin cost 7% to 66% more dollars than the policy's own, for more bad requests (docs/replay.md). What is
    left for it is the bias that stays when the learned curve and the correction have had their say.
    """

    __slots__ = ("_at", "_bias", "_default", "_evidence")

    def __init__(self, default: float) -> None:
        self._default = -log(default)
        self._evidence = 0.0
        self._bias = Quantile(0.0, 0.5)
        self._at = 0.0

    def observed(self, predicted: float, seen: float, ceiling: float, now: float) -> None:
        """Seconds. Counts only where the prediction was near the ceiling. That is judged by the prediction alone: to
        pick by what came would count the failures twice."""
        if predicted < NEAR_CEILING * ceiling or not (predicted > 0.0 and seen > 0.0):
            return
        self._bias.see(min(LARGEST, max(-LARGEST, log(seen / predicted))))
        self._evidence = min(20 * MARGIN_OBSERVATIONS, self._faded(now) + 1.0)
        self._at = now

    def discount(self, share: float) -> None:
        self._evidence *= share

    def _faded(self, now: float) -> float:
        return self._evidence * exp(-max(0.0, now - self._at) / MARGIN_FADE_SECONDS)

    def value(self, now: float) -> float:
        """Between the limits; the policy's own while little was seen."""
        evidence = self._faded(now)
        own = evidence / (evidence + MARGIN_OBSERVATIONS)
        low, high = MARGIN_LIMITS
        return min(high, max(low, exp(-(own * self._bias.value + (1.0 - own) * self._default))))
