"""A healthy set of rows, and the doctor's word on it with a few rows changed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pytest

from tests.trainer.data.byte_tokenizer import ByteTokenizer
from trainer.data.doctor import Finding, Report, examine
from trainer.data.rendering import Renderer
from trainer.data.rows import Row
from trainer.settings.schema import TrainSettings

WORDS = (
    *("leave", "office", "manager", "holiday", "travel", "ticket", "expense", "laptop", "badge", "room", "floor"),
    *("lunch", "coffee", "meeting", "team", "report", "week", "month", "policy", "form", "sign", "send", "start"),
    *("end", "early", "late", "remote", "hours", "paid", "worker", "handbook", "visitor", "parking", "bicycle"),
)


def sentence(choice: random.Random, count: int) -> str:
    return " ".join(choice.choice(WORDS) for _ in range(count))


def healthy(count: int = 60) -> list[tuple[str, str]]:
    """Questions and answers of which no two are alike."""
    choice = random.Random(4)
    return [
        (f"{sentence(choice, 8 + n % 9).capitalize()}?", f"{sentence(choice, 9 + n % 12).capitalize()}.")
        for n in range(count)
    ]


def chat(number: int, question: str, answer: str, label: str | None = None) -> Row:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return Row(number, messages=messages, label=label)


def settings_of(**changed: Any) -> TrainSettings:
    given: dict[str, Any] = {
        "version": 1,
        "name": "tested",
        "base": {"model": "model"},
        "data": {"train": "rows.jsonl"},
        "batch": {"sequences_per_step": 1},
        "sequence": {"max_tokens": 1024},
    }
    return TrainSettings.model_validate(given | changed)


Doctor = Callable[..., Report]


@pytest.fixture
def doctor() -> Doctor:
    """The report on `healthy` rows, some answers or questions (by line) changed."""

    def look(
        answers: Mapping[int, str] | None = None,
        questions: Mapping[int, str] | None = None,
        *,
        more: Iterable[Row] = (),
        held_out: Sequence[Row] = (),
        gate_questions: Sequence[str] = (),
        tokenizer: ByteTokenizer | None = None,
        **settings: Any,
    ) -> Report:
        rows = [
            chat(n, (questions or {}).get(n, question), (answers or {}).get(n, answer), "leave" if n % 2 else "travel")
            for n, (question, answer) in enumerate(healthy(), start=1)
        ]
        rows += more
        renderer = Renderer(tokenizer or ByteTokenizer())
        rendered, held_out_rendered = list(renderer.render(rows)), list(renderer.render(held_out))
        return examine(
            rows, rendered, settings_of(**settings), renderer, held_out, held_out_rendered, gate_questions
        )  # fmt: skip

    return look


def found(report: Report, check: str) -> Finding:
    """The one finding of `check`; an AssertionError that shows all others where there is not exactly one."""
    those = [finding for finding in report.findings if finding.check == check]
    assert len(those) == 1, report.findings
    return those[0]
