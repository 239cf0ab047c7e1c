"""The figures in docs/gate-statistics.md are what today's code gives: the cheap ones are counted again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import gate_statistics as benchmark
from benchmarks.gate_statistics_tables import in_tables

ROOT = Path(__file__).parents[4]
KEPT = json.loads((ROOT / "benchmarks/results/gate_statistics.json").read_text())


def same(rows, kept):
    rows = list(rows)
    assert len(rows) == len(kept) > 0
    for row, other in zip(rows, kept, strict=True):
        assert row == pytest.approx(other, abs=2e-6)


def test_the_bars_the_coverage_of_one_share_and_the_refreshes_are_as_kept():
    for size in benchmark.SIZES:
        same(benchmark.bars(size), [row for row in KEPT["bars"] if row["questions"] == size])
    same(benchmark.one_share(30), [row for row in KEPT["one_share"] if row["questions"] == 30])
    same(benchmark.refreshes(), KEPT["refreshes"])


def test_the_rule_still_decides_as_kept_on_thirty_questions():
    same(benchmark.rule_outcomes((30,)), [row for row in KEPT["rule_outcomes"] if row["questions"] == 30])


def test_no_outcome_is_lost():
    for row in KEPT["rule_outcomes"]:
        assert abs(row["pass"] + row["fail"] + row["undecided"] - 1) < 1e-5


def test_a_wrong_pass_is_as_rare_as_promised():
    assert max(row["pass"] for row in KEPT["rule_outcomes"] if row["kind"] == "wrong to pass") <= 0.05


def test_the_tables_in_the_docs_are_of_these_figures():
    text = (ROOT / "docs/gate-statistics.md").read_text()
    for part in in_tables(KEPT):
        assert part in text
