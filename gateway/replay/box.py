"""SIMULATED: one machine with continuous batching, as a fluid.

Prompts are read one after another, first come, first served; while others decode, a prompt has only
`prompt_share_while_decoding` of the machine, and they have the rest. The streams of a batch of b share it evenly: each
gets one token in a + c*b seconds. A prompt begins only while the batch has room. Between two events all rates are
constant, so that the machine is exact and is only touched when something happens.

Decoding keeps one number, the tokens that each stream has got since the start of time: a stream ends when that number
has grown by its length, so that an event costs O(log batch).
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from math import exp, inf

from gateway.replay.setting import Place
from gateway.routing.snapshot import BackendState

RECENT_SECONDS = 60.0
"""Time constant of the prompt share and the utilization that routing is told."""


class Box:
    """Requests are numbers. `first_s[request]` is set when its first token comes; `finish(request, end, now)` is called
    at its end: `end` is when the last token arrives, which the fixed part of the TTFT may put a little after `now`."""

    __slots__ = (
        "_at", "_decode_rate", "_decoding", "_finish", "_first_s", "_left", "_line", "_line_tokens", "_place",
        "_progress", "_prompt_is_next", "_prompt_rate", "_prompt_share", "_reading", "_speed", "_utilization", "next_s",
    )  # fmt: skip

    def __init__(self, place: Place, first_s: list[float], finish: Callable[[int, float, float], None]) -> None:
        self._place = place
        self._speed = place.speed
        self._first_s = first_s
        self._finish = finish
        self.next_s = inf
        """When something happens here next."""
        self._at = 0.0
        self._line: deque[tuple[int, float, float]] = deque()
        """(request, prompt tokens, output tokens) of those whose prompt is not begun."""
        self._line_tokens = 0.0
        self._reading: tuple[int, float, float] | None = None
        self._left = 0.0
        """Prompt tokens of `_reading` still to read."""
        self._decoding: list[tuple[float, int]] = []
        """Heap of (progress at which it ends, request)."""
        self._progress = 0.0
        """Tokens that a stream has got since the start of time."""
        self._prompt_rate = 0.0
        self._decode_rate = 0.0
        self._prompt_is_next = False
        self._prompt_share = 0.0
        self._utilization = 0.0

    @property
    def idle(self) -> bool:
        return self._reading is None and not self._decoding and not self._line

    def send(self, request: int, in_tokens: float, out_tokens: float, now: float) -> None:
        self._move(now)
        self._line.append((request, in_tokens, out_tokens))
        self._line_tokens += in_tokens
        if self._reading is None:
            self._plan()

    def step(self) -> None:
        """Lets happen what is due at `next_s`."""
        now = self.next_s
        self._move(now)
        fixed = self._speed.first_token_seconds
        if self._prompt_is_next:
            assert self._reading is not None
            request, _, out_tokens = self._reading
            self._reading = None
            self._first_s[request] = now + fixed
            if out_tokens > 1:
                heapq.heappush(self._decoding, (self._progress + out_tokens - 1, request))
                self._plan()
            else:
                self._plan()
                self._finish(request, now + fixed, now)
        else:
            request = heapq.heappop(self._decoding)[1]
            self._plan()
            self._finish(request, now + fixed, now)

    def state(self, now: float) -> BackendState:
        self._move(now)
        streams = len(self._decoding)
        return BackendState(
            name=self._place.name,
            in_flight=streams + len(self._line) + (self._reading is not None),
            decoding=streams,
            unread_prompt_tokens=int(self._line_tokens + self._left),
            prompt_share=self._prompt_share,
            max_in_flight=self._place.max_in_flight,
            utilization=self._utilization,
        )

    def _move(self, now: float) -> None:
        """All that flows, from the last moment to this one."""
        seconds = now - self._at
        if seconds <= 0:
            return
        self._at = now
        faded = exp(-seconds / RECENT_SECONDS)
        self._prompt_share *= faded
        if self._reading is not None:
            self._left -= self._prompt_rate * seconds
            self._prompt_share += 1 - faded
        self._utilization *= faded
        if self._decode_rate:
            self._progress += self._decode_rate * seconds
            full = len(self._decoding) * self._decode_rate / self._speed.max_tokens_per_second
            self._utilization += (1 - faded) * full

    def _plan(self) -> None:
        """Begins the next prompt if there is room, and works out the rates and the next event."""
        speed = self._speed
        streams = len(self._decoding)
        if self._reading is None and self._line and streams < speed.batch:
            self._reading = self._line.popleft()
            self._left = self._reading[1]
            self._line_tokens -= self._left
        prompt_share = decode_share = 0.0
        if self._reading is not None:
            # A share of 0 says that streams do not share one machine: both then run at full speed.
            prompt_share = (speed.prompt_share_while_decoding or 1.0) if streams else 1.0
        else:
            self._left = 0.0
        if streams:
            taken = speed.prompt_share_while_decoding if self._reading is not None else 0.0
            decode_share = 1.0 - taken
        self._prompt_rate = prompt_share * speed.prompt_tokens_per_second
        self._decode_rate = decode_share / (speed.step_base + speed.step_per_stream * streams)
        read_s = self._at + max(0.0, self._left) / self._prompt_rate if self._prompt_rate else inf
        done_s = inf
        if streams:
            done_s = self._at + max(0.0, self._decoding[0][0] - self._progress) / self._decode_rate
        self._prompt_is_next = read_s <= done_s
        self.next_s = read_s if self._prompt_is_next else done_s
