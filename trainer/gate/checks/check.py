"""The checks of one answer, as the report shows them beside the judges. They count in no verdict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from trainer.gate.checks import dates, names, numbers
from trainer.gate.checks.citations import cited, unknown_ids, without_citations
from trainer.gate.checks.facts_held import missing_facts
from trainer.gate.checks.normal import normal, words
from trainer.gate.checks.refusal import refuses
from trainer.gate.schema import Answer, Question

LONGEST_REFUSAL_WORDS = 40


class Check(msgspec.Struct, frozen=True):
    """What was found in one answer. An answer that never came has no words and passes nothing."""

    question: str
    generator: str
    words: int
    """Without citations."""
    cited: tuple[str, ...]
    unknown_ids: tuple[str, ...]
    """Cited, and no passage of the prompt has them."""
    numbers: tuple[str, ...]
    """Claimed, and neither a passage nor the question holds them; the same for dates and names."""
    dates: tuple[str, ...]
    names: tuple[str, ...]
    holds_facts: bool
    """Every fact of the question, whatever else it says; false where the question has none."""
    refused: bool
    refusal_right: bool
    """It refused exactly where there is no answer."""
    too_long: bool

    @property
    def findings(self) -> tuple[str, ...]:
        """What is wrong, in short words; empty: nothing."""
        found = []
        if not self.words:
            found.append("no answer")
        elif not self.refusal_right:
            found.append("refused, though there is an answer" if self.refused else "answered, though there is none")
        if self.words and not self.refused and not self.cited:
            found.append("cites nothing")
        for what, items in (
            ("cites what it was not shown", self.unknown_ids), ("numbers from nowhere", self.numbers),
            ("dates from nowhere", self.dates), ("names from nowhere", self.names),
        ):  # fmt: skip
            if items:
                found.append(f"{what}: {', '.join(items[:5])}")
        if self.too_long:
            found.append(f"{self.words} words long")
        return tuple(found)

    @property
    def clean(self) -> bool:
        return not self.findings


def most_words(question: Question) -> int:
    """How long an answer may be: three times the reference and ten words; for a refusal, a sentence or two."""
    if question.reference is None:
        return LONGEST_REFUSAL_WORDS
    return 3 * len(words(normal(without_citations(question.reference)))) + 10


def check(question: Question, answer: Answer) -> Check:
    text = answer.text or ""
    ids = cited(text)
    shown = [question.question, *(passage.text for passage in question.passages)]
    refused = refuses(text)
    count = len(words(normal(without_citations(text))))
    return Check(
        question=question.id,
        generator=answer.generator,
        words=count,
        cited=ids,
        unknown_ids=unknown_ids(ids, question),
        numbers=numbers.unsupported(numbers.numbers(text), *shown),
        dates=dates.unsupported(dates.dates(without_citations(text)), *shown),
        names=names.unsupported(names.names(text), *shown),
        holds_facts=bool(question.facts) and not missing_facts(question, text),
        refused=refused,
        refusal_right=bool(count) and refused != question.answerable,
        too_long=count > most_words(question),
    )


def check_all(questions: Sequence[Question], answers: Iterable[Answer]) -> list[Check]:
    """In the order of the answers. An answer to a question that is not among `questions` is left out."""
    known = {question.id: question for question in questions}
    return [check(known[answer.question], answer) for answer in answers if answer.question in known]
