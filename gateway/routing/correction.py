"""The quick correction of predictions: the ratio of what came to what was predicted, lately.

It shares the work with the learned curve (`capacity.py`), and the two cannot fight. The curve is learned from raw
measurements only (time per token against the streams that really decoded, TTFT against the prompt really read): no
prediction and no correction enters it, so it goes to the machine's steady speed whatever this ratio says. The ratio is
taken of predictions that already contain the curve, so it holds what the curve cannot: load that changes while a
request runs, a neighbour on the machine, a bad quarter of an hour. It moves in a few requests and fades in minutes;
where the curve has taken a lasting change over, the ratio goes back to 1 by itself.
"""

from __future__ import annotations

from math import exp, log

from gateway.routing.predict import Prediction
from gateway.routing.snapshot import LatencyCorrection

WEIGHT = 0.1
"""Of one observation: ten move it most of the way."""
FADE_SECONDS = 300.0
"""A correction that nothing confirms fades with this time constant: a backend that was slow once is tried again."""
LIMITS = (0.2, 5.0)
LOW, HIGH = log(LIMITS[0]), log(LIMITS[1])
NONE = LatencyCorrection()


class Correction:
    """Of one backend; logarithms of both ratios and the moment they were last moved."""

    __slots__ = ("_at", "_time_per_token", "_ttft")

    def __init__(self) -> None:
        self._ttft = 0.0
        self._time_per_token = 0.0
        self._at = 0.0

    def observed(
        self, predicted: Prediction, ttft_seconds: float, seconds_per_token: float | None, now: float,
        used: LatencyCorrection = NONE,
    ) -> None:  # fmt: skip
        """Moves both ratios, in steps and within limits. `used`: the correction that is in the prediction; it is taken
        out, for it was made when the request was sent. Without that, all requests of a long queue would report the same
        error, and each add to the correction that the others have made already."""
        fade = exp(-max(0.0, now - self._at) / FADE_SECONDS)
        self._at = now
        self._ttft = _moved(self._ttft * fade, ttft_seconds, predicted.ttft_seconds / used.ttft)
        if seconds_per_token is None:
            self._time_per_token *= fade
        else:
            expected = predicted.seconds_per_token / used.time_per_token
            self._time_per_token = _moved(self._time_per_token * fade, seconds_per_token, expected)

    def discount(self, share: float) -> None:
        """Only this share of it is believed from now on."""
        self._ttft *= share
        self._time_per_token *= share

    def value(self, now: float) -> LatencyCorrection:
        if not self._ttft and not self._time_per_token:
            return NONE
        fade = exp(-max(0.0, now - self._at) / FADE_SECONDS)
        return LatencyCorrection(exp(fade * self._ttft), exp(fade * self._time_per_token))


def _moved(current: float, seen: float, expected: float) -> float:
    if not (0.0 < seen < 1e9 and 0.0 < expected < 1e9):
        return current
    target = log(seen / expected)
    return current + WEIGHT * ((HIGH if target > HIGH else LOW if target < LOW else target) - current)
