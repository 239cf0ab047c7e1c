"""What the parts of the gate hand to each other, as frozen values, and how each is written to a file.

Data goes one way: frozen questions -> answers of each generator -> judgements of each judge -> verdict -> report.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Outcome = Literal["accept", "reject", "unjudged"]
"""`unjudged`: the judge gave no verdict that could be read, or could not be reached. It is never counted as either."""


class Passage(msgspec.Struct, frozen=True, omit_defaults=True):
    """One piece of the corpus as a generator sees it."""

    id: str
    text: str
    sha256: str
    """Of `text` in UTF-8: hex."""
    labels: dict[str, str] = {}


class Question(msgspec.Struct, frozen=True, omit_defaults=True):
    """One frozen question. Its passages were retrieved once, so that retrieval differs for nobody."""

    id: str
    question: str
    passages: tuple[Passage, ...]
    """In the order in which the prompt holds them."""
    reference: str | None = None
    """The right answer in a sentence; None: the corpus does not say, and the right answer is to say so."""
    facts: tuple[tuple[str, ...], ...] = ()
    """What a right answer must hold: one of the spellings of every entry, e.g. (("250 euros", "EUR 250"),)."""
    sources: tuple[str, ...] = ()
    """Ids of the passages that hold the answer, by whoever wrote the question; empty where there is none."""
    labels: dict[str, str] = {}

    @property
    def answerable(self) -> bool:
        return self.reference is not None


class FrozenSet(msgspec.Struct, frozen=True):
    """A file of frozen questions. `sha256_of_set` of it goes into every verdict."""

    schema: Literal[1]
    name: str
    instruction: str
    """The system message of every prompt."""
    index: dict[str, str]
    """The index that the passages were taken from: its manifest's own fields as text (embedder, corpus hash, k...)."""
    questions: tuple[Question, ...]


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one generator said to one question."""

    question: str
    """The question's id."""
    generator: str
    text: str | None
    """None: there is no answer, and `error` says why."""
    model: str | None = None
    """What the answer itself names as its model."""
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    seed: int | None = None
    latency_seconds: float | None = None
    backend: str | None = None
    adapter: str | None = None
    """Gateway headers, where a gateway answered."""
    decision: str | None = None
    """The gateway's id of the request (`x-crossover-decision`): its ledger knows the cost by it."""
    usd: float | None = None
    """Cost by the gateway's own meters; None: unknown."""
    error: str | None = None
    prompt_sha256: str = ""


class Judgement(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one judge says of one answer."""

    question: str
    generator: str
    judge: str
    outcome: Outcome
    reason: str
    raw: str | None = None
    """The judge's own words, where it is a model."""
    model: str | None = None
    prompt_sha256: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
