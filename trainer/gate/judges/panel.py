"""Both judges over all answers, several at a time, and every judgement into the run's log."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256

import msgspec

from trainer.gate.chat import Chats
from trainer.gate.errors import GivenUpError
from trainer.gate.judges.judge import Judge
from trainer.gate.judges.model import ModelJudge
from trainer.gate.judges.rule import RuleJudge
from trainer.gate.progress import Tell, silent
from trainer.gate.runlog import Judged, RunLog
from trainer.gate.schema import Answer, Judgement, Question
from trainer.gate.settings import GateSettings
from trainer.gate.stopping import first_of

UNASKED_IN_A_ROW = 8
"""So many answers in a row of which a judge could not be asked: it is not there, and the rest is not tried."""


def judges_of(settings: GateSettings, chats: Chats) -> list[Judge]:
    """The judges of the settings, in their order. Raises GateError where a key is missing."""
    judges: list[Judge] = []
    for name, judge in settings.judges.items():
        if judge.kind == "rules" and judge.rule is not None:
            judges.append(RuleJudge(name, judge.rule))
        else:
            judges.append(ModelJudge(name, judge, chats))
    return judges


def sha256_of_identity(judge: Judge) -> str:
    return sha256(msgspec.json.encode(judge.identity, order="sorted")).hexdigest()


async def judge_answers(
    judges: Sequence[Judge],
    questions: Sequence[Question],
    answers: Iterable[Answer],
    log: RunLog,
    *,
    at_once: int = 4,
    progress: Tell = silent,
) -> list[Judgement]:
    """Every judge's judgement of every answer: judge by judge, in the order of the answers.

    What the log has a verdict on already (the same text by the same judge) is not asked again; what could not be
    judged is. at_once: answers that one judge has before it at a time.

    Raises RefusedError, GivenUpError, RunLogError, and KeyError for an answer to a question that is not there.
    """
    known = {question.id: question for question in questions}
    given = [(known[answer.question], answer) for answer in answers]
    try:
        async with asyncio.TaskGroup() as group:
            sittings = [group.create_task(_Sitting(judge, given, log, at_once, progress).all()) for judge in judges]
    except BaseExceptionGroup as several:
        raise first_of(several) from None
    return [judgement for sitting in sittings for judgement in sitting.result()]


class _Sitting:
    """One judge over all answers."""

    def __init__(
        self,
        judge: Judge,
        given: Sequence[tuple[Question, Answer]],
        log: RunLog,
        at_once: int,
        progress: Tell,
    ) -> None:
        self._judge = judge
        self._given = given
        self._log = log
        self._at_once = at_once
        self._progress = progress
        self._identity = sha256_of_identity(judge)
        self._found: dict[int, Judgement] = {}
        self._unasked_in_a_row = 0

    async def all(self) -> list[Judgement]:
        earlier = self._earlier()
        for place, (_, answer) in enumerate(self._given):
            key = (answer.generator, answer.question, sha256_of_text(answer.text))
            if answer.text is not None and key in earlier:
                self._found[place] = earlier[key]
        self._tell()
        waiting = iter([place for place in range(len(self._given)) if place not in self._found])
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._at_once):
                    group.create_task(self._work(waiting))
        except BaseExceptionGroup as several:
            raise first_of(several) from None
        return [self._found[place] for place in range(len(self._given))]

    def _earlier(self) -> dict[tuple[str, str, str], Judgement]:
        found: dict[tuple[str, str, str], Judgement] = {}
        for line in self._log.lines:
            if not isinstance(line, Judged) or line.identity_sha256 != self._identity:
                continue
            judgement = line.judgement
            if judgement.judge == self._judge.name and judgement.outcome != "unjudged":
                found.setdefault((judgement.generator, judgement.question, line.answer_sha256), judgement)
        return found

    async def _work(self, waiting: Iterator[int]) -> None:
        for place in waiting:
            question, answer = self._given[place]
            opinion = await self._judge.opinion(question, answer)
            judgement = opinion.judgement
            self._log.append(
                Judged(
                    1, self._log.wall(), judgement, sha256_of_text(answer.text), self._identity, opinion.asked,
                    opinion.messages,
                )
            )  # fmt: skip
            self._found[place] = judgement
            self._count(judgement, asked=opinion.asked is not None)
            self._tell()

    def _count(self, judgement: Judgement, *, asked: bool) -> None:
        if not asked:
            return
        if judgement.raw is not None:
            self._unasked_in_a_row = 0
            return
        self._unasked_in_a_row += 1
        if self._unasked_in_a_row >= UNASKED_IN_A_ROW:
            raise GivenUpError(
                f"judge {self._judge.name}: {self._unasked_in_a_row} answers in a row could not be brought before it, "
                f"the last: {judgement.reason} What was judged is kept: the same run goes on from there"
            )

    def _tell(self) -> None:
        self._progress(self._judge.name, len(self._found), len(self._given))


def sha256_of_text(text: str | None) -> str:
    return sha256((text or "").encode("utf-8", "surrogatepass")).hexdigest()
