"""The experiment's frozen sets: the handbook is indexed here and now, and its questions are frozen from that index."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from trainer.data.rows import read_rows
from trainer.gate.checks.citations import without_citations
from trainer.gate.checks.normal import normal
from trainer.gate.experiment.settings import EDITION, HANDBOOK, PASSAGES, Settings
from trainer.gate.frozen import write_frozen
from trainer.gate.schema import FrozenSet
from trainer.retrieval.corpus import read_corpus
from trainer.retrieval.embedded import EmbeddedStore, build
from trainer.retrieval.embedder import LONGEST_WITHOUT_EMBEDDER, length_in_words
from trainer.retrieval.freeze import freeze
from trainer.retrieval.opening import Aws, make_embedder
from trainer.retrieval.questions import read_raw_questions
from trainer.retrieval.split import split_pages
from trainer.retrieval.store import VectorStore


@dataclass(frozen=True, slots=True)
class Sets:
    """Files. `easy`: None where they are not wanted."""

    questions: Path
    easy: Path | None


def frozen_sets(settings: Settings, say: Callable[[str], None]) -> Sets:
    """Raises what reading, embedding and freezing raise: CorpusError, EmbedderError, DataError, ValueError, OSError."""
    store = _index(settings, say)
    store.save(settings.work / "index")
    questions = _freeze(settings, store, "questions")
    return Sets(questions, _freeze(settings, store, "easy") if settings.easy else None)


@dataclass(frozen=True, slots=True)
class Overlap:
    """Ids of frozen questions. `asked`: a training row asks the same. `taught`: a row's answer, which is learned, holds
    theirs. `shown`: a passage in some row's prompt, which is not learned, holds their answer."""

    asked: tuple[str, ...]
    taught: tuple[str, ...]
    shown: tuple[str, ...]


def overlap(frozen: FrozenSet, rows: Path) -> Overlap:
    """What the training rows and a frozen set share, word for word but for signs and case."""
    read = read_rows(rows)
    prompts, answers = [normal(row.question) for row in read], [normal(row.answer) for row in read]
    wanted = {one.id: normal(without_citations(one.reference)) for one in frozen.questions if one.reference is not None}
    return Overlap(
        tuple(one.id for one in frozen.questions if any(normal(one.question) in text for text in (*prompts, *answers))),
        tuple(id for id, answer in wanted.items() if any(answer in text for text in answers)),
        tuple(id for id, answer in wanted.items() if any(answer in text for text in prompts)),
    )


def _index(settings: Settings, say: Callable[[str], None]) -> EmbeddedStore:
    pages = read_corpus(HANDBOOK / "pages")
    embedder = None if settings.embedder == "none" else make_embedder("minilm", Aws(), say)
    length, longest = (embedder.length, embedder.longest) if embedder else (length_in_words, LONGEST_WITHOUT_EMBEDDER)
    chunks = split_pages(pages, length, longest)
    return build(chunks, embedder, "bm25" if embedder is None else "hybrid", lambda _: None)


def _freeze(settings: Settings, store: VectorStore, name: str) -> Path:
    raw = read_raw_questions(_source(name))[: settings.questions]
    instruction = (HANDBOOK / "instruction.txt").read_text("utf-8").strip()
    file = settings.work / f"{name}.json"
    write_frozen(freeze(raw, store, PASSAGES, f"handbook-{name}", instruction, {"edition": EDITION}), file)
    return file


def _source(name: str) -> Path:
    return HANDBOOK / f"{name}.jsonl"
