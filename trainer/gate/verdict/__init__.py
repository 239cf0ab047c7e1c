"""From answers and judgements to a verdict: pure. The rule in words: docs/gate-statistics.md."""

from trainer.gate.verdict.build import Calibration, verdict
from trainer.gate.verdict.schema import (
    Comparison,
    Condition,
    KillCriterion,
    NonInferiority,
    Open,
    Paired,
    Rate,
    Result,
    Spent,
    Standing,
    Verdict,
)

__all__ = [
    "Calibration",
    "Comparison",
    "Condition",
    "KillCriterion",
    "NonInferiority",
    "Open",
    "Paired",
    "Rate",
    "Result",
    "Spent",
    "Standing",
    "Verdict",
    "verdict",
]
