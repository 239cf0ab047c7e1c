"""The capacity curve, learned online: time per output token against streams decoding, and TTFT against prompt length.

Both are straight lines, as in `predict`: a step takes a + c*b seconds, a prompt of n tokens is read in f + n/p. Each is
kept by its values at two knots (one stream and a full batch; an empty prompt and a long one) and fitted to what came
by weighted least squares, recursively. What makes it safe to route by:

- the policy's figures stand at the knots as if seen `SEED_OBSERVATIONS` times, and never fade; what was observed does,
  by count and by time, so that a curve that nothing confirms goes back to the policy's;
- errors count relative to the seed (a slow batch has no more say than a quick one), and one observation counts as at
  most `SURPRISE` times off, so that a stall or a mistaken clock is one vote among many;
- the published curve goes towards the fit by at most `MOST_STEP` an observation (and `MOST_AT_ONCE`, however many came
  at once), up to `LIMIT` times off the seed, and never bends the wrong way: more streams are never quicker for each,
  nor slower for all.
"""

from __future__ import annotations

from math import exp

from gateway.routing.speed import SpeedModel

SEED_OBSERVATIONS = 3.0
"""So many observations at a knot weigh as much as the policy."""
MEMORY_OBSERVATIONS = 300.0
MEMORY_SECONDS = 1800.0
SURPRISE = 3.0
MOST_STEP = 0.1
MOST_AT_ONCE = 0.5
LIMIT = 10.0
LEAST_SECONDS = 1e-5
"""A time below this is taken as this long."""
LEAST_FIRST_TOKEN_SECONDS = 0.01
"""Where the policy says that a first token takes no time, it is learned between a tenth of this and ten times this."""
JITTER_SECONDS = 0.1
"""A TTFT is a matter of network and scheduling, too: errors of less than this are not told apart by prompt length."""
LONG_PROMPT_TOKENS = 1000.0
SETTLE_SECONDS = 30.0
"""How often a curve without news is believed a little less."""
LEAST_DECODED_TOKENS = 4
"""Shorter answers say little of the time per token."""


class Line:
    """y over x between two knots, both y above 0. At the upper knot y is at least that at the lower one, and at most
    `steepest` times it. `learn` only counts; `settle` works the line out."""

    __slots__ = (
        "_at", "_fresh", "_r0", "_r1", "_scale0", "_scale1", "_seed0", "_seed1", "_steepest", "_w00", "_w01", "_w11",
        "_width", "_x0", "high", "low",
    )  # fmt: skip

    def __init__(self, x0: float, x1: float, low: float, high: float, steepest: float, jitter: float = 0.0) -> None:
        self._x0 = x0
        self._width = max(0.0, x1 - x0)
        self._steepest = steepest
        self.low = self._seed0 = max(LEAST_SECONDS, low)
        self.high = self._seed1 = max(LEAST_SECONDS, high)
        # What an error is measured against.
        self._scale0 = max(self._seed0, jitter)
        self._scale1 = max(self._seed1, jitter)
        # Sums of the weights' products at both knots, and of these with y.
        self._w00 = self._w01 = self._w11 = self._r0 = self._r1 = 0.0
        self._at = 0.0
        self._fresh = 0.0
        """Weight of the observations since it was worked out."""

    def learn(self, x: float, y: float, now: float, weight: float = 1.0) -> None:
        """One observation. Not a number, or not above 0: left out."""
        if not 0.0 < y < 1e9 or not 0.0 <= x < 1e9:
            return
        t = (x - self._x0) / self._width if self._width else 0.0
        t = 0.0 if t < 0.0 else 1.0 if t > 1.0 else t
        s = 1.0 - t
        expected = self.low * s + self.high * t
        if y > expected * SURPRISE:
            y = expected * SURPRISE
        elif y < expected / SURPRISE:
            y = expected / SURPRISE
        scale = self._scale0 * s + self._scale1 * t
        relative = weight / (scale * scale)
        self._forget(now, 1.0 - weight / MEMORY_OBSERVATIONS)
        at0, at1 = relative * s, relative * t
        self._w00 += at0 * s
        self._w01 += at0 * t
        self._w11 += at1 * t
        self._r0 += at0 * y
        self._r1 += at1 * y
        self._fresh += weight

    def _forget(self, now: float, keep: float) -> None:
        if now > self._at:
            keep *= exp((self._at - now) / MEMORY_SECONDS)
            self._at = now
        self._w00 *= keep
        self._w01 *= keep
        self._w11 *= keep
        self._r0 *= keep
        self._r1 *= keep

    def discount(self, share: float) -> None:
        """Only this share of what was seen is believed from now on."""
        self._forget(self._at, share)

    def settle(self, now: float) -> None:
        """Goes towards what fits best. What was seen is believed a little less with time, so that without news this is
        the way back to the seed."""
        self._forget(now, 1.0)
        low, high = self._seed0, self._seed1
        p0 = SEED_OBSERVATIONS / (self._scale0 * self._scale0)
        p1 = SEED_OBSERVATIONS / (self._scale1 * self._scale1)
        w00, w11 = self._w00 + p0, self._w11 + p1
        r0, r1 = self._r0 + p0 * low, self._r1 + p1 * high
        determinant = w00 * w11 - self._w01 * self._w01  # above 0: the seed stands at both knots
        y0 = (r0 * w11 - r1 * self._w01) / determinant
        y1 = (r1 * w00 - r0 * self._w01) / determinant
        most = 1.0 + min(MOST_AT_ONCE, MOST_STEP * max(1.0, self._fresh))
        self._fresh = 0.0
        self.low = _near(_near(y0, low, LIMIT), self.low, most)
        y1 = _near(_near(y1, high, LIMIT), self.high, most)
        self.high = min(self._steepest * self.low, max(self.low, y1))


def _near(y: float, center: float, most: float) -> float:
    """`y`, held between center / most and center * most."""
    return min(center * most, max(center / most, y))


class LearnedSpeed:
    """A backend's `SpeedModel` as it is learned; before anything was observed there is none."""

    __slots__ = ("_model", "_news", "_reading", "_seed", "_settled_at", "_step", "observations")

    def __init__(self, seed: SpeedModel) -> None:
        self._seed = seed
        self._step = Line(1.0, seed.batch, seed.step(1), seed.step(seed.batch), steepest=float(seed.batch))
        first = max(LEAST_FIRST_TOKEN_SECONDS, seed.first_token_seconds)
        long = first + LONG_PROMPT_TOKENS / seed.prompt_tokens_per_second
        self._reading = Line(0.0, LONG_PROMPT_TOKENS, first, long, steepest=1e6, jitter=JITTER_SECONDS)
        self._model: SpeedModel | None = None
        self._news = False
        self._settled_at = 0.0
        self.observations = 0

    def decoded(
        self, streams: float, seconds_per_token: float, prompt_share: float, now: float, weight: float = 1.0
    ) -> None:
        """An answer, or a second of a server's own count: with so many streams decoding on the mean, and prompts being
        read for `prompt_share` of the time, a token took so long. What the prompts took is taken out."""
        free = 1.0 - self._seed.prompt_share_while_decoding * min(1.0, max(0.0, prompt_share))
        self._step.learn(max(1.0, streams), seconds_per_token * free, now, weight)
        self._news = True
        self.observations += 1

    def read(self, prompt_tokens: int, ttft_seconds: float, while_decoding: bool, now: float) -> None:
        """A prompt that no other stood before: its first token came after so long."""
        share = self._seed.prompt_share_while_decoding
        # Slower by the share while others decode: as if it were so much longer.
        tokens = prompt_tokens / share if while_decoding and share else float(prompt_tokens)
        if tokens <= LONG_PROMPT_TOKENS:
            self._reading.learn(tokens, ttft_seconds, now)
        else:
            # Longer than the upper knot: what it would have taken at the knot, were the rest read at the same pace.
            first = self._reading.low
            self._reading.learn(
                LONG_PROMPT_TOKENS, first + max(0.0, ttft_seconds - first) * LONG_PROMPT_TOKENS / tokens, now
            )
        self._news = True
        self.observations += 1

    def discount(self, share: float) -> None:
        """The server was restarted or its model changed: this share of what was learned is still believed."""
        self._step.discount(share)
        self._reading.discount(share)

    def settled(self, now: float) -> SpeedModel | None:
        """What is known by now. Costs a few microseconds: to be asked for about once a second."""
        if self.observations and (self._news or now - self._settled_at > SETTLE_SECONDS):
            self._news = False
            self._settled_at = now
            self._step.settle(now)
            self._reading.settle(now)
            self._model = self._made()
        return self._model

    def _made(self) -> SpeedModel:
        seed, step, reading = self._seed, self._step, self._reading
        batch = seed.batch
        each = 0.0 if batch == 1 else (step.high - step.low) / (batch - 1)
        rate = LONG_PROMPT_TOKENS / max(LEAST_SECONDS, reading.high - reading.low)
        return SpeedModel(
            step.low - each, each, batch, rate, reading.low, batch / step.high, seed.prompt_share_while_decoding
        )
