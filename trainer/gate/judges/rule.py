"""A judge that is a rule of this program: no model is asked, the same answer is always judged alike, and it says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from trainer.gate.judges.facts import facts
from trainer.gate.judges.grounding import grounding
from trainer.gate.judges.judge import judged, without_text
from trainer.gate.runlog import Asked
from trainer.gate.schema import Answer, Judgement, Outcome, Question
from trainer.gate.settings import RuleName

Rule: TypeAlias = Callable[[Question, str], tuple[Outcome, str]]
RULES: dict[RuleName, tuple[Rule, str, str]] = {
    "facts": (
        facts, "2",
        "every fact of the question, a source cited and no other page, no number from elsewhere, nothing besides; "
        "where there is no answer, a refusal and nothing else",
    ),
    "grounding": (
        grounding, "2",
        "numbers, dates and names that the passages hold, cited pages that were shown, close to the reference; a "
        "refusal exactly where there is no answer",
    ),
}  # fmt: skip
"""Each rule with its version (another version may judge otherwise: it is part of the identity) and what it asks."""


@dataclass(frozen=True, slots=True)
class RuleOpinion:
    judgement: Judgement
    asked: Asked | None = None
    messages: list[dict[str, str]] = field(default_factory=list)


class RuleJudge:
    def __init__(self, name: str, rule: RuleName) -> None:
        self.name = name
        self._rule, version, asks = RULES[rule]
        self.identity = {
            "kind": "rules", "rule": rule, "version": version, "what": "a rule, not a language model", "asks": asks,
        }  # fmt: skip

    async def judge(self, question: Question, answer: Answer) -> Judgement:
        if (none := without_text(self.name, question, answer)) is not None:
            return none
        outcome, reason = self._rule(question, answer.text or "")
        return judged(self.name, question, answer, outcome, reason)

    async def opinion(self, question: Question, answer: Answer, *, shortcuts: bool = True) -> RuleOpinion:
        del shortcuts  # there is nobody to ask
        return RuleOpinion(await self.judge(question, answer))
