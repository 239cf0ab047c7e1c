"""Counters and histograms that cost a request little: plain numbers in a dict, made a page of when it is read.

`prometheus_client`'s own take a lock and three calls for each count, a tenth of what the gateway does for a request.
Here the event loop alone counts, and a page's thread reads: under the interpreter's lock each number is whole. Names,
labels, order and text of the page are those of `prometheus_client`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from math import inf

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

Values = tuple[str, ...]


class Count:
    """One series of a counter. On the hot path `value` is raised in place; it must never fall."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1.0) -> None:
        """Raises `ValueError` for less than 0: a counter that falls reads as a restart."""
        if amount < 0:
            raise ValueError("Counters can only be incremented by non-negative amounts.")
        self.value += amount


class Buckets:
    """One series of a histogram. `counts`: of what is at most each bound and above the one before; then the rest."""

    __slots__ = ("_bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, amount: float) -> None:
        self.counts[bisect_left(self._bounds, amount)] += 1
        self.sum += amount


class _OnThePage(Collector):
    """A family as a registry asks for it."""

    def __init__(self, name: str, text: str, type: str, samples: Callable[[], Iterable[Sample]]) -> None:
        self._empty = name, text, type
        self._samples = samples

    def describe(self) -> Iterable[Metric]:
        return [Metric(*self._empty)]

    def collect(self) -> Iterable[Metric]:
        family = Metric(*self._empty)
        family.samples = list(self._samples())
        return [family]


class Counters(dict[Values, Count]):
    """A counter's series by their label values; one that is asked for begins at 0."""

    def __init__(
        self, name: str, text: str, labels: Sequence[str], registry: CollectorRegistry, known: Iterable[Values] = ()
    ) -> None:
        super().__init__()
        self._name = name
        self._labels = tuple(labels)
        for values in known:
            self[values]
        registry.register(_OnThePage(name.removesuffix("_total"), text, "counter", self._samples))

    def __missing__(self, values: Values) -> Count:
        made = self[values] = Count()
        return made

    def forget(self, values: Values) -> None:
        """The series ends. One that is not there is no mistake."""
        self.pop(values, None)

    def _samples(self) -> Iterator[Sample]:
        for values, count in self.copy().items():
            yield Sample(self._name, dict(zip(self._labels, values, strict=True)), count.value)


class Histograms(dict[Values, Buckets]):
    """A histogram's series by their label values. `bounds`: rising, of the unit measured, without infinity."""

    def __init__(
        self, name: str, text: str, labels: Sequence[str], bounds: Sequence[float], registry: CollectorRegistry,
        known: Iterable[Values] = (),
    ) -> None:  # fmt: skip
        super().__init__()
        self._name = name
        self._labels = tuple(labels)
        self._bounds = [float(bound) for bound in bounds]
        self._written = [floatToGoString(bound) for bound in (*self._bounds, inf)]  # type: ignore[no-untyped-call]
        for values in known:
            self[values]
        registry.register(_OnThePage(name, text, "histogram", self._samples))

    def __missing__(self, values: Values) -> Buckets:
        made = self[values] = Buckets(self._bounds)
        return made

    def forget(self, values: Values) -> None:
        """The series ends. One that is not there is no mistake."""
        self.pop(values, None)

    def _samples(self) -> Iterator[Sample]:
        for values, one in self.copy().items():
            labels = dict(zip(self._labels, values, strict=True))
            up_to = 0.0
            for bound, count in zip(self._written, one.counts.copy(), strict=True):
                up_to += count
                yield Sample(f"{self._name}_bucket", {**labels, "le": bound}, up_to)
            yield Sample(f"{self._name}_count", labels, up_to)
            yield Sample(f"{self._name}_sum", labels, one.sum)
