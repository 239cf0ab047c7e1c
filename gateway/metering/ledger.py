"""The ledger: every attempt, operation and window, in one SQLite file.

Append-only, write-ahead log, one writer thread that commits in batches: the event loop only appends values to a deque,
and wakes nobody. A `kill -9` loses at most what came since the last commit, `flush_seconds` ago. Money is stored as
integer nano-dollars.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import msgspec

from gateway.metering.records import (
    AccrualRecord,
    Attempt,
    CopyRecord,
    CounterfactualRecord,
    OperationRecord,
    Record,
    WindowBusyRecord,
    WindowRecord,
)

SCHEMA_VERSION = 3
SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT OR IGNORE INTO meta VALUES ('schema_version', '3');
CREATE TABLE IF NOT EXISTS operations (
  id TEXT PRIMARY KEY, key TEXT NOT NULL, alias TEXT NOT NULL, operation TEXT NOT NULL, stream INTEGER NOT NULL,
  started_at REAL NOT NULL, outcome TEXT NOT NULL, status INTEGER NOT NULL, backend TEXT, reason TEXT NOT NULL,
  attempts INTEGER NOT NULL, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, certainty TEXT NOT NULL,
  ttft_seconds REAL, seconds REAL NOT NULL, in_time INTEGER, held_seconds REAL NOT NULL DEFAULT 0,
  verdict TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS operations_started_at ON operations (started_at);
CREATE TABLE IF NOT EXISTS attempts (
  operation_id TEXT NOT NULL, number INTEGER NOT NULL, backend TEXT NOT NULL, model TEXT NOT NULL,
  started_at REAL NOT NULL, outcome TEXT NOT NULL, status INTEGER NOT NULL, input_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL, certainty TEXT NOT NULL, nanousd INTEGER, ttft_seconds REAL, seconds REAL NOT NULL,
  generation TEXT, PRIMARY KEY (operation_id, number)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS attempts_started_at ON attempts (started_at);
CREATE TABLE IF NOT EXISTS windows (
  run TEXT NOT NULL, backend TEXT NOT NULL, copy INTEGER NOT NULL, number INTEGER NOT NULL, opened_at REAL NOT NULL,
  ends_at REAL NOT NULL, nanousd INTEGER NOT NULL, PRIMARY KEY (run, backend, copy, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS copies (
  origin_run TEXT NOT NULL, backend TEXT NOT NULL, copy INTEGER NOT NULL, first_call REAL NOT NULL,
  last_call REAL NOT NULL, booked INTEGER NOT NULL, PRIMARY KEY (origin_run, backend, copy)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS accruals (
  run TEXT NOT NULL, backend TEXT NOT NULL, cost_kind TEXT NOT NULL, since REAL NOT NULL, until REAL NOT NULL,
  nanousd INTEGER NOT NULL, busy_nanousd INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (run, backend, since)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS window_busy (
  run TEXT NOT NULL, backend TEXT NOT NULL, since REAL NOT NULL, until REAL NOT NULL, nanousd INTEGER NOT NULL,
  PRIMARY KEY (run, backend, since)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counterfactuals (
  run TEXT NOT NULL, served_by TEXT NOT NULL, priced_as TEXT NOT NULL, since REAL NOT NULL, until REAL NOT NULL,
  nanousd INTEGER NOT NULL, PRIMARY KEY (run, served_by, priced_as, since)
) WITHOUT ROWID;
"""

ADDED_COLUMNS = {
    2: (("operations", "held_seconds", "REAL NOT NULL DEFAULT 0"),),
    3: (("operations", "verdict", "TEXT"), ("accruals", "busy_nanousd", "INTEGER NOT NULL DEFAULT 0")),
}
"""What each version added to a table of the one before. Only columns with a default, and tables of their own, are ever
added: readers of an older version are not disturbed."""

# The names of a record's fields are the names of its columns. What stands is written once; an accrual grows and a copy
# goes on: their rows are replaced. (OR IGNORE would also pass over a record with a field missing.)
TABLES: dict[type[msgspec.Struct], tuple[str, str]] = {
    OperationRecord: ("INSERT INTO operations", "ON CONFLICT DO NOTHING"),
    Attempt: ("INSERT INTO attempts", "ON CONFLICT DO NOTHING"),
    WindowRecord: ("INSERT INTO windows", "ON CONFLICT DO NOTHING"),
    CopyRecord: ("INSERT OR REPLACE INTO copies", ""),
    AccrualRecord: ("INSERT OR REPLACE INTO accruals", ""),
    WindowBusyRecord: ("INSERT OR REPLACE INTO window_busy", ""),
    CounterfactualRecord: ("INSERT OR REPLACE INTO counterfactuals", ""),
}

ROWS_AT_ONCE = 48
"""SQLite gives the interpreter up and takes it again for each statement, which a busy event loop feels: a statement has
so many rows where there are as many. Their values stay below 999, the least that SQLite allows."""


def _statement(kind: type[msgspec.Struct], rows: int) -> str:
    verb, again = TABLES[kind]
    fields = kind.__struct_fields__
    row = f"({', '.join('?' * len(fields))})"
    return f"{verb} ({', '.join(fields)}) VALUES {', '.join([row] * rows)} {again}"


_ONE = {kind: _statement(kind, 1) for kind in TABLES}
_MANY = {kind: _statement(kind, ROWS_AT_ONCE) for kind in TABLES}

RECORDS_KEPT = 100_000
"""So many records wait for a file that cannot be written; the oldest beyond go."""
RETRY_SECONDS = 1.0
"""A file that could not be written is tried again after so long, whether or not more is to be written."""
CACHE_KIB = 512
"""Of SQLite's pages. The writer only appends: more (SQLite's own way is 2 MB) is memory, and no speed."""
CLOSE_SECONDS = 5.0
"""At the end a file that cannot be written is tried again for so long."""

logger = logging.getLogger(__name__)


class LedgerError(RuntimeError):
    """The ledger's file cannot be opened or written."""


class Ledger:
    """Takes records from any thread, writes them in its own. `close` writes what is left."""

    def __init__(self, path: str | Path, flush_seconds: float = 0.25) -> None:
        self.path = Path(path)
        self._flush_seconds = flush_seconds
        self._waiting: deque[Record | threading.Event] = deque()
        self.put: Callable[[Record], None] = self._waiting.append
        """Never blocks and never raises."""
        self._wake = threading.Event()
        self._closing = False
        self.failure: str | None = None
        """Why writing failed last, until it works again. Requests go on."""
        self.lost = 0
        """Records that are not in the file and never will be: each was logged."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if not self.path.exists():
                os.close(os.open(self.path, os.O_CREAT | os.O_WRONLY, 0o600))
            connection = _connect(self.path)
            connection.executescript(SCHEMA)
            _migrate(connection)
            # Stays open for the writer: were it the last to close, the log would go, and a reader could find neither.
            self._opened: sqlite3.Connection | None = connection
        except (OSError, sqlite3.Error) as error:
            raise LedgerError(f"the ledger {self.path} cannot be opened: {error}") from error
        self._thread = threading.Thread(target=self._write, name="ledger", daemon=True)
        self._thread.start()

    def flush(self, timeout_seconds: float = 5.0) -> bool:
        """Waits until all put before is in the file. False: it took longer, or it could not be written."""
        written = threading.Event()
        self._waiting.append(written)
        self._wake.set()
        deadline = time.monotonic() + timeout_seconds
        while self._thread.is_alive() and time.monotonic() < deadline:
            if written.wait(min(0.5, max(0.0, deadline - time.monotonic()))):
                break
        return written.is_set() and self.failure is None

    @property
    def writing(self) -> bool:
        """What is put gets into the file."""
        return self._thread.is_alive() and self.failure is None

    def close(self) -> None:
        self._closing = True
        self._wake.set()
        self._thread.join(timeout=3 * CLOSE_SECONDS)

    def _write(self) -> None:
        connection, self._opened = self._opened, None
        batch: list[Record] = []
        going = True
        while going:
            waiting: list[threading.Event] = []
            going = self._gather(batch, waiting)
            give_up_at = time.monotonic() + (0.0 if going else CLOSE_SECONDS)
            while True:
                try:
                    connection = connection or _connect(self.path)
                    self._commit(connection, batch)
                    batch.clear()
                    break
                except Exception as error:  # whatever it is, the thread must outlive it
                    # Kept for the next round: a full disk or a lock may pass. Bounded, to spare the memory.
                    self.failure = str(error) or type(error).__name__
                    self._lose(batch[:-RECORDS_KEPT])
                    del batch[:-RECORDS_KEPT]
                    time.sleep(min(1.0, self._flush_seconds))
                if time.monotonic() >= give_up_at:
                    break
            for event in waiting:
                event.set()
        self._lose(batch)
        if connection is not None:
            connection.close()

    def _gather(self, batch: list[Record], waiting: list[threading.Event]) -> bool:
        """Waits for its time, and takes what has come. False: this is the end."""
        # What could not be written is tried again, also if nothing else ever comes.
        self._wake.wait(min(RETRY_SECONDS, self._flush_seconds) if batch else self._flush_seconds)
        self._wake.clear()
        closing = self._closing  # before the last look, so that nothing put before `close` is left
        come = self._waiting
        while come:
            item = come.popleft()
            if isinstance(item, threading.Event):
                waiting.append(item)
            else:
                batch.append(item)
        return not closing

    def _commit(self, connection: sqlite3.Connection, batch: Sequence[Record]) -> None:
        """One transaction. A record that no file would take is left out, and said: it must not hold up the others."""
        refused: list[tuple[Record, Exception]] = []
        if batch:
            try:
                with connection:
                    _insert(connection, batch)
            except Exception as error:
                if _is_of_the_file(error):
                    raise
                with connection:
                    refused = _insert_one_by_one(connection, batch)
        self.failure = None
        for record, why in refused:
            self.failure = f"a record cannot be written: {why}"
            self._lose([record])

    def _lose(self, records: Sequence[Record]) -> None:
        self.lost += len(records)
        if records:
            logger.error(
                "the ledger %s lost %d records (%s), the first: %r", self.path, len(records), self.failure, records[0]
            )


def _insert(connection: sqlite3.Connection, batch: Sequence[Record]) -> None:
    """Raises whatever one of them is refused with."""
    by_kind: dict[type[Record], list[Record]] = {}
    for record in batch:
        by_kind.setdefault(type(record), []).append(record)
    for kind, records in by_kind.items():
        rows = [msgspec.structs.astuple(record) for record in records]
        whole = len(rows) - len(rows) % ROWS_AT_ONCE
        for first in range(0, whole, ROWS_AT_ONCE):
            connection.execute(_MANY[kind], tuple(chain.from_iterable(rows[first : first + ROWS_AT_ONCE])))
        connection.executemany(_ONE[kind], rows[whole:])


def _insert_one_by_one(connection: sqlite3.Connection, batch: Sequence[Record]) -> list[tuple[Record, Exception]]:
    """Returns those that no file would take, and why."""
    refused: list[tuple[Record, Exception]] = []
    for record in batch:
        try:
            connection.execute(_ONE[type(record)], msgspec.structs.astuple(record))
        except Exception as error:
            if _is_of_the_file(error):
                raise
            refused.append((record, error))
    return refused


def _migrate(connection: sqlite3.Connection) -> None:
    """Brings a file of an older version up to this one. One transaction: two gateways may open it at once."""
    connection.isolation_level = None
    connection.execute("BEGIN IMMEDIATE")
    (written,) = connection.execute("SELECT value FROM meta WHERE name = 'schema_version'").fetchone()
    for version in range(int(written) + 1, SCHEMA_VERSION + 1):
        for table, column, definition in ADDED_COLUMNS[version]:
            if not connection.execute("SELECT 1 FROM pragma_table_info(?) WHERE name = ?", (table, column)).fetchone():
                connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} {definition}")
    if int(written) < SCHEMA_VERSION:
        connection.execute("UPDATE meta SET value = ? WHERE name = 'schema_version'", (str(SCHEMA_VERSION),))
    connection.execute("COMMIT")
    connection.isolation_level = "DEFERRED"


def _is_of_the_file(error: Exception) -> bool:
    """A lock, a full disk, a broken file: not the record's fault."""
    return isinstance(error, sqlite3.OperationalError) or type(error) in (sqlite3.DatabaseError, sqlite3.InternalError)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=5.0, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    return connection


@contextmanager
def reading(path: str | Path) -> Iterator[sqlite3.Connection]:
    """A read-only connection to a ledger, beside the writer."""
    connection = sqlite3.connect(f"file:{Path(path).absolute()}?mode=ro", uri=True, timeout=5.0)
    connection.row_factory = sqlite3.Row
    try:
        yield connection
    finally:
        connection.close()


class BackendBooks(msgspec.Struct, frozen=True):
    """A backend's totals over a ledger. `nanousd`: list-price charges, whole windows, and what accrued by time."""

    backend: str
    requests: int
    input_tokens: int
    output_tokens: int
    unsure_tokens: int
    """Of these, tokens that were estimated."""
    unpriced_tokens: int
    windows: int
    nanousd: int


def books(path: str | Path, since: float = 0.0) -> Sequence[BackendBooks]:
    """Totals by backend of all that began at or after `since` (wall clock, seconds since 1970). What accrues by time
    counts from `since` on: of a row that began before, its share by time, rounded down to the n$."""
    with reading(path) as connection:
        rows = connection.execute(
            """
            WITH served AS (
              SELECT backend, SUM(outcome = 'ok') AS requests, SUM(input_tokens) AS i, SUM(output_tokens) AS o,
                SUM(CASE WHEN certainty <> 'exact' THEN input_tokens + output_tokens ELSE 0 END) AS unsure,
                SUM(CASE WHEN nanousd IS NULL THEN input_tokens + output_tokens ELSE 0 END) AS unpriced,
                SUM(COALESCE(nanousd, 0)) AS n
              FROM attempts WHERE started_at >= :since GROUP BY backend),
            opened AS (SELECT backend, COUNT(*) AS c, SUM(nanousd) AS n FROM windows WHERE opened_at >= :since
              GROUP BY backend),
            accrued AS (
              SELECT backend, SUM(CASE WHEN since >= :since THEN nanousd
                ELSE CAST(nanousd * ((until - :since) / (until - since)) AS INTEGER) END) AS n
              FROM accruals WHERE until > :since GROUP BY backend),
            names AS (SELECT backend FROM served UNION SELECT backend FROM opened UNION SELECT backend FROM accrued)
            SELECT names.backend, COALESCE(requests, 0), COALESCE(i, 0), COALESCE(o, 0), COALESCE(unsure, 0),
              COALESCE(unpriced, 0), COALESCE(opened.c, 0),
              COALESCE(served.n, 0) + COALESCE(opened.n, 0) + COALESCE(accrued.n, 0)
            FROM names LEFT JOIN served USING (backend) LEFT JOIN opened USING (backend)
              LEFT JOIN accrued USING (backend) ORDER BY names.backend
            """,
            {"since": since},
        ).fetchall()
    return [BackendBooks(*row) for row in rows]
