"""A frozen set of six questions about a company that does not exist, and answers to them."""

from __future__ import annotations

from hashlib import sha256

from trainer.gate.schema import Answer, FrozenSet, Passage, Question

PAGES = {
    "leave-01": "Full-time staff get 25 days of paid leave a year. Days left over lapse on 31 March of the next year.",
    "travel-03": "The daily meal allowance is 48 euros abroad and 28 euros at home. Claims: Ines Valdrago, by Friday.",
    "remote-02": "Interns may not work from home in their first month. Everybody else may do so three days a week.",
    "offices-01": "The Lisbon office opens at 9:00 and closes at 18:30. Its front desk answers the number 4455.",
    "equipment-04": "Laptops up to 1,200 euros need no approval. Dearer ones are approved by the head of the team.",
}


def passage(id: str) -> Passage:
    return Passage(id, PAGES[id], sha256(PAGES[id].encode()).hexdigest())


def _question(id: str, text: str, shown: tuple[str, ...], reference: str | None, *facts: tuple[str, ...]) -> Question:
    sources = shown[:1] if reference is not None else ()
    return Question(id, text, tuple(passage(one) for one in shown), reference, facts, sources)


LEAVE = _question(
    "q-leave", "How many days of paid leave do full-time staff get?", ("leave-01", "remote-02"),
    "Full-time staff get 25 days of paid leave a year.", ("25 days",),
)  # fmt: skip
MEALS = _question(
    "q-meals", "What is the daily meal allowance abroad?", ("travel-03", "equipment-04"),
    "The daily meal allowance abroad is 48 euros.", ("48 euros", "EUR 48", "€48"),
)  # fmt: skip
INTERNS = _question(
    "q-interns", "May interns work from home in their first month?", ("remote-02", "leave-01"),
    "No, interns may not work from home in their first month.", ("first month",),
)  # fmt: skip
LISBON = _question(
    "q-lisbon", "When does the Lisbon office open?", ("offices-01", "travel-03"),
    "The Lisbon office opens at 9:00.", ("9:00", "9 am", "nine o'clock"),
)  # fmt: skip
LAPTOP = _question(
    "q-laptop", "Up to what price do laptops need no approval?", ("equipment-04", "travel-03"),
    "Laptops up to 1,200 euros need no approval.", ("1,200 euros",),
)  # fmt: skip
PARKING = _question("q-parking", "What does a parking space cost?", ("offices-01", "leave-01"), None)

QUESTIONS = (LEAVE, MEALS, INTERNS, LISBON, LAPTOP, PARKING)
INSTRUCTION = "Answer from the passages, in one sentence, and end with the page's id in square brackets."
FROZEN = FrozenSet(1, "small", INSTRUCTION, {"mode": "by hand"}, QUESTIONS)
RIGHT = {
    question.id: "The handbook does not say." if question.reference is None
    else f"{question.reference} [{question.sources[0]}]"
    for question in QUESTIONS
}  # fmt: skip


def answer(question: Question, text: str | None, generator: str = "candidate", error: str | None = None) -> Answer:
    return Answer(question.id, generator, text, error=error)
