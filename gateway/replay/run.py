"""The raw record of one replay: what every request got, what every window held. Every figure is computed from it.

Fields as first written; a later change is noted here.
- `box_nanousd_per_month` is a property over `flat_nanousd_per_month` (a policy may have several boxes).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gateway.economics.money import SECONDS_PER_MONTH, NanoUsd
from gateway.replay.requests import Requests

REFUSED = -1
"""In `Run.backend`: no backend took the request."""


@dataclass(frozen=True, slots=True)
class BilledWindow:
    """One billed window of one copy of an imported model, on the trace's clock. A call, with all its output tokens,
    belongs to the window in which its copy began to answer it; the idle tail's windows have none."""

    backend: str
    copy: int
    """From 1, over the copies of this backend."""
    opens_s: float
    ends_s: float
    calls: int
    output_tokens: int
    nanousd: NanoUsd


@dataclass(frozen=True)
class Run:
    """One router over one list of requests. All arrays have one entry a request, in order of arrival (n,)."""

    policy: str
    """The name that tables show."""
    requests: Requests
    backends: tuple[str, ...]
    backend: NDArray[np.int8]
    """Index into `backends`, or REFUSED."""
    sent_s: NDArray[np.float64]
    """When it left the gateway, on the trace's clock: later than its arrival when it was held. NaN: refused."""
    ttft_s: NDArray[np.float64]
    """Seconds from arrival to the first token. NaN: refused."""
    end_s: NDArray[np.float64]
    """When its last token came, on the trace's clock (not a duration). NaN: refused."""
    late: NDArray[np.bool_]
    """Missed its ceiling. Never set for a refused request."""
    wrong: NDArray[np.bool_]
    """Answered below the quality it needs. Never set for a refused request."""
    per_token_nanousd: NDArray[np.int64]
    """What it was charged by itself: tokens at list price; 0 on backends paid by time."""
    windows: tuple[BilledWindow, ...]
    """As the simulated Bedrock bills them, by opening time."""
    metered_windows: int
    """How many of them the gateway's own window meter booked, from what it saw: books against bill."""
    warm_calls: int
    """One-token calls of the gateway's own, which start a copy ahead of the need."""
    flat_nanousd_per_month: Mapping[str, NanoUsd]
    """What each backend that is paid by the month (a box, a provisioned unit) costs a month, used or not."""
    decisions: int
    """How often the router was asked: once a request, and once more for each hold."""
    wall_seconds: float
    """How long the replay took."""

    @property
    def span_seconds(self) -> float:
        return self.requests.span_seconds

    @property
    def months(self) -> float:
        """The span in months of 730 hours."""
        return self.span_seconds / SECONDS_PER_MONTH

    @cached_property
    def refused(self) -> NDArray[np.bool_]:
        return np.asarray(self.backend == REFUSED)

    @cached_property
    def bad(self) -> NDArray[np.bool_]:
        """Late, or answered below the needed quality, or refused: what the error budget counts."""
        return np.asarray(self.late | self.wrong | self.refused)

    @cached_property
    def window_nanousd(self) -> NanoUsd:
        return sum(window.nanousd for window in self.windows)

    @cached_property
    def variable_nanousd(self) -> NanoUsd:
        """n$ of the whole span: windows and tokens, without what is paid by the month."""
        return self.window_nanousd + int(self.per_token_nanousd.sum())

    @property
    def box_nanousd_per_month(self) -> NanoUsd:
        """n$ a month of what is paid by the month and answered at least one request: who sends nothing to a box need
        not own one."""
        used = {self.backends[index] for index in np.unique(self.backend) if index != REFUSED}
        return sum(nanousd for name, nanousd in self.flat_nanousd_per_month.items() if name in used)

    @property
    def usd_per_month(self) -> float:
        """Dollars of a month of such traffic, box included: for tables, not for arithmetic with money."""
        return (self.variable_nanousd / self.months + self.box_nanousd_per_month) / 1e9

    def share(self, backend: str) -> float:
        """Share of the requests that this backend answered, 0 to 1."""
        return float(np.mean(self.backend == self.backends.index(backend)))
