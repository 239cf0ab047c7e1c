"""Questions as they are written, before passages are frozen with them: JSON lines.

    {"id": "q01", "question": "What is paid for dinner on the road?", "reference": "Up to 31 euros.",
     "facts": [["31 euros", "EUR 31"]], "sources": ["travel-03"], "labels": {"department": "travel"}}

`reference`: the right answer; null where the corpus holds none. `facts`: what a right answer holds, each with its
spellings. `sources`: ids of the pages that hold the answer. `where`: a filter for this question's passages alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from trainer.data.problem import DataError, LineProblem
from trainer.gate.frozen import ID_PROBLEM, MOST_ID
from trainer.retrieval.where import WhereError, parse_where

MOST_BYTES = 100 * 2**20
MOST_QUESTIONS = 1_000_000


class RawQuestion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the file."""

    id: str
    question: str
    reference: str | None = None
    facts: tuple[str | tuple[str, ...], ...] = ()
    """A fact with one spelling may be written as plain text."""
    sources: tuple[str, ...] = ()
    labels: dict[str, str] = {}
    where: dict[str, Any] | None = None

    @property
    def spellings(self) -> tuple[tuple[str, ...], ...]:
        return tuple((fact,) if isinstance(fact, str) else fact for fact in self.facts)


def read_raw_questions(path: Path) -> list[RawQuestion]:
    """The questions in the file's order. Raises DataError with every bad line, and OSError."""
    if path.stat().st_size > MOST_BYTES:
        found = f"it has {path.stat().st_size:,} bytes and the limit is {MOST_BYTES:,}"
        raise DataError(path, [LineProblem(0, found, "freeze a sample of them")])
    problems: list[LineProblem] = []
    questions: list[RawQuestion] = []
    line_of: dict[str, int] = {}
    for number, line in enumerate(path.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
        if not line.strip():
            continue
        try:
            question = msgspec.json.decode(line, type=RawQuestion)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            mend = 'write {"id", "question", "reference" or null, "facts", "sources", "labels"}'
            problems.append(LineProblem(number, str(error).removeprefix("JSON is malformed: ")[:200], mend))
            continue
        mistake = _mistake(question)
        if question.id in line_of:
            mistake = (
                f"the id {question.id[:MOST_ID]!r} is that of line {line_of[question.id]}",
                "give each question its own",
            )
        line_of.setdefault(question.id, number)
        if mistake:
            problems.append(LineProblem(number, *mistake))
        questions.append(question)
    if not questions and not problems:
        problems.append(LineProblem(0, "the file has no questions", "write one JSON object a line"))
    if len(questions) > MOST_QUESTIONS:
        found = f"it has {len(questions):,} questions and the limit is {MOST_QUESTIONS:,}"
        problems.append(LineProblem(0, found, "freeze a sample of them"))
    if problems:
        raise DataError(path, problems)
    return questions


def _mistake(question: RawQuestion) -> tuple[str, str] | None:
    if not question.id.strip() or not question.question.strip():
        return "its id or its text is empty", "write both"
    if len(question.id) > MOST_ID or not question.id.isprintable():
        return ID_PROBLEM
    if question.reference is None and (question.facts or question.sources):
        return "it has no reference but facts or sources", "write the reference, or take them away"
    if question.reference is not None and not question.sources:
        return "it has a reference and no sources", "name the pages that hold the answer"
    if question.where is not None:
        try:
            parse_where(question.where)
        except WhereError as error:
            return str(error), "mend the filter"
    return None
