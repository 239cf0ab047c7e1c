"""The sandbox's own bill, in whole nano-dollars (1e-9 USD).

It is written apart from the gateway's economics on purpose: the gateway's books are held against it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import Any, Literal

from gateway.sandbox.bedrock.clock import NS, to_ns
from gateway.sandbox.bedrock.settings import (
    EmbeddingSettings,
    FoundationSettings,
    ImportedSettings,
    ModelSettings,
    ProvisionedSettings,
)

NANO = 1_000_000_000
Outcome = Literal["completed", "cancelled", "broken"]
CALLS_KEPT = 20_000


@dataclass(frozen=True, slots=True)
class Call:
    """One served call. `arrived_seconds` is simulated; tokens of a cut stream are those written before the cut."""

    request_id: str
    operation: str
    outcome: Outcome
    input_tokens: int
    output_tokens: int
    nanousd: int
    arrived_seconds: float
    copy: int | None


@dataclass(frozen=True, slots=True)
class Window:
    """One billed window of one copy, in simulated nanoseconds. Its price is fixed when it opens."""

    copy: int
    start_ns: int
    end_ns: int
    nanousd: int


@dataclass(slots=True)
class Tokens:
    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    nanousd: int = 0

    def add(self, call: Call) -> None:
        self.calls += 1
        self.input_tokens += call.input_tokens
        self.output_tokens += call.output_tokens
        self.nanousd += call.nanousd


def _exact(setting: float) -> Fraction:
    """A float setting as the decimal that was written."""
    return Fraction(str(setting))


def per_token_nanousd(input_tokens: int, output_tokens: int, input_usd: Fraction, output_usd: Fraction) -> int:
    """The charge of one call at prices per 1M tokens: exact, then rounded once, half to even."""
    return round((input_tokens * input_usd + output_tokens * output_usd) * NANO / 1_000_000)


@dataclass(slots=True)
class _Span:
    """The calls of one copy, by arrival, simulated nanoseconds."""

    first_ns: int
    last_ns: int
    arrivals_ns: list[int]


@dataclass(slots=True)
class WindowMeter:
    """The windows of an imported model's copies.

    A copy's windows are anchored at its first successful call. With the idle tail billed they follow one another until
    the copy goes, `idle_ns` after its last call; without, only those that a call fell into count.
    """

    window_ns: int
    idle_ns: int
    idle_tail_billed: bool
    window_nanousd: int
    copies: dict[int, _Span] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: ImportedSettings, time_scale: float) -> WindowMeter:
        minutes = _exact(settings.window_seconds) / _exact(time_scale) / 60
        price = round(settings.units_per_copy * Fraction(settings.usd_per_unit_minute) * minutes * NANO)
        return cls(to_ns(settings.window_seconds), to_ns(settings.idle_seconds), settings.idle_tail_billed, price)

    def call(self, copy: int, arrived_ns: int) -> None:
        span = self.copies.get(copy)
        if span is None:
            self.copies[copy] = _Span(arrived_ns, arrived_ns, [arrived_ns])
            return
        span.first_ns = min(span.first_ns, arrived_ns)
        span.last_ns = max(span.last_ns, arrived_ns)
        span.arrivals_ns.append(arrived_ns)

    def windows(self, now_ns: int | None) -> list[Window]:
        """Every window opened by `now_ns`; with None, every window that will have been when no further call comes."""
        return [
            Window(copy, start, start + self.window_ns, self.window_nanousd)
            for copy, span in sorted(self.copies.items())
            for start in self._starts(span, now_ns)
        ]

    def _starts(self, span: _Span, now_ns: int | None) -> list[int]:
        if not self.idle_tail_billed:
            indices = {(arrived - span.first_ns) // self.window_ns for arrived in span.arrivals_ns}
            return [span.first_ns + index * self.window_ns for index in sorted(indices)]
        end = span.last_ns + self.idle_ns
        if now_ns is not None:
            end = min(end, now_ns)
        count = max(1, -(-(end - span.first_ns) // self.window_ns))
        return [span.first_ns + index * self.window_ns for index in range(count)]


@dataclass(slots=True)
class ModelBill:
    """What one model has cost so far."""

    settings: ModelSettings
    time_scale: float
    completed: Tokens = field(default_factory=Tokens)
    cancelled: Tokens = field(default_factory=Tokens)
    broken: Tokens = field(default_factory=Tokens)
    calls: deque[Call] = field(default_factory=lambda: deque(maxlen=CALLS_KEPT))
    meter: WindowMeter | None = None

    def __post_init__(self) -> None:
        if isinstance(self.settings, ImportedSettings):
            self.meter = WindowMeter.of(self.settings, self.time_scale)

    def served(self, copy: int | None, arrived_ns: int) -> None:
        """A call proved good: it counts for the windows from its arrival."""
        if self.meter is not None and copy is not None:
            self.meter.call(copy, arrived_ns)

    def book(
        self,
        *,
        request_id: str,
        operation: str,
        outcome: Outcome,
        input_tokens: int,
        output_tokens: int,
        arrived_ns: int,
        copy: int | None,
    ) -> None:
        """The end of a served call, whole or cut."""
        nanousd = 0
        if isinstance(self.settings, FoundationSettings):
            nanousd = per_token_nanousd(
                input_tokens,
                output_tokens,
                Fraction(self.settings.input_usd_per_1m),
                Fraction(self.settings.output_usd_per_1m),
            )
        elif isinstance(self.settings, EmbeddingSettings):
            nanousd = per_token_nanousd(input_tokens, 0, Fraction(self.settings.input_usd_per_1m), Fraction(0))
        call = Call(request_id, operation, outcome, input_tokens, output_tokens, nanousd, arrived_ns / NS, copy)
        self.calls.append(call)
        tokens: Tokens = getattr(self, outcome)
        tokens.add(call)

    def report(self, now_ns: int, *, with_calls: bool = False) -> dict[str, Any]:
        """JSON-ready, simulated seconds. `total_nanousd` is what is owed at `now_ns`."""
        tokens_nanousd = self.completed.nanousd + self.cancelled.nanousd + self.broken.nanousd
        report: dict[str, Any] = {
            "model": self.settings.key,
            "kind": self.settings.kind,
            "completed": asdict(self.completed),
            "cancelled": asdict(self.cancelled),
            "broken": asdict(self.broken),
            "tokens_nanousd": tokens_nanousd,
        }
        total = tokens_nanousd
        if self.meter is not None:
            windows = self.meter.windows(now_ns)
            final = self.meter.windows(None)
            total += sum(window.nanousd for window in windows)
            report |= {
                "window_nanousd": self.meter.window_nanousd,
                "windows": [_window(window) for window in windows],
                "windows_nanousd": sum(window.nanousd for window in windows),
                "windows_if_idle_from_now": len(final),
                "windows_if_idle_from_now_nanousd": sum(window.nanousd for window in final),
            }
        if isinstance(self.settings, ProvisionedSettings):
            # Real seconds: the rate of a provisioned unit is not scaled, only time is.
            unit_seconds = self.settings.units * Fraction(now_ns, NS) / _exact(self.time_scale)
            provisioned = round(unit_seconds * Fraction(self.settings.usd_per_unit_hour) / 3600 * NANO)
            total += provisioned
            report |= {"unit_seconds": float(unit_seconds), "provisioned_nanousd": provisioned}
        report["total_nanousd"] = total
        if with_calls:
            report["calls"] = [asdict(call) for call in self.calls]
        return report


def _window(window: Window) -> dict[str, Any]:
    return {
        "copy": window.copy,
        "start_seconds": window.start_ns / NS,
        "end_seconds": window.end_ns / NS,
        "nanousd": window.nanousd,
    }
