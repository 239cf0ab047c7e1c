"""Our own counters and histograms: the page is the very text that `prometheus_client` would write."""

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as open_metrics

from gateway.metering.families import Count, Counters, Histograms

BOUNDS = (0.005, 0.1, 1, 2.5, 60)
SEEN = (0.0, 0.005, 0.0050001, 0.1, 1, 1.5, 2.5, 60.0, 61.0, 1e9, 0.3)


def pages(registry: CollectorRegistry) -> tuple[bytes, bytes]:
    return generate_latest(registry), open_metrics(registry)


def test_a_page_is_what_prometheus_client_writes() -> None:
    disable_created_metrics()  # type: ignore[no-untyped-call]
    theirs, ours = CollectorRegistry(), CollectorRegistry()
    counter = Counter("x_total", "How many.", ["a", "b"], registry=theirs)
    histogram = Histogram("x_seconds", "How long.", ["a"], buckets=BOUNDS, registry=theirs)
    alone = Histogram("x_alone_seconds", "Without labels.", buckets=BOUNDS, registry=theirs)
    Counter("x_never_total", "Nothing yet.", ["a"], registry=theirs)
    counts = Counters("x_total", "How many.", ["a", "b"], ours, [("1", "two")])
    times = Histograms("x_seconds", "How long.", ["a"], BOUNDS, ours)
    lone = Histograms("x_alone_seconds", "Without labels.", [], BOUNDS, ours, [()])
    Counters("x_never_total", "Nothing yet.", ["a"], ours)
    counter.labels("1", "two")
    for number, value in enumerate(SEEN):
        counter.labels("z", 'quo"te').inc(value)
        counts["z", 'quo"te'].inc(value)
        histogram.labels(str(number % 2)).observe(value)
        times[(str(number % 2),)].observe(value)
        alone.observe(value)
        lone[()].observe(value)
    assert pages(ours) == pages(theirs)
    assert ours.get_sample_value("x_seconds_bucket", {"a": "1", "le": "0.1"}) == 2.0


def test_a_series_that_is_forgotten_is_off_the_page() -> None:
    registry = CollectorRegistry()
    counts = Counters("x_total", "How many.", ["a"], registry, [("1",), ("2",)])
    counts.forget(("1",))
    counts.forget(("never there",))
    assert (registry.get_sample_value("x_total", {"a": "1"}), registry.get_sample_value("x_total", {"a": "2"})) == (
        None,
        0,
    )


def test_two_families_of_one_name_are_a_mistake() -> None:
    registry = CollectorRegistry()
    Counters("x_total", "How many.", [], registry)
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        Counters("x_total", "How many.", [], registry)


def test_a_counter_never_falls() -> None:
    with pytest.raises(ValueError, match="non-negative"):
        Count().inc(-1)
