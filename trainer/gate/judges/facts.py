"""The strict rule: all facts of the question, one of its sources, and nothing else. Pure.

What it cannot see: a false clause that holds no number and few words, and a right answer in words that nobody listed.
"""

from __future__ import annotations

from trainer.gate.checks import dates, names, numbers
from trainer.gate.checks.addressed import addressed_to_a_judge
from trainer.gate.checks.citations import cited, without_citations
from trainer.gate.checks.facts_held import missing_facts
from trainer.gate.checks.normal import digitised, normal, stem, words
from trainer.gate.checks.refusal import is_refusal, only_refuses, refuses, sentences
from trainer.gate.judges.denial import denies, is_yes_no
from trainer.gate.judges.units import other_units
from trainer.gate.schema import Outcome, Question

WORDS_FOR_EACH_OF_REFERENCE = 2.5
WORDS_MORE = 12
MOST_SENTENCES = 2
"""Without a single Yes or No."""
STRANGE_WORDS = 6
STRANGE_SHARE = 0.5
"""More content words than this, that no text shown holds, and more than this share of all: it says something else."""
_FUNCTION_WORDS = (
    "a an and any are as at be been being both but by can could did do does each either every for from had has have he "
    "her his how i if in into is it its itself may me might more most must my need needs no nor not of on one only or "
    "our per s shall she should so some such than that the their them then there these they this those through to up "
    "upon us was we were what when where which while who will with within would yes you your according handbook "
    "answer passage question based says states said also"
)


def facts(question: Question, text: str) -> tuple[Outcome, str]:
    """The outcome and the reason in one sentence."""
    if not sentences(text):
        return "reject", "The answer is empty."
    passages = [passage.text for passage in question.passages]
    if found := addressed_to_a_judge(text, question.question, question.reference or "", *passages):
        return "reject", f"It speaks to a judge or a program: {found!r}."
    if not question.answerable:
        return _unanswerable(text)
    if not question.facts or not question.sources:
        return "unjudged", "The question has no facts or no sources to judge by."
    if refuses(text):
        return "reject", "It refuses, and there is an answer."
    if missing := missing_facts(question, text):
        return "reject", f"It lacks: {'; '.join(missing)}."
    if wrong := _citation_fault(question, text):
        return "reject", wrong
    if other := _others(question, text):
        return "reject", f"It holds what neither the reference, a fact nor the question does: {', '.join(other)}."
    if denial := _denial_fault(question, text):
        return "reject", denial
    if more := _something_else(question, text):
        return "reject", more
    return "accept", "It holds every fact, cites the source, and says nothing else."


def _unanswerable(text: str) -> tuple[Outcome, str]:
    if not refuses(text):
        return "reject", "There is no answer in the handbook, and it gives one."
    if not only_refuses(text):
        more = next(said for said in sentences(text) if not is_refusal(said))
        return "reject", f"It refuses, and then says more: {more[:80]!r}."
    if cited(text):
        return "reject", "It refuses, and cites a page that is to say so."
    return "accept", "There is no answer, and it says so."


def _citation_fault(question: Question, text: str) -> str | None:
    ids, sources = cited(text), {source.casefold() for source in question.sources}
    if not ids:
        return "It cites nothing."
    if strangers := [id for id in ids if id not in sources]:
        return f"It cites what does not hold the answer: {', '.join(strangers[:5])}."
    return None


def _others(question: Question, text: str) -> tuple[str, ...]:
    """Numbers, dates, names and units besides the answer's own: a second number is a second answer, though the source
    may hold it."""
    spellings = [spelling for fact in question.facts for spelling in fact]
    right = (question.question, question.reference or "", *spellings)
    plain = without_citations(text)
    return (
        *numbers.unsupported(numbers.numbers(text), *right),
        *dates.unsupported(dates.dates(plain), *right),
        *names.unsupported(names.names(text), *right),
        *other_units(question, text),
    )


def _denial_fault(question: Question, text: str) -> str | None:
    reference = question.reference or ""
    said, right = denies(text), denies(reference)
    if said and not right:
        return "It denies, and the reference does not."
    if right and not said and is_yes_no(question.question):
        return "It does not deny, and the reference does."
    return None


def _something_else(question: Question, text: str) -> str | None:
    said = words(normal(without_citations(text)))
    parts = [part for part in sentences(text) if len(words(part)) > 1]
    if len(parts) > MOST_SENTENCES:
        return f"It has {len(parts)} sentences; an answer needs no more than {MOST_SENTENCES}."
    reference = question.reference or ""
    most = int(WORDS_FOR_EACH_OF_REFERENCE * len(words(normal(without_citations(reference))))) + WORDS_MORE
    if len(said) > most:
        return f"It has {len(said)} words; the reference allows {most}."
    material = [question.question, reference, *(passage.text for passage in question.passages)]
    material += [spelling for fact in question.facts for spelling in fact]
    known = {stem(word) for part in material for word in words(digitised(normal(part)))}
    telling = [
        word for word in words(digitised(normal(without_citations(text)))) if word not in _FUNCTION_WORDS.split()
    ]
    strange = [word for word in telling if stem(word) not in known]
    if len(strange) > max(STRANGE_WORDS, STRANGE_SHARE * len(telling)):
        return f"It says something else: {', '.join(strange[:6])} are in nothing that it was shown."
    return None
