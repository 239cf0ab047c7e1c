"""The product's way to choose: the smallest expected cost, where everything that matters has a price.

- An answer that is late, or below the quality it needs, costs the *worth* of an answer in time: the shadow price of the
  error budget (`budget.py`).
- Room on a box that is getting full costs what it takes from *captive* requests, which no per-token backend answers
  well: the chance that the box is about to turn somebody away (`congestion.py`), times the share of it that is taken,
  times the worth.
- A call in a window that is paid costs nothing. A window is not the price of a request but an investment (ski rental):
  each captive request that the boxes cannot answer in time adds its worth to the *regret*; when that reaches the price
  of a window (a part of it where the forecast says that one pays), one is opened. While it is paid it is filled; past
  that the boxes come first again, and it closes by neglect unless regret says to extend it.
- What can wait is held while the boxes are about to be too full, until they are not or a window is open.
"""

from __future__ import annotations

from math import ceil, erfc, exp, inf, sqrt
from typing import NamedTuple

import msgspec

from gateway.economics.prices import CostModel, WindowCost
from gateway.policy.schema import RoutingSettings
from gateway.routing.decision import Circumstances, Reason
from gateway.routing.facts import RequestFacts
from gateway.routing.memory import Memory
from gateway.routing.route import Kind, Route
from gateway.routing.shared_state import Demand
from gateway.routing.strategies.chosen import Chosen
from gateway.routing.weigh import IN_TIME_CHANCE, Weighed

NEGLIGIBLE_NANOUSD = 1e4
"""A thousandth of a cent: a request that costs the box less may stay there even while a window is paid."""
FULL_LOAD = 0.6
"""Load of the box from which on everybody uses a window that is paid."""
SAFE_CHANCE = 0.02
"""A chance of being late below this is not worth a thought."""
LONG_FREE_SHARE = 0.1
"""With more than this share of a window still paid it takes whatever the box cannot: nothing is congested."""
ROOM_WAIT_SECONDS = 0.3
"""While the copies of a paid window are full: a stream ends there about as often."""
ROOM_SLACK_SECONDS = 2.0
ROOM_PATIENCE_SECONDS = 60.0
"""For whom no ceiling says how long room may be waited for."""
COLD_SLACK_SECONDS = 1.0
WORTH_WITHOUT_WINDOWS_NANOUSD = 15e6
"""Where no window can be opened there is no price to take the worth from: 1.5 cents."""
UNKNOWN_PRICE_SHARE = 0.9
"""An unknown price is taken to be nearly the worth of an answer in time, and below a window's: a last resort before
being late, or opening one."""
LEAST_DEMAND = 0.3
"""Below this share of the boxes no overload is forecast."""
SQRT_2, SQRT_2_PI = sqrt(2.0), 2.5066282746310002


class Windows:
    """What never changes about opening windows: the cheapest of the policy's imported models."""

    def __init__(self, costs: list[CostModel | None]) -> None:
        windows = [cost for cost in costs if isinstance(cost, WindowCost)]
        best = min(windows, key=lambda cost: cost.nanousd_per_window, default=None)
        self.nanousd = 0.0 if best is None else float(best.nanousd_per_window)
        self.seconds = 1.0 if best is None else float(best.window_seconds)


def worth_nanousd(memory: Memory, windows: Windows, work_seconds: float = 0.0) -> float:
    """n$ of one answer in time. `work_seconds`: of the box, taken until a captive request has shown what one takes."""
    work_seconds = memory.work_seconds or work_seconds
    if not windows.nanousd or not work_seconds:
        return WORTH_WITHOUT_WINDOWS_NANOUSD
    return memory.budget.worth(windows.nanousd, windows.seconds, work_seconds)


def choose(
    facts: RequestFacts, weighed: list[Weighed], settings: RoutingSettings, memory: Memory, windows: Windows, now: float
) -> Chosen:
    """`weighed`: at least one of them is not barred. Does not change `memory`."""
    able: list[Weighed] = []
    boxes: list[Weighed] = []
    imported: list[Weighed] = []
    metered: list[Weighed] = []
    lower: list[Weighed] = []
    soon: list[Kind] = []
    pressure = 0.0
    paid: Weighed | None = None
    for one in weighed:
        if one.barred is not None:
            if one.busy and one.below is None:
                soon.append(one.route.kind)
            continue
        able.append(one)
        kind = one.route.kind
        if one.below is not None:
            lower.append(one)
        elif kind == "box":
            if not boxes or one.pressure < pressure:
                pressure = one.pressure
            boxes.append(one)
        elif kind == "imported":
            if paid is None and one.free_window:
                paid = one
            imported.append(one)
        else:
            metered.append(one)
    worth = worth_nanousd(memory, windows, boxes[0].work_seconds if boxes else 0.0)
    captive = not metered and "metered" not in soon
    demand = memory.common.demand(now)
    load = demand.over([one.state.speed or one.route.speed for one in boxes]) if boxes else 0.0
    relief = (
        paid is not None
        and paid.state.window is not None
        and paid.state.window.free_seconds > LONG_FREE_SHARE * windows.seconds
    )
    overload = 0.0 if relief or not boxes else memory.congestion.chance(pressure, load)
    _expect(able, worth, overload * settings.box.congestion_weight, memory.work_seconds, windows.nanousd)
    return _Choice(
        facts, settings, memory, now, able, boxes, imported, metered, lower, soon, paid, worth,
        Circumstances(worth, captive, pressure, load, overload), demand,
    ).make()  # fmt: skip


def _expect(able: list[Weighed], worth: float, congestion: float, mean_work: float, window_nanousd: float) -> None:
    unknown = UNKNOWN_PRICE_SHARE * (min(worth, window_nanousd) if window_nanousd else worth)
    for one in able:
        if one.route.kind == "box":
            share = one.work_seconds / mean_work if mean_work > 0 else 0.0  # nobody came who could be kept out
            one.congestion = congestion * worth * share
        bad = 1.0 if one.below is not None else one.late
        marginal = unknown if one.marginal is None else one.marginal
        one.expected = marginal + worth * bad + one.congestion


class Regret(NamedTuple):
    """Of windows of `model` that were not opened, in n$, after this decision; the amount that opens one; and how many
    answers the forecast says that one would save."""

    model: Weighed | None
    nanousd: float
    threshold: float
    saved: float


NO_REGRET = Regret(None, 0.0, 0.0, 0.0)


class _Choice(msgspec.Struct, gc=False):
    """One decision under way."""

    facts: RequestFacts
    settings: RoutingSettings
    memory: Memory
    now: float
    able: list[Weighed]
    boxes: list[Weighed]
    imported: list[Weighed]
    metered: list[Weighed]
    lower: list[Weighed]
    soon: list[Kind]
    paid: Weighed | None
    worth: float
    notes: Circumstances
    demand: Demand

    def make(self) -> Chosen:
        facts, settings, notes = self.facts, self.settings, self.notes
        if facts.pinned_backend is not None:
            return self._send(self.able[0], "pinned")
        boxes = self.boxes
        box = None if not boxes else boxes[0] if len(boxes) == 1 else min(boxes, key=_expected)
        paid = self.paid
        if (
            paid is not None
            and paid.late < 1.0
            and (
                box is None
                or (
                    box.pressure > settings.windows.ride_load
                    and (notes.captive or box.expected > NEGLIGIBLE_NANOUSD or box.pressure > FULL_LOAD)
                )
            )
        ):
            return self._send(paid, "window_is_paid")
        if box is not None and (box.late > 0.01 or notes.overload_chance > settings.hold.risk):
            step = self._may_wait()
            if step:
                return self._hold(step)
        if self.metered:
            return self._with_metered(box)
        lacking = box is None or (not notes.captive and box.late >= IN_TIME_CHANCE)
        if lacking and self.soon and self._room_soon():  # no window is opened for want of half a second
            return self._hold(ROOM_WAIT_SECONDS)
        if box is None:
            return self._without_box()
        if not notes.captive:
            return self._send(box, self._why(box))
        return self._captive(box)

    def _with_metered(self, box: Weighed | None) -> Chosen:
        several = self.metered
        metered = several[0] if len(several) == 1 else min(several, key=_expected)
        if metered.late >= 1.0 and (box is None or box.late >= 1.0):
            return self._late()
        if box is None or metered.expected < box.expected:
            return self._send(metered, self._why(metered))
        return self._send(box, self._why(box))

    def _without_box(self) -> Chosen:
        """Only windows that are not paid are left: whoever must be answered opens one."""
        first = min(self.imported, key=_expected, default=None)
        if first is None:
            return self._late()
        window = first.state.window
        if window is not None and window.copies and not window.room and window.free_seconds > 0 and self._room_soon():
            return self._hold(ROOM_WAIT_SECONDS)
        when_late = self.settings.when_late
        if first.late >= 1.0 and (when_late == "reject" or (when_late == "lower_quality" and self.lower)):
            up = window is None or window.copies > 0 or first.state.restoring_seconds is not None
            return self._late(warm=None if up else first)
        return self._send(first, self._why(first))

    def _captive(self, box: Weighed) -> Chosen:
        """Only the boxes and the imported models answer it well, and no window is paid that it could use."""
        settings, notes, worth = self.settings, self.notes, self.worth
        share = box.work_seconds / self.memory.work_seconds if self.memory.work_seconds > 0 else 1.0
        crowded = settings.box.sacrifice_weight * notes.overload_chance * share
        on_box = box.late + crowded < settings.box.late_share
        model = min(self.imported, key=_coldness, default=None)
        if model is None:
            return self._send(box, self._why(box)) if on_box else self._late(turned_away=True)
        slack = self._slack()
        window = model.state.window
        up = window is not None and window.copies > 0
        starting = not up and model.state.restoring_seconds is not None
        prewarm = (
            not up and not starting and not self.facts.asked_before and settings.windows.prewarm > 0
            and self._saved(model, noisy=True) * worth >= settings.windows.prewarm * self._opening(model.route, up)
        )  # fmt: skip
        warm = model if prewarm else None
        if on_box and box.late < SAFE_CHANCE:
            return self._send(box, self._why(box), warm=warm)
        if starting and window is not None:
            ready = model.state.restoring_seconds or 0.0
            cost = model.route.cost
            assert isinstance(cost, WindowCost)
            waiting = max(window.in_flight, model.state.in_flight)
            if ready + COLD_SLACK_SECONDS < slack and waiting < cost.concurrency_per_copy:
                return self._send(model, "window_pays", turned_away=not on_box)
        if up and window is not None and not window.room and window.free_seconds > 0 and self._room_soon():
            return self._hold(ROOM_WAIT_SECONDS)
        if starting:
            return self._settle(box, on_box, None, None)
        saved = self._saved(model, noisy=False)
        price = self._opening(model.route, up)
        regret = self.memory.regret(model.route.backend, self.now) + worth * (box.late if on_box else 1.0)
        knobs = settings.windows
        share, pays = (knobs.extend, knobs.extending_pays) if up else (knobs.eager, knobs.opening_pays)
        threshold = price * (share if saved * worth >= pays * price else knobs.patient)
        if regret < threshold:
            return self._settle(box, on_box, warm, Regret(model, regret, threshold, saved))
        if up and window is not None and not window.room:
            return self._one_more_copy(model, box, on_box, Regret(model, regret, threshold, saved))
        afresh = Regret(model, 0.0, threshold, saved)
        if up:
            return self._send(model, "window_pays", turned_away=not on_box, regret=afresh)
        return self._settle(box, on_box, model, afresh)

    def _one_more_copy(self, model: Weighed, box: Weighed, on_box: bool, regret: Regret) -> Chosen:
        """The copies that are up are full. A call beyond them starts another, at the price of an opening."""
        window, cost = model.state.window, model.route.cost
        assert isinstance(cost, WindowCost)
        assert window is not None
        threshold = self._opening(model.route, up=False) * self.settings.windows.patient
        copies = window.copies + model.state.copies_starting
        if copies >= cost.max_copies or regret.nanousd < threshold:
            return self._settle(box, on_box, None, regret._replace(threshold=threshold))
        return self._send(
            model, "window_pays", turned_away=not on_box, regret=Regret(model, 0.0, threshold, regret.saved)
        )

    def _settle(self, box: Weighed, on_box: bool, warm: Weighed | None, regret: Regret | None) -> Chosen:
        """No window for this one: the box where it may still do, else what the policy says of those who are late."""
        if on_box:
            return self._send(box, self._why(box), warm=warm, regret=regret)
        return self._late(warm=warm, turned_away=True, regret=regret)

    # -- numbers -------------------------------------------------------------------------------------------------------

    def _saved(self, model: Weighed, *, noisy: bool) -> float:
        """Answers that a window would save if captive demand stays as it was: those beyond what the boxes can do.
        `noisy`: also those that chance alone turns away from boxes of so many places (a normal loss)."""
        load = self.notes.demand
        if load < LEAST_DEMAND:
            return 0.0
        if not noisy:
            lost = max(0.0, load - 1.0)
        else:
            places = sum((one.state.speed or one.route.speed).batch for one in self.boxes)
            spread = sqrt(load / places)
            off = (load - 1.0) / spread
            lost = spread * (exp(-off * off / 2) / SQRT_2_PI + off * 0.5 * erfc(-off / SQRT_2))
        cost = model.route.cost
        assert isinstance(cost, WindowCost)
        return self.demand.requests * float(cost.window_seconds) * lost / load

    @staticmethod
    def _opening(route: Route, up: bool) -> float:
        """n$: an opened window, and with the idle tail billed those that follow it until the copy goes."""
        cost = route.cost
        assert isinstance(cost, WindowCost)
        tail = ceil(cost.idle_seconds / cost.window_seconds) if cost.idle_tail_billed and not up else 0
        return float(cost.nanousd_per_window) * (1 + tail)

    def _slack(self) -> float:
        """Seconds that are left for the first token."""
        return self.settings.margin * self._first_due() - self.facts.elapsed_seconds

    def _first_due(self) -> float:
        """Seconds after it came in, at which the first token is due: early enough for the last one, too."""
        first, whole = self.facts.ceiling.ttft_seconds, self.facts.ceiling.latency_seconds
        due = inf if first is None else first
        if whole is not None:
            rest = min((p.latency_seconds - p.ttft_seconds for one in self.able if (p := one.predicted)), default=0.0)
            due = min(due, whole - rest)
        return due

    def _room_soon(self) -> bool:
        if not self.facts.may_hold:
            return False
        slack = self._slack()
        return slack > ROOM_SLACK_SECONDS if slack < inf else self.facts.elapsed_seconds < ROOM_PATIENCE_SECONDS

    def _may_wait(self) -> float:
        """Seconds to hold it for; 0: it cannot wait."""
        hold, first = self.settings.hold, self.facts.ceiling.ttft_seconds
        if first is None or first < hold.least_ceiling_seconds or not self.facts.may_hold:
            return 0.0
        step = min(hold.step_seconds, first / 20.0)
        return step if hold.share_of_ceiling * self._first_due() - self.facts.elapsed_seconds > step else 0.0

    # -- decisions -----------------------------------------------------------------------------------------------------

    def _why(self, chosen: Weighed) -> Reason:
        if len(self.able) - len(self.lower) == 1:
            return "only_choice"
        if chosen.late >= 1.0:
            return "fastest_though_late"
        return "cheapest_in_time"

    def _hold(self, seconds: float) -> Chosen:
        return Chosen(sorted(self.able, key=_expected), "held", self.notes, hold_seconds=seconds)

    def _send(
        self, first: Weighed, reason: Reason, *, warm: Weighed | None = None, turned_away: bool = False,
        regret: Regret | None = None,
    ) -> Chosen:  # fmt: skip
        rest = [one for one in self.able if one is not first]
        if len(rest) > 1:
            rest.sort(key=_expected)
        notes = self.notes if regret is None and not turned_away else self._told(turned_away, regret)
        return Chosen([first, *rest], reason, notes, None, warm)

    def _late(self, *, warm: Weighed | None = None, turned_away: bool = False, regret: Regret | None = None) -> Chosen:
        """Nobody is expected to be in time at a price worth paying: what the policy says."""
        when_late = self.settings.when_late
        notes = self._told(turned_away, regret)
        if when_late == "reject":
            return Chosen([], "none", notes, warm=warm)
        good = [one for one in self.able if one.below is None]
        if when_late == "lower_quality" and self.lower:
            order = sorted(self.lower, key=_marginal) + sorted(good, key=_expected)
            return Chosen(order, "lower_quality_though_wrong", notes, warm=warm)
        # A window that is not paid is opened by regret, not by whoever happens to be late.
        settled = [one for one in good if one.route.kind != "imported" or one.free_window] or good
        rest = [one for one in good if one not in settled]
        if when_late == "cheapest":
            return Chosen(sorted(settled, key=_marginal) + rest, "cheapest_though_late", notes, warm=warm)
        order = sorted(settled, key=_latency) + rest
        reason: Reason = "fastest_though_late" if order[0].late >= IN_TIME_CHANCE else self._why(order[0])
        return Chosen(order, reason, notes, warm=warm)

    def _told(self, turned_away: bool, regret: Regret | None) -> Circumstances:
        notes = self.notes
        if regret is None and not turned_away:
            return notes
        told = regret or NO_REGRET
        return Circumstances(
            notes.worth_nanousd, notes.captive, notes.pressure, notes.demand, notes.overload_chance, turned_away,
            None if told.model is None else told.model.route.backend, told.nanousd, told.threshold, told.saved,
        )  # fmt: skip


def _expected(one: Weighed) -> tuple[float, float]:
    return one.expected, one.predicted.latency_seconds if one.predicted is not None else inf


def _marginal(one: Weighed) -> float:
    return inf if one.marginal is None else one.marginal


def _latency(one: Weighed) -> float:
    return inf if one.predicted is None else one.predicted.latency_seconds


def _coldness(one: Weighed) -> tuple[bool, float]:
    window = one.state.window
    cold = window is None or window.copies == 0
    cost = one.route.cost
    assert isinstance(cost, WindowCost)
    return cold and one.state.restoring_seconds is None, float(cost.nanousd_per_window)
