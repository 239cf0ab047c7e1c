"""The handbook's files, read once. Nothing is computed that needs more than a moment."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from trainer.data.rows import Row, read_rows
from trainer.gate.handbook.rows import FOLDER
from trainer.retrieval.chunk import Chunk
from trainer.retrieval.corpus import read_corpus


class Raw(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A question before it is frozen: as the gate's, without passages."""

    id: str
    question: str
    reference: str | None
    facts: tuple[tuple[str, ...], ...]
    sources: tuple[str, ...]
    labels: dict[str, str]
    where: dict[str, str] | None = None

    @property
    def sentence(self) -> str | None:
        """The reference without its citation: a sentence of the source."""
        return self.reference.rpartition(" [")[0] if self.reference else None


def read_raw(path: Path) -> list[Raw]:
    return [msgspec.json.decode(line, type=Raw) for line in path.read_bytes().splitlines()]


@pytest.fixture(scope="session")
def pages() -> dict[str, Chunk]:
    return {page.id: page for page in read_corpus(FOLDER / "pages")}


@pytest.fixture(scope="session")
def frozen() -> list[Raw]:
    return read_raw(FOLDER / "questions.jsonl")


@pytest.fixture(scope="session")
def holdout() -> list[Raw]:
    return read_raw(FOLDER / "holdout.jsonl")


@pytest.fixture(scope="session")
def easy() -> list[Raw]:
    return read_raw(FOLDER / "easy.jsonl")


@pytest.fixture(scope="session")
def asked_by_the_gate(frozen: list[Raw], holdout: list[Raw]) -> list[Raw]:
    return [*frozen, *holdout]


@pytest.fixture(scope="session")
def learned() -> list[Row]:
    return read_rows(FOLDER / "train.jsonl")
