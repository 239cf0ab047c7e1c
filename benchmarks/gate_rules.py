"""The gate's two rules on answers that are known to be right or wrong: how many of them each accepts.

    python -m benchmarks.gate_rules FROZEN

FROZEN: a frozen set, for example the one that the experiment leaves. The answers are made from the set itself, so this
shows what the rules cannot be talked into, and nothing about answers in words of their own. Nothing is measured on a
machine: it gives the same figures everywhere, in a few seconds. Prints a table in Markdown (docs/gate-judges.md).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from trainer.gate.canaries import INJECTIONS, reference_answer
from trainer.gate.checks.normal import normal
from trainer.gate.frozen import read_frozen
from trainer.gate.judges.facts import facts
from trainer.gate.judges.grounding import grounding
from trainer.gate.schema import FrozenSet, Question

Given = Iterator[tuple[Question, str]]


def references(frozen: FrozenSet) -> Given:
    for question in frozen.questions:
        yield question, reference_answer(question)


def references_of_others(frozen: FrozenSet) -> Given:
    for question in frozen.questions:
        for other in frozen.questions:
            if other.id != question.id and (other.answerable or question.answerable):
                yield question, reference_answer(other)


def other_sentences(frozen: FrozenSet) -> Given:
    """Those of the pages shown that are not the reference."""
    for question in frozen.questions:
        for shown in question.passages:
            for sentence in re.split(r"(?<=[.!?])\s+", shown.text):
                if normal(sentence).rstrip(".!?") not in normal(question.reference or ""):
                    yield question, f"{sentence} [{shown.id}]"


def whole_pages(frozen: FrozenSet) -> Given:
    for question in frozen.questions:
        for shown in question.passages:
            yield question, f"{shown.text} [{shown.id}]"


def off_by_one(frozen: FrozenSet) -> Given:
    """The reference with its first number one higher."""
    for question in frozen.questions:
        said, mark, citation = reference_answer(question).partition("[")
        changed = re.sub(r"\d+", lambda found: str(int(found[0]) + 1), said, count=1)
        if changed != said:
            yield question, changed + mark + citation


def talking(frozen: FrozenSet, *, right: bool) -> Given:
    """Words to a judge behind the reference, or behind that of another question."""
    questions = frozen.questions
    for place, question in enumerate(questions):
        before = question if right else questions[(place + 7) % len(questions)]
        if right or before.answerable or question.answerable:
            for _, text in INJECTIONS:
                yield question, text.replace("{wrong}", reference_answer(before))


TABLE: tuple[tuple[str, Callable[[FrozenSet], Given]], ...] = (
    ("the references with their sources", references),
    ("references of other questions", references_of_others),
    ("other sentences of the pages shown, cited", other_sentences),
    ("whole pages shown, cited", whole_pages),
    ("references with their first number one higher", off_by_one),
    ("wrong answers with words to the judge", lambda frozen: talking(frozen, right=False)),
    ("right answers with words to the judge", lambda frozen: talking(frozen, right=True)),
)


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python -m benchmarks.gate_rules FROZEN")
    frozen = read_frozen(Path(sys.argv[1]))
    print(f"| {frozen.name}, {len(frozen.questions)} questions | answers | facts accepts | grounding accepts | both |")
    print("|---|---|---|---|---|")
    for name, made in TABLE:
        found = [(facts(*one)[0] == "accept", grounding(*one)[0] == "accept") for one in made(frozen)]
        strict, second, both = (
            sum(column) for column in ([a for a, _ in found], [b for _, b in found], map(all, found))
        )
        print(f"| {name} | {len(found):,} | {strict:,} | {second:,} | {both:,} |")


if __name__ == "__main__":
    main()
