"""What goes out over OTLP is what the Prometheus page shows, number for number, under other names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Metric
from prometheus_client.parser import text_string_to_metric_families

from gateway.backends.usage import Usage
from gateway.server.core import Core
from gateway.telemetry.names import GENAI, GENAI_TOKENS, LABELS, own_name
from tests.gateway_process import ADMIN_KEY, API_KEY, GatewayProcess
from tests.scripted_peer import answer, scripted_peer
from tests.server.fleets import two
from tests.server.in_process import policy_of
from tests.telemetry.collector import Collector, attributes, collector

Start = Callable[..., GatewayProcess]
NOBODY = "http://127.0.0.1:9/v1"
Labels = frozenset[tuple[str, str]]
Numbers = dict[tuple[str, Labels], Any]


@pytest.fixture
def sent() -> Iterator[Collector]:
    with collector() as kept:
        yield kept


def name_of(family: str, labels: dict[str, str]) -> str:
    if family == "crossover_tokens":
        return GENAI_TOKENS[labels["token_type"]].name
    return (GENAI.get(family) or own_name(family)).name


def of_page(page: str) -> Numbers:
    """Every series of a Prometheus page by its name and labels over OTLP. Histograms: (buckets, count, sum)."""
    numbers: Numbers = {}
    for family in text_string_to_metric_families(page):
        if not family.name.startswith("crossover_"):
            continue
        for sample in family.samples:
            name = name_of(family.name, sample.labels)
            left_out = {"le", "token_type"} if name.startswith("gen_ai.") else {"le"}
            labels = {LABELS.get(k, f"crossover.{k}"): v for k, v in sample.labels.items() if k not in left_out}
            key = name, frozenset(labels.items())
            if family.type != "histogram":
                numbers[key] = sample.value
                continue
            entry = numbers.setdefault(key, {"up_to": {}})
            part = sample.name.removeprefix(family.name)
            if part == "_bucket":
                entry["up_to"][float(sample.labels["le"])] = sample.value
            else:
                entry[part] = sample.value
    return numbers


def of_otlp(metrics: dict[str, Metric]) -> Numbers:
    """The same of one export; what only the GenAI names have (provider, modality) is left out."""
    numbers: Numbers = {}
    for metric in metrics.values():
        kind = metric.WhichOneof("data")
        for point in getattr(metric, str(kind)).data_points:
            labels = attributes(point.attributes)
            labels.pop("gen_ai.provider.name", None)
            labels.pop("gen_ai.token.modality", None)
            key = metric.name, frozenset(labels.items())
            assert key not in numbers, f"two points of {key}"
            if kind != "histogram":
                numbers[key] = point.as_double
                continue
            up_to, below = {}, 0
            for bound, count in zip([*point.explicit_bounds, float("inf")], point.bucket_counts, strict=True):
                below += count
                up_to[bound] = float(below)
            numbers[key] = {"up_to": up_to, "_count": float(point.count), "_sum": point.sum}
    return numbers


async def test_every_series_goes_out_with_the_number_that_the_page_shows(
    sent: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XO_TEST_KEY", API_KEY)
    monkeypatch.setenv("XO_TEST_ADMIN", ADMIN_KEY)
    telemetry = {"otlp_endpoint": sent.endpoint, "export_seconds": 0.1}
    core = Core(policy_of({**two(NOBODY, NOBODY), "telemetry": telemetry}, tmp_path))
    server, port = core.series.serve("127.0.0.1", 0)
    core.series.attempt("cloud", "tuned", "ok", Usage(7, 3, "exact"))
    core.series.latency("cloud", "tuned", 0.07, 0.011)
    core.series.latency("cloud", "tuned", 3.0, None)
    core.series.operation("cloud", "tuned", "ok", 1.5)
    core.series.operation(None, "other", "client_error", 0.1)
    core.series.cost("cloud", "per_token", 2_200, 2_200)
    core.series.decision("cloud", "only_choice")
    core.series.overhead(0.0004)
    before = len(sent.metrics)
    sent.wait_for(lambda got: len(got.metrics) > before + 1)
    page = of_page(httpx.get(f"http://127.0.0.1:{port}/metrics").text)
    last = sent.metrics[-1]
    await core.aclose()
    server.shutdown()
    told = of_otlp(last)
    assert told == page
    assert len(told) > 100
    of_cloud = ("crossover.backend", "cloud"), ("gen_ai.request.model", "tuned")
    assert told["gen_ai.client.inference.usage.output_tokens", frozenset(of_cloud)] == 3
    assert told["gen_ai.client.operation.time_to_first_chunk", frozenset(of_cloud)]["_sum"] == pytest.approx(3.07)
    cost = frozenset((("crossover.backend", "cloud"), ("crossover.cost_kind", "per_token")))
    assert told["crossover.cost", cost] == pytest.approx(2.2e-6)


def test_no_two_series_share_a_name(sent: Collector, start_gateway: Start) -> None:
    gateway = start_gateway(**two(NOBODY, NOBODY), telemetry={"otlp_endpoint": sent.endpoint, "export_seconds": 0.1})
    page = text_string_to_metric_families(gateway.metrics())
    families = {family.name for family in page if family.name.startswith("crossover_") and family.samples}
    names = [own_name(family).name for family in families] + [name.name for name in GENAI.values()]
    assert len(set(names)) == len(names)
    older = len(sent.metrics) + 1  # one more may be on its way
    sent.wait_for(lambda got: len(got.metrics) > older)
    assert len(sent.metrics[-1]) == len(families) + 1, "tokens are two counters, all others one metric each"


async def test_a_live_gateway_s_counts_agree_with_its_page(sent: Collector, start_gateway: Start) -> None:
    counted = (
        "gen_ai.", "crossover.requests", "crossover.attempts", "crossover.usage", "crossover.route_decisions",
        "crossover.overhead",
    )  # fmt: skip
    async with scripted_peer(answer("a b c")) as box, scripted_peer(answer("d e")) as cloud:
        gateway = start_gateway(
            **two(box.url, cloud.url), telemetry={"otlp_endpoint": sent.endpoint, "export_seconds": 0.1}
        )
        body = {"model": "tuned", "messages": [{"role": "user", "content": "hi"}]}
        async with httpx.AsyncClient(headers=gateway.headers()) as http:
            for pinned in ("box", "cloud", "cloud"):
                headers = {"x-crossover-backend": pinned}
                url = f"{gateway.url}/chat/completions"
                assert (await http.post(url, json=body | {"stream": True}, headers=headers)).is_success
        before = len(sent.metrics)
        sent.wait_for(lambda got: len(got.metrics) > before + 1)
        page, told = of_page(gateway.metrics()), of_otlp(sent.metrics[-1])
        gateway.stop()

    def of_traffic(numbers: Numbers) -> Numbers:
        return {key: value for key, value in numbers.items() if key[0].startswith(counted)}

    assert of_traffic(told) == of_traffic(page)
    of_cloud = frozenset((("crossover.backend", "cloud"), ("gen_ai.request.model", "tuned")))
    assert told["gen_ai.client.inference.usage.output_tokens", of_cloud] == 4
    assert told["gen_ai.server.request.duration", of_cloud]["_count"] == 2


def test_counts_are_cumulative_and_carry_the_convention_s_unit_and_attributes(
    sent: Collector, start_gateway: Start
) -> None:
    start_gateway(**two(NOBODY, NOBODY), telemetry={"otlp_endpoint": sent.endpoint, "export_seconds": 0.1})
    sent.wait_for(lambda got: len(got.metrics) > 1)
    first, last = sent.metrics[0], sent.metrics[-1]
    tokens = last["gen_ai.client.inference.usage.input_tokens"]
    assert tokens.unit == "{token}"
    assert tokens.sum.is_monotonic
    assert tokens.sum.aggregation_temporality == AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    point = tokens.sum.data_points[0]
    assert attributes(point.attributes).keys() == {
        "crossover.backend", "gen_ai.request.model", "gen_ai.provider.name", "gen_ai.token.modality",
    }  # fmt: skip
    started = first["gen_ai.client.inference.usage.input_tokens"].sum.data_points[0].start_time_unix_nano
    assert point.start_time_unix_nano == started < point.time_unix_nano
    assert last["gen_ai.server.request.duration"].unit == "s"
    assert last["crossover.cost"].unit == "{USD}"
    assert last["crossover.backend_utilization"].WhichOneof("data") == "gauge"


def test_metrics_can_be_left_out(sent: Collector, start_gateway: Start) -> None:
    gateway = start_gateway(**two(NOBODY, NOBODY), telemetry={"otlp_endpoint": sent.endpoint, "metrics": False})
    gateway.stop()
    assert sent.metrics == []
