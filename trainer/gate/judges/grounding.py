"""The second rule: what the answer says is in the passages, and it is near to the reference. Pure.

It looks at the passages where `facts` looks at the facts. The two share their reading of numbers and refusals, so they
err together more than two people would.
"""

from __future__ import annotations

from trainer.gate.checks import dates, names, numbers
from trainer.gate.checks.addressed import addressed_to_a_judge
from trainer.gate.checks.check import check
from trainer.gate.checks.citations import without_citations
from trainer.gate.checks.normal import digitised, normal, stem, words
from trainer.gate.checks.refusal import is_refusal, sentences
from trainer.gate.judges.denial import denies, is_yes_no
from trainer.gate.judges.units import other_units
from trainer.gate.schema import Answer, Outcome, Question

LEAST_OVERLAP = 0.6
"""Share of the words that the reference adds to the question: the answer must hold so many of them."""
_SMALL_WORDS = (
    "a an and are as at be by can for from has have if in into is it its may must of on or that the their them they "
    "this to up was were which will with you your"
)


def grounding(question: Question, text: str) -> tuple[Outcome, str]:
    """The outcome and the reason in one sentence."""
    found = check(question, Answer(question.id, "", text))
    if not found.words:
        return "reject", "The answer is empty."
    passages = [passage.text for passage in question.passages]
    if words_for := addressed_to_a_judge(text, question.question, question.reference or "", *passages):
        return "reject", f"It speaks to a judge or a program: {words_for!r}."
    if found.refused and question.answerable:
        return "reject", "It refuses, and there is an answer."
    for what, items in (
        ("pages that it was not shown", found.unknown_ids), ("numbers", found.numbers), ("dates", found.dates),
        ("names", found.names),
    ):  # fmt: skip
        if items:
            source = "" if what.startswith("pages") else " that no passage holds"
            return "reject", f"It gives {what}{source}: {', '.join(items[:5])}."
    if found.too_long:
        return "reject", f"It has {found.words} words: too many for the question."
    if question.reference is None:
        if not is_refusal(sentences(text)[0]):
            return "reject", "There is no answer in the passages, and it does not begin by saying so."
        return "accept", "There is no answer, and it says so."
    if not found.cited:
        return "reject", "It cites nothing."
    return _near(question, question.reference, text)


def _near(question: Question, reference: str, text: str) -> tuple[Outcome, str]:
    """What the reference adds to the question must be there: its numbers, else its dates and names, else its words."""
    told = without_citations(text)
    if is_yes_no(question.question) and denies(text) != denies(reference):
        return "reject", "One of the answer and the reference says no, and the other does not."
    counted = frozenset(numbers.unsupported(numbers.numbers(reference), question.question))
    if counted:
        if missing := numbers.unsupported(counted, told):
            return "reject", f"The reference's numbers are not in it: {', '.join(missing)}."
        if other := other_units(question, text, numbers.numbers(reference)):
            return "reject", f"It counts something else: {', '.join(other)}."
        return "accept", f"The passages hold what it says, and it has the reference's {', '.join(sorted(counted))}."
    named = names.names(reference) | dates.dates(without_citations(reference))
    named = frozenset(names.unsupported(named, question.question))
    missing = names.unsupported(named, told)
    if len(missing) > (1 - LEAST_OVERLAP) * len(named):
        return "reject", f"It does not name what the reference names: {', '.join(missing)}."
    if named:
        return (
            "accept",
            f"The passages hold what it says, and it names what the reference names: {', '.join(sorted(named))}.",
        )
    share = overlap(question.question, reference, text)
    if share < LEAST_OVERLAP:
        return (
            "reject",
            f"It holds {share:.0%} of what the reference adds to the question; {LEAST_OVERLAP:.0%} are needed.",
        )
    return "accept", f"The passages hold what it says, and it holds {share:.0%} of what the reference adds."


def overlap(question: str, reference: str, text: str) -> float:
    """Share of the reference's words that the text holds in any form. Small words, and those that the question gave
    already, do not count; where no others are left, the question's do."""
    small = {stem(word) for word in _SMALL_WORDS.split()}
    whole = _stems(reference) - small
    wanted = whole - _stems(question) or whole
    return len(wanted & _stems(text)) / len(wanted) if wanted else 1.0


def _stems(text: str) -> set[str]:
    return {stem(word) for word in words(digitised(normal(without_citations(text))))}
