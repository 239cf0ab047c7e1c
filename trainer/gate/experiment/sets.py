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
from trainer.retrieval.embedder import Embedder
from trainer.retrieval.freeze import freeze
from trainer.retrieval.opening import Aws, make_embedder
from trainer.retrieval.questions import read_raw_questions
from trainer.retrieval.split import chunks_for
from trainer.retrieval.store import VectorStore


@dataclass(frozen=True, slots=True)
class Sets:
    """Files. `easy`: None where they are not wanted."""

    questions: Path
    easy: Path | None


def frozen_sets(settings: Settings, say: Callable[[str], None]) -> Sets:
    """The easy questions have pages of their own, beside the handbook.

    Raises what reading, embedding and freezing raise: CorpusError, EmbedderError, DataError, ValueError, OSError."""
    embedder = None if settings.embedder == "none" else make_embedder("minilm", Aws(), say)
    store = _index(HANDBOOK / "pages", embedder)
    store.save(settings.work / "index")
    questions = _freeze(settings, store, "questions")
    easy = _freeze(settings, _index(HANDBOOK / "easy", embedder), "easy") if settings.easy else None
    return Sets(questions, easy)


@dataclass(frozen=True, slots=True)
class Overlap:
    """Ids of frozen questions. `asked`: a training row holds the same question. `answered`: a row holds their reference
    answer, to be learned or only to be read."""

    asked: tuple[str, ...]
    answered: tuple[str, ...]


def overlap(frozen: FrozenSet, rows: Path) -> Overlap:
    """What the training rows and a frozen set share, word for word but for signs and case."""
    texts = [normal(text) for row in read_rows(rows) for text in row.texts]
    wanted = {one.id: normal(without_citations(one.reference)) for one in frozen.questions if one.reference is not None}
    return Overlap(
        tuple(one.id for one in frozen.questions if any(normal(one.question) in text for text in texts)),
        tuple(id for id, answer in wanted.items() if any(answer in text for text in texts)),
    )


def _index(pages: Path, embedder: Embedder | None) -> EmbeddedStore:
    chunks = chunks_for(read_corpus(pages), embedder)
    return build(chunks, embedder, "bm25" if embedder is None else "hybrid", lambda _: None)


def _freeze(settings: Settings, store: VectorStore, name: str) -> Path:
    raw = read_raw_questions(HANDBOOK / f"{name}.jsonl")[: settings.questions]
    instruction = (HANDBOOK / "instruction.txt").read_text("utf-8").strip()
    file = settings.work / f"{name}.json"
    write_frozen(freeze(raw, store, PASSAGES, f"handbook-{name}", instruction, {"edition": EDITION}), file)
    return file
