"""The Prometheus registry as OpenTelemetry metrics: the very same numbers, read when they are sent. Observing costs
nothing extra, and the two can never disagree."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from math import inf
from typing import TypeAlias

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.samples import Sample

from gateway.telemetry.names import (
    GENAI,
    GENAI_TOKENS,
    LABELS,
    PROVIDER_NAME,
    TOKEN_MODALITY,
    TOKENS,
    Name,
    own_name,
)

Attributes: TypeAlias = dict[str, str]
PREFIX = "crossover_"


class RegistryReader:
    """Reads `registry` as OpenTelemetry metrics. `providers`: each backend's `gen_ai.provider.name`."""

    def __init__(
        self,
        registry: CollectorRegistry,
        resource: Resource,
        scope: InstrumentationScope,
        providers: Mapping[str, str],
        started_ns: int,
    ) -> None:
        self._registry = registry
        self._resource = resource
        self._scope = scope
        self._providers = providers
        self._started_ns = started_ns

    def read(self, now_ns: int) -> MetricsData:
        families = (f for f in self._registry.collect() if f.name.startswith(PREFIX) and f.samples)
        metrics = [metric for family in families for metric in self._metrics(family, now_ns)]
        scoped = ScopeMetrics(self._scope, metrics, "")
        return MetricsData([ResourceMetrics(self._resource, [scoped], "")])

    def _metrics(self, family: Family, now: int) -> Iterator[Metric]:
        if family.name == TOKENS:
            for token_type, name in GENAI_TOKENS.items():
                of_type = (s for s in family.samples if s.labels["token_type"] == token_type)
                yield self._sum(name, family, of_type, now)
            return
        name = GENAI.get(family.name) or own_name(family.name)
        if family.type == "counter":
            yield self._sum(name, family, family.samples, now)
        elif family.type == "histogram":
            yield self._histogram(name, family, now)
        else:
            points = [self._point(name, sample, now) for sample in family.samples]
            yield Metric(name.name, family.documentation, name.unit, Gauge(points))

    def _sum(self, name: Name, family: Family, samples: Iterable[Sample], now: int) -> Metric:
        points = [self._point(name, sample, now) for sample in samples]
        data = Sum(points, AggregationTemporality.CUMULATIVE, is_monotonic=True)
        return Metric(name.name, family.documentation, name.unit, data)

    def _point(self, name: Name, sample: Sample, now: int) -> NumberDataPoint:
        return NumberDataPoint(self._attributes(name, sample.labels), self._started_ns, now, float(sample.value))

    def _histogram(self, name: Name, family: Family, now: int) -> Metric:
        buckets: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = defaultdict(list)
        sums: dict[tuple[tuple[str, str], ...], float] = {}
        for sample in family.samples:
            labels = tuple((key, value) for key, value in sample.labels.items() if key != "le")
            if sample.name.endswith("_bucket"):
                buckets[labels].append((float(sample.labels["le"]), sample.value))
            elif sample.name.endswith("_sum"):
                sums[labels] = sample.value
        points = []
        for labels, up_to in buckets.items():
            counts, below = [], 0
            for _, count in up_to:  # Prometheus counts each bucket with all below it
                counts.append(int(count) - below)
                below = int(count)
            bounds = [bound for bound, _ in up_to if bound != inf]
            points.append(
                HistogramDataPoint(
                    self._attributes(name, dict(labels)), self._started_ns, now, below, sums[labels], counts, bounds,
                    None, None,  # type: ignore[arg-type]  # the least and the greatest: Prometheus does not keep them
                )
            )  # fmt: skip
        data = Histogram(points, AggregationTemporality.CUMULATIVE)
        return Metric(name.name, family.documentation, name.unit, data)

    def _attributes(self, name: Name, labels: Mapping[str, str]) -> Attributes:
        genai = name.name.startswith("gen_ai.")
        attributes = {
            LABELS.get(key, f"crossover.{key}"): value
            for key, value in labels.items()
            if not (genai and key == "token_type")
        }
        if genai:
            provider = self._providers.get(labels.get("backend", ""))
            if provider is not None:
                attributes[PROVIDER_NAME] = provider
            if "token_type" in labels:
                attributes[TOKEN_MODALITY] = "unknown"
        return attributes
