"""What can be told of an answer without judging it: cited ids, numbers, dates, names, refusals, length."""

from trainer.gate.checks.check import Check, check, check_all

__all__ = ["Check", "check", "check_all"]
