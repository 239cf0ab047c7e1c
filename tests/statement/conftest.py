"""The ledger of one round hour."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.statement.ledgers import POLICY, round_hour, written


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return written(tmp_path / "ledger.sqlite3", round_hour())


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY)
    return file
