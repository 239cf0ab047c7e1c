"""What is known of one backend, kept up to date by the requests sent to it and by its metrics page, and the
`BackendState` made of it for the router. The clock is passed in: live traffic and replays use the same object.

A request's life is three calls: `sent`, `first_token`, `ended`; how quick it was is told to `observed` before `ended`.
"""

from __future__ import annotations

from collections.abc import Callable
from math import exp

from gateway.economics.windows import WindowView
from gateway.routing.accuracy import Accuracy
from gateway.routing.capacity import LEAST_DECODED_TOKENS, LearnedSpeed
from gateway.routing.circuit import Circuit
from gateway.routing.correction import NONE
from gateway.routing.facts import Ceiling
from gateway.routing.flight import Flight, UnderWay
from gateway.routing.learning import Learning
from gateway.routing.load import STALE_SECONDS, Load, pace
from gateway.routing.predict import Prediction
from gateway.routing.snapshot import BackendState, LatencyCorrection
from gateway.routing.speed import SpeedModel

RATE_SECONDS = 60.0
"""Output rate and prompt share are of about the last minute."""
RESTORE_GRACE_SECONDS = 30.0
"""A cold start that is this much overdue is not under way any more."""
SLOW_SECONDS = 1.0
"""What is learned reaches the router at most this late: it changes slowly, and is not worked out for every request."""
BELIEVED_AFTER_RESTART = 0.2
"""Share of what was learned that still counts for a server that was restarted, or whose model changed."""
SCRAPE_WEIGHT = 0.2
"""Of one second of a server's own counts, against one answer that we measured."""
DEFAULT_MARGIN = 0.95


class Tracker:
    """One backend. `seed`: its speed by the policy; `margin`: the policy's; `learns` False: the speed stays as given,
    nothing corrects it, and the margin is the policy's (a replay may ask for that)."""

    def __init__(
        self, name: str, max_in_flight: int, seed: SpeedModel, margin: float = DEFAULT_MARGIN, *, learns: bool = True,
        circuit: Circuit | None = None,
    ) -> None:  # fmt: skip
        self.name = name
        self.max_in_flight = max_in_flight
        self.seed = seed
        self.learns = learns
        self.circuit = Circuit() if circuit is None else circuit
        self._learning = Learning(seed, margin, learns=learns)
        self.reachable = True
        """By its observer; a backend without one counts as reachable until requests fail."""
        self.load: Load | None = None
        self._known: Load | None = None
        """The last page, also of a server that went since: it is known again by it, or is another."""
        self.in_flight = 0
        self.decoding = 0
        self._unread: dict[Flight, None] = {}
        """In the order sent, which is the order in which they are read."""
        self._unread_tokens = 0
        self._read_tokens = 0.0
        """Of the first of them."""
        self._silent: list[tuple[float, Flight]] = []
        """Not streamed, and when their first tokens are believed to come."""
        self._prompt_share = 0.0
        self._read_area = 0.0
        self._decoded_area = 0.0
        self._at = 0.0
        self._starting: list[tuple[float, bool]] = []
        """Cold starts under way: believed ready when, and whether another copy was up."""
        self._rate = 0.0
        self._rate_at = 0.0
        self._read_area_at_scrape = 0.0
        self._speed = seed
        # What changes slowly, as the router was last told.
        self._slow_until = -1.0
        self._told_speed: SpeedModel | None = None
        self._told_margin: float | None = None
        self._told_correction = NONE
        self._told_capacity = seed.max_tokens_per_second

    # -- a request's life -----------------------------------------------------------------------------------------

    def sent(self, prompt_tokens: int, now: float, expected_ttft_seconds: float | None = None) -> Flight:
        """`expected_ttft_seconds` for a request that is not streamed: nothing will tell when its prompt is read, so
        that is believed to be then."""
        self._advance(now)
        cold = bool(self._starting)
        alone = not cold and not self._unread and self.in_flight < self._speed.batch
        flight = Flight(
            prompt_tokens, now, alone, cold, self.decoding > 0, self.circuit.probe(), self._told_correction
        )  # fmt: skip
        self.in_flight += 1
        self._unread[flight] = None
        self._unread_tokens += prompt_tokens
        if expected_ttft_seconds is not None:
            self._silent.append((now + expected_ttft_seconds, flight))
        return flight

    def first_token(self, flight: Flight, now: float) -> None:
        """Its prompt is read: from here on it decodes. A second call says nothing."""
        self._advance(now)  # which may find by itself that it decodes by now
        if flight.first_at is not None:
            return
        self._was_read(flight)
        flight.first_at = now
        flight.decoded_area = self._decoded_area
        flight.read_area = self._read_area
        self.decoding += 1

    def ended(self, flight: Flight, now: float) -> None:
        """However it ended; with or without a first token."""
        self._advance(now)
        if flight.first_at is None:
            self._was_read(flight)
        else:
            self.decoding -= 1
        self.in_flight -= 1
        if flight.probe:
            self.circuit.probed()

    def under_way(
        self, prompt_tokens: int, clock: Callable[[], float], expected_ttft_seconds: float | None = None,
        now: float | None = None,
    ) -> UnderWay:  # fmt: skip
        return UnderWay(self, prompt_tokens, clock, expected_ttft_seconds, now)

    def _believe_read(self, now: float) -> None:
        """Requests that are not streamed, and that decode by now as far as one can know."""
        due = [flight for at, flight in self._silent if at <= now]
        if due:
            self._silent = [(at, flight) for at, flight in self._silent if at > now]
            for flight in due:
                if flight in self._unread:
                    self.first_token(flight, now)

    def _was_read(self, flight: Flight) -> None:
        if next(iter(self._unread)) is flight:
            self._read_tokens = 0.0
        del self._unread[flight]
        self._unread_tokens -= flight.prompt_tokens

    def _advance(self, now: float) -> None:
        """Moves the running figures on to `now`, with the counts as they were since the last event."""
        seconds = now - self._at
        if seconds <= 0:
            return
        self._at = now
        decoding = self.decoding
        if self._prompt_share:
            self._prompt_share *= exp(-seconds / RATE_SECONDS)
        if self._unread and decoding < (speed := self._speed).batch:
            # The first part of a TTFT is the way there, not reading.
            since = now - next(iter(self._unread)).sent_at - speed.first_token_seconds
            if since > 0:
                busy = since if since < seconds else seconds
                share = speed.prompt_share_while_decoding
                rate = speed.prompt_tokens_per_second
                self._read_tokens += busy * (rate * share if decoding and share else rate)
                self._prompt_share += 1.0 - exp(-busy / RATE_SECONDS)
                self._read_area += busy
        if decoding:
            self._decoded_area += decoding * seconds
        if self._silent:
            self._believe_read(now)

    @property
    def unread_prompt_tokens(self) -> int:
        """Prompt tokens of requests whose first token has not come, less what is believed read of the first."""
        if not self._unread:
            return 0
        first = next(iter(self._unread)).prompt_tokens
        return self._unread_tokens - int(self._read_tokens if self._read_tokens < first else first)

    # -- what attempts tell ---------------------------------------------------------------------------------------

    def observed(
        self,
        predicted: Prediction,
        ttft_seconds: float,
        seconds_per_token: float | None,
        now: float,
        *,
        flight: Flight | None = None,
        output_tokens: int = 0,
        ceiling: Ceiling | None = None,
    ) -> None:
        """What came, held against what was predicted. With its flight (not ended yet) it teaches the capacity curve;
        with its ceiling, the margin."""
        streams, share, reads = None, 0.0, False
        if flight is not None and flight.first_at is not None and self.learns:
            reads = flight.alone
            seconds = now - flight.first_at
            if seconds_per_token is not None and output_tokens >= LEAST_DECODED_TOKENS and seconds > 0:
                self._advance(now)
                streams = (self._decoded_area - flight.decoded_area) / seconds + self._foreign(now)
                share = (self._read_area - flight.read_area) / seconds
        self._learning.note(
            (predicted, ttft_seconds, seconds_per_token, now, flight, output_tokens, ceiling, reads, streams, share)
        )

    def answering(self) -> None:
        """The first bytes have come: it is not cold. Whether it works is known at the end."""
        if self._starting:
            self._starting = [start for start in self._starting if start[1]]

    def cold_start_began(self, now: float, seconds: float, *, another: bool = False) -> bool:
        """A copy is starting; `another`: one more, while some are up. False: that was known."""
        starting = [start for start in self._starting if now <= start[0]]
        news = another or not any(not also for _, also in starting)
        self._starting = [*starting, (now + seconds, another)][-16:] if news else starting
        return news

    def succeeded(self) -> None:
        self.circuit.succeeded()

    def throttled(self, now: float, retry_after_seconds: float | None = None) -> None:
        """It said "too many": left alone for so long."""
        self.circuit.throttled(now, retry_after_seconds)

    def broke(self, why: str, now: float) -> None:
        """It failed, by its own fault."""
        self.circuit.broke(why, now)

    def recovered(self) -> None:
        """Its observer reached it again: no need to wait out the circuit."""
        self.circuit.recovered()

    def generated(self, output_tokens: int, now: float) -> None:
        self._rate = self.tokens_per_second(now) + output_tokens / RATE_SECONDS
        self._rate_at = now

    # -- what its metrics page tells ------------------------------------------------------------------------------

    def scraped(self, load: Load) -> None:
        """A page of its metrics. One that is older than the last is left out."""
        before, known = self.load, self._known
        if before is not None and load.at <= before.at:
            return
        self.load = self._known = load
        self._advance(load.at)
        read_seconds = self._read_area - self._read_area_at_scrape
        self._read_area_at_scrape = self._read_area
        if known is not None and load.another_server(known):
            self.restarted()
            return
        if before is None:
            return
        seen = pace(before, load) if self.learns else None
        if seen is not None:
            streams, seconds_per_token, tokens = seen
            share = read_seconds / (load.at - before.at)
            weight = SCRAPE_WEIGHT * min(1.0, tokens / 20.0)
            self._learning.scraped(min(streams, float(self.seed.batch)), seconds_per_token, share, load.at, weight)

    def lost(self, why: str) -> None:
        """Its observer cannot reach it."""
        self.reachable = False
        self.load = None
        self.circuit.last_failure = why

    def restarted(self) -> None:
        """The server, or the model on it, is not the one that was learned of: that counts for little from now on."""
        self._learning.discount(BELIEVED_AFTER_RESTART)
        self._slow_until = -1.0

    def _foreign(self, now: float) -> int:
        load = self.load
        if load is None or now - load.at > STALE_SECONDS:
            return 0
        return max(0, load.requests - load.own_in_flight)

    # -- for routing ----------------------------------------------------------------------------------------------

    @property
    def last_failure(self) -> str | None:
        return self.circuit.last_failure

    @property
    def capacity(self) -> float:
        """Output tokens/s it can do: of the policy, until learned."""
        return self._told_capacity

    def circuit_open(self, now: float) -> bool:
        return self.circuit.open(now)

    def askable(self, now: float) -> bool:
        """Whether a request that could not be answered elsewhere should come here."""
        return (
            self.reachable
            and not self.circuit.open(now)
            and now >= self.circuit.throttled_until
            and self.in_flight < self.max_in_flight
        )

    def tokens_per_second(self, now: float) -> float:
        """Output tokens/s of about the last minute."""
        return self._rate * exp(-max(0.0, now - self._rate_at) / RATE_SECONDS)

    def margin(self, now: float) -> float:
        """Share of a ceiling that a prediction may use here: the narrower of both quantities'."""
        return self._learning.margin(now)

    def correction_at(self, now: float) -> LatencyCorrection:
        return self._learning.correction(now)

    @property
    def ttft_accuracy(self) -> Accuracy:
        return self._learning.ttft

    @property
    def time_per_token_accuracy(self) -> Accuracy:
        return self._learning.time_per_token

    @property
    def learned(self) -> LearnedSpeed:
        return self._learning.speed

    def _tell(self, now: float) -> None:
        """Works out what changes slowly."""
        self._slow_until = now + SLOW_SECONDS
        if not self.learns:
            return
        speed = self._told_speed = self.learned.settled(now)
        if speed is not None:
            self._speed = speed
            self._told_capacity = speed.max_tokens_per_second
        self._told_margin = self.margin(now)
        self._told_correction = self.correction_at(now)

    def state(self, now: float, window: WindowView | None) -> BackendState:
        if not self._slow_until - SLOW_SECONDS <= now < self._slow_until:
            self._tell(now)
        self._advance(now)
        load = self.load
        foreign = waiting = 0
        kv = age = None
        if load is not None:
            age = now - load.at
            if age <= STALE_SECONDS:
                foreign = load.requests - load.own_in_flight
                if foreign < 0:
                    foreign = 0
                waiting = load.waiting
                kv = load.kv_cache_usage
        circuit = self.circuit
        throttled = circuit.throttled_until - now
        rate = self._rate
        if rate:
            rate *= exp((self._rate_at - now) / RATE_SECONDS)
        restoring, copies = self._restoring(now) if self._starting else (None, 0)
        return BackendState(
            self.name,
            self.reachable,
            circuit.open(now),
            self.in_flight,
            self.decoding,
            foreign,
            self.unread_prompt_tokens if self._unread else 0,
            self._prompt_share,
            self.max_in_flight,
            throttled if throttled > 0 else 0.0,
            kv,
            rate / self._told_capacity,
            window,
            restoring,
            copies,
            self._told_speed,
            self._told_margin,
            self._told_correction,
            age,
            waiting,
        )

    def _restoring(self, now: float) -> tuple[float | None, int]:
        """(seconds until the first copy is believed ready, copies starting)."""
        first: float | None = None
        copies = 0
        for ready_at, another in self._starting:
            if now <= ready_at + (0.0 if another else RESTORE_GRACE_SECONDS):
                copies += 1
                left = ready_at - now if ready_at > now else 0.0
                first = left if first is None or left < first else first
        if not copies:
            self._starting = []
        return first, copies
