"""What a judge is: it says accept or reject of one answer to one question, or that it could not judge."""

from __future__ import annotations

from typing import Protocol

from trainer.gate.runlog import Asked
from trainer.gate.schema import Answer, Judgement, Outcome, Question


class Opinion(Protocol):
    """A judgement, and what was asked for it: nothing where rules judge."""

    @property
    def judgement(self) -> Judgement: ...
    @property
    def asked(self) -> Asked | None: ...
    @property
    def messages(self) -> list[dict[str, str]]: ...


class Judge(Protocol):
    """`identity`: what the plan registers of it. Two judges with the same identity judge alike."""

    name: str
    identity: dict[str, str]

    async def judge(self, question: Question, answer: Answer) -> Judgement:
        """Never raises for what is wrong with an answer. Raises RefusedError where no answer will ever be judged."""
        ...

    async def opinion(self, question: Question, answer: Answer, *, shortcuts: bool = True) -> Opinion:
        """The same with what was asked. `shortcuts` False: also what could be told without asking (an empty answer) is
        asked, as the canaries must."""
        ...


def judged(judge: str, question: Question, answer: Answer, outcome: Outcome, reason: str) -> Judgement:
    return Judgement(question.id, answer.generator, judge, outcome, reason)


def without_text(judge: str, question: Question, answer: Answer) -> Judgement | None:
    """The judgement of an answer that never came: none."""
    if answer.text is not None:
        return None
    return judged(judge, question, answer, "unjudged", f"there is no answer: {answer.error or 'nobody said why'}")
