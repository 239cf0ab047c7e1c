"""What answers teach of one backend: its speed, how predictions came true, the quick correction, the margins.

An answer is noted when it ends and taken in later, a few dozen at once: nobody asks for what was learned oftener than
about once a second, and in a row it costs half. Whoever asks gets what all answers noted so far teach, in their order.
"""

from __future__ import annotations

from typing import TypeAlias

from gateway.routing.accuracy import Accuracy, Margin
from gateway.routing.capacity import LearnedSpeed
from gateway.routing.correction import NONE, Correction
from gateway.routing.facts import Ceiling
from gateway.routing.flight import Flight
from gateway.routing.predict import Prediction
from gateway.routing.snapshot import LatencyCorrection
from gateway.routing.speed import SpeedModel

MOST_NOTED = 64

Answer: TypeAlias = tuple[
    Prediction, float, float | None, float, Flight | None, int, Ceiling | None, bool, float | None, float
]
"""Prediction, TTFT, seconds per token, now, flight, output tokens, ceiling; whether its TTFT was the time to read its
prompt; streams decoding with it (None: too little to tell) and the share of that time in which prompts were read."""


class Learning:
    """`learns` False: only how predictions came true is kept."""

    __slots__ = (
        "_correction", "_learns", "_noted", "_speed", "_time_per_token", "_time_per_token_margin", "_ttft",
        "_ttft_margin",
    )  # fmt: skip

    def __init__(self, seed: SpeedModel, margin: float, *, learns: bool) -> None:
        self._learns = learns
        self._noted: list[Answer] = []
        self._speed = LearnedSpeed(seed)
        self._correction = Correction()
        self._ttft = Accuracy()
        self._time_per_token = Accuracy()
        self._ttft_margin = Margin(margin)
        self._time_per_token_margin = Margin(margin)

    def note(self, answer: Answer) -> None:
        self._noted.append(answer)
        if len(self._noted) >= MOST_NOTED:
            self._take_in()

    def scraped(self, streams: float, seconds_per_token: float, share: float, now: float, weight: float) -> None:
        """A server's own counts between two of its pages."""
        self._take_in()
        self._speed.decoded(streams, seconds_per_token, share, now, weight)

    def discount(self, share: float) -> None:
        """Only this share of what was learned is believed from now on."""
        self._take_in()
        self._speed.discount(share)
        self._correction.discount(share)
        self._ttft_margin.discount(share)
        self._time_per_token_margin.discount(share)

    # -- for whoever asks ---------------------------------------------------------------------------------------------

    @property
    def ttft(self) -> Accuracy:
        self._take_in()
        return self._ttft

    @property
    def time_per_token(self) -> Accuracy:
        self._take_in()
        return self._time_per_token

    @property
    def speed(self) -> LearnedSpeed:
        self._take_in()
        return self._speed

    def margin(self, now: float) -> float:
        """Share of a ceiling that a prediction may use: the narrower of both quantities'."""
        self._take_in()
        return min(self._ttft_margin.value(now), self._time_per_token_margin.value(now))

    def correction(self, now: float) -> LatencyCorrection:
        self._take_in()
        return self._correction.value(now)

    # -----------------------------------------------------------------------------------------------------------------

    def _take_in(self) -> None:
        if not self._noted:
            return
        noted, self._noted = self._noted, []
        for answer in noted:
            self._learn(*answer)

    def _learn(
        self, predicted: Prediction, ttft: float, per_token: float | None, now: float, flight: Flight | None,
        output_tokens: int, ceiling: Ceiling | None, reads: bool, streams: float | None, share: float,
    ) -> None:  # fmt: skip
        self._ttft.observed(predicted.ttft_seconds, ttft)
        if per_token is not None:
            self._time_per_token.observed(predicted.seconds_per_token, per_token)
        if not self._learns:
            return
        warm = flight is None or not flight.cold
        used = NONE if flight is None else flight.correction
        self._correction.observed(predicted, ttft if warm else predicted.ttft_seconds, per_token, now, used)
        if ceiling is not None:
            first, each = ceiling.ttft_seconds, ceiling.seconds_per_output_token
            if first is not None and warm:
                self._ttft_margin.observed(predicted.ttft_seconds, ttft, first, now)
            if each is not None and per_token is not None:
                expected, came = predicted.seconds_per_token, per_token
                if first is not None:  # late is late at the end: a quick start makes up for the pace
                    expected = predicted.ttft_seconds + expected * output_tokens
                    came = ttft + came * output_tokens
                    each = first + each * output_tokens
                self._time_per_token_margin.observed(expected, came, each, now)
        if reads and flight is not None:
            self._speed.read(flight.prompt_tokens, ttft, flight.while_decoding, now)
        if streams is not None and per_token is not None:
            self._speed.decoded(streams, per_token, share, now)
