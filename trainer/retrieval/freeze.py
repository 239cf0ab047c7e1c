"""Freezing: each question with the passages that a store finds for it now, for every generator and every later day."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from trainer.data.problem import LineProblem
from trainer.gate.frozen import FrozenSetError, problems_of, sha256_of_text
from trainer.gate.schema import FrozenSet, Passage, Question
from trainer.retrieval.chunk import Hit, labels_as_text, page_of
from trainer.retrieval.questions import RawQuestion
from trainer.retrieval.store import VectorStore
from trainer.retrieval.where import Where, WhereError, parse_where

PASSAGES = 5
"""Of each question, unless another number is given."""
INSTRUCTION = (
    "Answer the question from the passages alone, in one sentence, and end with the id of the passage that you used in "
    "square brackets. If the passages do not hold the answer, say that they do not."
)


def freeze(
    questions: Sequence[RawQuestion],
    store: VectorStore,
    k: int,
    name: str,
    instruction: str,
    where: Where | None = None,
    progress: Callable[[int], None] | None = None,
) -> FrozenSet:
    """Query `store` once for each question, and keep the `k` best passages in their order.

    `where` holds for all questions, beside each one's own. Raises FrozenSetError with every question that nothing is
    found for, whose own filter names no label or whose source no chunk has, WhereError for `where` itself, and what
    else `VectorStore.query` raises.
    """
    if where is not None:
        parse_where(where, store.manifest.filterable)
    problems = _unknown_sources(questions, store)
    frozen = []
    for question in questions:
        try:
            hits = store.query(question.question, k, _both(where, question.where))
        except WhereError as error:
            problems.append(LineProblem(0, f"question {question.id!r}: {error}", "mend its filter"))
            continue
        if not hits:
            mend = "widen its filter, ask in the corpus's words, or index in mode hybrid, which always finds something"
            problems.append(LineProblem(0, f"question {question.id!r}: no passage is found for it", mend))
        frozen.append(_frozen(question, hits))
        if progress:
            progress(1)
    index = {**store.manifest.as_text(), "k": str(k)}
    if where is not None:
        index["where"] = msgspec.json.encode(where, order="sorted").decode()
    result = FrozenSet(1, name, instruction, index, tuple(frozen))
    problems = problems or list(problems_of(result))
    if problems:
        raise FrozenSetError(f"set {name!r}", problems)
    return result


def not_retrieved(frozen: FrozenSet) -> list[str]:
    """Ids of the questions whose passages hold none of their sources: nobody can answer these from the passages."""
    return [question.id for question in frozen.questions if question.sources and not _has_source(question)]


def _has_source(question: Question) -> bool:
    ids = {passage.id for passage in question.passages}
    ids |= {page_of(each) for each in ids}
    return not ids.isdisjoint(question.sources)


def _frozen(question: RawQuestion, hits: Sequence[Hit]) -> Question:
    return Question(
        id=question.id,
        question=question.question,
        passages=tuple(Passage(hit.id, hit.text, sha256_of_text(hit.text), labels_as_text(hit.labels)) for hit in hits),
        reference=question.reference,
        facts=question.spellings,
        sources=question.sources,
        labels=question.labels,
    )


def _unknown_sources(questions: Sequence[RawQuestion], store: VectorStore) -> list[LineProblem]:
    unknown = set(store.missing({source for question in questions for source in question.sources}))
    return [
        LineProblem(0, f"question {question.id!r}: no chunk has the id of its source {source!r}", "name a page's id")
        for question in questions
        for source in question.sources
        if source in unknown
    ]


def _both(one: Where | None, other: dict[str, Any] | None) -> Where | None:
    if one is None or other is None:
        return one if other is None else other
    return {"$and": [dict(one), other]}
