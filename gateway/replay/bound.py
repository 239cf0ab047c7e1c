"""How low the bill could have been: a bound that no router can beat, whatever it knows.

The problem: choose for each request the box, an imported model's window, the base model, or to let it be bad, at the
least dollars with at most a share of bad requests. Put a price on a bad request (its shadow price) and the budget goes
into the objective; for any such price the least cost, less price times budget, is at most the least cost that keeps the
budget (weak duality). So the largest over a grid of prices is a lower bound, at every budget at once.

For one price the least cost is a dynamic program over time slots, made easier than the truth at every point where it is
not exact, so that what it finds is never above the truth:
- the future is known; a copy is up the moment it is wanted, and takes any number of streams;
- the box is a fluid at its best rates, which may serve requests in any order and in part;
- its state is only how many seconds of work are pending, which must not exceed those of requests still in time;
- a request turned away in part is paid in part. Which to turn away is a matter of cost per second of work freed. Output
  lengths are not known to a router, so there the work is that of a mean answer (this one is an assumption against the
  router: one that could foresee lengths might do a few percent better).

Slots are a tenth of a window; work is counted in thirtieths of a slot.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, floor, inf

import numpy as np
from numpy.typing import NDArray

from gateway.economics.money import SECONDS_PER_MONTH
from gateway.economics.prices import AmortizedCost, PerTokenCost, WindowCost
from gateway.replay.requests import Requests
from gateway.replay.setting import Setting

SLOTS_PER_WINDOW = 10
QUANTA_PER_SLOT = 30
SHADOW_PRICES = 12
LEAST_PRICE_USD = 2e-4
MOST_PRICE_USD = 0.5718
"""Where no window gives the scale."""
LONGEST_BACKLOG_SLOTS = 20

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Bound:
    """`values_usd[i]`: the least cost of the span, in dollars, were a bad request to cost `shadow_prices_usd[i]`."""

    shadow_prices_usd: Floats
    values_usd: Floats
    requests: int
    months: float
    box_usd_per_month: float

    def variable_usd(self, bad_share: float) -> float:
        """Dollars of the span, without the box, that every router pays which has at most this share of bad requests."""
        budget = bad_share * self.requests
        return max(0.0, float((self.values_usd - self.shadow_prices_usd * budget).max()))

    def usd_per_month(self, bad_share: float) -> float:
        """The same as a month's bill, box included."""
        return self.box_usd_per_month + self.variable_usd(bad_share) / self.months


def lower_bound(requests: Requests, setting: Setting, progress: Callable[[float], None] | None = None) -> Bound:
    """With several boxes, all are taken to be as fast as the fastest. `progress` gets the share done, 0 to 1."""
    window = next((place.cost for place in setting.places if isinstance(place.cost, WindowCost)), None)
    most = MOST_PRICE_USD if window is None else window.nanousd_per_window / 1e9
    prices = np.geomspace(LEAST_PRICE_USD, max(most, 10 * LEAST_PRICE_USD), SHADOW_PRICES)
    boxes = [place for place in setting.places if isinstance(place.cost, AmortizedCost)]
    slot = (300.0 if window is None else float(window.window_seconds)) / SLOTS_PER_WINDOW
    work = _Work(requests, setting, slot)
    bad_usd = _bad_usd(requests, setting, prices)
    windows = _Windows.of(window, slot)
    values = _least_costs(work, bad_usd, windows, len(boxes), progress)
    box_usd = sum(float(place.cost.nanousd_per_month) for place in boxes if isinstance(place.cost, AmortizedCost)) / 1e9
    return Bound(prices, values, len(requests), requests.span_seconds / SECONDS_PER_MONTH, box_usd)


# -- what the program is about -------------------------------------------------------------------------------------


class _Work:
    """The requests as work for a box, by slot. Seconds are those of a box at its best."""

    def __init__(self, requests: Requests, setting: Setting, slot: float) -> None:
        self.quantum = slot / QUANTA_PER_SLOT
        self.slots = ceil(requests.span_seconds / slot)
        arrival, out = requests.arrival_s, requests.out_tokens
        self.slot_of = np.minimum((arrival / slot).astype(np.intp), self.slots - 1)
        self.able = np.zeros(len(requests), bool)
        seconds = np.full(len(requests), inf)
        blind = np.full(len(requests), inf)
        allowed = requests.ttft_max + requests.tpot_max * out
        allowed = np.minimum(np.minimum(allowed, requests.latency_max), 2 * requests.span_seconds)
        for place in setting.places:
            if not isinstance(place.cost, AmortizedCost):
                continue
            speed = place.speed
            token = speed.step(speed.batch) / speed.batch
            reading = requests.in_tokens / speed.prompt_tokens_per_second
            first = reading + speed.first_token_seconds
            self.able |= (first <= requests.ttft_max) & (first + (out - 1) * speed.step(1) <= allowed)
            seconds = np.minimum(seconds, reading + (out - 1) * token + 1e-9)
            blind = np.minimum(blind, reading + out.mean() * token)
        able = self.able
        seconds[~able] = blind[~able] = 0.0  # what no box could do in time is never asked of one
        per_slot = np.bincount(self.slot_of, seconds, self.slots)
        self.arriving = np.diff(np.floor(np.concatenate([[0.0], np.cumsum(per_slot)]) / self.quantum)).astype(np.intp)
        """Quanta of work that arrive in each slot (T,)."""
        seen = np.bincount(self.slot_of, blind, self.slots)
        self.freed = blind * (per_slot / np.maximum(seen, 1e-9))[self.slot_of]
        """Seconds freed by turning a request away, as a router that knows no lengths would share them out."""
        # Work may be pending at the start of a slot as long as its request could still be in time.
        change = np.zeros(self.slots + 2)
        last = np.minimum(np.floor((arrival + allowed) / slot), self.slots).astype(np.intp)
        np.add.at(change, self.slot_of + 1, seconds)
        np.add.at(change, last + 1, -seconds)
        longest = allowed[able].max() if able.any() else 0.0
        self.pending_most = np.minimum(np.cumsum(change)[: self.slots + 1], longest)
        """Seconds (T + 1,)."""
        deepest = min(float(self.pending_most.max()), LONGEST_BACKLOG_SLOTS * slot)
        self.states = int(deepest / self.quantum) + 2


@dataclass(frozen=True, slots=True)
class _Windows:
    """What opening costs and gives. `ways` to open: (dollars, slots in which calls are free, may it be extended)."""

    ways: tuple[tuple[float, int, bool], ...]
    extension_usd: float
    extension_slots: int

    @classmethod
    def of(cls, cost: WindowCost | None, slot: float) -> _Windows:
        if cost is None:
            return cls((), inf, 1)
        usd, length, idle = cost.nanousd_per_window / 1e9, float(cost.window_seconds), float(cost.idle_seconds)
        if not cost.idle_tail_billed:
            return cls(((usd, floor(length / slot) + 1, True),), usd, SLOTS_PER_WINDOW)
        # n windows are paid when the last call comes up to n windows less the idle time after the first.
        fewest = max(1, ceil(idle / length))
        short = floor((fewest * length - idle) / slot) + 2
        long = floor(((fewest + 1) * length - idle) / slot) + 1
        return cls(((fewest * usd, short, False), ((fewest + 1) * usd, long, True)), usd, SLOTS_PER_WINDOW)


def _bad_usd(requests: Requests, setting: Setting, prices: Floats) -> Floats:
    """What a request costs that neither a box nor a window serves, at each price (m, n): the price of a bad one, or,
    where the base model will do, that model's price if it is less."""
    costs = np.tile(prices[:, None], (1, len(requests)))
    for index, name in enumerate(requests.aliases):
        alias = setting.aliases[name]
        good = {r.backend for r in alias.routes if alias.settings.needs in ("any", r.quality)}
        mine = requests.alias == index
        for place in setting.places:
            cost = place.cost
            if place.name in good and isinstance(cost, PerTokenCost):
                assert cost.input_nanousd_per_token is not None
                assert cost.output_nanousd_per_token is not None
                rate_in, rate_out = float(cost.input_nanousd_per_token), float(cost.output_nanousd_per_token)
                usd = (rate_in * requests.in_tokens[mine] + rate_out * requests.out_tokens[mine]) / 1e9
                costs[:, mine] = np.minimum(costs[:, mine], usd)
    return costs


# -- the program ---------------------------------------------------------------------------------------------------


def _turned_away(work: _Work, bad_usd: Floats) -> tuple[Floats, NDArray[np.intp]]:
    """The least cost of turning away j quanta of a slot's work, j = 0, 1, ... up to all that arrives: (m, points), and
    where each slot's points begin (T + 1,). Cheapest per second first, the last one in part."""
    able = np.flatnonzero(work.able)
    slot_of, freed = work.slot_of[able], work.freed[able]
    begins = np.concatenate([[0], np.cumsum(work.arriving + 1)])
    which = np.repeat(np.arange(work.slots), work.arriving + 1)
    quanta = np.arange(begins[-1]) - begins[which]
    first = np.searchsorted(np.sort(slot_of), np.arange(work.slots + 1))
    curves = np.empty((len(bad_usd), int(begins[-1])))
    for row, costs in zip(curves, bad_usd[:, able], strict=True):
        order = np.lexsort((costs / freed, slot_of))
        # One curve over all slots, one after another: each slot reads its own stretch of it.
        seconds = np.concatenate([[0.0], np.cumsum(freed[order])])
        usd = np.concatenate([[0.0], np.cumsum(costs[order])])
        start, end = seconds[first[which]], seconds[first[which + 1]]
        row[:] = np.interp(np.minimum(start + quanta * work.quantum, end), seconds, usd) - usd[first[which]]
    return curves, begins


def _least_costs(
    work: _Work, bad_usd: Floats, windows: _Windows, boxes: int, progress: Callable[[float], None] | None
) -> Floats:
    """Backwards over the slots, for all prices at once (m,).

    closed[k][q]: least cost from slot k on with q quanta pending and no copy up (or one that is not extended).
    open[k][q]: the same at the end of what is paid, where one more window extends it.
    """
    slots, states, drained = work.slots, work.states, boxes * QUANTA_PER_SLOT
    curves, begins = _turned_away(work, bad_usd)
    hopeless = np.stack([np.bincount(work.slot_of[~work.able], row[~work.able], slots) for row in bad_usd], 1)
    many = len(bad_usd)
    pending = np.arange(states)
    reach = max([2, windows.extension_slots, *(length for _, length, _ in windows.ways)])
    closed: list[Floats | None] = [None] * (slots + 1)
    opened: list[Floats | None] = [None] * (slots + 1)
    closed[slots] = opened[slots] = np.zeros((many, states))

    def later(table: list[Floats | None], k: int, length: int) -> Floats:
        """`length` slots on, in which nothing new was pending and the box worked."""
        end = min(slots, k + length)
        values = table[end]
        assert values is not None
        return values[:, np.maximum(pending - (end - k) * drained, 0)]

    most_arriving = int(work.arriving.max(initial=0))
    padded = np.full((many, drained + states + most_arriving), inf)
    scratch = np.empty((many, states))
    for k in range(slots - 1, -1, -1):
        arriving = int(work.arriving[k])
        curve = curves[:, begins[k] : begins[k + 1]]
        following = closed[k + 1]
        assert following is not None
        allowed = pending * work.quantum <= max(work.pending_most[k + 1], 0.0) + work.quantum
        padded[:, :drained] = np.where(allowed[0], following[:, :1], inf)
        padded[:, drained : drained + states] = np.where(allowed, following, inf)
        # q pending, all that arrives but j quanta taken on: q + arriving - j - drained are left, at least 0.
        best = padded[:, arriving : arriving + states] + curve[:, :1]
        for j in range(1, arriving + 1):
            np.add(padded[:, arriving - j : arriving - j + states], curve[:, j : j + 1], out=scratch)
            np.minimum(best, scratch, out=best)
        stuck = np.isinf(best)
        if stuck.any():
            best = np.where(stuck, curve[:, -1:] + later(closed, k, 1), best)
        best += hopeless[k][:, None]
        for usd, length, extends in windows.ways:
            np.minimum(best, usd + later(opened if extends else closed, k, length), out=best)
        closed[k] = best
        opened[k] = best
        if windows.ways:
            opened[k] = np.minimum(best, windows.extension_usd + later(opened, k, windows.extension_slots))
        if k + reach < slots:
            closed[k + reach] = opened[k + reach] = None
        if progress is not None and k % 256 == 0:
            progress(1.0 - k / slots)
    start = closed[0]
    assert start is not None
    return np.array(start[:, 0])
