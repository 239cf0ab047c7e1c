"""A ledger that an older gateway wrote is read and written on by this one."""

import sqlite3
from pathlib import Path

from gateway.metering.ledger import SCHEMA_VERSION, Ledger, books, reading
from gateway.metering.records import OperationRecord
from tests.metering.test_ledger import attempt

FIRST_VERSION = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO meta VALUES ('schema_version', '1');
CREATE TABLE operations (
  id TEXT PRIMARY KEY, key TEXT NOT NULL, alias TEXT NOT NULL, operation TEXT NOT NULL, stream INTEGER NOT NULL,
  started_at REAL NOT NULL, outcome TEXT NOT NULL, status INTEGER NOT NULL, backend TEXT, reason TEXT NOT NULL,
  attempts INTEGER NOT NULL, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, certainty TEXT NOT NULL,
  ttft_seconds REAL, seconds REAL NOT NULL, in_time INTEGER
) WITHOUT ROWID;
INSERT INTO operations VALUES
  ('old', 'app', 'tuned', 'chat', 1, 1.5, 'ok', 200, 'box', 'only_choice', 1, 10, 5, 'exact', 0.1, 0.9, 1);
"""


def operation(id: str, held_seconds: float) -> OperationRecord:
    return OperationRecord(
        id, "app", "tuned", "chat", True, 2.5, "ok", 200, "box", "only_choice", 1, 10, 5, "exact", 0.1, 9.0, True,
        held_seconds,
    )  # fmt: skip


def test_a_file_of_the_first_version_is_brought_up_to_this_one(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite3"
    with sqlite3.connect(path) as old:
        old.executescript(FIRST_VERSION)
    old.close()
    for _ in range(2):  # and stays as it is the next time
        ledger = Ledger(path)
        ledger.put(operation("new", held_seconds=7.5))
        ledger.put(attempt(1))
        ledger.close()
    assert ledger.lost == 0
    with reading(path) as connection:
        held = {row["id"]: row["held_seconds"] for row in connection.execute("SELECT id, held_seconds FROM operations")}
        version = connection.execute("SELECT value FROM meta WHERE name = 'schema_version'").fetchone()[0]
    assert held == {"old": 0.0, "new": 7.5}
    assert version == str(SCHEMA_VERSION)
    assert books(path)[0].requests == 1


def test_a_new_file_says_its_version_and_has_every_column(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.sqlite3")
    ledger.put(operation("new", held_seconds=0.25))
    ledger.close()
    with reading(ledger.path) as connection:
        assert connection.execute("SELECT held_seconds FROM operations").fetchone()[0] == 0.25
        assert connection.execute("SELECT value FROM meta").fetchone()[0] == str(SCHEMA_VERSION)
