"""The two judges: rules of the program's own, or models behind an address. And what proves that they can judge."""

from trainer.gate.judges.judge import Judge
from trainer.gate.judges.panel import judge_answers, judges_of

__all__ = ["Judge", "judge_answers", "judges_of"]
