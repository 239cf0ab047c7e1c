"""What the metrics page has before the first request: everything that the policy allows, at 0, and what it says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.policy import load_policy
from gateway.server.core import Core

POLICIES = Path(__file__).parents[2] / "policies"
ENVIRONMENT = {
    "CROSSOVER_API_KEY": "an-application-key-of-tests",
    "CROSSOVER_ADMIN_KEY": "an-admin-key-of-tests-only",
    "CROSSOVER_CMI_MODEL_ARN": "arn:aws:bedrock:us-east-1:123456789012:imported-model/tests",
}


@pytest.fixture
def core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Core]:
    for name, value in {**ENVIRONMENT, "CROSSOVER_LEDGER": str(tmp_path / "l.sqlite3")}.items():
        monkeypatch.setenv(name, value)
    core = Core(load_policy(POLICIES / "spark-bedrock.yaml"))
    yield core
    if core.ledger is not None:
        core.ledger.close()


def value(core: Core, name: str, **labels: str) -> float | None:
    return core.series.registry.get_sample_value(f"crossover_{name}", labels)


def test_every_counter_of_money_and_verdicts_is_there_at_zero(core: Core) -> None:
    assert value(core, "cost_usd_total", backend="box", cost_kind="amortized") == 0
    assert value(core, "busy_cost_usd_total", backend="cmi") == 0
    assert value(core, "counterfactual_cost_usd_total", served_by="box", priced_as="cmi") == 0
    assert value(core, "single_path_cost_usd_total", path="base") == 0
    assert value(core, "single_path_cost_usd_total", path="box") is None, "an owned box has no price elsewhere"
    assert value(core, "ledger_lost_records_total") == 0
    for verdict in ("in_time", "late", "wrong"):
        assert value(core, "judged_requests_total", backend="box", model="tuned", verdict=verdict) == 0
        assert value(core, "judged_requests_total", backend="none", model="tuned", verdict=verdict) == 0


def test_what_the_policy_says_is_there_to_be_compared_with(core: Core) -> None:
    assert value(core, "error_budget_limit_ratio") == 0.01
    assert value(core, "spend_budget_usd_per_month") == 400
    assert value(core, "backend_fixed_cost_usd_per_second", backend="box") == pytest.approx(200 / 2_628_000)
    assert value(core, "backend_fixed_cost_usd_per_second", backend="cmi") == pytest.approx(2 * 0.05718 / 60)
    assert value(core, "backend_price_usd_per_token", backend="base", token_type="output") == pytest.approx(0.22e-6)
    assert value(core, "backend_info", backend="box", cost_kind="amortized", wire="openai", simulated="false") == 1
    assert value(core, "ceiling_seconds", model="tuned", quantity="ttft") is not None
    assert value(core, "crossover_utilization_ratio", box="box", against="cmi") is not None


def test_the_documents_names_are_the_pages_names(core: Core) -> None:
    """Each series that a decision note or the README names exists."""
    families = {metric.name for metric in core.series.registry.collect()}
    root = Path(__file__).parents[2]
    texts = [root / "README.md", *sorted((root / "docs" / "decisions").glob("*.md"))]
    for text in texts:
        for name in re.findall(r"`(crossover_[a-z_]+)(?:\{[^`]*)?`", text.read_text()):
            family = name.removesuffix("_total")
            assert family in families or name in families, f"{text.name} names {name}"
