"""What the tests of the data plane share: a tiny embedder, and a store in the sandbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.trainer.retrieval.tiny_bert import make_tiny_bert
from trainer.retrieval.minilm.embedder import MiniLm


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_bert(tmp_path_factory.mktemp("bert") / "tiny")


@pytest.fixture(scope="session")
def embedder(tiny_bert: Path) -> MiniLm:
    """Random weights: its vectors mean nothing, and are the same every time."""
    return MiniLm(tiny_bert)
