"""From answers and judgements to how every answer stands, and to the counts that the tests need.

What is not there is unjudged: an answer that never came, one that no judge was asked about, a judgement that could not
be read. An empty text is an answer, and the judges see it. Nothing is guessed, and nothing is counted twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from trainer.gate.plan import Plan
from trainer.gate.schema import Answer, Judgement, Outcome, Question
from trainer.gate.statistics.proportions import wilson
from trainer.gate.verdict.rule import Discordant, Readings
from trainer.gate.verdict.schema import Open, Rate, Standing

Standings = dict[str, dict[str, Standing]]
"""generator -> question -> how its answer stands; in the order of the plan and of the set."""


class Tally:
    """Raises ValueError with everything that does not fit the plan, or is there twice."""

    def __init__(
        self,
        plan: Plan,
        questions: Sequence[Question],
        answers: Mapping[str, Sequence[Answer]],
        judgements: Sequence[Judgement],
    ) -> None:
        problems = list(_problems(plan, questions, answers, judgements))
        if problems:
            shown = "; ".join(problems[:10]) + (f"; and {len(problems) - 10} more" if len(problems) > 10 else "")
            raise ValueError(f"these answers and judgements do not belong to the plan: {shown}")
        self._judges = list(plan.judges)
        self.questions = questions
        self.answers = {name: {answer.question: answer for answer in answers.get(name, ())} for name in plan.generators}
        self._said = {(one.generator, one.question, one.judge): one for one in judgements}
        self.standings: Standings = {
            name: {question.id: self._standing(name, question.id) for question in questions} for name in plan.generators
        }

    def outcomes(self, generators: Sequence[str]) -> tuple[list[Outcome], list[Outcome]]:
        """Of the first judge and of the second, over the same answers: those that came."""
        places = [
            (name, question)
            for name in generators
            for question, answer in self.answers[name].items()
            if answer.text is not None
        ]
        first, second = self._judges
        return [self._outcome(*place, first) for place in places], [self._outcome(*place, second) for place in places]

    def open(self) -> Iterator[Open]:
        """Splits and unjudged answers, in the order of the set."""
        for question in self.questions:
            for name, standings in self.standings.items():
                standing = standings[question.id]
                if standing in ("split", "unjudged"):
                    yield Open(question.id, name, standing, self._reason(name, question.id))

    def rates(self, questions: Sequence[Question]) -> dict[str, Rate]:
        return {
            name: rate([standings[question.id] for question in questions]) for name, standings in self.standings.items()
        }

    def readings(self, first: str, second: str, *, for_second: bool) -> Readings:
        """All questions, what is unjudged read for `second` or against it; splits as rejects, then as accepts."""
        return tuple(self._discordant(first, second, split, for_second) for split in (False, True))

    def judged_pairs(self, first: str, second: str) -> list[tuple[int, int]]:
        """(first accepted, second accepted) as 0 and 1, on questions where neither is unjudged; a split is 0."""
        pairs = zip(self.standings[first].values(), self.standings[second].values(), strict=True)
        return [(int(a == "accepted"), int(b == "accepted")) for a, b in pairs if "unjudged" not in (a, b)]

    def _discordant(self, first: str, second: str, split: bool, for_second: bool) -> Discordant:
        gains = losses = 0
        pairs = zip(self.standings[first].values(), self.standings[second].values(), strict=True)
        for before, after in pairs:
            was, is_now = _read(before, split, not for_second), _read(after, split, for_second)
            gains += is_now and not was
            losses += was and not is_now
        return Discordant(gains, losses)

    def _standing(self, generator: str, question: str) -> Standing:
        answer = self.answers[generator].get(question)
        if answer is None or answer.text is None:
            return "unjudged"
        said = [self._outcome(generator, question, judge) for judge in self._judges]
        if "unjudged" in said:
            return "unjudged"
        if said[0] != said[1]:
            return "split"
        return "accepted" if said[0] == "accept" else "rejected"

    def _outcome(self, generator: str, question: str, judge: str) -> Outcome:
        one = self._said.get((generator, question, judge))
        return "unjudged" if one is None else one.outcome

    def _reason(self, generator: str, question: str) -> str:
        answer = self.answers[generator].get(question)
        if answer is None:
            return "no answer was recorded"
        if answer.text is None:
            return f"no answer: {answer.error or 'nobody said why'}"
        parts = []
        for judge in self._judges:
            one = self._said.get((generator, question, judge))
            parts.append(f"{judge}: no judgement" if one is None else f"{judge}: {one.outcome}, {one.reason}")
        return "; ".join(parts)


def rate(standings: Sequence[Standing]) -> Rate:
    """Raises ValueError for nothing: a share of nothing is no number."""
    count = len(standings)
    if not count:
        raise ValueError("a rate of no questions is no number")
    tally = Counter(standings)
    accepted, split, unjudged = tally["accepted"], tally["split"], tally["unjudged"]
    possible = accepted + split + unjudged
    return Rate(
        n=count,
        accepted=accepted,
        split=split,
        rejected=tally["rejected"],
        unjudged=unjudged,
        low=accepted / count,
        high=possible / count,
        low_interval=wilson(accepted, count),
        high_interval=wilson(possible, count),
    )


def _read(standing: Standing, split: bool, unjudged: bool) -> bool:
    return standing == "accepted" or (standing == "split" and split) or (standing == "unjudged" and unjudged)


def _problems(
    plan: Plan,
    questions: Sequence[Question],
    answers: Mapping[str, Sequence[Answer]],
    judgements: Sequence[Judgement],
) -> Iterator[str]:
    ids = {question.id for question in questions}
    if len(questions) != plan.questions:
        yield f"the plan has {plan.questions} questions, and {len(questions)} were given"
    if len(ids) != len(questions):
        yield f"{len(questions) - len(ids)} of the questions have the id of another one"
    seen: set[tuple[str, ...]] = set()
    for name, given in answers.items():
        if name not in plan.generators:
            yield f"there are answers of {name!r}, which is none of the plan's generators"
        for answer in given:
            where = f"the answer of {name!r} to {answer.question!r}"
            if answer.generator != name:
                yield f"{where} says that it is from {answer.generator!r}"
            if answer.question not in ids:
                yield f"{where} is to no question of the set"
            if (name, answer.question) in seen:
                yield f"{where} is there twice"
            seen.add((name, answer.question))
    for one in judgements:
        where = f"the judgement of {one.judge!r} on {one.generator!r} and {one.question!r}"
        if one.judge not in plan.judges:
            yield f"{where} is from none of the plan's judges"
        if one.generator not in plan.generators or one.question not in ids:
            yield f"{where} is of no answer that the plan knows"
        place = (one.generator, one.question, one.judge)
        if place in seen:
            yield f"{where} is there twice"
        seen.add(place)
